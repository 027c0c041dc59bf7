import type {ArchiveEntry} from './archive.ts'
import type {EntryChange} from './archive-rewrite.ts'
import {quoteIdent} from './quote.ts'

/** What is one role's in the backup becomes another's. */
export type RoleMap = ReadonlyMap<string, string>

export const mapped = (map: RoleMap, role: string): string => map.get(role) ?? role

/** Space, string, quoted name, dollar-quoted body, word, or one character. */
const TOKEN = /\s+|[eE]'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_\u0080-\uFFFF][\w\u0080-\uFFFF]*)?\$[\s\S]*?\$\1\$|[A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*|[\s\S]/g
const WORD = /^[A-Za-z_\u0080-\uFFFF]/
/** Not names of roles where a role is expected. */
const PSEUDO = new Set(['public', 'current_user', 'current_role', 'session_user'])

/** The role that a token names, or undefined. */
function roleOf(token: string): string | undefined {
  if (token.startsWith('"')) return token.slice(1, -1).replaceAll('""', '"')
  return WORD.test(token) && !PSEUDO.has(token.toLowerCase()) ? token.toLowerCase() : undefined
}

const tokensOf = (sql: string): string[] => sql.match(TOKEN) ?? []
const isSpace = (token: string) => /^\s/.test(token)
const isWord = (token: string | undefined, ...words: readonly string[]) => token !== undefined && words.includes(token.toUpperCase())

/** Walks the words outside of parentheses, and tells after which of them the name of a role stands. */
class RoleFinder {
  readonly #tokens: string[]
  readonly #before: (previous: readonly string[]) => boolean
  readonly places: number[] = []

  /** `before` is given the words so far in this statement, upper case, the last one last. */
  constructor(sql: string, before: (previous: readonly string[]) => boolean) {
    this.#tokens = tokensOf(sql)
    this.#before = before
    this.#walk()
  }

  get tokens(): readonly string[] {
    return this.#tokens
  }

  #walk(): void {
    let depth = 0
    let words: string[] = []
    let expects = false
    for (const [at, token] of this.#tokens.entries()) {
      if (isSpace(token)) continue
      if (token === '(') depth++
      else if (token === ')') depth--
      if (depth > 0 || token === ')') continue
      if (token === ';') [words, expects] = [[], false]
      const isRole = expects && token !== ';' && !isWord(token, 'GROUP')
      if (isRole) {
        if (roleOf(token) !== undefined) this.places.push(at)
        expects = false
      } else if (token === ',' && words.at(-1) === LISTED) expects = true
      if (token === ',' || token === ';') continue
      words.push(isRole ? LISTED : token.toUpperCase())
      if (this.#before(words)) expects = true
    }
  }
}

/** Stands for a role in the words so far. */
const LISTED = '\0'
const ends = (words: readonly string[], ...last: readonly string[]) => last.every((word, index) => words[words.length - last.length + index] === word)

/** Where roles stand in the definitions that pg_dump writes, by the kind of the entry. */
const BEFORE_ROLES: Readonly<Record<string, (words: readonly string[]) => boolean>> = {
  ACL: (words) => ends(words, 'TO') || ends(words, 'FROM') || ends(words, 'SESSION', 'AUTHORIZATION'),
  'DEFAULT ACL': (words) => ends(words, 'TO') || ends(words, 'FROM') || ends(words, 'FOR', 'ROLE') || ends(words, 'FOR', 'USER'),
  POLICY: (words) => ends(words, 'TO'),
  'USER MAPPING': (words) => ends(words, 'MAPPING', 'FOR'),
}

/** The definition of an entry of this kind with other roles; the same text when it names none of them. */
export function mapDefinition(kind: string, definition: string, map: RoleMap): string {
  const before = BEFORE_ROLES[kind]
  if (before === undefined) return definition
  const finder = new RoleFinder(definition, before)
  const tokens = [...finder.tokens]
  const seen = new Set<string>()
  let changed = false
  for (const at of finder.places) {
    const name = roleOf(tokens[at] ?? '') ?? ''
    const role = map.get(name)
    if (role !== undefined) [tokens[at], changed] = [quoteIdent(role), true]
    // Two roles of a policy that have become one.
    if (kind === 'POLICY' && seen.has(role ?? name)) tokens.fill('', tokens.lastIndexOf(',', at), at + 1)
    seen.add(role ?? name)
  }
  return kind === 'ACL' && changed ? withoutOwnGrants(tokens.join('')) : tokens.join('')
}

/** What a role passed on to a role that has become the same is its own already. */
function withoutOwnGrants(definition: string): string {
  let session: string | undefined
  return statementsOf(definition).filter((statement) => {
    const {tokens, places} = new RoleFinder(statement, (words) => ends(words, 'TO') || ends(words, 'AUTHORIZATION'))
    const role = roleOf(tokens[places[0] ?? -1] ?? '')
    if (/^\s*SET SESSION AUTHORIZATION /.test(statement)) session = role
    else if (/^\s*RESET SESSION AUTHORIZATION/.test(statement)) session = undefined
    else if (/^\s*GRANT /.test(statement) && session !== undefined && role === session) return false
    return true
  }).join('')
}

function statementsOf(sql: string): string[] {
  const statements: string[] = []
  let statement = ''
  for (const token of tokensOf(sql)) {
    statement += token
    if (token !== ';') continue
    statements.push(statement)
    statement = ''
  }
  return [...statements, statement]
}

/** Roles that privileges in the archive were granted by, other than the owners: they stand after SET SESSION AUTHORIZATION, or SET ROLE. */
export function grantors(definition: string): string[] {
  const finder = new RoleFinder(definition, (words) => ends(words, 'SESSION', 'AUTHORIZATION') || ends(words, 'SET', 'ROLE'))
  return finder.places.map((at) => roleOf(finder.tokens[at] ?? '') ?? '')
}

/** `SET SESSION AUTHORIZATION` is a superuser's; whoever may become the role does the same with SET ROLE. */
export function withSetRole(definition: string): string {
  const tokens = tokensOf(definition)
  const words = tokens.flatMap((token, at) => (isSpace(token) ? [] : [{token, at}]))
  for (const [index, {token}] of words.entries()) {
    const [first, second] = [words[index + 1], words[index + 2]]
    if (!isWord(token, 'SET', 'RESET') || !isWord(first?.token, 'SESSION') || !isWord(second?.token, 'AUTHORIZATION') || first === undefined || second === undefined) continue
    tokens[first.at] = 'ROLE'
    tokens[second.at] = ''
  }
  return tokens.join('')
}

export interface RoleRewrite {
  map: RoleMap
  /** Whoever restores is no superuser. */
  plainRole: boolean
}

/** How an entry is to be changed so that it names the roles of the map. */
export function roleChange({kind, owner, definition}: ArchiveEntry, {map, plainRole}: RoleRewrite): EntryChange {
  const other = mapDefinition(kind, definition, map)
  const text = plainRole && kind === 'ACL' && other.includes('AUTHORIZATION') ? withSetRole(other) : other
  const newOwner = owner === undefined ? undefined : map.get(owner)
  return {...(text !== definition && {definition: text}), ...(newOwner !== undefined && {owner: newOwner})}
}
