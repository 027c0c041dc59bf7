import {rowsOf, type Client} from './connection.ts'

/** A session in a database that is to be renamed. */
export interface Occupant {
  pid: number
  database: string
  /** Empty for a process of the server's own. */
  user: string
  application: string
  /** Whether the connected role may end it; the server's own processes leave by themselves. */
  mayEnd: boolean
}

/** The rule of pg_terminate_backend: a superuser's session only by a superuser, others by members of its role or of pg_signal_backend. */
const MAY_END = `CASE WHEN a.usesysid IS NULL OR me.rolsuper THEN true WHEN r.rolsuper THEN false
  ELSE pg_catalog.pg_has_role(me.oid, r.oid, 'USAGE') OR pg_catalog.pg_has_role(me.oid, 'pg_signal_backend', 'USAGE') END`

const FROM = `FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles me ON me.rolname = current_user LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
  WHERE a.datname = ANY ($1::text[]) AND a.pid <> pg_catalog.pg_backend_pid()`

/** Who is in these databases, other than the session that asks. */
export async function occupants(client: Client, databases: readonly string[]): Promise<Occupant[]> {
  return rowsOf<Occupant>(client, `
    SELECT a.pid, a.datname AS database, coalesce(r.rolname, '') AS user, coalesce(a.application_name, '') AS application, ${MAY_END} AS "mayEnd" ${FROM} ORDER BY a.pid`, [databases])
}

/** As `endSessions` does it; for a plan. */
export const endSessionsSql = (databases: readonly string[]): string =>
  `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${databases.map((name) => `'${name.replaceAll("'", "''")}'`).join(', ')}) AND pid <> pg_backend_pid()`

/** Ends every session in these databases that the connected role may end; resolves to the processes that were told to, and how many are there. */
export async function endSessions(client: Client, databases: readonly string[]): Promise<{told: number[]; present: number}> {
  const rows = await rowsOf<{pid: number; told: boolean | null}>(client, `
    SELECT a.pid, CASE WHEN a.usesysid IS NOT NULL AND (${MAY_END}) THEN pg_catalog.pg_terminate_backend(a.pid) END AS told ${FROM}`, [databases])
  return {told: rows.filter(({told}) => told === true).map(({pid}) => pid), present: rows.length}
}

/** `rdsadmin (pg_cron), process 4711`: for messages; three at most, and how many more. */
export function occupantNames(found: readonly Occupant[]): string {
  const names = found.slice(0, 3).map(({user, application, pid}) => `${user === '' ? 'the server' : user}${application === '' ? '' : ` (${application})`}, process ${pid}`)
  return `${names.join('; ')}${found.length > 3 ? `; and ${found.length - 3} more` : ''}`
}
