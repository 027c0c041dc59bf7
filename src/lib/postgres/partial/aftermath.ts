import {messageOf} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {codeOf, isConnectionLost, statementError} from '../errors.ts'
import {qualified} from '../quote.ts'
import {analyzeSql} from '../restore-facts.ts'
import type {Catalog, TableName} from './contract.ts'
import {column, fromOf, keysFrom, keysTo} from './relations.ts'

/** One foreign key of touched tables, looked at by a query of our own. */
export interface LinkProof {
  foreignKey: string
  table: TableName
  references: TableName
  /** Rows that name one that is not there. */
  orphans: number
  /** Of a key that was never validated orphans may have been there before. */
  validated: boolean
}

/** Looks for orphans of every foreign key from and to these tables. */
export async function proveLinks(client: Client, live: Catalog, tables: readonly TableName[], signal?: AbortSignal): Promise<LinkProof[]> {
  const keys = [...new Set(tables.flatMap((table) => [...keysFrom(live, table), ...keysTo(live, table)]))]
  const proofs: LinkProof[] = []
  for (const {name, table, columns, references, referencedColumns, validated} of keys) {
    signal?.throwIfAborted()
    const {orphans} = await rowOf<{orphans: string}>(client, `
      SELECT count(*) AS orphans FROM ${fromOf(live, table)} AS c WHERE ${columns.map((one) => `${column('c', one)} IS NOT NULL`).join(' AND ')}
        AND NOT EXISTS (SELECT FROM ${fromOf(live, references)} AS p WHERE ${columns.map((one, index) => `${column('p', referencedColumns[index] ?? '')} = ${column('c', one)}`).join(' AND ')})`)
      .catch((error: unknown) => { throw statementError(error, `Proving ${name}`) })
    proofs.push({foreignKey: name, table, references, orphans: Number(orphans), validated})
  }
  return proofs
}

export interface RefreshedView extends TableName {
  /** Why it was not refreshed. */
  skipped?: string
}

interface View extends TableName {
  populated: boolean
  owns: boolean
  owner: string
  concurrently: boolean
}

/** Materialized views that read these tables, directly or through other views, each after those that it reads itself. */
const VIEWS = `
  WITH RECURSIVE reads AS (
    SELECT DISTINCT r.ev_class AS reader, d.refobjid AS source FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
  ), reached (oid, depth) AS (
    SELECT c.oid, 0 FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema JOIN pg_catalog.pg_class t ON t.relnamespace = n.oid AND t.relname = w.name
    JOIN pg_catalog.pg_class c ON c.oid = t.oid OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(t.oid)) OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(t.oid))
    UNION SELECT reads.reader, reached.depth + 1 FROM reached JOIN reads ON reads.source = reached.oid WHERE reached.depth < 100
  )
  SELECT n.nspname AS schema, c.relname AS name, c.relispopulated AS populated, pg_get_userbyid(c.relowner)::text AS owner,
    pg_has_role(c.relowner, 'USAGE') AS owns,
    EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) AS concurrently
  FROM (SELECT oid, max(depth) AS depth FROM reached GROUP BY oid) x JOIN pg_catalog.pg_class c ON c.oid = x.oid AND c.relkind = 'm' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY x.depth, 1, 2`

/** Refreshes the materialized views that hang on these tables, without keeping readers out where the view allows it. What fails is said, and the others go on. */
export async function refreshViews(client: Client, tables: readonly TableName[], signal?: AbortSignal): Promise<RefreshedView[]> {
  const done: RefreshedView[] = []
  for (const {schema, name, populated, owns, owner, concurrently} of await rowsOf<View>(client, VIEWS, [tables.map((one) => one.schema), tables.map((one) => one.name)])) {
    signal?.throwIfAborted()
    const skipped = !populated ? 'it holds nothing yet' : owns ? await trouble(client, `REFRESH MATERIALIZED VIEW ${concurrently ? 'CONCURRENTLY ' : ''}${qualified({schema, name})}`) : `it belongs to ${owner}`
    done.push({schema, name, ...(skipped !== undefined && {skipped})})
  }
  return done
}

export interface AnalyzedTable extends TableName {
  trouble?: string
}

export async function analyzeTables(client: Client, tables: readonly TableName[], signal?: AbortSignal): Promise<AnalyzedTable[]> {
  const done: AnalyzedTable[] = []
  for (const {schema, name} of tables) {
    signal?.throwIfAborted()
    const failed = await trouble(client, analyzeSql({schema, name}))
    done.push({schema, name, ...(failed !== undefined && {trouble: failed})})
  }
  return done
}

/** What the server says when it does not do it. */
async function trouble(client: Client, sql: string): Promise<string | undefined> {
  try {
    await client.query(sql)
    return undefined
  } catch (error) {
    if (codeOf(error) === undefined || isConnectionLost(error)) throw statementError(error, sql)
    return messageOf(error)
  }
}
