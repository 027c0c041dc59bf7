import type {Writer} from '../../postgres/investigate/writers.ts'
import type {TimeWitness, When} from '../../report/investigation.ts'

/** The last whole second before this instant: what was committed at the instant itself is not part of it. */
export function secondBefore(instant: string): string {
  // Microseconds do not fit a Date: one that is not on a whole second lies behind it.
  const whole = `${instant.slice(0, 19)}Z`
  const isWhole = /^\.0*Z$/.test(instant.slice(19)) || instant.slice(19) === 'Z'
  return `${new Date(Date.parse(whole) - (isWhole ? 1000 : 0)).toISOString().slice(0, 19)}Z`
}

const later = (a: string, b: string): string => (compare(a, b) >= 0 ? a : b)
const earlier = (a: string, b: string): string => (compare(a, b) <= 0 ? a : b)

/** ISO texts with any number of decimals. */
export function compare(a: string, b: string): number {
  const [one, other] = [a, b].map((text) => text.replace(/Z$/, '').replace(/^(.{19})$/, '$1.').padEnd(26, '0'))
  return one === other ? 0 : (one ?? '') < (other ?? '') ? -1 : 1
}

/** It wrote the time into its rows by itself, as `updatedAt = now()` or an ORM does. */
export const isStamped = ({updatedFrom, updatedTo, rows}: Pick<Writer, 'updatedFrom' | 'updatedTo' | 'rows'>): boolean => rows > 1 && updatedFrom !== undefined && updatedFrom === updatedTo

/** What bounds the time of a transaction from outside. */
export interface Bounds {
  /** The newest look that does not hold it. */
  notBefore?: string | undefined
  /** The oldest look that holds it, or now. */
  notAfter: string
  /** From times in rows that it and earlier ones wrote, and later ones. */
  before?: string | undefined
  after?: string | undefined
}

/** When a transaction happened, by the best witness there is. */
export function whenOf(writer: Pick<Writer, 'rows' | 'updatedFrom' | 'updatedTo' | 'committedAt'>, {notBefore, notAfter, before, after}: Bounds): When | undefined {
  const {committedAt, updatedTo} = writer
  if (committedAt !== undefined) return {from: committedAt, to: committedAt, witness: 'commit'}
  const inBounds = (time: string) => (notBefore === undefined || compare(time, notBefore) >= 0) && compare(time, notAfter) <= 0
  if (isStamped(writer) && updatedTo !== undefined && inBounds(updatedTo)) return {from: updatedTo, to: updatedTo, witness: 'stamp'}
  const from = before === undefined ? notBefore : notBefore === undefined ? before : later(before, notBefore)
  if (from === undefined) return undefined
  const to = after === undefined ? notAfter : earlier(after, notAfter)
  const witness: TimeWitness = before === undefined ? 'backups' : 'rows'
  return compare(from, to) <= 0 ? {from, to, witness} : {from: to, to, witness}
}
