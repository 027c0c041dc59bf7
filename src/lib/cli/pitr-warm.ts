import {usageError} from '../errors.ts'
import type {UnreadPart} from '../postgres/warm.ts'
import type {WarmOptions, WarmState} from '../procedures/pitr/warm.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {openRds} from './rds.ts'
import {targetOf} from './target.ts'

/** What `dr pitr warm --json` prints. */
export interface WarmResult extends Pick<WarmState, 'relations' | 'bytes' | 'ms' | 'skipped' | 'failed' | 'initialized'> {
  instance: string
  bytesPerSecond: number | null
  /** When the whole of it had been read; null: not all of it was. */
  hydrated: string | null
  run: string
  journal: string
}

export interface ComposedWarm {
  procedure: Procedure<WarmState>
  state: WarmState
  close: () => void
}

export async function composeWarm(context: Context, named: string | undefined, {tables, jobs}: {tables: string; jobs: number}): Promise<ComposedWarm> {
  const [top, {warmProcedure, warmState}] = [topOf(tables), await import('../procedures/pitr/warm.ts')]
  const database = await targetOf(await context.config())
  const {config, api, close} = await openRds(context)
  const options: WarmOptions = {config, api, database, instance: named?.toLowerCase(), top, jobs}
  return {procedure: warmProcedure(options), state: warmState(options), close}
}

/** Undefined: all. */
function topOf(tables: string): number | undefined {
  const [, number] = /^top:([1-9]\d{0,8})$/.exec(tables) ?? []
  if (number === undefined && tables !== 'all') throw usageError('usage', `--tables takes all or top:N, not "${tables}".`, {hints: ['--tables top:20 reads the 20 tables that are scanned most, or else the largest.']})
  return number === undefined ? undefined : Number(number)
}

export function warmResult({instance = '', relations, bytes, ms, skipped, failed, initialized, hydrated}: WarmState, {run, journal}: {run: string; journal: string}): WarmResult {
  return {instance, relations, bytes, ms, bytesPerSecond: ms === 0 ? null : Math.round((bytes / ms) * 1000), skipped, failed, initialized, hydrated: hydrated ?? null, run, journal}
}

/** What was read and how fast, what was left out and why, and how far the volume is. */
export async function warmReport({instance, relations, bytes, ms, bytesPerSecond, skipped, failed, initialized, hydrated}: WarmResult): Promise<string[]> {
  const [{bytes: size, count, duration}, {redact}] = await Promise.all([import('../ui/format.ts'), import('../system/redact.ts')])
  const {before, after} = initialized
  const volume = before === null && after === null ? [] : [`AWS says of its volume: initialized to ${before ?? 100} % before, ${after ?? 100} % now.`]
  const rate = bytesPerSecond === null ? '' : ` (${size(bytesPerSecond)}/s)`
  const reasons = [...Map.groupBy(skipped, ({why, hint = ''}) => `${why}. ${hint}`)]
  return [
    `${instance}: ${count(relations, 'table or index', 'tables and indexes')} read, ${size(bytes)} in ${duration(ms)}${rate}.`, ...volume,
    ...reasons.map(([reason, parts]) => `Not read: ${partsWords(parts, count)}, ${size(parts.reduce((sum, part) => sum + part.bytes, 0))}: ${reason}`.trim()),
    ...failed.map(({name, why}) => `Failed: ${name}: ${why}`),
    ...(hydrated === null ? [] : ['Every block of the database was read.']),
  ].map(redact)
}

function partsWords(parts: readonly UnreadPart[], count: (value: number, one: string) => string): string {
  const words = {table: 'table', toast: 'TOAST part', index: 'index'}
  return Object.entries(Object.groupBy(parts, ({kind}) => kind)).map(([kind, list]) => (kind === 'index' && list.length !== 1 ? `${list.length} indexes` : count(list.length, words[kind as UnreadPart['kind']]))).join(', ')
}
