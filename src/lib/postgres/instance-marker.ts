import {rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'
import {qualified} from './quote.ts'

/** What tells the server that answers from one that it was copied from, or that was copied from it. */
export interface InstanceMarker {
  /** The same for a copy; absent where the role may not ask. */
  systemIdentifier?: string
  /** A recovery to an instant begins a new one. */
  timeline: number
  /** The next transaction, 64 bits: what was written since the instant of a copy has this one or a later one. */
  nextXid: string
  /** The oldest transaction that has not ended, 64 bits; where none is open, the next. */
  openXid: string
}

export async function readMarker(client: Client): Promise<InstanceMarker> {
  const row = await rowOf<{file: string; nextXid: string; openXid: string}>(client, `
    SELECT pg_walfile_name(pg_current_wal_lsn()) AS file, pg_snapshot_xmax(pg_current_snapshot())::text AS "nextXid", pg_snapshot_xmin(pg_current_snapshot())::text AS "openXid"`)
  const systemIdentifier = await readSystemIdentifier(client)
  return {...(systemIdentifier !== undefined && {systemIdentifier}), timeline: timelineOf(row.file), nextXid: row.nextXid, openXid: row.openXid}
}

/** Undefined where the role may not ask: that is looked up first, so that no transaction is broken off. */
export async function readSystemIdentifier(client: Client): Promise<string | undefined> {
  const {mayAsk} = await rowOf<{mayAsk: boolean}>(client, `SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS "mayAsk"`)
  return mayAsk ? (await rowOf<{identifier: string}>(client, 'SELECT system_identifier::text AS identifier FROM pg_control_system()')).identifier : undefined
}

/** That of a standby is the one of its last restart point; undefined where the role may not ask for that. */
export async function readTimeline(client: Client): Promise<number | undefined> {
  const {standby, mayAsk} = await rowOf<{standby: boolean; mayAsk: boolean}>(client, `SELECT pg_is_in_recovery() AS standby, has_function_privilege('pg_control_checkpoint()', 'EXECUTE') AS "mayAsk"`)
  if (!standby) return timelineOf((await rowOf<{file: string}>(client, 'SELECT pg_walfile_name(pg_current_wal_lsn()) AS file')).file)
  return mayAsk ? (await rowOf<{timeline: number}>(client, 'SELECT timeline_id AS timeline FROM pg_control_checkpoint()')).timeline : undefined
}

const timelineOf = (file: string): number => Number.parseInt(file.slice(0, 8), 16)

/** Of a transaction with 64 bits, those that rows carry. */
export const shortXid = (xid: string): string => (BigInt(xid) % 2n ** 32n).toString()

/** The other way round, where all of it is known to lie before the server's next transaction. */
export function fullXid(short: string, nextXid: string): string {
  const next = BigInt(nextXid)
  return (next - BigInt.asUintN(32, next - BigInt(short))).toString()
}

/** Whether rows tell what was written since: they carry 32 bits, and only half of those can lie behind. */
export function isTold(sinceXid: string, nextXid: string): boolean {
  const age = BigInt(nextXid) - BigInt(sinceXid)
  return age >= 0n && age < 2n ** 31n
}

/**
 * Rows that were inserted, changed or deleted in this database since the server has kept its statistics: since it was restored, unless
 * it crashed or somebody has reset them. A table that is rewritten, whose rows are then of that transaction, counts in `pg_class` alone.
 */
export async function writesOf(client: Client): Promise<number> {
  return Number((await rowOf<{rows: string}>(client, "SELECT (coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) + pg_stat_get_tuples_updated('pg_class'::regclass))::text AS rows FROM pg_stat_user_tables")).rows)
}

/** Frozen rows are older, and look younger when half of all transactions have gone by since. */
const OLDEST_AGE = 2 ** 31 - 2

/**
 * The first transaction of which no row of this database is, as rows carry it: in a copy, which nobody has written to, what its
 * source has of this one and later ones was written since. The server's own count goes on without any row being written.
 * Undefined when not every table could be read within the time, or none holds a row.
 */
export async function xidBehindRows(client: Client, {budgetMs, signal}: {budgetMs: number; signal: AbortSignal}): Promise<string | undefined> {
  const deadline = performance.now() + budgetMs
  const tables = await rowsOf<{schema: string; name: string}>(client, `
    SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY c.relpages`)
  await client.query('SET row_security = off')
  const found: bigint[] = []
  for (const table of tables) {
    signal.throwIfAborted()
    const left = Math.floor(deadline - performance.now())
    if (left <= 0) return undefined
    await client.query(`SET statement_timeout = ${left}`)
    // Both ages are counted from the same transaction.
    const [row] = await rowsOf<{newest: string | null; first: string}>(client, `SELECT min(age(xmin)) FILTER (WHERE age(xmin) BETWEEN 0 AND ${OLDEST_AGE})::text AS newest, age('3'::xid)::text AS first FROM ONLY ${qualified(table)}`).catch((error: unknown) => {
      if (!/^(42|57014)/.test(codeOf(error) ?? '')) throw error
      return []
    })
    if (row === undefined) return undefined
    if (row.newest !== null) found.push(BigInt.asUintN(32, BigInt(row.first) + 3n - BigInt(row.newest)))
  }
  return newestOf(found)
}

/** Of 32 bits, which wrap: none is further from another than half of them. */
function newestOf(xids: readonly bigint[]): string | undefined {
  const [first, ...rest] = xids
  if (first === undefined) return undefined
  const newest = rest.reduce((best, xid) => (BigInt.asIntN(32, xid - best) > 0n ? xid : best), first)
  return BigInt.asUintN(32, newest + 1n).toString()
}
