import {lockedError, preflightError, unreachableError} from '../errors.ts'
import {connect, endQuietly, rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf, statementError} from './errors.ts'
import {readTimeline} from './instance-marker.ts'
import {qualified} from './quote.ts'
import {LISTED, listTables, schemaPattern, type TableRef, type TableScope} from './tables.ts'
import type {Target} from './target.ts'

/** The instant that a backup shows, as the server names it. */
export interface Snapshot {
  /** For `pg_dump --snapshot`; valid while the leader's transaction is open. */
  id: string
  at: string
  lsn: string
  /** Absent where it could not be asked for. */
  timeline?: number
  /** `pg_current_snapshot()`: a row whose xmin it does not hold is newer than the backup. */
  current: string
}

export interface LeaderOptions extends TableScope {
  applicationName: string
  lockTimeoutMs: number
  /** Prisma's advisory lock; taken in shared mode, so that a migration fails by its own limit instead of queueing the application behind us. */
  migrationLock?: number
  signal?: AbortSignal
  /** Tests put changes of others between any two statements. */
  beforeStatement?: (statement: string) => Promise<void>
}

/** The connection whose transaction holds the locks and the snapshot of one backup. */
export interface Leader {
  readonly client: Client
  readonly snapshot: Snapshot
  readonly tables: readonly TableRef[]
  /** Throws unless the transaction that exported the snapshot is still open: then nothing could change behind the dump. */
  assertAlive(): Promise<void>
  end(): Promise<void>
}

const SETTINGS = (lockTimeoutMs: number, major: number) => [
  'SET row_security = off', 'SET statement_timeout = 0', 'SET idle_in_transaction_session_timeout = 0', `SET lock_timeout = ${lockTimeoutMs}`,
  ...(major >= 14 ? ['SET idle_session_timeout = 0'] : []), ...(major >= 17 ? ['SET transaction_timeout = 0'] : []),
  ...CANONICAL_SETTINGS,
]

/** Text that does not depend on `ALTER DATABASE … SET`, written or read: needed wherever values are compared as text. */
export const CANONICAL_SETTINGS: readonly string[] = [
  "SET DateStyle = 'ISO, YMD'", "SET TimeZone = 'UTC'", 'SET extra_float_digits = 1', "SET IntervalStyle = 'postgres'", "SET bytea_output = 'hex'",
  'SET quote_all_identifiers = off', "SET lc_monetary = 'C'", "SET search_path = 'pg_catalog'", 'SET jit = off', 'SET standard_conforming_strings = on', 'SET array_nulls = on',
]
/** Any number will do, as long as every `dr` uses the same: one backup of a database at a time. */
const BACKUP_LOCK = 7_266_001
const RESTARTS = 3
const KEEPALIVE_EVERY_MS = 60_000

/**
 * Opens the leader. The order keeps tables from being silently empty: locks before the snapshot, and a second list that
 * proves under the snapshot that nothing visible is unlocked. In REPEATABLE READ the first query takes the snapshot, LOCK does not.
 */
export async function openLeader(target: Target, options: LeaderOptions): Promise<Leader> {
  const client = await connect(target, {applicationName: options.applicationName})
  const abort = () => { void endQuietly(client) }
  options.signal?.addEventListener('abort', abort, {once: true})
  try {
    const major = Math.floor(Number((await rowOf<{v: string}>(client, "SELECT current_setting('server_version_num') AS v")).v) / 10_000)
    for (const setting of SETTINGS(options.lockTimeoutMs, major)) await client.query(setting)
    await takeRunLock(client)
    await takeMigrationLock(client, options)
    // Outside of the transaction: a provider that does not tell must not end it.
    const timeline = await readTimeline(client).catch(() => undefined)
    return await lockAndExport(client, {...options, ...(timeline !== undefined && {timeline})})
  } catch (error) {
    await endQuietly(client)
    options.signal?.throwIfAborted()
    throw statementError(error, 'Taking the snapshot')
  } finally {
    options.signal?.removeEventListener('abort', abort)
  }
}

type Exporting = LeaderOptions & Pick<Snapshot, 'timeline'>

async function lockAndExport(client: Client, options: Exporting): Promise<Leader> {
  for (let attempt = 1; ; attempt++) {
    const leader = await tryLockAndExport(client, options)
    if (leader !== undefined) return leader
    await client.query('ROLLBACK')
    if (attempt === RESTARTS) {
      throw lockedError('backup.schema-changing', 'Tables are created, dropped or renamed all the time: no quiet moment was found to lock them.', {hints: ['Wait until the migration is over, then run the command again.']})
    }
  }
}

async function tryLockAndExport(client: Client, options: Exporting): Promise<Leader | undefined> {
  const say = async (statement: string) => {
    await options.beforeStatement?.(statement)
    return client.query(statement)
  }
  await options.beforeStatement?.('list')
  const before = await listTables(client, options, {sizes: false})
  await say('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  try {
    if (before.length > 0) await say(`LOCK TABLE ${before.map((table) => `ONLY ${qualified(table)}`).join(', ')} IN ACCESS SHARE MODE`)
  } catch (error) {
    if (vanished(error)) return undefined
    throw await lockError(client, error, options)
  }
  await options.beforeStatement?.('snapshot')
  const {begun, ...exported} = await rowOf<Snapshot & {begun: string}>(client, `
    SELECT pg_export_snapshot() AS id, transaction_timestamp()::text AS begun, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, pg_current_snapshot()::text AS current,
      (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS lsn`)
  const snapshot: Snapshot = {...exported, ...(options.timeline !== undefined && {timeline: options.timeline})}
  await options.beforeStatement?.('list again')
  if (await somethingUnlocked(client, options)) return undefined
  const tables = await listTables(client, options, {sizes: true})
  const stop = keepAlive(client)
  const end = async () => {
    stop()
    await endQuietly(client)
  }
  return {client, snapshot, tables, assertAlive: () => assertAlive(client, snapshot, begun), end}
}

/** The leader idles while the dump runs on, and what stands between may cut an idle connection. One question at a time; the driver queues it. */
function keepAlive(client: Client): () => void {
  let asking = false
  const ask = async () => {
    if (asking) return
    asking = true
    await client.query('SELECT 1').catch(() => {})
    asking = false
  }
  const timer = setInterval(() => void ask(), KEEPALIVE_EVERY_MS).unref()
  return () => { clearInterval(timer) }
}

/** By oid, not by name: two tables that exchanged their names are both locked. */
async function somethingUnlocked(client: Client, scope: TableScope): Promise<boolean> {
  const unlocked = await rowsOf(client, `
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ${LISTED} AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = c.oid
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND l.mode = 'AccessShareLock' AND l.granted)
    LIMIT 1`, [scope.excludeSchemas.map(schemaPattern)])
  return unlocked.length > 0
}

async function takeRunLock(client: Client): Promise<void> {
  const {held} = await rowOf<{held: boolean}>(client, `SELECT pg_try_advisory_lock(${BACKUP_LOCK}, 1) AS held`)
  if (held) return
  const who = await rowsOf<Holder>(client, `
    SELECT a.pid, a.application_name AS application, '' AS table, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.classid = ${BACKUP_LOCK} AND l.objid = 1 AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
  throw lockedError('backup.running', `Another backup of this database is running${who.map(({pid, application, since}) => `: ${application}, process ${pid} of the server, since ${since}`).join('')}.`, {hints: ['Wait until it ends: dr list shows it then.']})
}

/** On the session and before BEGIN: a query inside the transaction would take the snapshot before the locks. */
async function takeMigrationLock(client: Client, {migrationLock, lockTimeoutMs}: LeaderOptions): Promise<void> {
  if (migrationLock === undefined) return
  try {
    await client.query('SELECT pg_advisory_lock_shared($1::bigint)', [migrationLock])
  } catch (error) {
    if (codeOf(error) !== '55P03') throw error
    throw lockedError('backup.migration-running', `A migration holds advisory lock ${migrationLock}; it did not end within ${lockTimeoutMs} ms.`, {
      hints: ['Wait until the migration is over, then run the command again.', 'database.migrationLock: null in dr.config.yaml takes no such lock.'],
    })
  }
}

interface Holder {
  pid: number
  application: string
  table: string
  since: string
}

/** Who keeps our tables from being locked: asked when the lock was refused, so a moment late. */
async function holders(client: Client): Promise<string> {
  await client.query('ROLLBACK')
  const found = await rowsOf<Holder>(client, `
    SELECT a.pid, a.application_name AS application, l.relation::regclass::text AS table, to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 3`)
  return found.map(({pid, application, table, since}) => `: ${table} by ${application === '' ? '' : `${application}, `}process ${pid} of the server, in a transaction since ${since}`).join('')
}

const vanished = (error: unknown) => ['42P01', '3F000', '42809'].includes(codeOf(error) ?? '')

async function lockError(client: Client, error: unknown, {lockTimeoutMs}: LeaderOptions): Promise<unknown> {
  if (codeOf(error) === '55P03') {
    return lockedError('backup.lock-timeout', `A table is locked by someone else for more than ${lockTimeoutMs} ms${await holders(client)}.`, {cause: error, hints: ['Wait until the migration is over, then run the command again.', 'backup.lockTimeout in dr.config.yaml changes the limit.']})
  }
  if (codeOf(error) === '42501') {
    return preflightError('backup.permission', `A table may not be read: ${(error as Error).message}.`, {cause: error, hints: ['Back up with the role that owns the tables.']})
  }
  return error
}

/** The functions below run in the transaction itself: had it ended, its begin would be another, and `pg_current_snapshot` where others wrote meanwhile. */
async function assertAlive(client: Client, snapshot: Snapshot, begun: string): Promise<void> {
  try {
    const now = await rowOf<{current: string; begun: string}>(client, 'SELECT pg_current_snapshot()::text AS current, transaction_timestamp()::text AS begun')
    if (now.current === snapshot.current && now.begun === begun) return
  } catch (error) {
    throw unreachableError('backup.snapshot-lost', 'The connection that held the snapshot was lost while the dump ran.', {cause: error, hints: ['Run the backup again; look for idle_in_transaction_session_timeout or an administrator ending sessions.']})
  }
  throw unreachableError('backup.snapshot-lost', 'The transaction that held the snapshot ended while the dump ran.', {hints: ['Connect to PostgreSQL directly, not through a pooler in transaction mode.']})
}
