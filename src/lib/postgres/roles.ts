import {rowOf, rowsOf, type Client} from './connection.ts'
import {quoteIdent, quoteLiteral} from './quote.ts'

/** A role that owns something in the database or is granted something, without its password. */
export interface RoleFacts {
  name: string
  login: boolean
  inherit: boolean
  createDb: boolean
  createRole: boolean
  bypassRls: boolean
  superuser: boolean
  connectionLimit: number
  /** Roles it is a member of, within this list. */
  memberOf: string[]
  /** The same with their options. Not in backups that older versions of dr made. */
  memberships?: Membership[]
}

/** `inherit` and `set` exist from PostgreSQL 16 on. */
export interface Membership {
  group: string
  admin: boolean
  inherit?: boolean
  set?: boolean
}

/** What belongs to the database itself and is in no dump of pg_dump without --create. */
export interface DatabaseFacts {
  owner: string
  comment: string | undefined
  connectionLimit: number
  /** `work_mem = 64MB`, or `[role] work_mem = 64MB` for a role in this database. */
  settings: {role: string | undefined; name: string; value: string}[]
  grants: {grantee: string; privileges: string[]}[]
}

/** Every role that this database's objects or privileges name, and the roles those are members of; not the system's own. */
export async function readRoles(client: Client): Promise<RoleFacts[]> {
  const {major} = await rowOf<{major: number}>(client, "SELECT current_setting('server_version_num')::int / 10000 AS major")
  // The same membership may be granted by several roles, each with its own options: together they allow what any of them allows.
  const options = `'admin', bool_or(m.admin_option)${major >= 16 ? ", 'inherit', bool_or(m.inherit_option), 'set', bool_or(m.set_option)" : ''}`
  return rowsOf<RoleFacts>(client, `
    WITH RECURSIVE named AS (
      SELECT refobjid AS oid FROM pg_shdepend
      WHERE refclassid = 'pg_authid'::regclass AND (dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        OR (dbid = 0 AND classid = 'pg_database'::regclass AND objid = (SELECT oid FROM pg_database WHERE datname = current_database())))
      UNION SELECT datdba FROM pg_database WHERE datname = current_database()
      UNION SELECT x.grantee FROM pg_database, aclexplode(datacl) x WHERE datname = current_database() AND x.grantee <> 0
    ), reached AS (
      SELECT oid FROM named
      UNION SELECT m.roleid FROM reached JOIN pg_auth_members m ON m.member = reached.oid
    )
    SELECT r.rolname AS name, r.rolcanlogin AS login, r.rolinherit AS inherit, r.rolcreatedb AS "createDb", r.rolcreaterole AS "createRole",
      r.rolbypassrls AS "bypassRls", r.rolsuper AS superuser, r.rolconnlimit AS "connectionLimit",
      ARRAY(SELECT DISTINCT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1) AS "memberOf",
      (SELECT coalesce(jsonb_agg(o.options ORDER BY o.name), '[]') FROM (
        SELECT g.rolname AS name, jsonb_build_object('group', g.rolname, ${options}) AS options
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid GROUP BY g.rolname) o) AS memberships
    FROM pg_roles r WHERE r.oid IN (SELECT oid FROM reached) AND r.rolname !~ '^pg_' ORDER BY 1`)
}

export async function readDatabase(client: Client): Promise<DatabaseFacts> {
  const row = await rowOf<{owner: string; comment: string | null; limit: number}>(client, `
    SELECT pg_get_userbyid(datdba) AS owner, shobj_description(oid, 'pg_database') AS comment, datconnlimit AS limit FROM pg_database WHERE datname = current_database()`)
  const settings = await rowsOf<{role: string | null; name: string; value: string}>(client, `
    SELECT CASE WHEN setrole = 0 THEN NULL ELSE pg_get_userbyid(setrole)::text END AS role, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
    FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1 NULLS FIRST, 2`)
  const grants = await rowsOf<{grantee: string; privileges: string[]}>(client, `
    SELECT CASE WHEN x.grantee = 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END AS grantee,
      array_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END ORDER BY x.privilege_type) AS privileges
    FROM pg_database, aclexplode(datacl) x WHERE datname = current_database() GROUP BY 1 ORDER BY 1`)
  return {
    owner: row.owner, comment: row.comment ?? undefined, connectionLimit: row.limit, grants,
    settings: settings.map(({role, ...setting}) => ({role: role ?? undefined, ...setting})),
  }
}

/**
 * `globals.sql`: the roles that the database names, without passwords, their memberships, and what belongs to the database itself.
 * Roles are created only where they are missing; the statements for the database use psql's variable `target`.
 */
export function globalsSql(roles: readonly RoleFacts[], database: DatabaseFacts): string {
  const lines = [
    '-- Roles that own or are granted something in this database; passwords are not in a backup.',
    ...roles.flatMap(createRole),
    "SELECT current_setting('server_version_num')::int >= 160000 AS dr_membership_options \\gset",
    ...roles.flatMap((role) => membershipsOf(role).flatMap((membership) => grantMembership(role, membership))),
    '',
    '-- What belongs to the database itself. psql -v target=NAME …',
    String.raw`\if :{?target}`,
    `ALTER DATABASE :"target" OWNER TO ${quoteIdent(database.owner)};`,
    ...(database.connectionLimit === -1 ? [] : [`ALTER DATABASE :"target" CONNECTION LIMIT ${database.connectionLimit};`]),
    ...(database.comment === undefined ? [] : [`COMMENT ON DATABASE :"target" IS ${quoteLiteral(database.comment)};`]),
    ...database.settings.map(({role, name, value}) => (role === undefined ? `ALTER DATABASE :"target" SET ${settingOf(name, value)};` : `ALTER ROLE ${quoteIdent(role)} IN DATABASE :"target" SET ${settingOf(name, value)};`)),
    ...databaseGrants(database),
    String.raw`\endif`,
  ]
  return `${lines.join('\n')}\n`
}

function createRole(role: RoleFacts): string[] {
  const name = quoteIdent(role.name)
  const attributes = [
    role.login ? 'LOGIN' : 'NOLOGIN', role.inherit ? 'INHERIT' : 'NOINHERIT', ...(role.createDb ? ['CREATEDB'] : []), ...(role.createRole ? ['CREATEROLE'] : []),
    ...(role.bypassRls ? ['BYPASSRLS'] : []), ...(role.connectionLimit === -1 ? [] : [`CONNECTION LIMIT ${role.connectionLimit}`]),
  ]
  const sql = `SELECT ${quoteLiteral(`CREATE ROLE ${name} ${attributes.join(' ')}`)} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${quoteLiteral(role.name)}) \\gexec`
  return role.superuser ? [`-- ${role.name.replaceAll(/[\r\n]/g, ' ')} was a superuser`, sql] : [sql]
}

const membershipsOf = ({memberOf, memberships}: RoleFacts): readonly Membership[] => memberships ?? memberOf.map((group) => ({group, admin: false}))

/** Options that a plain GRANT would not give are written out for servers that know them. */
function grantMembership({name, inherit: inherits}: RoleFacts, {group, admin, inherit = inherits, set = true}: Membership): string[] {
  const grant = `GRANT ${quoteIdent(group)} TO ${quoteIdent(name)}`
  const plain = `${grant}${admin ? ' WITH ADMIN OPTION' : ''};`
  if (inherit === inherits && set) return [plain]
  const word = (on: boolean) => (on ? 'TRUE' : 'FALSE')
  return [String.raw`\if :dr_membership_options`, `${grant} WITH ADMIN ${word(admin)}, INHERIT ${word(inherit)}, SET ${word(set)};`, String.raw`\else`, plain, String.raw`\endif`]
}

function databaseGrants({grants}: DatabaseFacts): string[] {
  if (grants.length === 0) return []
  const grantee = (name: string) => (name === 'public' ? 'PUBLIC' : quoteIdent(name))
  return [
    'REVOKE ALL ON DATABASE :"target" FROM PUBLIC;',
    ...grants.flatMap(({grantee: name, privileges}) => privileges.map((privilege) => {
      const option = privilege.endsWith('*')
      return `GRANT ${privilege.replace('*', '')} ON DATABASE :"target" TO ${grantee(name)}${option ? ' WITH GRANT OPTION' : ''};`
    })),
  ]
}

/** Lists such as search_path are stored with their elements quoted already. */
const LIST_SETTINGS = new Set(['local_preload_libraries', 'search_path', 'session_preload_libraries', 'shared_preload_libraries', 'temp_tablespaces', 'unix_socket_directories'])

export const settingOf = (name: string, value: string): string => `${name.split('.').map(quoteIdent).join('.')} TO ${LIST_SETTINGS.has(name) && value !== '' ? value : quoteLiteral(value)}`
