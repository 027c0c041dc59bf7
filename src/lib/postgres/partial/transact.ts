import {setTimeout as wait} from 'node:timers/promises'
import {lockedError, unreachableError, type DrError} from '../../errors.ts'
import {endQuietly, rowsOf, type Client} from '../connection.ts'
import {codeOf, isConnectionLost, statementError} from '../errors.ts'
import {qualified, quoteLiteral} from '../quote.ts'
import type {TableName} from './contract.ts'
import {rightsError} from './guard.ts'
import {shownName} from './names.ts'
import {readSession, transactionSettings, type SessionFacts} from './session.ts'

export interface TransactOptions {
  /** About a fifth of the time for which the locks are tried for. */
  lockTimeoutMs: number
  /** Aborted before the COMMIT is sent: the connection is ended, and with it the transaction. */
  signal: AbortSignal
  /** Told why it is tried again. */
  onWaiting?: (why: string) => void
}

interface Work<T> {
  /** Locked against writers, in this order of their names. */
  tables: readonly TableName[]
  /** For the words of an error. */
  doing: string
  /** Its result, and whether the transaction is kept. */
  run: (session: SessionFacts) => Promise<{result: T; keep: boolean}>
}

/** Of `deadlock_timeout`: longer waits would let the server choose a client of the application to give up. A busy machine is some tenths of a second late: with 0.8 a client was chosen once. */
const SHARE = 0.5
const LONGEST = 5
const TRIES = 5
const PAUSE_MS = 150

/**
 * Runs the work in a REPEATABLE READ transaction under locks that let others read, and runs it again from the start when it
 * meets others. Its statements see what is there once the locks are held. Throws `partial.busy` (exit 6) naming who is in the
 * way, and `partial.commit-unknown` (exit 5) when the connection was lost while it committed.
 */
export async function transact<T>(client: Client, work: Work<T>, options: TransactOptions): Promise<T> {
  const session = await readSession(client).catch((error: unknown) => { throw statementError(error, work.doing) })
  const budgetMs = Math.max(1, Math.min(options.lockTimeoutMs, Math.floor(SHARE * session.deadlockTimeoutMs)))
  const tries = Math.max(TRIES, Math.ceil((LONGEST * options.lockTimeoutMs) / (budgetMs + PAUSE_MS)))
  for (let attempt = 1; ; attempt++) {
    options.signal.throwIfAborted()
    try {
      return await once(client, work, session, budgetMs, options.signal)
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined)
      options.signal.throwIfAborted()
      if (!isBusy(error)) throw statementError(rightsError(error), work.doing)
      if (attempt >= tries) throw await busyError(client, error, work)
      options.onWaiting?.(codeOf(error) === '40001' ? 'others changed the same rows' : 'others are writing into these tables')
      await wait(PAUSE_MS, undefined, {signal: options.signal}).catch(() => undefined)
    }
  }
}

/** Locks not granted in time, whatever the server calls it; and what is to be begun anew. */
const isBusy = (error: unknown): boolean => ['40001', '40P01', '55P03'].includes(codeOf(error) ?? '') || error instanceof LockCancelled

class LockCancelled extends Error {}

async function once<T>(client: Client, {tables, run, doing}: Work<T>, session: SessionFacts, budgetMs: number, signal: AbortSignal): Promise<T> {
  const abort = () => void endQuietly(client)
  signal.addEventListener('abort', abort, {once: true})
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE')
    for (const setting of transactionSettings(session)) await client.query(setting)
    await lockTables(client, tables, budgetMs)
    await client.query('SET CONSTRAINTS ALL IMMEDIATE')
    const {result, keep} = await run(session)
    signal.throwIfAborted()
    signal.removeEventListener('abort', abort)
    await (keep ? commit(client, doing) : client.query('ROLLBACK'))
    return result
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function commit(client: Client, doing: string): Promise<void> {
  try {
    await client.query('COMMIT')
  } catch (error) {
    if (!isConnectionLost(error)) throw error
    throw unreachableError('partial.commit-unknown', `${doing}: the connection was lost while it committed; it is not known whether it did.`, {cause: error, hints: ['dr resume looks it up: the schema of the undo tables is there when it did.']})
  }
}

/** All of them within the limit: while one is waited for, those that are held already keep others waiting. */
async function lockTables(client: Client, tables: readonly TableName[], budgetMs: number): Promise<void> {
  if (tables.length === 0) return
  const names = tables.toSorted((a, b) => (shownName(a) < shownName(b) ? -1 : 1)).map(qualified)
  await client.query(`SET LOCAL lock_timeout = ${budgetMs}`)
  await client.query(`SET LOCAL statement_timeout = ${budgetMs}`)
  try {
    await client.query(`LOCK TABLE ${names.join(', ')} IN SHARE ROW EXCLUSIVE MODE`)
  } catch (error) {
    throw codeOf(error) === '57014' ? new LockCancelled('The locks were not granted in time.', {cause: error}) : error
  }
  await client.query('SET LOCAL statement_timeout = 0')
}

async function busyError(client: Client, error: unknown, {tables, doing}: {tables: readonly TableName[]; doing: string}): Promise<DrError> {
  const holders = await rowsOf<{pid: number; application: string; name: string; since: string}>(client, `
    SELECT DISTINCT a.pid, a.application_name AS application, n.nspname || '.' || c.relname AS name, to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE l.granted AND l.pid <> pg_backend_pid() AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND n.nspname || '.' || c.relname IN (${tables.map((table) => quoteLiteral(shownName(table))).join(', ') || 'NULL'}) ORDER BY 4 LIMIT 3`).catch(() => [])
  const who = holders.map((one) => `: ${one.name} by ${one.application === '' ? '' : `${one.application}, `}process ${one.pid} of the server, in a transaction since ${one.since}`).join('')
  return lockedError('partial.busy', `${doing}: others keep writing into the same tables${who}. Nothing was changed.`, {cause: error, hints: ['Run it again when they are done.']})
}
