import {messageOf} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {codeOf, isConnectionLost, statementError} from '../errors.ts'
import {qualified} from '../quote.ts'
import {analyzeSql} from '../restore-facts.ts'
import type {Catalog, ForeignKeyShape, TableName} from './contract.ts'
import {isLocked, retried} from './lock-retries.ts'
import {column, equals, fromOf, keysFrom, keysTo} from './relations.ts'
import {asApplication} from './session.ts'

/** One foreign key of touched tables, looked at by a query of our own. */
export interface LinkProof {
  foreignKey: string
  table: TableName
  references: TableName
  /** Rows that name one that is not there. */
  orphans: number
  /** Of a key that was never validated orphans may have been there before. */
  validated: boolean
  /** Why the server did not say it. */
  trouble?: string
}

/** Looks for orphans of every foreign key from and to these tables. */
export async function proveLinks(client: Client, live: Catalog, tables: readonly TableName[], signal?: AbortSignal): Promise<LinkProof[]> {
  const keys = [...new Set(tables.flatMap((table) => [...keysFrom(live, table), ...keysTo(live, table)]))]
  const proofs: LinkProof[] = []
  for (const key of keys) {
    signal?.throwIfAborted()
    proofs.push(await proofOf(client, live, key))
  }
  return proofs
}

async function proofOf(client: Client, live: Catalog, key: ForeignKeyShape): Promise<LinkProof> {
  const {name, table, columns, references, referencedColumns, validated} = key
  const proof = {foreignKey: name, table, references, validated}
  try {
    const {orphans} = await rowOf<{orphans: string}>(client, `
      SELECT pg_catalog.count(*) AS orphans FROM ${fromOf(live, table)} AS c WHERE ${columns.map((one) => `${column('c', one)} IS NOT NULL`).join(' AND ')}
        AND NOT EXISTS (SELECT FROM ${fromOf(live, references)} AS p WHERE ${columns.map((one, index) => `${column('p', referencedColumns[index] ?? '')} ${equals(key, index)} ${column('c', one)}`).join(' AND ')})`)
    return {...proof, orphans: Number(orphans)}
  } catch (error) {
    // Somebody's limit or lock, or somebody, has ended it: of the rows it says nothing.
    if (codeOf(error) === '57014' || isLocked(error)) return {...proof, orphans: 0, trouble: messageOf(error)}
    throw statementError(error, `Proving ${name}`)
  }
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

export interface RefreshOptions {
  /** How long readers may keep it waiting at once, and others then wait behind it; half a second at most. Tried several times. */
  lockTimeoutMs: number
  signal?: AbortSignal | undefined
}

const LONGEST_MS = 500

/** Refreshes the materialized views that hang on these tables, without keeping readers out where the view allows it. What fails is said, and the others go on. */
export async function refreshViews(client: Client, tables: readonly TableName[], options: RefreshOptions): Promise<RefreshedView[]> {
  const done: RefreshedView[] = []
  for (const {schema, name, populated, owns, owner, concurrently} of await rowsOf<View>(client, VIEWS, [tables.map((one) => one.schema), tables.map((one) => one.name)])) {
    options.signal?.throwIfAborted()
    const skipped = !populated ? 'it holds nothing yet' : owns ? await refresh(client, `REFRESH MATERIALIZED VIEW ${concurrently ? 'CONCURRENTLY ' : ''}${qualified({schema, name})}`, options) : `it belongs to ${owner}`
    done.push({schema, name, ...(skipped !== undefined && {skipped})})
  }
  return done
}

/** Why it was not done. Whoever reads keeps it waiting, and whoever comes behind it waits as long. */
async function refresh(client: Client, sql: string, {lockTimeoutMs, signal}: RefreshOptions): Promise<string | undefined> {
  const limits = `SET LOCAL lock_timeout = ${Math.min(lockTimeoutMs, LONGEST_MS)}; SET LOCAL statement_timeout = 0`
  return retried(async () => {
    const refused = await refusal(client, sql, limits)
    if (refused && isLocked(refused)) throw refused
    return refused?.message
  }, {signal}).catch((error: unknown) => {
    if (isLocked(error)) return 'others keep it in use'
    throw error
  })
}

export interface AnalyzedTable extends TableName {
  trouble?: string
}

export async function analyzeTables(client: Client, tables: readonly TableName[], signal?: AbortSignal): Promise<AnalyzedTable[]> {
  const done: AnalyzedTable[] = []
  for (const {schema, name} of tables) {
    signal?.throwIfAborted()
    const refused = await refusal(client, analyzeSql({schema, name}))
    done.push({schema, name, ...(refused && {trouble: refused.message})})
  }
  return done
}

/** What the server says when it does not do it, in a transaction of its own. Throws when the connection is lost. */
async function refusal(client: Client, sql: string, limits = ''): Promise<Error | undefined> {
  try {
    await client.query(`BEGIN READ WRITE; ${limits}`)
    await asApplication(client, () => client.query(sql))
    await client.query('COMMIT')
    return undefined
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    if (!(error instanceof Error) || codeOf(error) === undefined || isConnectionLost(error)) throw statementError(error, sql)
    return error
  }
}
