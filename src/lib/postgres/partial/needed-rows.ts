import type {Client} from '../connection.ts'
import {statementError} from '../errors.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {fillPlans} from './compare.ts'
import type {MergeRequest, Predicate, StagedTable, TableName} from './contract.ts'
import {stagedValues} from './fill.ts'
import {lookedInto} from './mirror-plan.ts'
import {keyOf, sameTable, shownName} from './names.ts'
import {after, among, planDdl, planOf, type Entry, type Planned} from './plan.ts'
import {equal} from './relations.ts'
import {readSession, transactionSettings} from './session.ts'

/** Rows of one staged table that a merge needs. */
export interface Needed {
  staged: StagedTable
  /** A query for their columns. */
  query: string
}

interface Source {
  staged: StagedTable
  /** The temporary table with the places of rows; undefined: all are needed. */
  marks: string | undefined
}

/**
 * Which of the staged rows a merge needs that has been compared on a mirror: those that it puts back, or would but for a conflict, and
 * those by which it is told that they are of the selection. All of them where rows are told apart by nothing but themselves, where
 * `exact` has to know of every live row whether the backup has it, and of tables that are not live (`whole`). The marks are gone
 * when `work` is done.
 */
export async function withNeededRows(client: Client, request: MergeRequest, whole: readonly TableName[], work: (needed: readonly Needed[]) => Promise<void>): Promise<void> {
  const isWhole = (table: TableName) => whole.some((one) => sameTable(one, table))
  const selection = {...request.selection, tables: request.selection.tables.filter(({table}) => !isWhole(table))}
  const wanted = request.selection.tables.flatMap(({table, where}) => [table, ...lookedInto(where)])
  const staged = request.staged.filter(({table}) => wanted.some((one) => sameTable(one, table)))
  const planned = await planOf(client, {...request, selection}, 'pg_temp')
  const sources = new Map(staged.map((one, place): [string, Source] => [keyOf(one.table), {staged: one, marks: isWhole(one.table) || takesAll(planned, one) ? undefined : `pg_temp."dr_need_${place}"`}]))
  const marked = [...sources.values()].flatMap(({marks}) => marks ?? [])
  try {
    await mark(client, planned, sources, marked)
    await work([...sources.values()].map((one) => ({staged: one.staged, query: `SELECT ${one.staged.columns.map((name) => `s.${quoteIdent(name)}`).join(', ')} FROM ${qualified(one.staged.stage)} AS s WHERE ${isMarked(one, 's')}`})))
  } catch (error) {
    throw statementError(error, 'Looking up the rows that are needed')
  } finally {
    await client.query(`DROP TABLE IF EXISTS ${[...planned.plans.map(({sql}) => sql), ...marked].join(', ')}`).catch(() => undefined)
  }
}

const takesAll = ({mode, entries}: Planned, {key, table}: StagedTable): boolean =>
  key === undefined || (mode === 'exact' && entries.some(({selected}) => sameTable(selected.table, table) && selected.role === 'rows' && selected.columns === undefined))

const isMarked = ({marks}: Source, alias: string): string => (marks === undefined ? 'true' : `${alias}.ctid IN (SELECT tid FROM ${marks})`)

async function mark(client: Client, planned: Planned, sources: Map<string, Source>, marked: readonly string[]): Promise<void> {
  const session = await readSession(client)
  await client.query([...planned.plans.map((plan) => planDdl(plan, 'TEMPORARY TABLE')), ...marked.map((name) => `CREATE TEMPORARY TABLE ${name.replace('pg_temp.', '')} (tid tid PRIMARY KEY)`)].join('; '))
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  for (const setting of transactionSettings(session)) await client.query(setting)
  try {
    await fillPlans(client, planned, {everything: true})
    for (const entry of planned.entries) await markActing(client, entry, sources.get(keyOf(entry.selected.table)))
    for (const {selected: {table, where}} of planned.entries) await markReferred(client, sources, table, where)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

async function markActing(client: Client, entry: Entry, source: Source | undefined): Promise<void> {
  const {plan, index, shared} = entry
  if (source?.marks === undefined) return
  const values = stagedValues(entry)
  const on = (plan.key ?? []).map((name) => {
    const found = shared.find(({live}) => live.name === name)
    if (found === undefined) throw new Error(`${shownName(plan.relation.table)} has no column ${name} on both sides.`)
    return equal(found.live, after(plan, name), values.get(name) ?? 'NULL')
  })
  await client.query(`
    INSERT INTO ${source.marks} SELECT DISTINCT s.ctid FROM ${plan.sql} p JOIN ${qualified(source.staged.stage)} AS s ON ${on.join(' AND ')}
    WHERE p.entry = ${index} AND p.act ${among(['insert', 'missing', 'update', 'changed', 'link', 'foreign'])} ON CONFLICT DO NOTHING`)
}

/** A row is of the selection by what it refers to, which is staged, too. */
async function markReferred(client: Client, sources: Map<string, Source>, table: TableName, predicate: Predicate): Promise<void> {
  if (predicate.kind === 'any' || predicate.kind === 'every') for (const part of predicate.of) await markReferred(client, sources, table, part)
  if (predicate.kind !== 'refers') return
  const [own, other] = [sources.get(keyOf(table)), sources.get(keyOf(predicate.table))]
  if (own && other?.marks !== undefined) {
    const pairs = predicate.columns.map((name, place) => `s.${quoteIdent(name)} = o.${quoteIdent(predicate.targets[place] ?? '')}`).join(' AND ')
    await client.query(`INSERT INTO ${other.marks} SELECT DISTINCT o.ctid FROM ${qualified(other.staged.stage)} AS o JOIN ${qualified(own.staged.stage)} AS s ON ${pairs} WHERE ${isMarked(own, 's')} ON CONFLICT DO NOTHING`)
  }
  await markReferred(client, sources, predicate.table, predicate.where)
}
