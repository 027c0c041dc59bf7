import {setTimeout as wait} from 'node:timers/promises'
import {connect, endQuietly, rowsOf, type Client} from './connection.ts'
import type {Target} from './target.ts'

/** A session that waits for a lock of ours. */
export interface BlockedSession {
  pid: number
  application: string
  query: string
  waitedMs: number
}

/** One COPY of a tool that runs for us. */
export interface CopyInFlight {
  schema: string
  table: string
  oid: number
  rows: number
  bytes: number
}

/** One CREATE INDEX of a tool that runs for us. Its own name is not visible to others yet. */
export interface IndexInFlight {
  schema: string
  table: string
  phase: string
  /** Of the phase, from 0 to 1. */
  share: number
}

export interface MonitorOptions {
  /** Sessions with this application_name are ours. */
  applicationName: string
  /** The database where the work happens, when it is not the target's own. */
  database?: string
  /** How long another session may wait for one of ours; without it nobody is watched. */
  blockedLimitMs?: number
  onBlocked?: (session: BlockedSession) => void
  onCopies?: (copies: readonly CopyInFlight[]) => void
  onIndexes?: (indexes: readonly IndexInFlight[]) => void
}

export interface Monitor {
  /** Ends the server side of our tools at once, instead of when they next write to a closed connection. */
  endSessions(): Promise<void>
  stop(): Promise<void>
}

const LOCKS_EVERY_MS = 100
const COPIES_EVERY_MS = 500

/** Watches, over a connection of its own, whom we block and how far the COPYs are. */
export async function startMonitor(target: Target, options: MonitorOptions): Promise<Monitor> {
  const client = await connect(target, {applicationName: `${options.applicationName} monitor`, ...(options.database !== undefined && {database: options.database})})
  await client.query("SET statement_timeout = '5s'; SET lock_timeout = '1s'")
  const stopping = new AbortController()
  const running = watch(client, options, stopping.signal)
  return {
    async endSessions() {
      await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()', [options.applicationName]).catch(() => {})
    },
    async stop() {
      stopping.abort()
      await running
      await endQuietly(client)
    },
  }
}

/** A watcher that fails must not fail the work: it tries again, and the work's own connections tell when the server is gone. */
async function watch(client: Client, options: MonitorOptions, signal: AbortSignal): Promise<void> {
  const since = new Map<number, number>()
  let copiesAt = 0
  while (!signal.aborted) {
    try {
      if (options.onBlocked) await watchLocks(client, options, since)
      if (performance.now() - copiesAt >= COPIES_EVERY_MS) {
        copiesAt = performance.now()
        if (options.onCopies) options.onCopies(await copiesOf(client, options.applicationName))
        if (options.onIndexes) options.onIndexes(await indexesOf(client, options.applicationName))
      }
    } catch {
      since.clear()
    }
    await wait(options.onBlocked ? LOCKS_EVERY_MS : COPIES_EVERY_MS, undefined, {signal}).catch(() => {})
  }
}

async function watchLocks(client: Client, options: MonitorOptions, since: Map<number, number>): Promise<void> {
  const blocked = await rowsOf<{pid: number; application: string; query: string}>(client, `
    WITH waiting AS MATERIALIZED (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IS NOT NULL),
    blockers AS MATERIALIZED (SELECT pid, pg_blocking_pids(pid) AS by FROM waiting)
    SELECT w.pid, coalesce(a.application_name, '') AS application, coalesce(left(a.query, 200), '') AS query
    FROM blockers w JOIN pg_stat_activity a ON a.pid = w.pid
    WHERE a.application_name <> $1 AND EXISTS (SELECT FROM pg_stat_activity o WHERE o.application_name = $1 AND o.pid = ANY (w.by))`, [options.applicationName])
  const now = performance.now()
  for (const pid of since.keys()) if (!blocked.some((session) => session.pid === pid)) since.delete(pid)
  for (const session of blocked) {
    const first = since.get(session.pid) ?? now
    since.set(session.pid, first)
    if (now - first >= (options.blockedLimitMs ?? Infinity)) options.onBlocked?.({...session, waitedMs: Math.round(now - first)})
  }
}

async function copiesOf(client: Client, applicationName: string): Promise<CopyInFlight[]> {
  const rows = await rowsOf<{schema: string; table: string; oid: number; rows: string; bytes: string}>(client, `
    SELECT n.nspname AS schema, c.relname AS table, c.oid::int8::float8 AS oid, p.tuples_processed::text AS rows, p.bytes_processed::text AS bytes
    FROM pg_stat_progress_copy p JOIN pg_stat_activity a ON a.pid = p.pid AND a.application_name = $1
    JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.datname = current_database() ORDER BY p.pid`, [applicationName])
  return rows.map(({schema, table, oid, rows: done, bytes}) => ({schema, table, oid, rows: Number(done), bytes: Number(bytes)}))
}

async function indexesOf(client: Client, applicationName: string): Promise<IndexInFlight[]> {
  return rowsOf<IndexInFlight>(client, `
    SELECT n.nspname AS schema, c.relname AS table, p.phase,
      coalesce(CASE WHEN p.tuples_total > 0 THEN p.tuples_done::float8 / p.tuples_total ELSE p.blocks_done::float8 / nullif(p.blocks_total, 0) END, 0) AS share
    FROM pg_stat_progress_create_index p JOIN pg_stat_activity a ON a.pid = p.pid AND a.application_name = $1
    JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.datname = current_database() ORDER BY p.pid`, [applicationName])
}
