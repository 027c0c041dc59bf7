import {preflightError} from '../errors.ts'
import {rowOf, rowsOf, type Client} from './connection.ts'
import {LISTED, listed, schemaPattern, type TableScope} from './tables.ts'

/** What a database is, for manifests and for the operator's eye. */
export interface ServerFacts {
  version: string
  versionNum: number
  major: number
  database: string
  databaseOid: number
  databaseBytes: number
  systemIdentifier: string | undefined
  encoding: string
  collation: {provider: string; collate: string; ctype: string; locale?: string; version?: string}
  user: string
  superuser: boolean
  inRecovery: boolean
  sharedBuffersBytes: number
}

/** Keeps a database's own settings from ending our questions, and its own `pg_roles` from answering them. */
export async function prepareSession(client: Client): Promise<void> {
  await client.query('SET statement_timeout = 0')
  await client.query('SET search_path = pg_catalog')
}

/** Prepares the session too: see `prepareSession`. */
export async function readServer(client: Client): Promise<ServerFacts> {
  await prepareSession(client)
  const {num} = await rowOf<{num: string}>(client, "SELECT current_setting('server_version_num') AS num")
  const major = Math.floor(Number(num) / 10_000)
  if (major < 13) throw preflightError('postgres.too-old', `The server is PostgreSQL ${major}; dr works with 13 and newer.`)
  const row = await rowOf<Record<string, string> & {superuser: boolean; recovery: boolean}>(client, `
    SELECT current_setting('server_version') AS version, d.datname AS database, d.oid::text AS oid, pg_database_size(d.oid)::text AS bytes,
      pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype, current_user AS user,
      ${major >= 15 ? 'd.datlocprovider::text' : "'c'"} AS provider, ${localeColumn(major)} AS locale, ${major >= 15 ? 'd.datcollversion' : 'NULL'} AS collversion,
      (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser, pg_is_in_recovery() AS recovery,
      (SELECT setting::int8 * 8192 FROM pg_settings WHERE name = 'shared_buffers')::text AS buffers
    FROM pg_database d WHERE d.datname = current_database()`)
  return {
    version: row.version ?? '', versionNum: Number(num), major, database: row.database ?? '', databaseOid: Number(row.oid), databaseBytes: Number(row.bytes),
    systemIdentifier: await systemIdentifier(client), encoding: row.encoding ?? 'UTF8',
    collation: {
      provider: {c: 'libc', i: 'icu', b: 'builtin'}[row.provider ?? 'c'] ?? 'libc', collate: row.collate ?? 'C', ctype: row.ctype ?? 'C',
      ...(row.locale && {locale: row.locale}), ...(row.collversion && {version: row.collversion}),
    },
    user: row.user ?? '', superuser: row.superuser, inRecovery: row.recovery, sharedBuffersBytes: Number(row.buffers),
  }
}

const localeColumn = (major: number) => (major >= 17 ? 'd.datlocale' : major >= 15 ? 'd.daticulocale' : 'NULL')

/** Not every provider lets everybody ask. */
async function systemIdentifier(client: Client): Promise<string | undefined> {
  const [row] = await rowsOf<{id: string}>(client, 'SELECT system_identifier::text AS id FROM pg_control_system()').catch(() => [])
  return row?.id
}

/** A table that this role would read incompletely, and why. */
export interface FilteredTable {
  schema: string
  name: string
  owner: string
  forced: boolean
}

/** Tables whose row-level security filters this role: a dump would be refused, and without `row_security = off` silently incomplete. */
export async function tablesFilteredByRls(client: Client, scope: TableScope): Promise<FilteredTable[]> {
  return rowsOf<FilteredTable>(client, `
    SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner, c.relforcerowsecurity AS forced
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r
    WHERE ${LISTED} AND c.relrowsecurity AND r.rolname = current_user AND NOT r.rolsuper AND NOT r.rolbypassrls
      AND (c.relforcerowsecurity OR NOT pg_has_role(current_user, c.relowner, 'USAGE'))
    ORDER BY 1, 2`, [scope.excludeSchemas.map(schemaPattern)])
}

/** Tables and sequences that this role may not read at all. Of a sequence pg_dump would say nothing, and write that it begins anew. */
export async function unreadableTables(client: Client, scope: TableScope): Promise<string[]> {
  const rows = await rowsOf<{name: string}>(client, `
    SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${listed(['r', 'p', 'S'])} AND NOT (has_schema_privilege(n.oid, 'USAGE')
      AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END) ORDER BY 1`, [scope.excludeSchemas.map(schemaPattern)])
  return rows.map(({name}) => name)
}

/** How many large objects this role may not read; a dump would fail at them in the middle. */
export async function unreadableLargeObjects(client: Client): Promise<number> {
  const {count} = await rowOf<{count: string}>(client, `
    SELECT count(*)::text AS count FROM pg_largeobject_metadata l, pg_roles r
    WHERE r.rolname = current_user AND NOT r.rolsuper AND current_setting('lo_compat_privileges') = 'off' AND NOT pg_has_role(l.lomowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) x WHERE x.privilege_type = 'SELECT' AND (x.grantee = 0 OR pg_has_role(x.grantee, 'USAGE')))`)
  return Number(count)
}
