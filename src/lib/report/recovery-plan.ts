import type {RestoreInput} from '../rds/restore-inputs.ts'
import type {PlannedInput, RestorePlan} from '../rds/restore-plan.ts'

/** A request as it stands in a file and in a journal: times are ISO texts. */
export type PlainRequest = Omit<RestoreInput, 'RestoreTime'> & {RestoreTime?: string}

export interface PlainPlan extends Omit<RestorePlan, 'request'> {
  request: PlainRequest
}

export const plainPlan = (plan: RestorePlan): PlainPlan => JSON.parse(JSON.stringify(plan)) as PlainPlan

export const requestOf = ({RestoreTime, ...rest}: PlainRequest): RestoreInput => ({...rest, ...(RestoreTime !== undefined && {RestoreTime: new Date(RestoreTime)})})

/** One line of the table: what the source has stands in `sent` where it is copied. */
export interface ShownInput {
  input: string
  /** Of the source, where the input is one of its settings. */
  source: string
  awsDefault: string
  sends: string
  why: string
}

/** As JSON, but texts bare: `sg-1, sg-2`, `Key=Value`. */
export function valueText(value: unknown): string {
  if (value === undefined || value === null) return '-'
  if (Array.isArray(value)) return value.map(valueText).join(', ')
  if (value instanceof Date) return value.toISOString()
  if (typeof value !== 'object') return typeof value === 'string' ? value : JSON.stringify(value)
  const {Key, Value} = value as {Key?: string; Value?: string}
  return Key === undefined ? JSON.stringify(value) : `${Key}=${Value ?? ''}`
}

export const shownInputs = (inputs: readonly PlannedInput[]): ShownInput[] => inputs.map(({input, source, awsDefault, sent, why}) => ({input, source: valueText(source), awsDefault, sends: valueText(sent), why}))

/** What is different in the request, in what is set afterwards, and in the roles, as sentences. */
export function planDifferences(one: PlainPlan, other: PlainPlan): string[] {
  const fields = (plan: PlainPlan): Record<string, unknown> => ({...plan.request, ...plan.afterwards, roles: plan.roles})
  const [before, now] = [fields(one), fields(other)]
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name])).map((name) => `${name}: was ${valueText(before[name])}, would be ${valueText(now[name])} now`)
}
