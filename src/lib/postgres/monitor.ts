import {setTimeout as wait} from 'node:timers/promises'
import {connect, endQuietly, rowsOf, within, type Client} from './connection.ts'
import {codeOf, isConnectionLost} from './errors.ts'
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
  /** The connection was lost and no new one could be made: nobody is watched any more. Called once. */
  onLost?: (error: unknown) => void
}

export interface Monitor {
  /** Ends the server side of our tools at once, instead of when they next write to a closed connection. */
  endSessions(): Promise<void>
  stop(): Promise<void>
}

const LOCKS_EVERY_MS = 100
const COPIES_EVERY_MS = 500
const END_LIMIT_MS = 3000
const QUERY_LIMIT_MS = 15_000
/** Before each try for a new connection. */
const RECONNECT_AFTER_MS = [0, 500, 2000]

/** Watches, over a connection of its own, whom we block and how far the COPYs are. */
export async function startMonitor(target: Target, options: MonitorOptions): Promise<Monitor> {
  const open = () => openClient(target, options)
  const link: Link = {client: await open(), open}
  const stopping = new AbortController()
  const running = watch(link, options, stopping.signal)
  return {
    async endSessions() {
      await within(END_LIMIT_MS, endSessionsOf(link, options.applicationName))
    },
    async stop() {
      stopping.abort()
      await within(END_LIMIT_MS, running)
      await endQuietly(link.client)
    },
  }
}

/** The connection of the moment, and how to make a new one. */
interface Link {
  client: Client
  open: () => Promise<Client>
}

async function openClient(target: Target, {applicationName, database}: MonitorOptions): Promise<Client> {
  const client = await connect(target, {applicationName: `${applicationName} monitor`, queryTimeoutMs: QUERY_LIMIT_MS, ...(database !== undefined && {database})})
  try {
    await client.query("SET statement_timeout = '5s'; SET lock_timeout = '1s'; SET search_path = pg_catalog")
    return client
  } catch (error) {
    await endQuietly(client)
    throw error
  }
}

/** Over a connection of its own when the monitor's is broken. */
async function endSessionsOf(link: Link, applicationName: string): Promise<void> {
  const end = (client: Client) => client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()', [applicationName])
  try {
    await end(link.client)
  } catch {
    const client = await link.open()
    await end(client).finally(() => endQuietly(client))
  }
}

/** A watcher that fails must not fail the work: it tries again, over a new connection where needed; only when there is none it says so and ends. */
async function watch(link: Link, options: MonitorOptions, signal: AbortSignal): Promise<void> {
  const since = new Map<number, number>()
  const progress = progressOf(options)
  while (!signal.aborted) {
    try {
      await watchLocks(link.client, options, since).catch((error: unknown) => {
        since.clear()
        throw error
      })
      await progress(link.client)
    } catch (error) {
      if (isConnectionLost(error) && !(await reconnect(link, options, signal))) break
    }
    await wait(options.onBlocked ? LOCKS_EVERY_MS : COPIES_EVERY_MS, undefined, {signal}).catch(() => {})
  }
  await endQuietly(link.client)
}

/** Whether there is a connection again. */
async function reconnect(link: Link, options: MonitorOptions, signal: AbortSignal): Promise<boolean> {
  let failure: unknown
  await endQuietly(link.client)
  for (const pause of RECONNECT_AFTER_MS) {
    await wait(pause, undefined, {signal}).catch(() => {})
    if (signal.aborted) return false
    try {
      link.client = await link.open()
      return true
    } catch (error) {
      failure = error
    }
  }
  options.onLost?.(failure)
  return false
}

/** Asks for each kind of progress in turn; a view that this server does not have or show is not asked for again. */
function progressOf({applicationName, onCopies, onIndexes}: MonitorOptions): (client: Client) => Promise<void> {
  const questions = new Set<(client: Client) => Promise<void>>()
  if (onCopies) questions.add(async (client) => { onCopies(await copiesOf(client, applicationName)) })
  if (onIndexes) questions.add(async (client) => { onIndexes(await indexesOf(client, applicationName)) })
  let askedAt = 0
  return async (client) => {
    if (performance.now() - askedAt < COPIES_EVERY_MS) return
    askedAt = performance.now()
    for (const question of questions) {
      await question(client).catch((error: unknown) => {
        if (isConnectionLost(error)) throw error
        if (/^42/.test(codeOf(error) ?? '')) questions.delete(question)
      })
    }
  }
}

async function watchLocks(client: Client, options: MonitorOptions, since: Map<number, number>): Promise<void> {
  const {onBlocked} = options
  if (!onBlocked) return
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
    if (now - first >= (options.blockedLimitMs ?? Infinity)) onBlocked({...session, waitedMs: Math.round(now - first)})
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
