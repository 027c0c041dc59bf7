import {readFileSync} from 'node:fs'
import type {Duplex} from 'node:stream'
import {setTimeout as wait} from 'node:timers/promises'
import pg from 'pg'
import {messageOf, preflightError} from '../errors.ts'
import {connectError} from './errors.ts'
import {parseTarget, passwordOf, type Target} from './target.ts'

export type Client = pg.Client

export interface ConnectOptions {
  /** Instead of the target's own. */
  database?: string
  /** Shown in pg_stat_activity; our own sessions are found by it. */
  applicationName?: string
  timeoutMs?: number
  /** How long the answer to a query may take; the connection is of no use afterwards. */
  queryTimeoutMs?: number
  /** As libpq's `options`: `-c name=value`. */
  startupOptions?: string
  /** Where the operator has named the target, for the hints; else `DATABASE_URL`. */
  namedBy?: string
}

const CONNECT_TIMEOUT_MS = 10_000
const END_LIMIT_MS = 3000
/** A peer that vanished is noticed after this and the system's own probes, not after two hours. */
export const KEEPALIVE_IDLE_MS = 30_000

/** Opens one connection. The caller ends it. */
export async function connect(target: Target | string, options: ConnectOptions = {}): Promise<Client> {
  const resolved = typeof target === 'string' ? parseTarget(target) : target
  const database = options.database ?? resolved.database
  try {
    if (resolved.ssl.mode === 'prefer' && !isLocal(resolved)) return await preferSsl(resolved, options)
    return await open(resolved, options, sslOptions(resolved))
  } catch (error) {
    throw connectError(error, resolved, database, options.namedBy)
  }
}

/** Opens a connection, works with it, and ends it. */
export async function withClient<T>(target: Target | string, options: ConnectOptions, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(target, options)
  try {
    return await work(client)
  } finally {
    await endQuietly(client)
  }
}

/** Ending a connection that is already broken is no news; one whose network is dead is cut off after three seconds. */
export async function endQuietly(client: Client): Promise<void> {
  if (!(await within(END_LIMIT_MS, client.end()))) streamOf(client)?.destroy()
}

/** From 14 on the server ends the statement of a session whose client has gone, with its locks: not when it is done at last. */
export async function endWithClient(client: Client): Promise<void> {
  await client.query("SELECT pg_catalog.set_config('client_connection_check_interval', '1s', false) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'client_connection_check_interval'")
}

/** Whether the work ended within the limit. It is not ended by the limit, and its failure is no news. */
export async function within(limitMs: number, work: Promise<unknown>): Promise<boolean> {
  const done = new AbortController()
  try {
    return await Promise.race([work.then(() => true, () => true), wait(limitMs, false, {signal: done.signal}).catch(() => false)])
  } finally {
    done.abort()
  }
}

const streamOf = (client: Client): Duplex | undefined => (client as unknown as {connection?: {stream?: Duplex}}).connection?.stream

/** The rows of one query; `values` are sent apart from the text. */
export async function rowsOf<R extends object>(client: Client, sql: string, values: readonly unknown[] = []): Promise<R[]> {
  return (await client.query<R>(sql, [...values])).rows
}

export async function rowOf<R extends object>(client: Client, sql: string, values: readonly unknown[] = []): Promise<R> {
  const [row] = await rowsOf<R>(client, sql, values)
  if (row === undefined) throw new Error(`No row came back for: ${sql}`)
  return row
}

/** As libpq does: try TLS, and go on without when the server has none. */
async function preferSsl(target: Target, options: ConnectOptions): Promise<Client> {
  try {
    return await open(target, options, {rejectUnauthorized: false})
  } catch (error) {
    if (!/does not support SSL/.test(messageOf(error))) throw error
    return open(target, options, false)
  }
}

async function open(target: Target, options: ConnectOptions, ssl: pg.ClientConfig['ssl']): Promise<Client> {
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    user: target.user,
    password: passwordOf(target),
    database: options.database ?? target.database,
    ssl: ssl ?? false,
    application_name: options.applicationName ?? 'dr',
    connectionTimeoutMillis: options.timeoutMs ?? CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_IDLE_MS,
    ...(options.queryTimeoutMs !== undefined && {query_timeout: options.queryTimeoutMs}),
    ...(options.startupOptions !== undefined && {options: options.startupOptions}),
  })
  client.on('error', () => {
    // Reported by the query that is running, or by the next one.
  })
  await client.connect()
  return client
}

const isLocal = (target: Target) => target.host.startsWith('/') || /^(localhost|127\.|::1$)/.test(target.host)

function sslOptions({ssl, host}: Target): pg.ClientConfig['ssl'] {
  if (ssl.mode === 'disable' || ssl.mode === 'allow' || ssl.mode === 'prefer') return false
  const ca = ssl.rootCert === undefined || ssl.rootCert === 'system' ? undefined : readRootCert(ssl.rootCert)
  // libpq: `require` with a root certificate means verify-ca, without one it verifies nothing.
  if (ssl.mode === 'require' && ca === undefined) return {rejectUnauthorized: false}
  return {rejectUnauthorized: true, servername: host, ...(ca !== undefined && {ca}), ...(ssl.mode !== 'verify-full' && {checkServerIdentity: () => undefined})}
}

function readRootCert(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw preflightError('database.sslrootcert', `The root certificate ${path} cannot be read.`, {cause: error, hints: ['Check sslrootcert in DATABASE_URL.']})
  }
}
