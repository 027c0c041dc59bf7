import type {Loss} from './swap-lines.ts'

export interface Written {
  /** Inserted or changed since, in the tables that could be counted. */
  rows: number
  /** Tables that could not. */
  uncounted: number
  /** There may be more, in tables that were counted. */
  atLeast: boolean
}

/** Undefined: not known of any table. */
export function writtenIn(loss: readonly Loss[]): Written | undefined {
  if (loss.every(({written}) => written === undefined)) return undefined
  // Those that only the coming one has hold nothing that could be lost.
  const isThere = ({live, coming}: Loss) => live !== null || coming === null
  return {rows: loss.reduce((sum, {written = 0}) => sum + written, 0), uncounted: loss.filter((one) => one.written === undefined && isThere(one)).length, atLeast: loss.some(({atLeast = false}) => atLeast)}
}

/** `1,234 rows that were inserted or changed since`; undefined: not known of any table. */
export function writtenWords(loss: readonly Loss[], what = 'that were inserted or changed since'): string | undefined {
  const written = writtenIn(loss)
  if (written === undefined) return undefined
  const {rows, uncounted, atLeast} = written
  return `${uncounted === 0 && !atLeast ? '' : 'at least '}${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'} ${what}${uncounted === 0 ? '' : `; ${uncounted} ${uncounted === 1 ? 'table' : 'tables'} could not be counted`}`
}
