import {connect, endQuietly, rowOf, type Client} from './connection.ts'
import {statementError} from './errors.ts'
import {CANONICAL_SETTINGS} from './snapshot.ts'
import type {Target} from './target.ts'

export interface ReadSnapshotOptions {
  /** Instead of the target's own. */
  database?: string
  applicationName: string
  /** Of one statement; 0 for none. */
  statementLimitMs: number
  signal: AbortSignal
}

/** One instant of a database, for several connections that only read. */
export interface ReadSnapshot {
  readonly client: Client
  /** The server's clock, UTC. */
  readonly at: string
  /** `pg_current_snapshot()`. */
  readonly current: string
  /** Statements that bring a further connection to the same instant. */
  readonly settings: readonly string[]
}

/** Behind a migration nobody waits for us longer than this, nor we for it. */
const LOCK_LIMIT_MS = 2000

/** What would end an idle or long reader; asked of the server, because not every major knows each. */
const NO_LIMITS = "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')"

/** A session that reads every row or fails (`row_security`), writes nothing, and takes no workers from the application. The path comes first: no other statement is to call what a schema of the application's may have under the same name. */
const settingsOf = (statementLimitMs: number): string[] => [
  ...CANONICAL_SETTINGS, 'SET row_security = off', `SET statement_timeout = ${statementLimitMs}`, `SET lock_timeout = ${LOCK_LIMIT_MS}`, NO_LIMITS, 'SET max_parallel_workers_per_gather = 0',
  'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
]

/** Holds one instant open while the work lasts. An abort ends the connection. */
export async function withReadSnapshot<T>(target: Target, options: ReadSnapshotOptions, work: (snapshot: ReadSnapshot) => Promise<T>): Promise<T> {
  const {applicationName, database, signal} = options
  signal.throwIfAborted()
  const client = await connect(target, {applicationName, ...(database !== undefined && {database})})
  const end = () => { void endQuietly(client) }
  signal.addEventListener('abort', end, {once: true})
  try {
    return await work(await exportSnapshot(client, options))
  } catch (error) {
    signal.throwIfAborted()
    throw statementError(error, 'Reading the database')
  } finally {
    signal.removeEventListener('abort', end)
    await endQuietly(client)
  }
}

async function exportSnapshot(client: Client, {statementLimitMs}: ReadSnapshotOptions): Promise<ReadSnapshot> {
  const settings = settingsOf(statementLimitMs)
  for (const setting of settings) await client.query(setting)
  const {id, at, current} = await rowOf<{id: string; at: string; current: string}>(client, `
    SELECT pg_export_snapshot() AS id, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, pg_current_snapshot()::text AS current`)
  return {client, at, current, settings: [...settings, `SET TRANSACTION SNAPSHOT '${id}'`]}
}

/**
 * Does the work inside a savepoint and takes it back, so that no lock outlives it. Resolves to undefined when the table was
 * truncated, rewritten or dropped after the instant: what was read then is not what was there. After a failure the connection
 * is as the work left it: `forget` brings it back to the instant, where no answer is still on its way.
 */
export async function readingTable<T>(client: Client, oid: number, work: () => Promise<T>): Promise<T | undefined> {
  await client.query('SAVEPOINT reading')
  const value = await work()
  const same = await isAsItWas(client, oid)
  await forget(client)
  return same ? value : undefined
}

export async function forget(client: Client): Promise<void> {
  await client.query('ROLLBACK TO SAVEPOINT reading; RELEASE SAVEPOINT reading')
}

/** The catalog shows the instant; the functions show now, and the lock of the work keeps now from changing. Of a partitioned table, all of its partitions. */
async function isAsItWas(client: Client, oid: number): Promise<boolean> {
  const {same} = await rowOf<{same: boolean}>(client, `
    WITH RECURSIVE tree AS (
      SELECT $1::int8::oid AS oid
      UNION ALL SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON t.oid = i.inhparent JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p')
    SELECT count(*) FILTER (WHERE (c.relkind = 'r' AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode)
      OR (c.relispartition AND pg_partition_root(c.oid) IS DISTINCT FROM pg_partition_root($1::int8::oid))) = 0 AS same
    FROM tree JOIN pg_class c USING (oid)`, [oid])
  return same
}
