import {DrError} from '../errors.ts'
import type {UndoSchema} from '../postgres/partial/undo-schema.ts'
import type {RevertState} from '../procedures/partial/undo.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import type {RunResult} from './run-procedure.ts'
import {composeUndo, markedOf, type ComposedStanding} from './standing.ts'
import type {SwapWish} from './swap.ts'
import {targetOf} from './target.ts'

/** What `dr undo --json` prints of a partial restore. */
export interface RevertedResult {
  /** The live database. */
  database: string
  /** The run whose rows were taken back. */
  undone: string
  tables: {schema: string; name: string; restored: number; removed: number}[]
  /** Tables that the run had made anew, and that are gone again. */
  dropped: {schema: string; name: string}[]
  run: string
  journal: string
}

export type ComposedUndo = {what: 'swap'; composed: ComposedStanding} | {what: 'merge'; composed: {procedure: Procedure<RevertState>; state: RevertState; close: () => Promise<void>}}

/** What the run did, a swap or a merge; without a run whichever was last. */
export async function composeAnyUndo(context: Context, run: string | undefined, wish: SwapWish): Promise<ComposedUndo> {
  const [config, {mergeOf, revertProcedure, revertState}] = await Promise.all([context.config(), import('../procedures/partial/undo.ts')])
  const merges = await mergesOf(context)
  const merge = run === undefined || run === 'latest' ? await lastMerge(context, merges) : mergeOf(merges, run)
  if (merge === undefined) return {what: 'swap', composed: await composeUndo(context, run, wish)}
  const options = {config, target: await targetOf(config)}
  return {what: 'merge', composed: {procedure: revertProcedure(options, merge), state: revertState(options, merge), close: () => Promise.resolve()}}
}

/** Merges of the live database that can be taken back, newest first; none when there is no such database. */
export async function mergesOf(context: Context): Promise<UndoSchema[]> {
  const [config, {withClient}, {undoSchemas}] = await Promise.all([context.config(), import('../postgres/connection.ts'), import('../postgres/partial/undo-schema.ts')])
  try {
    return await withClient(await targetOf(config), {applicationName: 'dr undo'}, async (client) => (await undoSchemas(client)).filter(({undone}) => !undone))
  } catch (error) {
    if (error instanceof DrError && ['postgres.no-database', 'postgres.denied'].includes(error.code)) return []
    throw error
  }
}

async function lastMerge(context: Context, merges: readonly UndoSchema[]): Promise<UndoSchema | undefined> {
  const [last] = merges
  if (last === undefined) return undefined
  const {wasLive} = await import('../postgres/database-marks.ts')
  const {database} = await targetOf(await context.config())
  const swaps = (await markedOf(context).catch(() => [])).filter((one) => one.live === database && wasLive(one) && one.proven)
  return swaps.some(({at}) => at > last.at) ? undefined : last
}

export async function revertReport({state, run, journal}: RunResult<RevertState>, talk: (line: string) => void): Promise<RevertedResult> {
  const [{revertedLines}, {runNamed}] = await Promise.all([import('../report/partial-lines.ts'), import('../procedures/partial/run-options.ts')])
  const {live, merge, reverted = {tables: [], dropped: []}} = state
  for (const line of [...revertedLines(reverted), `The rows of ${live} that ${runNamed(merge.schema)} had touched are as they were before.`]) talk(line)
  return {database: live, undone: runNamed(merge.schema), tables: reverted.tables, dropped: reverted.dropped, run, journal}
}
