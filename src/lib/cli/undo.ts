import type {Finding} from '../checks/finding.ts'
import {DrError, preflightError, usageError} from '../errors.ts'
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
  /** Materialized views and statistics. */
  findings: Finding[]
  run: string
  journal: string
}

export type ComposedUndo = {what: 'swap'; composed: ComposedStanding} | {what: 'merge'; composed: {procedure: Procedure<RevertState>; state: RevertState; close: () => Promise<void>}}

export interface UndoWish extends SwapWish {
  /** A flag answers the gate: nobody reads there what is taken back. */
  answered: boolean
}

/** What the run did, a swap or a merge; without a run whichever was last. */
export async function composeAnyUndo(context: Context, run: string | undefined, {answered, ...wish}: UndoWish): Promise<ComposedUndo> {
  const [config, {mergeOf, revertProcedure, revertState}] = await Promise.all([context.config(), import('../procedures/partial/undo.ts')])
  const merges = await mergesOf(context)
  const isNamed = run !== undefined && run !== 'latest'
  const merge = isNamed ? mergeOf(merges, run) : await lastMerge(context, merges)
  if (merge === undefined) return {what: 'swap', composed: await composeUndo(context, run, wish).catch(async (error: unknown) => { throw isNamed ? await unknownRun(run, merges, error) : error })}
  if (!isNamed && answered && !wish.plan) await assertNewest(context, merge)
  const options = {config, target: await targetOf(config)}
  return {what: 'merge', composed: {procedure: revertProcedure(options, merge), state: revertState(options, merge), close: () => Promise.resolve()}}
}

/** Merges of the live database that can be taken back, newest first; none when there is no such database. */
export async function mergesOf(context: Context): Promise<UndoSchema[]> {
  const [config, {withClient}, {undoSchemas}, {ownSession}] = await Promise.all([context.config(), import('../postgres/connection.ts'), import('../postgres/partial/undo-schema.ts'), import('../postgres/partial/session.ts')])
  try {
    return await withClient(await targetOf(config), {applicationName: 'dr undo'}, async (client) => {
      await ownSession(client)
      return (await undoSchemas(client)).filter(({undone}) => !undone)
    })
  } catch (error) {
    if (error instanceof DrError && ['postgres.no-database', 'postgres.denied'].includes(error.code)) return []
    throw error
  }
}

/** Which partial restores can be taken back, where neither one nor a swap was found by that name. */
async function unknownRun(run: string, merges: readonly UndoSchema[], error: unknown): Promise<unknown> {
  if (!(error instanceof DrError) || !['undo.nothing', 'undo.unknown'].includes(error.code) || merges.length === 0) return error
  const lines = await Promise.all(merges.slice(0, SHOWN).map(lineOf))
  return preflightError('undo.unknown', `There is neither a partial restore nor a swap ${run} that could be taken back.`, {cause: error, hints: [...lines, ...(error.code === 'undo.unknown' ? error.hints : [])]})
}

const SHOWN = 5

async function lineOf({schema, at, mode, rows}: UndoSchema): Promise<string> {
  const [{runNamed}, {rowsText, timeText}, {shellQuote}] = await Promise.all([import('../procedures/partial/run-options.ts'), import('../report/partial-lines.ts'), import('../system/shell.ts')])
  return `dr undo ${shellQuote(runNamed(schema))} takes back --merge ${mode} of ${timeText(at)}, ${rowsText(rows)}`
}

/** A second `dr undo --yes` must not go on to what was done before. */
async function assertNewest(context: Context, merge: UndoSchema): Promise<void> {
  const [{knownRuns}, {targetName}, {runNamed}] = await Promise.all([import('../runbook/runs.ts'), import('../postgres/target.ts'), import('../procedures/partial/run-options.ts')])
  const target = targetName(await targetOf(await context.config()))
  const undone = (await knownRuns(context.journalDirectory, {all: true})).flatMap(({procedure, about, state}) => (procedure === 'undo' && about.target === target ? [state as Partial<RevertState>] : []))
  const later = undone.find((state) => state.reverted !== undefined && state.merge !== undefined && state.merge.at > merge.at)
  if (later?.merge) throw usageError('undo.older', `The last partial restore, ${runNamed(later.merge.schema)}, is taken back already; without its name an older one is not.`, {hints: [await lineOf(merge)]})
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
  const {live, merge, findings, reverted = {tables: [], dropped: []}} = state
  for (const line of [...revertedLines(reverted), `The rows of ${live} that ${runNamed(merge.schema)} had touched are as they were before.`, ...findings.filter(({severity}) => severity === 'warning').map(({subject, message}) => `Warning: ${subject}: ${message}`)]) talk(line)
  return {database: live, undone: runNamed(merge.schema), tables: reverted.tables, dropped: reverted.dropped, findings, run, journal}
}
