import {readFileSync} from 'node:fs'

export interface Statement {
  Sid: string
  Effect: 'Allow' | 'Deny'
  Action: string[]
  Resource: string[]
  /** Operator, key, value or values. */
  Condition?: Record<string, Record<string, string | string[]>>
}

export interface Policy {
  Version: string
  Statement: Statement[]
}

/** One thing that somebody wants to do to one resource. */
export interface Wish {
  action: string
  resource: string
  /** Condition keys, such as `s3:prefix` and `aws:ResourceTag/team`. */
  context?: Readonly<Record<string, string | string[]>>
}

/** What stands in the places of the policies in tests. */
export const POLICY_PLACES = {ACCOUNT: '123456789012', REGION: 'us-east-1', INSTANCE: 'crm', BUCKET: 'backups', PREFIX: 'team/dr', KEY: 'key-1', ROLE: 'rds-monitoring'}

export function readPolicy(name: string, places: Readonly<Record<string, string>> = {}): Policy {
  const text = readFileSync(new URL(`../../docs/iam/${name}.json`, import.meta.url), 'utf8')
  return JSON.parse(Object.entries(places).reduce((all, [place, value]) => all.replaceAll(new RegExp(String.raw`\b${place}\b`, 'g'), value), text)) as Policy
}

/** As IAM decides: an explicit deny wins, and what nothing allows is denied. */
export function isAllowed({Statement: statements}: Policy, wish: Wish): boolean {
  const speaking = statements.filter((one) => one.Action.includes(wish.action) && one.Resource.some((pattern) => isLike(wish.resource, pattern)) && holds(one, wish))
  return speaking.some(({Effect}) => Effect === 'Allow') && !speaking.some(({Effect}) => Effect === 'Deny')
}

const listOf = (value: string | string[] | undefined): string[] => (value === undefined ? [] : Array.isArray(value) ? value : [value])

const isLike = (text: string, pattern: string): boolean => new RegExp(`^${pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(text)

/** By operator: whether the values of the context fit those of the policy. */
const OPERATORS: Readonly<Record<string, (found: string[], wanted: string[]) => boolean>> = {
  StringEquals: (found, wanted) => found.some((one) => wanted.includes(one)),
  StringLike: (found, wanted) => found.some((one) => wanted.some((pattern) => isLike(one, pattern))),
  'ForAllValues:StringLike': (found, wanted) => found.every((one) => wanted.some((pattern) => isLike(one, pattern))),
  Null: (found, wanted) => wanted.includes(String(found.length === 0)),
}

function holds({Condition: conditions = {}}: Statement, {context = {}}: Wish): boolean {
  return Object.entries(conditions).every(([name, keys]) => {
    const operator = OPERATORS[name]
    if (!operator) throw new Error(`The test does not know the operator ${name}.`)
    return Object.entries(keys).every(([key, wanted]) => operator(listOf(context[key]), listOf(wanted)))
  })
}
