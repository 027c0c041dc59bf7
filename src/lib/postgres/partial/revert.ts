import {ownSchemas} from '../../config/config.ts'
import {preflightError} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {codeOf, statementError} from '../errors.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {readWritten, type Written} from './apply.ts'
import {fillCascades, findRefusals} from './cascades.ts'
import {cascadedFrom} from './cascaded-tables.ts'
import {readCatalog} from './catalog.ts'
import type {Catalog, RevertResult, TableName} from './contract.ts'
import {assertRights} from './guard.ts'
import {findKeyChanges} from './key-changes.ts'
import {planMoves} from './moves.ts'
import {ACTING, among, LARGE, noMoves, planDdl, type Plan, type Planned} from './plan.ts'
import {madeIn, type Made} from './made.ts'
import {distinctTables, nameOf, sameTable, shownName} from './names.ts'
import {assertNewest} from './newer-merges.ts'
import {readColumns, relationOf} from './relations.ts'
import {changedRows, fillReverse, type Reversed} from './reverse.ts'
import {markSql} from './run-schema.ts'
import {readSession, transactionSettings} from './session.ts'
import {analyzed, tally, type Tally} from './tally.ts'
import {transact, type TransactOptions} from './transact.ts'
import {dropUndo, readUndo, transactionOf, type UndoTable} from './undo-schema.ts'
import {assertAsMade, childrenOf, unmake, type PutIn} from './unmake.ts'
import {applyPlans, assertCounting, revertError} from './write.ts'

/** Of rows in the words of an error. */
const SHOWN = 10

/**
 * Takes a merge back, exactly, in one transaction, and drops its undo schema; tables that the run has made anew go again. Throws `partial.changed-since` (exit 3), naming
 * them, when rows that the merge wrote, or what was made anew, were changed since, a newer merge among them, or when others refer to them now; `partial.irreversible` (exit 3) when a constraint refuses; `partial.undo-unknown` (exit 3) for
 * a schema that no merge made. Nothing is changed then.
 */
export async function revertMerge(client: Client, undoSchema: string, options: TransactOptions): Promise<RevertResult> {
  return revertInTransaction(client, undoSchema, options).catch((error: unknown) => { throw statementError(error, 'Reverting the merge') })
}

async function revertInTransaction(client: Client, undoSchema: string, options: TransactOptions): Promise<RevertResult> {
  const undo = await readUndo(client, undoSchema)
  const live = await readCatalog(client, {excludeSchemas: ownSchemas})
  const touched = undo.map(({schema, name}) => ({schema, name}))
  const tables = distinctTables([...touched, ...cascadedFrom(live, touched)])
  await assertRights(client, tables)
  const made = await madeIn(client, undoSchema)
  const locked = made ? distinctTables([...tables, ...await lockedFor(client, made)]) : tables
  return transact(client, {tables: locked, doing: 'Reverting the merge', run: async (session) => {
    assertCounting(session)
    await assertNewest(client, undoSchema)
    const start = await readWritten(client, undoSchema)
    const {left, dropped} = made ? await withoutMade(client, undoSchema, {undo, live, tables}, made) : {left: {undo, live, tables}, dropped: {dropped: [], tables: []}}
    const result = await reverted(client, undoSchema, left, start)
    await dropOrMark(client, undoSchema)
    const {transaction} = await rowOf<{transaction: string}>(client, 'SELECT pg_catalog.pg_current_xact_id()::text AS transaction')
    return {result: {transaction, dropped: dropped.dropped, tables: [...dropped.tables, ...result.tables]}, keep: true}
  }}, options)
}

/** What the merge of this schema wrote: how many rows of each table, and how many of them are not as it left them. Reads only. */
export async function changedSinceMerge(client: Client, undoSchema: string): Promise<(TableName & {rows: number; changed: number})[]> {
  const undo = await readUndo(client, undoSchema)
  const live = await readCatalog(client, {excludeSchemas: ownSchemas})
  const session = await readSession(client)
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  for (const setting of transactionSettings(session)) await client.query(setting)
  const {reversed} = await reversePlans(client, undoSchema, {undo, live, tables: undo.map(({schema, name}) => ({schema, name}))})
  const found = []
  for (const one of reversed) found.push({schema: one.undo.schema, name: one.undo.name, rows: one.undo.rows, changed: (await changedRows(client, one, 1))[0]?.count ?? 0})
  await client.query('COMMIT')
  return found
}

/** Nobody may write into these while it is looked at who uses what was made anew. */
async function lockedFor(client: Client, made: Made): Promise<TableName[]> {
  await assertAsMade(client, made)
  return [...made.tables, ...await childrenOf(client, made)].map(nameOf)
}

/** Drops what the run has made anew, when it is as the merge left it; the rest is then taken back as that of another merge. */
async function withoutMade(client: Client, undoSchema: string, undoing: Undoing, made: Made): Promise<{left: Undoing; dropped: Omit<RevertResult, 'transaction'>}> {
  const {reversed} = await reversePlans(client, undoSchema, undoing)
  await assertUnchanged(client, reversed, undoSchema)
  const isMade = (table: TableName) => made.tables.some((one) => sameTable(one, table))
  await unmake(client, made, await putInto(client, undoSchema, reversed.filter(({undo}) => isMade(undo))))
  const stays = (table: TableName) => !isMade(table)
  const left = {undo: undoing.undo.filter(stays), tables: undoing.tables.filter(stays), live: await readCatalog(client, {excludeSchemas: ownSchemas})}
  return {left, dropped: {dropped: made.tables.map(nameOf), tables: undoing.undo.filter(isMade).map(({rows, ...table}) => ({...nameOf(table), restored: 0, removed: rows}))}}
}

/** What the merge has inserted into tables that were made anew. Rows that others had put there by then would go with the tables. */
async function putInto(client: Client, undoSchema: string, reversed: readonly Reversed[]): Promise<PutIn> {
  let rows = 0
  for (const {undo, from} of reversed) {
    const {inserted, others} = await rowOf<{inserted: number; others: number}>(client, `SELECT (count(*) FILTER (WHERE act = 'insert'))::float8 AS inserted, (count(*) FILTER (WHERE act ${among(ACTING)} AND act <> 'insert'))::float8 AS others FROM ${from}`)
    if (others > 0) throw preflightError('partial.changed-since', `${others} ${others === 1 ? 'row' : 'rows'} of ${shownName(undo)} had been put there by others before the merge: the table cannot go again.`, {hints: [`What these rows were is in ${from}.`]})
    rows += inserted
  }
  const transaction = await transactionOf(client, undoSchema)
  return {rows, ...(transaction !== undefined && {transaction})}
}

export interface Undoing {
  undo: readonly UndoTable[]
  live: Catalog
  tables: readonly TableName[]
}

async function reverted(client: Client, undoSchema: string, {undo, live, tables}: Undoing, start: Written): Promise<Pick<RevertResult, 'tables'>> {
  if (tables.length === 0) return {tables: []}
  const {planned, reversed} = await reversePlans(client, undoSchema, {undo, live, tables})
  await assertUnchanged(client, reversed, undoSchema)
  const counts = await putBack(client, undoSchema, {planned, reversed}, start)
  await client.query(`DROP TABLE ${planned.plans.map(({sql}) => sql).join(', ')}`)
  return {tables: reversed.map(({plan}) => ({...plan.relation.table, restored: counts.of(plan, ['insert', 'update']), removed: counts.of(plan, ['delete'])}))}
}

/** With `rehearsal` rows that would only go again stay where they are, unless `deletes` says that they are in the way. */
async function putBack(client: Client, undoSchema: string, {planned, reversed}: {planned: Planned; reversed: readonly Reversed[]}, start: Written, rehearsal?: {deletes: boolean; keys: Catalog['foreignKeys']}): Promise<Tally> {
  await client.query(planned.plans.map((plan) => planDdl(plan, 'TEMPORARY TABLE')).join('; '))
  for (const one of reversed) await fillReverse(client, one)
  const looked = rehearsal ? {...planned, live: {...planned.live, foreignKeys: rehearsal.keys}} : planned
  await fillCascades(client, looked)
  let counts = await analyzed(client, planned)
  await assertNobodyRefers(client, looked, counts)
  if (rehearsal?.deletes === false) {
    for (const {sql} of planned.plans) await client.query(`UPDATE ${sql} SET act = 'extra' WHERE act = 'delete'`)
    counts = await tally(client, planned)
  }
  await planMoves(client, planned, counts)
  const [stuck] = planned.stuck
  if (stuck) throw preflightError('partial.irreversible', `${planned.stuck.length} ${planned.stuck.length === 1 ? 'row' : 'rows'} of ${shownName(stuck.plan.relation.table)} cannot be put back as they were, because they have exchanged values of ${stuck.index}, and no other value can stand in for one of them.`, {hints: [`What each row was before is in the schema ${undoSchema}: put back by hand what is to go back.`]})
  if (planned.parking.size > 0) counts = await tally(client, planned)
  await applyPlans(client, planned, counts, {read: () => readWritten(client, undoSchema), start, explain: revertError(undoSchema)})
  return counts
}

/** Does it, for the savepoint to be rolled back to. `keys`: those that rows may break by now. Throws what the merge's own undo would. */
export async function rehearse(client: Client, undoSchema: string, undoing: Undoing, how: {deletes: boolean; keys: Catalog['foreignKeys']}): Promise<void> {
  const start = await readWritten(client, undoSchema)
  await putBack(client, undoSchema, await reversePlans(client, undoSchema, undoing), start, how)
}

async function reversePlans(client: Client, undoSchema: string, {undo, live, tables}: Undoing): Promise<{planned: Planned; reversed: Reversed[]}> {
  const images = undo.map((one) => ({schema: undoSchema, name: one.images}))
  const columnsOf = await readColumns(client, [...tables, ...images])
  const plans = tables.map((table, index): Plan => {
    const relation = relationOf(live, table, columnsOf(table))
    const was = undo.find((one) => sameTable(one, table))
    const gone = was?.columns.filter((name) => !relation.columns.some((one) => one.name === name)) ?? []
    if (gone.length > 0) throw preflightError('partial.changed-since', `${shownName(table)} lost columns since the merge: ${gone.join(', ')}.`, {hints: [`What they held is in ${undoSchema}.${was?.images ?? ''}.`]})
    const inserted = relation.columns.filter(({name}) => was?.columns.includes(name) === true)
    const set = inserted.filter(({name, alwaysIdentity}) => was?.key?.includes(name) !== true && !alwaysIdentity).map(({name}) => name)
    return {relation, name: `t${index}`, sql: `pg_temp.${quoteIdent(`dr_revert_t${index}`)}`, key: was?.key ?? relation.shape.keys.find(({strict}) => strict)?.columns, inserted, set, large: Math.max(relation.shape.estimatedRows, was?.rows ?? 0) > LARGE}
  })
  const reversed = undo.flatMap((one): Reversed[] => {
    const plan = plans.find(({relation}) => sameTable(relation.table, one))
    const kept = columnsOf({schema: undoSchema, name: one.images})
    return plan && kept ? [{undo: one, plan, kept, from: qualified({schema: undoSchema, name: one.images})}] : []
  })
  const request = {live, backup: live, staged: [], selection: {tables: []}, mode: 'exact' as const, undoSchema, lockTimeoutMs: 0, sample: 0, timestampColumns: []}
  return {planned: {live, request, mode: 'exact', plans, entries: [], observed: [], marks: new Map(), brought: [], ...noMoves()}, reversed}
}

async function assertUnchanged(client: Client, reversed: readonly Reversed[], undoSchema: string): Promise<void> {
  const found: {table: string; rows: {key: Record<string, string>; count: number}[]}[] = []
  for (const one of reversed) {
    const rows = await changedRows(client, one, SHOWN)
    if (rows.length > 0) found.push({table: shownName(one.undo), rows})
  }
  const total = found.reduce((sum, {rows}) => sum + (rows[0]?.count ?? 0), 0)
  if (total === 0) return
  const shown = found.flatMap(({table, rows}) => rows.map(({key}) => `${table} ${Object.entries(key).map(([name, value]) => `${name} ${value}`).join(', ')}`)).slice(0, SHOWN)
  throw preflightError('partial.changed-since', `${total} ${total === 1 ? 'row was' : 'rows were'} changed since the merge: ${shown.join('; ')}${total > shown.length ? '; …' : ''}.`, {hints: [`What each row was before is in the schema ${undoSchema}: put back by hand what is to go back.`]})
}

/** Rows that came since and hang on what would go again. */
async function assertNobodyRefers(client: Client, planned: Planned, counts: Tally): Promise<void> {
  const {cascades} = counts
  const refusals = [...await findRefusals(client, planned, counts), ...await findKeyChanges(client, planned, counts)]
  const words = [...cascades.map(({table, deleted, updated}) => `${deleted + updated} of ${shownName(table)}`), ...refusals.map(({table, rows}) => `${rows} of ${shownName(table)}`)]
  if (words.length === 0) return
  const keys: string[] = []
  for (const {sql, key, relation} of planned.plans) {
    if (key === undefined) continue
    const rows = await rowsOf<{key: string}>(client, `SELECT concat_ws(', ', ${key.map((name) => `p."b${relation.columns.findIndex((one) => one.name === name) + 1}"::text`).join(', ')}) AS key FROM ${sql} p WHERE act IN ('cascade-delete', 'cascade-null') LIMIT ${SHOWN}`)
    keys.push(...rows.map((one) => `${shownName(relation.table)} ${key.join(', ')} ${one.key}`))
  }
  throw preflightError('partial.changed-since', `Rows refer by now to rows that the merge brought back: ${words.join(', ')}${keys.length > 0 ? ` (${keys.slice(0, SHOWN).join('; ')})` : ''}.`, {hints: ['Move these rows elsewhere, or leave the merge as it is.']})
}

/** Where others made something of our tables the schema stays, marked as reverted. */
async function dropOrMark(client: Client, undoSchema: string): Promise<void> {
  await client.query('SAVEPOINT dropping')
  try {
    await dropUndo(client, undoSchema)
  } catch (error) {
    if (codeOf(error) !== '2BP01') throw error
    await client.query('ROLLBACK TO SAVEPOINT dropping')
    await client.query(markSql(undoSchema, 'undone'))
  }
}
