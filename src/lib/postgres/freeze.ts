import {setTimeout as wait} from 'node:timers/promises'
import {lockedError, verificationError} from '../errors.ts'
import {connect, endQuietly, rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'
import {quoteIdent, quoteLiteral} from './quote.ts'
import {endSessions, endSessionsSql, occupantNames, occupants} from './swap-sessions.ts'
import type {Target} from './target.ts'

/** A database whose writes are stopped by `default_transaction_read_only`. */
export interface FrozenDatabase {
  name: string
  /** What was set for the database itself before; null: nothing. */
  former: string | null
}

export interface FreezePlan {
  databases: FrozenDatabase[]
  /** Read-only already; they stay so. */
  already: string[]
  /** Databases of others: they take writes still. */
  notOurs: string[]
  /** Roles with a setting of their own, which goes before that of the database. */
  exempt: string[]
}

export interface Freeze {
  /** The server's clock; ISO. */
  at: string
  lsn: string
  /** Of the last commit, where the server keeps count of it (`track_commit_timestamp`); ISO. */
  lastCommit?: string
  ended: number
}

const SETTING = 'default_transaction_read_only'
const PATIENCE_MS = 15_000
const LOOK_MS = 100
/** Of the service's own; no role of a customer may end its sessions. */
const SERVICE_ROLE = 'rdsadmin'

/** Our own sessions are read-only too while writes are stopped, unless they say this. */
async function connectWriting(target: Target, applicationName: string): Promise<Client> {
  const client = await connect(target, {applicationName})
  await client.query(`SET ${SETTING} = off`)
  return client
}

async function writing<T>(target: Target, applicationName: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connectWriting(target, applicationName)
  try {
    return await work(client)
  } finally {
    await endQuietly(client)
  }
}

/** The databases that take writes, with what is set of them now. Those that are read-only already are left alone. */
export async function planFreeze(client: Client): Promise<FreezePlan> {
  const rows = await rowsOf<FrozenDatabase & {owned: boolean}>(client, `
    SELECT d.datname AS name, pg_has_role(current_user, d.datdba, 'USAGE') AS owned, split_part(c.setting, '=', 2) AS former
    FROM pg_database d LEFT JOIN LATERAL (SELECT setting FROM pg_db_role_setting s, unnest(s.setconfig) setting WHERE s.setdatabase = d.oid AND s.setrole = 0 AND starts_with(setting, '${SETTING}=')) c ON true
    WHERE d.datallowconn AND NOT d.datistemplate AND d.datname <> '${SERVICE_ROLE}' ORDER BY 1`)
  const open = rows.filter(({former}) => former !== 'on')
  const exempt = await rowsOf<{role: string}>(client, `SELECT DISTINCT pg_get_userbyid(s.setrole) AS role FROM pg_db_role_setting s, unnest(s.setconfig) setting WHERE s.setrole <> 0 AND setting = '${SETTING}=off' ORDER BY 1`)
  return {databases: open.filter(({owned}) => owned).map(({name, former}) => ({name, former: former === '' ? null : former})), already: rows.filter(({former}) => former === 'on').map(({name}) => name), notOurs: open.filter(({owned}) => !owned).map(({name}) => name), exempt: exempt.map(({role}) => role)}
}

export const freezeSql = (databases: readonly FrozenDatabase[]): string[] =>
  databases.length === 0 ? [] : [...databases.map(({name}) => `ALTER DATABASE ${quoteIdent(name)} SET ${SETTING} = on`), endSessionsSql(databases.map(({name}) => name))]

const alterations = (databases: readonly FrozenDatabase[]): string[] => databases.map(({name, former}) => `ALTER DATABASE ${quoteIdent(name)} ${former === null ? `RESET ${SETTING}` : `SET ${SETTING} = ${quoteLiteral(former)}`}`)

/** For people, one line each, to be pasted into a session of whatever database: that one may be read-only itself. */
export const unfreezeSql = (databases: readonly FrozenDatabase[]): string[] => alterations(databases).map((sql) => `BEGIN READ WRITE; ${sql}; COMMIT;`)

/**
 * Makes new sessions in these databases read-only and ends those that are there. Nobody is locked out: a session that must
 * write says `SET default_transaction_read_only = off`. Repeatable. Throws `pitr.not-frozen` (exit 6) when sessions stay.
 */
export async function freeze(target: Target, databases: readonly FrozenDatabase[], {applicationName, signal}: {applicationName: string; signal: AbortSignal}): Promise<Freeze> {
  return writing(target, applicationName, async (client) => {
    const names = databases.map(({name}) => name)
    for (const {name} of databases) await client.query(`ALTER DATABASE ${quoteIdent(name)} SET ${SETTING} = on`)
    const {since} = await rowOf<{since: string}>(client, 'SELECT clock_timestamp()::text AS since')
    const ended = await endOlder(client, names, since, signal)
    const {at, lsn} = await rowOf<{at: Date; lsn: string}>(client, 'SELECT clock_timestamp() AS at, pg_current_wal_lsn()::text AS lsn')
    const lastCommit = await lastCommitOf(client)
    return {at: at.toISOString(), lsn, ended, ...(lastCommit !== undefined && {lastCommit})}
  })
}

/** Puts back what was set before, and ends the sessions that began while nothing could be written: they would stay so. */
export async function unfreeze(target: Target, databases: readonly FrozenDatabase[], {applicationName}: {applicationName: string}): Promise<void> {
  if (databases.length === 0) return
  await writing(target, applicationName, async (client) => {
    for (const sql of alterations(databases)) {
      await client.query(sql).catch((error: unknown) => {
        // Dropped meanwhile.
        if (codeOf(error) !== '3D000') throw error
      })
    }
    await endSessions(client, databases.map(({name}) => name))
  })
}

/**
 * Writes what is gone at the end of the transaction, in a session like those of clients. Throws `pitr.not-writable` (exit 4)
 * when it is read-only; that this role may make no table is no matter.
 */
export async function assertWrites(target: Target): Promise<void> {
  const client = await connect(target, {applicationName: 'dr pitr'})
  try {
    await client.query('BEGIN')
    await client.query('CREATE TEMPORARY TABLE dr_write_probe () ON COMMIT DROP')
  } catch (error) {
    if (codeOf(error) === '25006') throw notWritable(target, error)
    if (codeOf(error) !== '42501') throw error
  } finally {
    await client.query('ROLLBACK').catch(() => {})
    await endQuietly(client)
  }
}

/** `pitr.not-writable`, exit 4. */
export const notWritable = (target: Target, cause?: unknown) =>
  verificationError('pitr.not-writable', `${target.database} at ${target.host}:${target.port} takes no writes: new sessions are read-only.`, {cause, hints: unfreezeSql([{name: target.database, former: null}]).map((sql) => `If nobody means it to be: ${sql}`)})

/** Whether this session began as one that writes nothing, by whatever setting. */
export async function isReadOnly(client: Client): Promise<boolean> {
  return (await rowOf<{on: boolean}>(client, `SELECT reset_val = 'on' AS on FROM pg_settings WHERE name = '${SETTING}'`)).on
}

/** Databases that are read-only by a setting of their own. */
export async function frozenDatabases(client: Client): Promise<string[]> {
  const rows = await rowsOf<{name: string}>(client, `SELECT d.datname AS name FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) setting WHERE s.setrole = 0 AND setting = '${SETTING}=on' ORDER BY 1`)
  return rows.map(({name}) => name)
}

/** Ends sessions that began before `since`; newer ones cannot write. */
async function endOlder(client: Client, names: readonly string[], since: string, signal: AbortSignal): Promise<number> {
  const ended = new Set<number>()
  for (const deadline = performance.now() + PATIENCE_MS; ;) {
    signal.throwIfAborted()
    const older = new Set((await rowsOf<{pid: number}>(client, "SELECT pid FROM pg_stat_activity WHERE datname = ANY ($1::text[]) AND backend_start < $2::timestamptz AND backend_type = 'client backend' AND pid <> pg_backend_pid()", [names, since])).map(({pid}) => pid))
    if (older.size === 0) return ended.size
    const {told} = await endSessions(client, names)
    for (const pid of told) ended.add(pid)
    const left = (await occupants(client, names)).filter(({pid, mayEnd, user}) => older.has(pid) && !mayEnd && user !== SERVICE_ROLE)
    if (left.length === 0 && told.length === 0) return ended.size
    if (performance.now() > deadline) throw lockedError('pitr.not-frozen', `Writes cannot be stopped: this role may not end ${occupantNames(left.length > 0 ? left : await occupants(client, names))}.`, {hints: ['Ask whoever runs that session to end it, then run the command again.', '--no-freeze goes on while others write: what they write is lost.']})
    await wait(LOOK_MS, undefined, {signal})
  }
}

async function lastCommitOf(client: Client): Promise<string | undefined> {
  const {on} = await rowOf<{on: boolean}>(client, "SELECT current_setting('track_commit_timestamp')::boolean AS on")
  if (!on) return undefined
  return (await rowsOf<{at: Date | null}>(client, 'SELECT timestamp AS at FROM pg_last_committed_xact()'))[0]?.at?.toISOString()
}
