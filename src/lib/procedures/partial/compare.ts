import {usageError} from '../../errors.ts'
import {compareSelection} from '../../postgres/partial/compare.ts'
import type {Comparison, MergeMode, SelectedTable, TableComparison, TableName} from '../../postgres/partial/contract.ts'
import {statementError} from '../../postgres/errors.ts'
import {isOfCreation} from '../../postgres/investigate/tables.ts'
import {lostParents} from '../../postgres/partial/lost-parents.ts'
import {lostAncestors} from '../../postgres/partial/lost-partitions.ts'
import {nameOf, sameTable} from '../../postgres/partial/names.ts'
import {takenBounds} from '../../postgres/partial/taken-bounds.ts'
import {takenNames} from '../../postgres/partial/taken-names.ts'
import {qualified, quoteIdent} from '../../postgres/quote.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Way} from '../../report/partial-lines.ts'
import type {Step} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {lostTables, needed, wayOf, type PartialOptions, type PartialState} from './run-options.ts'
import {refuseImpossible, refuseLostAncestors, refuseTaken, refuseTakenBounds} from './refusals.ts'
import {LISTED, sinceUnknown, type PartialWork} from './run-work.ts'

/** Where it is not chosen yet: the way that could do most. */
const MOST: MergeMode = 'exact'

export function compareStep({target, config}: PartialOptions, work: PartialWork): Step<PartialState> {
  const place = () => targetUrl(target, work.isBeside ? work.stageDatabase : target.database)
  return {
    id: 'partial.compare',
    title: 'Compare with what is live',
    effect: 'read',
    byHand: (state) => [
      {argv: ['psql', place(), '-c', joinByHand(state)], note: 'for each table, by its key'},
      {argv: ['psql', place(), '-c', editedByHand(state, config.investigate.timestampColumns)], note: 'rows edited since the backup, which would go back'},
    ],
    run: (state, io) => stopwatch(state.timings).time('compare', async () => {
      io.progress('pairing rows by their key')
      await compareFor(state, work, state.way ?? MOST, io.signal)
      assertThere(state)
      if (untouched(state)) state.nothing = 'there is nothing to put back: what was selected is as it was'
    }),
  }
}

function joinByHand({selection, stageSchema, wish}: PartialState): string {
  const name = selection?.tables[0]?.table ?? {schema: 'public', name: wish.tables[0] ?? 'TABLE'}
  return `SELECT count(*) FILTER (WHERE l IS NULL) AS missing, count(*) FILTER (WHERE s IS NULL) AS extra, count(*) FILTER (WHERE l IS DISTINCT FROM s) AS differ FROM ${qualified(name)} l FULL JOIN ${stageSchema ?? 'dr_stage_RUN'}.${quoteIdent(name.name)} s USING (KEY)`
}

function editedByHand(state: PartialState, timestampColumns: readonly string[]): string {
  const name = state.selection?.tables[0]?.table ?? {schema: 'public', name: state.wish.tables[0] ?? 'TABLE'}
  const time = quoteIdent(timestampColumns.find((one) => !isOfCreation(one)) ?? 'updatedAt')
  return `SELECT KEY, l.${time}, s.${time} FROM ${qualified(name)} l JOIN ${state.stageSchema ?? 'dr_stage_RUN'}.${quoteIdent(name.name)} s USING (KEY) WHERE l.${time} IS DISTINCT FROM s.${time}`
}

/** Again, when the way that was chosen is another than the one that was compared for: what conflicts, and what goes with it, depends on it. */
export function decideStep(work: PartialWork): Step<PartialState> {
  return {
    id: 'partial.decide',
    title: 'What this would do',
    effect: 'read',
    skip: ({way, nothing, comparedFor}) => nothing ?? (way === 'side' ? 'nothing live is changed' : way !== undefined && comparedFor === way ? 'known from the comparison' : undefined),
    byHand: () => [],
    async run(state, io) {
      if (state.comparedFor !== state.way) await compareFor(state, work, wayOf(state), io.signal)
    },
  }
}

/** Refuses what could not succeed. */
export function refuseStep(work: PartialWork): Step<PartialState> {
  return {
    id: 'partial.refuse',
    title: 'Whether it can be done',
    effect: 'read',
    skip: ({way, nothing}) => nothing ?? (way === 'side' ? 'nothing live is changed' : undefined),
    byHand: () => [],
    async run(state, io) {
      const lost = lostTables(state)
      refuseLostAncestors(lostAncestors(lost, work.catalogs))
      refuseTaken(takenNames(lost, work.catalogs))
      refuseTakenBounds(await work.inLive((client) => takenBounds(client, lost, work.catalogs), io.signal).catch((error: unknown) => { throw statementError(error, 'Looking for rows of lost partitions') }))
      refuseImpossible(state)
      if (isIdle(state)) state.nothing = `--merge ${wayOf(state)} would touch no row (${differences(state)})`
    },
  }
}

async function compareFor(state: PartialState, work: PartialWork, way: Way, signal: AbortSignal): Promise<void> {
  const request = work.comparing(state, way === 'side' ? MOST : way)
  const isLost = ({table}: {table: TableName}) => state.lost.some((one) => sameTable(one, table))
  const tables = request.selection.tables.filter((one) => !isLost(one))
  const {since, ...found}: Comparison = tables.length === 0 ? {tables: [], closure: [], cascades: []} : await work.whereCompared((client) => compareSelection(client, {...request, list: LISTED, selection: {...request.selection, tables}}), signal)
  work.since = since ?? []
  // The rows beside are those of an earlier instant.
  if (work.isBeside && found.snapshot !== undefined) found.snapshot = needed(work.mirrored?.snapshot, 'copy of the live rows')
  // Of what is not live nothing has to be looked at: every row is missing.
  const lost = ({table, role}: SelectedTable): TableComparison => ({...nameOf(table), role, missing: request.staged.find((one) => sameTable(one.table, table))?.rows ?? 0, changed: 0, extra: 0, identical: 0, sample: [], conflicts: []})
  const compared = found.tables.values()
  state.comparison = {...found, tables: request.selection.tables.map((one) => (isLost(one) ? lost(one) : needed(compared.next().value, 'comparison')))}
  const lostOnes = lostTables(state)
  if (lostOnes.length > 0 && !state.wish.withParents) state.comparison.closure.push(...await work.whereCompared((client) => lostParents(client, request, lostOnes), signal))
  const edited = found.tables.flatMap((one) => one.editedSince ?? [])
  if (edited.length > 0) state.editedSince = edited.reduce((sum, rows) => sum + rows, 0)
  state.sinceUnknown = sinceUnknown(state)
  state.comparedFor = way
}

/** Whoever misspells a tenant, a transaction or a value must not read that nothing is lost. */
function assertThere({comparison, wish}: PartialState): void {
  const {tables} = needed(comparison, 'comparison')
  if (tables.some(({missing, changed, extra, identical, conflicts}) => missing + changed + extra + identical + conflicts.length > 0)) return
  const [first] = wish.tables
  if (wish.transaction !== undefined) throw usageError('partial.transaction', `No row of ${first === undefined ? 'the selection' : wish.tables.join(', ')} was last written by transaction ${wish.transaction}.`, {hints: [`dr investigate${first === undefined ? '' : ` --table ${first}`} shows which transactions wrote the rows; those under a savepoint have its number.`]})
  if (wish.where !== undefined) throw usageError('partial.where', `--where holds for no row of ${first ?? 'the selection'}${wish.tenant === undefined ? '' : ` of tenant ${wish.tenant}`}, live or in the backup: ${wish.where}`, {hints: ['Look at the values that there are: dr investigate --table NAME', 'Leave it out to compare the whole table.']})
  if (wish.tenant !== undefined) throw usageError('partial.tenant-unknown', `No row of tenant ${wish.tenant} is live or in the backup.`, {hints: ['dr diff --all lists the tenants.', 'database.tenantColumn names the column that says whose a row is.']})
}

/** Nothing that any way could do, or would refuse to do. */
export function untouched({comparison, wish, ...state}: PartialState): boolean {
  return lostTables(state).length === 0 && needed(comparison, 'comparison').tables.every((one) => differing(one, wish.columns !== undefined) + one.conflicts.length === 0)
}

/** What differs is for another way. */
const isIdle = (state: PartialState): boolean =>
  lostTables(state).length === 0 && needed(state.comparison, 'comparison').tables.every((one) => touchedBy(wayOf(state), one, state.wish.columns !== undefined) === 0)

const differences = ({comparison}: PartialState): string =>
  (['missing', 'changed', 'extra'] as const).map((what) => [what, needed(comparison, 'comparison').tables.reduce((sum, one) => sum + one[what], 0)] as const).filter(([, rows]) => rows > 0).map(([what, rows]) => `${what}: ${rows}`).join(', ')

/** Rows of one table that this way inserts, changes or deletes. */
export function touchedBy(way: Way, {role, missing, changed, extra}: TableComparison, columnsOnly: boolean): number {
  if (role === 'links') return changed
  const inserted = columnsOnly ? 0 : missing
  if (role === 'parent' || way === 'missing') return inserted
  return inserted + changed + (way === 'exact' ? extra : 0)
}

function differing({role, missing, changed, extra}: Comparison['tables'][number], columnsOnly: boolean): number {
  if (role === 'parent') return missing
  return role === 'links' || columnsOnly ? changed : missing + changed + extra
}
