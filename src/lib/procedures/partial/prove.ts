import type {Finding} from '../../checks/finding.ts'
import {DrError, messageOf} from '../../errors.ts'
import type {Client} from '../../postgres/connection.ts'
import {analyzeTables, proveLinks, refreshViews} from '../../postgres/partial/aftermath.ts'
import {compareSelection} from '../../postgres/partial/compare.ts'
import type {Comparison, TableName} from '../../postgres/partial/contract.ts'
import {changedSinceMerge} from '../../postgres/partial/revert.ts'
import {targetUrl} from '../../postgres/target.ts'
import {writeProbe} from '../../postgres/write-probe.ts'
import {rowsText, tableText} from '../../report/partial-lines.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {analyzeFindings, viewFindings, withoutAutovacuum} from './aftermath.ts'
import {touchedBy} from './compare.ts'
import {featureFindings, featuresOf, lookAtFeatures} from './features.ts'
import {leftOut} from './merge.ts'
import {needed, wayOf, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'

/** Tables that were touched, those of cascades and links among them. */
export function touchedTables({merged, selection}: PartialState): TableName[] {
  const touched = [...merged?.tables.filter(({inserted, updated, deleted}) => inserted + updated + deleted > 0) ?? [], ...merged?.cascades.map(({table}) => table) ?? []]
  const all = touched.length > 0 ? touched : selection?.tables.map(({table}) => table) ?? []
  return [...new Map(all.map(({schema, name}) => [JSON.stringify([schema, name]), {schema, name}])).values()]
}

export function proveStep({target, config}: PartialOptions, work: PartialWork): Step<PartialState> {
  return {
    id: 'partial.prove',
    title: 'Compare again; foreign keys, views, statistics',
    effect: 'write',
    skip: leftOut,
    byHand: (state) => touchedTables(state).slice(0, 3).flatMap((table) => [{argv: ['psql', targetUrl(target), '-c', `ANALYZE ${tableText(table)}`]}]),
    run: (state, io) => stopwatch(state.timings).time('prove', async () => {
      const tables = touchedTables(state)
      const inLive = <T>(proof: (client: Client) => Promise<T>) => work.inLive(async (client) => {
        await client.query(`SET lock_timeout = ${PROOF_LOCK_MS}`)
        return proof(client)
      }, io.signal)
      io.progress('foreign keys')
      const links = await shown(io, {code: 'partial.links', what: 'whether the foreign keys hold'}, async () => {
        const live = await work.liveCatalog()
        return linkFindings(await inLive((client) => proveLinks(client, live, tables, io.signal)))
      })
      io.progress('materialized views')
      const views = await shown(io, {code: 'partial.view', what: 'whether materialized views are as their tables'}, async () => viewFindings(await inLive((client) => refreshViews(client, tables, {lockTimeoutMs: config.partial.lockTimeoutMs, signal: io.signal}))))
      io.progress('statistics')
      const analyzed = await shown(io, {code: 'partial.analyze', what: 'whether the statistics are new'}, async () => analyzeFindings(await inLive((client) => analyzeTables(client, tables, io.signal))))
      const again = await shown(io, {code: 'partial.rows', what: 'that every row is still as it was put back'}, () => comparedAgain(inLive, work, state, io))
      const autovacuum = await shown(io, {code: 'partial.autovacuum', what: 'whether autovacuum is on'}, async () => {
        const live = await work.liveCatalog()
        return inLive((client) => withoutAutovacuum(client, live, tables))
      })
      state.findings.push(...again, ...tenantFinding(state), ...links, ...sequenceFinding(state), ...views, ...analyzed, ...autovacuum)
    }),
  }
}

/** A proof waits no longer for whoever has locked a table. */
const PROOF_LOCK_MS = 30_000

/** What is committed is not taken back because it could not be looked at: that is said, and the rows stay. */
async function shown(io: StepIo, {code, what}: {code: string; what: string}, proof: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await proof()
  } catch (error) {
    io.signal.throwIfAborted()
    return [{code, severity: 'warning', subject: '', message: `${what} was not shown: ${messageOf(error)}`}]
  }
}

type InLive = <T>(proof: (client: Client) => Promise<T>) => Promise<T>

/** What was to come back is there: read anew, after the COMMIT. */
async function comparedAgain(inLive: InLive, work: PartialWork, state: PartialState, io: StepIo): Promise<Finding[]> {
  const way = wayOf(state)
  if (way === 'side') return []
  if (!work.knowsBoth) return [{code: 'partial.rows', severity: 'info', subject: '', message: 'the rows were put back by a process that ended at once; that they are as in the backup was proven in its transaction, and is not looked at again'}]
  io.progress('comparing again')
  const {wish: {transaction, where}} = state
  // What a transaction wrote is by now what the merge wrote.
  const compared = transaction === undefined ? await stillStaged(inLive((client) => compareSelection(client, {...work.request(state, way), sample: 0, ...(state.comparison?.snapshot !== undefined && {comparedAt: state.comparison.snapshot})}))) : {tables: []}
  if (compared === undefined) return [{code: 'partial.rows', severity: 'warning', subject: '', message: 'the staged rows are gone, as after a crash of the server: that the rows are as in the backup was proven in the transaction that put them back, and cannot be looked at again'}]
  const {tables} = compared
  const left = tables.map((one) => ({...one, left: touchedBy(way, one, state.wish.columns !== undefined)})).filter(({left: rows}) => rows > 0)
  const late = way === 'exact' ? lateFindings(tables) : []
  if (left.length === 0 && (transaction ?? where) !== undefined) return [...late, ...await writtenAgain(inLive, state)]
  if (left.length === 0 && state.brought && way !== 'exact') return [{code: 'partial.rows', severity: 'ok', subject: '', message: `every row that was to be put back is as in the backup: ${rowsText(tables.reduce((sum, {identical}) => sum + identical, 0))} looked at`}]
  if (left.length === 0) return [...late, {code: 'partial.rows', severity: 'ok', subject: '', message: `${rowsText(tables.reduce((sum, {identical}) => sum + identical, 0))} of the selection are as in the backup`}]
  return [...late, ...left.map((one): Finding => ({code: 'partial.rows', severity: 'warning', subject: tableText(one), message: `${rowsText(one.left)} differ from the backup again: somebody wrote meanwhile`}))]
}

/** Of exact: nobody has agreed to delete what was not there yet. */
const lateFindings = (tables: Comparison['tables']): Finding[] =>
  tables.flatMap((one) => (one.late === undefined ? [] : [{code: 'partial.late', severity: 'info', subject: tableText(one), message: `${rowsText(one.late)} that the backup has not came in, or ${one.late === 1 ? 'was' : 'were'} changed, after the comparison: ${one.late === 1 ? 'it stays' : 'they stay'}`}]))

/** What was committed is not taken back because there is nothing left to compare it with. */
const stillStaged = (comparison: Promise<Comparison>): Promise<Comparison | undefined> => comparison.catch((error: unknown) => {
  if (error instanceof DrError && error.code === 'partial.stage-gone') return undefined
  throw error
})

/** Rows that are put back may not bear any more what they were selected by: they are looked up by what was noted of each when it was written. */
async function writtenAgain(inLive: InLive, state: PartialState): Promise<Finding[]> {
  const written = await inLive((client) => changedSinceMerge(client, needed(state.undoSchema, 'undo schema')))
  const changed = written.filter((one) => one.changed > 0)
  if (changed.length === 0) return [{code: 'partial.rows', severity: 'ok', subject: '', message: `${rowsText(written.reduce((sum, {rows}) => sum + rows, 0))} that were put back are there as they were put back, each read anew`}]
  return changed.map((one) => ({code: 'partial.rows', severity: 'warning', subject: tableText(one), message: `${one.changed} of the ${rowsText(one.rows)} that were put back are by now different: somebody wrote meanwhile`}))
}

/** The merge itself has proven it, row by row, before its COMMIT. */
function tenantFinding({selection}: PartialState): Finding[] {
  const tenant = needed(selection, 'selection').tenant
  return tenant === undefined ? [] : [{code: 'partial.tenant', severity: 'ok', subject: '', message: `every row that was touched is of tenant ${tenant.id}, and as many were touched as were planned`}]
}

function linkFindings(links: Awaited<ReturnType<typeof proveLinks>>): Finding[] {
  const wrong = links.filter(({orphans}) => orphans > 0)
  const held = links.filter(({orphans, trouble}) => orphans === 0 && trouble === undefined).length
  const untold = links.flatMap(({foreignKey, table, trouble}): Finding[] => (trouble === undefined ? [] : [{code: 'partial.links', severity: 'warning', subject: tableText(table), message: `whether ${foreignKey} holds was not shown: ${trouble}`}]))
  if (wrong.length === 0) return [{code: 'partial.links', severity: 'ok', subject: '', message: `${held} foreign ${held === 1 ? 'key holds' : 'keys hold'}, every row looked at`}, ...untold]
  return [...untold, ...wrong.map(({foreignKey, table, references, orphans}) => ({code: 'partial.links', severity: 'error' as const, subject: tableText(table), message: `${rowsText(orphans)} refer to rows of ${tableText(references)} that are not there (${foreignKey})`}))]
}

function sequenceFinding({merged}: PartialState): Finding[] {
  const moved = (merged?.sequences ?? []).filter(({denied}) => !denied)
  return moved.length === 0 ? [] : [{code: 'partial.sequences', severity: 'ok', subject: '', message: `moved past the rows: ${moved.map((one) => `${tableText(one)} to ${one.value}`).join(', ')}`}]
}

export function probeStep({target}: PartialOptions, work: PartialWork): Step<PartialState> {
  return {
    id: 'partial.probe',
    title: 'Write into it, and take that back',
    effect: 'write',
    skip: leftOut,
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', 'BEGIN', '-c', 'SELECT FROM TABLE LIMIT 1 FOR UPDATE', '-c', 'ROLLBACK']}],
    async run(state, io) {
      const {written, remark} = await writeProbe(target, state.live, `dr partial ${work.run}`, io.signal).catch((error: unknown) => {
        io.signal.throwIfAborted()
        return {written: 0, remark: messageOf(error)}
      })
      state.findings.push(remark === undefined ? {code: 'partial.probe', severity: 'ok', subject: '', message: `${state.live} accepts writes${written === 0 ? '' : `, tried in ${written} ${written === 1 ? 'table' : 'tables'}`}`} : {code: 'partial.probe', severity: 'warning', subject: state.live, message: `that it can be written was not shown: ${remark}`})
    },
  }
}

/** The configured checks of what these tables are good for. What is wrong is a finding: the rows stay. */
export function featuresStep({config, target}: PartialOptions, work: PartialWork): Step<PartialState> {
  const wanted = (state: PartialState) => featuresOf(config.checks.features, [...touchedTables(state), ...state.selection?.tables.map(({table}) => table) ?? []])
  return {
    id: 'partial.features',
    title: 'Look at the features',
    effect: 'read',
    skip: (state) => leftOut(state) ?? (config.checks.features.length === 0 ? 'none is configured: checks.features' : state.selection !== undefined && wanted(state).length === 0 ? 'no check is about these tables' : undefined),
    byHand: (state) => (state.selection === undefined ? config.checks.features : wanted(state)).map(({name, sql, url}) => ({argv: sql === undefined ? ['curl', '-fsS', url ?? ''] : ['psql', targetUrl(target), '-c', sql], note: name})),
    run: (state, io) => stopwatch(state.timings).time('features', async () => {
      const features = wanted(state)
      state.features = await lookAtFeatures(features, {target, applicationName: `dr partial ${work.run}`, signal: io.signal}, (name, place) => { io.progress({unit: 'items', done: place, total: features.length, note: name}) })
      state.findings.push(...featureFindings(state.features))
    }),
  }
}
