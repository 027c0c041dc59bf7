import {rowOf, type Client} from '../connection.ts'
import {statementError} from '../errors.ts'
import {readBroughtBack} from './brought-back.ts'
import {fillCascades, findRefusals} from './cascades.ts'
import type {Comparison, MergeRequest, RowsSince, TableComparison} from './contract.ts'
import {editedSince, rowsSince} from './edited-since.ts'
import {countPairs, fillRows, type FillOptions} from './fill.ts'
import {conflictsOf, missingParents, sampleOf} from './findings.ts'
import {rightsError} from './guard.ts'
import {findKeyChanges} from './key-changes.ts'
import {fillLinks} from './links.ts'
import {strayRows} from './lost-partitions.ts'
import {makeMarks, markRows} from './marked-rows.ts'
import {lostChildren} from './lost-children.ts'
import {planMoves} from './moves.ts'
import {planDdl, planOf, type Entry, type Planned} from './plan.ts'
import {readSession, transactionSettings, type SessionFacts} from './session.ts'
import {assertStaged} from './staged-rows.ts'
import {analyzed, tally, type Tally} from './tally.ts'
import {cascadesDigest, entryDigest, touchedDigest} from './touched-digest.ts'

/**
 * Compares the live rows of the selection with the staged ones, and says what the merge would do, in one REPEATABLE READ
 * transaction that writes nothing but temporary tables, which are dropped again. Takes no locks but those of reading.
 */
export async function compareSelection(client: Client, request: MergeRequest): Promise<Comparison> {
  const session = await readSession(client)
  const planned = await plansFor(client, request, session).catch((error: unknown) => { throw statementError(error, 'Comparing with the backup') })
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    for (const setting of transactionSettings(session)) await client.query(setting)
    const counts = await fillPlans(client, planned, {everything: true})
    const found = await comparison(client, planned, counts)
    await client.query('COMMIT')
    return found
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw statementError(rightsError(error), 'Comparing with the backup')
  } finally {
    await client.query(`DROP TABLE IF EXISTS ${[...planned.plans.map(({sql}) => sql), ...planned.marks.values()].join(', ')}`).catch(() => undefined)
  }
}

/** Types are written as the transaction of the comparison reads them. */
async function plansFor(client: Client, request: MergeRequest, session: SessionFacts): Promise<Planned> {
  try {
    await client.query('BEGIN READ WRITE')
    for (const setting of transactionSettings(session)) await client.query(setting)
    const planned = await planOf(client, request, 'pg_temp')
    await client.query(planned.plans.map((plan) => planDdl(plan, 'TEMPORARY TABLE')).join('; '))
    await makeMarks(client, planned)
    await client.query('COMMIT')
    return planned
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** What the plans hold then. Throws `partial.stage-gone` unless all staged rows are there. Rows first, for links need to know which parents come back; cascades last, as they take what is then there. */
export async function fillPlans(client: Client, planned: Planned, options: FillOptions): Promise<Tally> {
  await assertStaged(client, planned.request.staged)
  await markRows(client, planned)
  for (const entry of planned.entries.filter(({selected: {role}}) => role !== 'links')) await fillRows(client, planned, entry, options)
  await analyzed(client, planned)
  planned.brought = await broughtBack(client, planned)
  for (const entry of planned.entries.filter(({selected: {role}}) => role === 'links')) await fillLinks(client, planned, entry)
  if (planned.mode === 'exact') await fillCascades(client, planned)
  const counts = await analyzed(client, planned)
  await planMoves(client, planned, counts)
  return planned.parking.size === 0 ? counts : tally(client, planned)
}

/** Only what hangs on links asks for it. */
const broughtBack = async (client: Client, {request: {mirror, backupAt}, entries, observed}: Planned): Promise<Planned['brought']> =>
  (mirror || (observed.length === 0 && entries.every(({selected: {role}}) => role !== 'links')) ? [] : readBroughtBack(client, backupAt))

async function comparison(client: Client, planned: Planned, counts: Tally): Promise<Comparison> {
  const tables: TableComparison[] = []
  const digest = await touchedDigest(client, planned)
  for (const entry of planned.entries) tables.push({...await compared(client, planned, entry, counts), digest: entryDigest(digest, entry)})
  const since = await listed(client, planned)
  const refusals = planned.mode === 'exact' ? await findRefusals(client, planned, counts) : []
  const keyChanges = await findKeyChanges(client, planned, counts)
  const strays = await strayRows(client, planned)
  return {
    snapshot: (await rowOf<{snapshot: string}>(client, 'SELECT pg_current_snapshot()::text AS snapshot')).snapshot, tables, closure: [...await missingParents(client, planned, counts), ...await lostChildren(client, planned, counts)],
    cascades: counts.cascades, cascadesDigest: cascadesDigest(digest, planned), ...(refusals.length > 0 && {refusals}), ...(keyChanges.length > 0 && {keyChanges}), ...(strays.length > 0 && {strays}), ...(since && {since}),
  }
}

/** That a row was written after the backup is known where its transaction's number can be compared with the backup's snapshot. */
const isKnown = ({request: {backupSnapshot}}: Planned, {selected: {role}, plan}: Entry): boolean => backupSnapshot !== undefined && role === 'rows' && plan.key !== undefined

async function listed(client: Client, planned: Planned): Promise<RowsSince[] | undefined> {
  const {entries, request: {list, timestampColumns}} = planned
  if (list === undefined) return undefined
  const found: RowsSince[] = []
  for (const entry of entries) found.push(...[await rowsSince(client, entry, {timestampColumns, known: isKnown(planned, entry), limit: list}) ?? []].flat())
  return found
}

async function compared(client: Client, planned: Planned, entry: Entry, counts: Tally): Promise<TableComparison> {
  const {plan, index, selected: {table, role}} = entry
  const changed = counts.of(plan, role === 'links' ? ['link'] : ['update', 'changed'], index)
  const late = counts.of(plan, ['late'], index)
  const edited = await editedSince(client, entry, planned.request.timestampColumns)
  return {
    schema: table.schema, name: table.name, role, missing: counts.of(plan, ['insert', 'missing'], index), changed, extra: counts.of(plan, ['delete', 'extra'], index), ...(late > 0 && {late}),
    identical: Math.max(0, await countPairs(client, planned, entry) - (plan.key === undefined ? 0 : changed + counts.of(plan, ['foreign'], index))),
    ...(isKnown(planned, entry) && {changedSince: counts.since(plan, ['update', 'changed'], index)}), ...(edited !== undefined && {editedSince: edited}),
    sample: role === 'rows' && changed > 0 ? await sampleOf(client, entry, planned.request.sample) : [],
    conflicts: await conflictsOf(client, planned, entry, counts),
  }
}
