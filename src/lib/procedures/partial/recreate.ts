import type {TableName} from '../../postgres/partial/contract.ts'
import {liveObjects} from '../../postgres/partial/live-objects.ts'
import {lostDefaults} from '../../postgres/partial/lost-defaults.ts'
import {ancestorsOf, nameOf, sameTable, shapeOf, shownName} from '../../postgres/partial/names.ts'
import {recreatePlan} from '../../postgres/partial/recreate-entries.ts'
import {retypeStaged} from '../../postgres/partial/stage-columns.ts'
import {unmakeAlone} from '../../postgres/partial/unmake.ts'
import {qualified} from '../../postgres/quote.ts'
import {entryName} from '../../postgres/restore-lists.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import type {StageOptions, StageState} from './options.ts'
import {schemaArchive} from './recreate-archive.ts'
import {refresh, restoreInto} from './recreate-into.ts'
import {keysOf, makeRest} from './recreate-rest.ts'
import {undoSchemaOf} from './run-options.ts'
import type {StageWork} from './work.ts'

type LostOf<S> = (state: S) => readonly TableName[]

/**
 * Makes tables anew that are in the backup and not live: with their sequences, defaults, keys, privileges, row security and
 * policies, in one transaction that also notes them in the run's own schema: whoever goes on with the run knows them by that.
 * Undone by dropping what was made, while no row is in it and nobody has hung anything on it.
 */
export function recreateBeforeStep<S extends StageState>(options: StageOptions, work: StageWork, lostOf: LostOf<S>): Step<S> {
  return {
    id: 'partial.recreate',
    title: 'Make the lost tables anew',
    effect: 'write',
    skip: (state) => (toMake(state, lostOf).length > 0 ? undefined : state.recreated === undefined ? 'no table is lost' : 'an earlier process of this run has made them'),
    byHand: (state) => byHand(options, lostOf(state), 'before.list', 'TABLE, SEQUENCE, DEFAULT, CONSTRAINT of the primary key, ROW SECURITY, POLICY, ACL of these tables'),
    run: (state, io) => stopwatch(state.timings).time('recreate', () => makeFirst(options, work, state, io, toMake(state, lostOf))),
    async undo(state, io) {
      const {dropped, rows, tables} = await work.live(new AbortController().signal, (client) => unmakeAlone(client, undoSchemaOf(io.run)))
      if (rows.length > 0) io.notice(`Not dropped, because rows are in it: ${tables.map(shownName).join(', ')} (${rows.slice(0, 3).join('; ')}).`)
      if (dropped) delete state.recreated
    },
  }
}

/** The rest of it, once the rows are there: other indexes, foreign keys from and to them, triggers, views, functions, policies of other tables. */
export function recreateAfterStep<S extends StageState>(options: StageOptions, work: StageWork, lostOf: LostOf<S>): Step<S> {
  return {
    id: 'partial.recreate-rest',
    title: 'Make anew what went with the lost tables',
    effect: 'write',
    skip: (state) => (lostOf(state).length === 0 ? 'no table is lost' : undefined),
    byHand: (state) => [
      ...byHand(options, lostOf(state), 'after.list', 'INDEX, TRIGGER, VIEW, FUNCTION, POLICY that lean on these tables, and FK CONSTRAINT between them'),
      {argv: ['psql', targetUrl(options.target), '-c', 'ALTER TABLE CHILD ADD CONSTRAINT NAME FOREIGN KEY … NOT VALID', '-c', 'ALTER TABLE CHILD VALIDATE CONSTRAINT NAME'], note: 'of each FK CONSTRAINT with a table that was live: in two transactions, so that others go on writing'},
    ],
    run: (state, io) => stopwatch(state.timings).time('recreate-rest', () => makeRest(options, work, state, io)),
  }
}

const toMake = <S extends StageState>(state: S, lostOf: LostOf<S>): TableName[] => lostOf(state).filter((table) => state.recreated?.tables.some((one) => sameTable(one, table)) !== true)

function byHand({target}: StageOptions, lost: readonly TableName[], list: string, what: string) {
  return [
    {argv: ['sh', '-c', `pg_restore --list BACKUP > ${list}`], note: `of ${lost.map(qualified).join(', ') || 'the lost tables'}, keep the lines of ${what}`},
    {argv: ['sh', '-c', `pg_restore --use-list=${list} --file=- BACKUP | psql --single-transaction --set=ON_ERROR_STOP=1 ${shellQuote(targetUrl(target))}`], note: 'on a server before 17 take the line SET transaction_timeout out'},
  ]
}

async function makeFirst(options: StageOptions, work: StageWork, state: StageState, io: StepIo, named: readonly TableName[]): Promise<void> {
  const lost = withPartitions(work, named)
  const source = await schemaArchive(options, work, io, state.server?.superuser ?? false)
  work.schema = source
  const live = await work.live(io.signal, liveObjects)
  const {before, after, leftOut} = recreatePlan(source.archive, lost, live)
  for (const {what, why} of leftOut) io.notice(`Not made anew: ${what}: ${why}.`)
  const earlier = state.recreated
  const defaults = earlier?.defaults ?? await work.source(io.signal, (source) => work.live(io.signal, (client) => lostDefaults(source, client)))
  state.recreated = {
    tables: [], made: [...earlier?.made ?? [], ...before.map(entryName)], leftOut: [...earlier?.leftOut ?? [], ...leftOut], notValidated: [],
    after: [...earlier?.after ?? [], ...after.map((entry) => ({id: entry.dumpId, name: entryName(entry)}))].filter(({id}, at, all) => all.findIndex((one) => one.id === id) === at), foreignKeys: [...earlier?.foreignKeys ?? [], ...keysOf(work, after)], defaults,
  }
  await restoreInto(options, work, state.recreated, io, {source, name: 'recreate', entries: before, tables: [...earlier?.tables ?? [], ...lost]})
  await work.live(io.signal, (client) => retypeStaged(client, work.stagedAsText))
  await refresh(options, work, io)
}

/** What was dropped with a partitioned table comes back with it. */
function withPartitions({catalogs: {live, backup}}: StageWork, named: readonly TableName[]): TableName[] {
  const isNamed = (table: TableName) => named.some((one) => sameTable(one, table))
  return backup.tables.filter((table) => (isNamed(table) || ancestorsOf(backup, table).some(isNamed)) && shapeOf(live, table) === undefined).map(nameOf)
}
