import {rowOf, type Client} from '../connection.ts'
import {statementError} from '../errors.ts'
import {countCascades, fillCascades, findRefusals} from './cascades.ts'
import type {Comparison, MergeRequest, TableComparison} from './contract.ts'
import {countPairs, fillRows, type FillOptions} from './fill.ts'
import {conflictsOf, missingParents, sampleOf} from './findings.ts'
import {rightsError} from './guard.ts'
import {fillLinks} from './links.ts'
import {lostChildren} from './lost-children.ts'
import {planDdl, planOf, type Entry, type Planned} from './plan.ts'
import {readSession, transactionSettings} from './session.ts'

/**
 * Compares the live rows of the selection with the staged ones, and says what the merge would do, in one REPEATABLE READ
 * transaction that writes nothing but temporary tables, which are dropped again. Takes no locks but those of reading.
 */
export async function compareSelection(client: Client, request: MergeRequest): Promise<Comparison> {
  const planned = await planOf(client, request, 'pg_temp')
  try {
    const session = await readSession(client)
    for (const plan of planned.plans) await client.query(planDdl(plan, 'TEMPORARY TABLE'))
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    for (const setting of transactionSettings(session)) await client.query(setting)
    await fillPlans(client, planned, {everything: true})
    const found = await comparison(client, planned)
    await client.query('COMMIT')
    return found
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw statementError(rightsError(error), 'Comparing with the backup')
  } finally {
    for (const {sql} of planned.plans) await client.query(`DROP TABLE IF EXISTS ${sql}`).catch(() => undefined)
  }
}

/** Rows first, for links need to know which parents come back; cascades last, as they take what is then there. */
export async function fillPlans(client: Client, planned: Planned, options: FillOptions): Promise<void> {
  for (const entry of planned.entries.filter(({selected: {role}}) => role !== 'links')) await fillRows(client, planned, entry, options)
  for (const entry of planned.entries.filter(({selected: {role}}) => role === 'links')) await fillLinks(client, planned, entry)
  if (planned.mode === 'exact') await fillCascades(client, planned)
}

async function comparison(client: Client, planned: Planned): Promise<Comparison> {
  const tables: TableComparison[] = []
  for (const entry of planned.entries) tables.push(await compared(client, planned, entry))
  const refusals = planned.mode === 'exact' ? await findRefusals(client, planned) : []
  return {
    tables, closure: [...await missingParents(client, planned), ...await lostChildren(client, planned)],
    cascades: await countCascades(client, planned), ...(refusals.length > 0 && {refusals}),
  }
}

async function compared(client: Client, planned: Planned, entry: Entry): Promise<TableComparison> {
  const {plan, index, selected: {table, role}} = entry
  const counts = await rowOf<Record<'missing' | 'changed' | 'extra' | 'linked' | 'foreign' | 'since', string>>(client, `
    SELECT count(*) FILTER (WHERE act IN ('insert', 'missing')) AS missing, count(*) FILTER (WHERE act IN ('update', 'changed')) AS changed, count(*) FILTER (WHERE act IN ('delete', 'extra')) AS extra,
      count(*) FILTER (WHERE act = 'link') AS linked, count(*) FILTER (WHERE act = 'foreign') AS foreign, count(*) FILTER (WHERE act IN ('update', 'changed') AND since) AS since
    FROM ${plan.sql} WHERE entry = ${index}`)
  const [changed, foreign] = [Number(role === 'links' ? counts.linked : counts.changed), Number(counts.foreign)]
  const known = planned.request.backupSnapshot !== undefined && role === 'rows' && plan.key !== undefined
  return {
    schema: table.schema, name: table.name, role, missing: Number(counts.missing), changed, extra: Number(counts.extra),
    identical: Math.max(0, await countPairs(client, planned, entry) - (plan.key === undefined ? 0 : changed + foreign)),
    ...(known && {changedSince: Number(counts.since)}),
    sample: role === 'rows' ? await sampleOf(client, entry, planned.request.sample) : [],
    conflicts: await conflictsOf(client, planned, entry),
  }
}
