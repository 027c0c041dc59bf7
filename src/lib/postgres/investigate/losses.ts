import {rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {commitTimes, type Witnesses} from './transactions.ts'

/** Rows whose link to a deleted row was set to NULL: the transaction that wrote most of them is the one that deleted. */
export interface Detached {
  schema: string
  name: string
  column: string
  references: {schema: string; name: string}
  transaction: string
  rows: number
  committedAt?: string
}

export interface Link {
  schema: string
  name: string
  column: string
  references: {schema: string; name: string}
}

/** Foreign keys of one column that name one of these tables and are set to NULL when its row goes. */
export async function nulledLinks(client: Client, tables: readonly {schema: string; name: string}[]): Promise<Link[]> {
  const rows = await rowsOf<{schema: string; name: string; column: string; targetSchema: string; target: string}>(client, `
    SELECT n.nspname AS schema, c.relname AS name, a.attname AS column, tn.nspname AS "targetSchema", t.relname AS target
    FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
    WHERE f.contype = 'f' AND f.confdeltype = 'n' AND f.conparentid = 0 AND cardinality(f.conkey) = 1
      AND EXISTS (SELECT FROM jsonb_to_recordset($1::jsonb) AS w (schema text, name text) WHERE w.schema = tn.nspname AND w.name = t.relname)
    ORDER BY 1, 2, 3`, [JSON.stringify(tables.map(({schema, name}) => ({schema, name})))])
  return rows.map(({schema, name, column, targetSchema, target}) => ({schema, name, column, references: {schema: targetSchema, name: target}}))
}

/** Of every foreign key whose rows go with the row that they name: the two tables. */
export async function cascadingKeys(client: Client): Promise<{child: {schema: string; name: string}; parent: {schema: string; name: string}}[]> {
  return rowsOf(client, `
    SELECT DISTINCT jsonb_build_object('schema', n.nspname, 'name', c.relname) AS child, jsonb_build_object('schema', tn.nspname, 'name', t.relname) AS parent
    FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE f.contype = 'f' AND f.confdeltype = 'c' AND f.conparentid = 0`)
}

/** Fewer than this may be anything. */
const LEAST_DETACHED = 2

/**
 * The transaction that has last written most rows, and none with the link, among rows for which the condition holds; undefined
 * when none stands out. One that changed rows for another reason has some with the link among them, most likely.
 */
export async function detachedBy(client: Client, link: Link, {witnesses, newer, except = []}: {witnesses: Witnesses; newer: string; except?: readonly string[]}): Promise<Detached | undefined> {
  const [first, second] = await rowsOf<{transaction: string; rows: string}>(client, `
    SELECT xmin::text AS transaction, count(*)::text AS rows FROM ${qualified(link)} WHERE ${newer} AND xmin::text <> ALL ($1::text[])
    GROUP BY xmin HAVING bool_and(${quoteIdent(link.column)} IS NULL) ORDER BY count(*) DESC LIMIT 2`, [except])
  const rows = Number(first?.rows ?? 0)
  if (first === undefined || rows < LEAST_DETACHED || rows <= Number(second?.rows ?? 0)) return undefined
  const committedAt = (await commitTimes(client, [first.transaction], witnesses)).get(first.transaction)
  return {...link, transaction: first.transaction, rows, ...(committedAt !== undefined && {committedAt})}
}

/** What catalog and statistics say of a table without reading it. */
export interface TableTraces {
  oid: number
  /** The transaction that last changed the table itself: TRUNCATE, ALTER, a rewrite. */
  changedBy: string
  changedAt?: string
  /** Its file is not the one that it was made with: TRUNCATE, VACUUM FULL or another rewrite. */
  replaced: boolean
  /** Dead row versions that no VACUUM has taken, by the statistics. */
  dead: number
  lastVacuum?: string
}

export async function readTraces(client: Client, oids: readonly number[], witnesses: Witnesses): Promise<Map<number, TableTraces>> {
  const rows = await rowsOf<{oid: number; changedBy: string; replaced: boolean; dead: string; lastVacuum: string | null}>(client, `
    SELECT c.oid::int8::float8 AS oid, c.xmin::text AS "changedBy", c.relfilenode NOT IN (0, c.oid) AS replaced, coalesce(s.n_dead_tup, 0)::text AS dead,
      to_char(greatest(s.last_vacuum, s.last_autovacuum) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "lastVacuum"
    FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid WHERE c.oid = ANY ($1::int8[]::oid[])`, [oids])
  const times = await commitTimes(client, rows.map(({changedBy}) => changedBy), witnesses)
  return new Map(rows.map(({oid, changedBy, replaced, dead, lastVacuum}) => {
    const changedAt = times.get(changedBy)
    return [oid, {oid, changedBy, replaced, dead: Number(dead), ...(changedAt !== undefined && {changedAt}), ...(lastVacuum !== null && {lastVacuum})}]
  }))
}
