import {verificationError} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteIdent, quoteLiteral} from '../quote.ts'
import type {TableName} from './contract.ts'
import {strangerSql} from './fill.ts'
import {ACTING, after, among, before, STAYING, type Act, type Plan, type Planned} from './plan.ts'
import {sameTable, shownName} from './names.ts'
import {column, equal, same} from './relations.ts'
import type {Tally} from './tally.ts'

/** Whatever updates of its rows set. */
export const writtenColumns = (planned: Planned, plan: Plan): readonly string[] => plan.set ?? [...new Set([...setBy(planned, plan, 'update'), ...setBy(planned, plan, 'link')])]

/** What an UPDATE of this act sets. */
const setBy = ({entries}: Planned, plan: Plan, act: 'update' | 'link'): string[] => {
  const names = entries.filter((entry) => entry.plan === plan && (act === 'link') === (entry.selected.role === 'links'))
    .flatMap(({compared, selected}) => compared.filter(({name}) => act === 'update' || selected.columns?.includes(name) === true))
    .map(({name}) => name)
  return [...new Set(names)]
}

/**
 * All that the plans ask for, in one statement: foreign keys are checked and followed at its end, so that neither the order of
 * tables nor circles matter. In one table rows go before others get their unique values. It runs with the application's search_path,
 * for functions behind checks and indexes: every name in it has its schema. undefined where nothing is to be done.
 */
export function mergeSql(planned: Planned, counts: Tally): string | undefined {
  const parts: {name: string; sql: string}[] = []
  for (const [index, plan] of planned.plans.entries()) parts.push(...partsOf(planned, plan, index, counts))
  if (parts.length === 0) return undefined
  return `WITH ${parts.map(({name, sql}) => `${name} AS (${sql} RETURNING 1)`).join(',\n')}\nSELECT ${parts.map(({name}) => `(SELECT pg_catalog.count(*) FROM ${name}) AS ${name}`).join(', ')}`
}

const EQUALS = 'OPERATOR(pg_catalog.=)'

function partsOf(planned: Planned, plan: Plan, index: number, counts: Tally): {name: string; sql: string}[] {
  const {relation: {from, columns}, sql} = plan
  const earlier: string[] = []
  const parts: {name: string; sql: string}[] = []
  const add = (act: Act, statement: (where: string) => string) => {
    if (counts.of(plan, [act]) === 0) return
    const name = `${act}${index}`
    parts.push({name: quoteIdent(name), sql: statement(`p.act ${EQUALS} '${act}'${earlier.map((one) => ` AND (SELECT pg_catalog.count(*) FROM ${one}) IS NOT NULL`).join('')}`)})
    earlier.push(quoteIdent(name))
  }
  const located = `t.ctid ${EQUALS} p.tid AND t.tableoid ${EQUALS} p.rel`
  add('delete', (where) => `DELETE FROM ${from} AS t USING ${sql} AS p WHERE ${located} AND ${where}`)
  for (const act of ['update', 'link'] as const) {
    const set = plan.set ?? setBy(planned, plan, act)
    add(act, (where) => `UPDATE ${from} AS t SET ${set.map((name) => `${quoteIdent(name)} = ${after(plan, name)}`).join(', ')} FROM ${sql} AS p WHERE ${located} AND ${where}`)
  }
  const given = columns.filter((one) => plan.inserted.some(({name}) => name === one.name))
  add('insert', (where) => `INSERT INTO ${from.replace(/^ONLY /, '')} (${given.map(({name}) => quoteIdent(name)).join(', ')}) OVERRIDING SYSTEM VALUE SELECT ${given.map(({name}) => after(plan, name)).join(', ')} FROM ${sql} AS p WHERE ${where}`)
  return parts
}

/** Rows give their unique values away before others get them. They are then in another place, which is noted. undefined where none has to. It runs as `mergeSql` does. */
export function parkSql({parking}: Planned, plan: Plan): string | undefined {
  const values = parking.get(plan)
  if (values === undefined) return undefined
  return `
    WITH parked AS (
      UPDATE ${plan.relation.from} AS t SET ${[...values].map(([name, value]) => `${quoteIdent(name)} = ${value}`).join(', ')} FROM (SELECT p.ctid AS at, p.tid, p.rel, pg_catalog.row_number() OVER () AS place FROM ${plan.sql} AS p WHERE p.parked) AS p
      WHERE t.ctid ${EQUALS} p.tid AND t.tableoid ${EQUALS} p.rel RETURNING p.at, t.ctid AS tid)
    UPDATE ${plan.sql} AS x SET tid = parked.tid FROM parked WHERE x.ctid ${EQUALS} parked.at`
}

/** What this transaction has written so far, per table; of partitions under the name of their root. */
export type Written = Map<string, {inserted: number; updated: number; deleted: number}>

/** `own`: the schema of the undo tables. */
export async function readWritten(client: Client, own: string): Promise<Written> {
  const rows = await rowsOf<TableName & {inserted: string; updated: string; deleted: string}>(client, `
    SELECT n.nspname AS schema, c.relname AS name, sum(s.n_tup_ins) AS inserted, sum(s.n_tup_upd) AS updated, sum(s.n_tup_del) AS deleted
    FROM pg_catalog.pg_stat_xact_user_tables s JOIN pg_catalog.pg_class c ON c.oid = coalesce(pg_catalog.pg_partition_root(s.relid), s.relid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname <> ${quoteLiteral(own)} AND NOT pg_catalog.pg_is_other_temp_schema(n.oid) AND n.oid <> pg_catalog.pg_my_temp_schema() GROUP BY 1, 2`)
  return new Map(rows.map(({schema, name, ...counts}) => [shownName({schema, name}), {inserted: Number(counts.inserted), updated: Number(counts.updated), deleted: Number(counts.deleted)}]))
}

const proofError = (message: string): Error => verificationError('partial.proof', `The merge was taken back: ${message}.`, {hints: ['Nothing was changed. Are there rules, or triggers that cannot be switched off? Choose --merge side, and bring the rows over by hand.']})

/** Proves by the server's own count that nothing was written but what was planned. Throws `partial.proof` (exit 4). */
export function assertWritten(planned: Planned, counts: Tally, start: Written, end: Written): void {
  const families = new Map<string, {inserted: number; updated: number; deleted: number; spare: number}>()
  for (const plan of planned.plans) {
    const {relation} = plan
    const taken = counts.of(plan, ['cascade-delete'])
    const sum = families.get(shownName(relation.family)) ?? {inserted: 0, updated: 0, deleted: 0, spare: 0}
    // A row that goes by a cascade may have had a link set to NULL by another one just before.
    const nulling = planned.live.foreignKeys.filter(({table, onDelete}) => sameTable(table, relation.family) && (onDelete === 'set null' || onDelete === 'set default')).length
    families.set(shownName(relation.family), {
      inserted: sum.inserted + counts.of(plan, ['insert']), updated: sum.updated + counts.updates(plan, ['update', 'link', 'cascade-null']), deleted: sum.deleted + counts.of(plan, ['delete']) + taken, spare: sum.spare + taken * nulling,
    })
  }
  for (const name of new Set([...families.keys(), ...end.keys()])) {
    const wanted = families.get(name) ?? {inserted: 0, updated: 0, deleted: 0, spare: 0}
    const [from, to] = [start.get(name), end.get(name)]
    const got = (what: 'inserted' | 'updated' | 'deleted') => (to?.[what] ?? 0) - (from?.[what] ?? 0)
    for (const what of ['inserted', 'updated', 'deleted'] as const) {
      const most = wanted[what] + (what === 'updated' ? wanted.spare : 0)
      if (got(what) < wanted[what] || got(what) > most) throw proofError(`in ${name} ${got(what)} rows were ${what}, and ${wanted[what]} were planned`)
    }
  }
}

/** Proves that every touched row was this tenant's, or nobody's, and is: by the tenant's column, or by what the row names. */
export async function assertTenant(client: Client, planned: Planned): Promise<void> {
  const {plans, request: {selection: {tenant}}} = planned
  if (tenant === undefined) return
  for (const plan of plans) {
    const strangers = plan.relation.columns.some(({name}) => name === tenant.column) ? strangersIn(plan, tenant) : strangersBehind(planned, plan)
    if (strangers === undefined) continue
    const {count} = await rowOf<{count: string}>(client, strangers)
    if (count !== '0') throw proofError(`${count} rows of ${shownName(plan.relation.table)} are not of tenant ${tenant.id}`)
  }
}

function strangersIn(plan: Plan, {column: name, id: text}: {column: string; id: string}): string {
  const [was, is, id] = [before(plan, name), after(plan, name), quoteLiteral(text)]
  return `SELECT count(*) FROM ${plan.sql} p WHERE p.act ${among(ACTING)} AND (coalesce(${is}::text, ${was}::text) IS DISTINCT FROM ${id} OR ${was}::text <> ${id} OR ${is}::text <> ${id})`
}

/** Of a table that is reached through foreign keys: rows that led, or lead, to what is live of another tenant. */
function strangersBehind(planned: Planned, plan: Plan): string | undefined {
  const entry = planned.entries.find((one) => one.plan === plan && one.selected.role === 'rows')
  if (entry === undefined) return undefined
  const image = (side: typeof before) => plan.relation.columns.map(({name}) => `${side(plan, name)} AS ${quoteIdent(name)}`).join(', ')
  return `
    SELECT count(*) FROM (
      SELECT ${image(before)} FROM ${plan.sql} p WHERE p.act ${among(ACTING)} AND p.tid IS NOT NULL UNION ALL
      SELECT ${image(after)} FROM ${plan.sql} p WHERE p.act ${among(STAYING)}) AS r WHERE ${strangerSql(planned, entry, 'live')}`
}

/** Proves that every row that stays has its after image now, where a key tells which row it is. */
export async function assertImages(client: Client, {plans}: Planned, counts: Tally): Promise<void> {
  for (const plan of plans) {
    const expected = counts.of(plan, STAYING)
    const {key, relation, inserted} = plan
    if (key === undefined || expected === 0) continue
    const on = key.map((name) => {
      const found = relation.columns.find((one) => one.name === name)
      return found ? equal(found, column('t', name), after(plan, name)) : 'false'
    }).join(' AND ')
    const isSame = relation.columns.map((one) => `(${inserted.some(({name}) => name === one.name) ? '' : "p.act = 'insert' OR "}${same(one, column('t', one.name), after(plan, one.name))})`).join(' AND ')
    const {count} = await rowOf<{count: string}>(client, `SELECT count(*) FROM ${plan.sql} p JOIN ${relation.from} AS t ON ${on} WHERE p.act ${among(STAYING)} AND ${isSame}`)
    if (Number(count) !== expected) throw proofError(`${expected - Number(count)} rows of ${shownName(relation.table)} are not as they were to be`)
  }
}
