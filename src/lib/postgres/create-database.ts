import {createHash} from 'node:crypto'
import {lockedError} from '../errors.ts'
import {rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'
import {quoteIdent, quoteLiteral} from './quote.ts'

/** Any number will do, as long as every `dr` uses the same; the second half of the lock is the run. */
const RESTORE_LOCK = 7_266_002
const PROVISIONAL = 'dr_unfinished_'
const MARK = /^dr restore (\S+) of (\S+), unfinished$/
const NAME_BYTES = 63

export interface Collation {
  /** `libc`, `icu` or `builtin`. */
  provider: string
  collate: string
  ctype: string
  locale?: string | undefined
}

export interface NewDatabase {
  name: string
  encoding: string
  collation: Collation
  /** Else whoever makes it. */
  owner?: string | undefined
}

/** Who makes a database, and from what: stands in the database's comment until it is finished. */
export interface RestoreMark {
  run: string
  label: string
}

export function createDatabaseSql({name, encoding, collation, owner}: NewDatabase, serverMajor: number): string {
  const {provider, collate, ctype, locale} = collation
  const special = provider === 'icu' ? ` LOCALE_PROVIDER icu ICU_LOCALE ${quoteLiteral(locale ?? 'und')}` : provider === 'builtin' ? ` LOCALE_PROVIDER builtin BUILTIN_LOCALE ${quoteLiteral(locale ?? 'C')}` : serverMajor >= 15 ? ' LOCALE_PROVIDER libc' : ''
  return `CREATE DATABASE ${quoteIdent(name)}${owner === undefined ? '' : ` OWNER ${quoteIdent(owner)}`} TEMPLATE template0 ENCODING ${quoteLiteral(encoding)} LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}${special}`
}

export const dropDatabaseSql = (name: string): string => `DROP DATABASE IF EXISTS ${quoteIdent(name)} WITH (FORCE)`
export const commentSql = (name: string, text: string | undefined): string => `COMMENT ON DATABASE ${quoteIdent(name)} IS ${text === undefined ? 'NULL' : quoteLiteral(text)}`
export const markText = ({run, label}: RestoreMark): string => `dr restore ${run} of ${label}, unfinished`

/** `crm_restore_20261122020000`. */
export const restoreName = (database: string, at: Date): string => timedName(database, 'restore', at)

/** What every name that `restoreName` makes of this database begins with. */
export const restoreNamePrefix = (database: string): string => timedNamePrefix(database, 'restore')

/** `crm_before_20261122020000`; a long name of a database is cut, never the time. */
export const timedName = (database: string, word: string, at: Date): string => `${timedNamePrefix(database, word)}${at.toISOString().replaceAll(/\D/g, '').slice(0, 14)}`

/** What every name that `timedName` makes with this word begins with. */
export const timedNamePrefix = (database: string, word: string): string => `${cutToBytes(database, NAME_BYTES - word.length - 16)}_${word}_`

/** `crm_stage_20261122t020000z_7f3a1b`: a long name of a database is cut, never the run. */
export function stageDatabaseName(live: string, run: string): string {
  const end = `_stage_${run.toLowerCase().replaceAll(/[^a-z\d]+/g, '_')}`.slice(0, NAME_BYTES)
  return `${cutToBytes(live, NAME_BYTES - end.length)}${end}`
}

/** Why this cannot be the name of a database, or undefined. PostgreSQL would cut a longer one without a word. */
export function databaseNameTrouble(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (Buffer.byteLength(name) > NAME_BYTES) return `it is longer than ${NAME_BYTES} bytes`
  if (/\p{Cc}/u.test(name)) return 'it holds a control character'
  return undefined
}

function cutToBytes(text: string, bytes: number): string {
  let cut = text
  while (Buffer.byteLength(cut) > bytes) cut = Array.from(cut).slice(0, -1).join('')
  return cut
}

/** A run as the second half of an advisory lock: positive, 31 bits. */
export const runKey = (run: string): number => createHash('sha256').update(run).digest().readUInt32BE(0) >>> 1

/** Ends sessions of this name other than this one. */
export async function endOtherSessions(client: Client, applicationName: string): Promise<void> {
  await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()', [applicationName])
}

/** Held by the session as long as the run lives, so that another run knows that its database is not abandoned. */
export async function holdRunLock(client: Client, run: string): Promise<void> {
  const {held} = await rowOf<{held: boolean}>(client, `SELECT pg_try_advisory_lock(${RESTORE_LOCK}, ${runKey(run)}) AS held`)
  if (!held) throw lockedError('restore.running', `The run ${run} is still at work.`)
}

const provisionalName = ({run}: RestoreMark): string => `${PROVISIONAL}${runKey(run)}`

/** Of a database that only this run needs: whatever run comes next drops it when this one is killed. */
export const scratchName = (run: string): string => `${PROVISIONAL}${runKey(run)}_scratch`

/** By its number, which no other database of the server ever gets: undefined when it is gone. */
export async function databaseOf(client: Client, oid: number): Promise<string | undefined> {
  const [row] = await rowsOf<{name: string}>(client, 'SELECT datname AS name FROM pg_database WHERE oid = $1', [oid])
  return row?.name
}

/** Its number and its comment, which may be a mark: undefined when there is none of this name. */
export async function databaseNamed(client: Client, name: string): Promise<{oid: number; comment: string | null} | undefined> {
  const [row] = await rowsOf<{oid: string; comment: string | null}>(client, "SELECT oid::text, shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1", [name])
  return row && {oid: Number(row.oid), comment: row.comment}
}

/** Waits for sessions of this run that a dead process has left on the server, having told them to end. They hold its lock. */
export async function endDeadRun(client: Client, run: string, limitMs: number): Promise<void> {
  await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE (application_name = $1 OR starts_with(application_name, $1 || ' ')) AND pid <> pg_backend_pid()", [`dr restore ${run}`])
  await client.query(`SET lock_timeout = ${limitMs}`)
  await client.query(`SELECT pg_advisory_lock(${RESTORE_LOCK}, ${runKey(run)})`)
  await client.query(`SELECT pg_advisory_unlock(${RESTORE_LOCK}, ${runKey(run)})`)
}

/**
 * Makes the database and marks it as unfinished. It gets its name last: a process that is killed at any statement leaves a
 * database that the next run knows as abandoned.
 */
export async function createMarkedDatabase(client: Client, database: NewDatabase, mark: RestoreMark, serverMajor: number): Promise<void> {
  const provisional = provisionalName(mark)
  try {
    await client.query(createDatabaseSql({...database, name: provisional}, serverMajor))
    await client.query(commentSql(provisional, markText(mark)))
    await client.query(`ALTER DATABASE ${quoteIdent(provisional)} RENAME TO ${quoteIdent(database.name)}`)
  } catch (error) {
    await client.query(dropDatabaseSql(provisional)).catch(() => {})
    throw error
  }
}

export interface AbandonedDatabase {
  name: string
  /** What was restored into it. */
  label: string | undefined
  /** That made it; undefined of one that has not got its name yet. */
  run: string | undefined
}

/**
 * Databases that killed restores have left: marked as unfinished, the lock of their run free, and their name one that
 * `isOurs` knows (or a provisional one). Nothing else is ever named here.
 *
 * A run holds its lock from before its database is there until after the mark is gone. So one that is marked, then unlocked,
 * then still marked belongs to a dead run; in another order a run that begins or ends meanwhile would look dead. The lock
 * is lost with one connection, so nobody may be at work in the database either, and no other session of that run be there.
 */
export async function abandonedDatabases(client: Client, isOurs: (name: string) => boolean): Promise<AbandonedDatabase[]> {
  const before = (await markedDatabases(client)).filter(({name}) => isOurs(name) || name.startsWith(PROVISIONAL))
  const {held, atWork, databases} = await runsAtWork(client)
  const free = before.filter(({name, key}) => !atWork.has(key) && !databases.has(name) && !held.has(key))
  if (free.length === 0) return []
  const after = await markedDatabases(client)
  return free.filter(({name, key}) => after.some((still) => still.name === name && still.key === key)).map(({name, label, run}) => ({name, label, run}))
}

/** Whether the lock of a run is held, or a session of it is there, in whatever database of the server. */
export async function runIsAtWork(client: Client, key: number): Promise<boolean> {
  const {held, atWork} = await runsAtWork(client)
  return held.has(key) || atWork.has(key)
}

/** By `runKey`; and the databases that somebody else is in. */
async function runsAtWork(client: Client): Promise<{held: Set<number>; atWork: Set<number>; databases: Set<string | null>}> {
  const held = await rowsOf<{key: string}>(client, `SELECT objid::int8::text AS key FROM pg_locks WHERE locktype = 'advisory' AND classid = ${RESTORE_LOCK} AND objsubid = 2`)
  const sessions = await rowsOf<{database: string | null; application: string | null}>(client, "SELECT datname AS database, application_name AS application FROM pg_stat_activity WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid()")
  const atWork = new Set(sessions.flatMap(({application}) => /^dr restore (\S+)/.exec(application ?? '')?.[1] ?? []).map(runKey))
  return {held: new Set(held.map(({key}) => Number(key))), atWork, databases: new Set(sessions.map(({database}) => database))}
}

async function markedDatabases(client: Client): Promise<(AbandonedDatabase & {key: number})[]> {
  const rows = await rowsOf<{name: string; comment: string | null}>(client, `
    SELECT datname AS name, shobj_description(oid, 'pg_database') AS comment FROM pg_database
    WHERE NOT datistemplate AND (starts_with(datname, '${PROVISIONAL}') OR shobj_description(oid, 'pg_database') LIKE 'dr restore %, unfinished') ORDER BY 1`)
  return rows.flatMap(({name, comment}): (AbandonedDatabase & {key: number})[] => {
    const [, run, label] = MARK.exec(comment ?? '') ?? []
    const provisional = new RegExp(`^${PROVISIONAL}(\\d+)$`).exec(name)?.[1]
    if (provisional !== undefined) return [{name, label, run: undefined, key: Number(provisional)}]
    return run === undefined ? [] : [{name, label, run, key: runKey(run)}]
  })
}

/**
 * Drops a database that a run of ours made, and nothing that has lost the mark since; also one that has not got its name yet.
 * Only for who holds the lock of the run.
 */
export async function dropMarkedDatabase(client: Client, name: string, mark: RestoreMark): Promise<boolean> {
  await client.query(dropDatabaseSql(provisionalName(mark)))
  const [row] = await rowsOf<{comment: string | null}>(client, "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1", [name])
  if (row?.comment !== markText(mark)) return false
  await client.query(dropDatabaseSql(name))
  return true
}

/** Whether the server knows this locale: tried by deed, because the names that catalogs list are not all that work. */
export async function knowsCollation(client: Client, {provider, collate, ctype, locale}: Collation, serverMajor: number): Promise<boolean> {
  if (provider === 'libc' && [collate, ctype].every((name) => name === 'C' || name === 'POSIX')) return true
  if ((provider === 'icu' && serverMajor < 15) || (provider === 'builtin' && serverMajor < 17)) return false
  const definition = provider === 'libc' ? `PROVIDER = libc, LC_COLLATE = ${quoteLiteral(collate)}, LC_CTYPE = ${quoteLiteral(ctype)}` : `PROVIDER = ${provider}, LOCALE = ${quoteLiteral(locale ?? 'und')}`
  await client.query('BEGIN')
  try {
    await client.query(`CREATE COLLATION pg_temp.dr_probe (${definition})`)
    return true
  } catch (error) {
    // Who may make no temporary objects here can still be allowed to create the database.
    return codeOf(error) === '42501'
  } finally {
    await client.query('ROLLBACK')
  }
}
