import {messageOf} from '../errors.ts'
import {rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'
import {quoteIdent} from './quote.ts'
import {settingOf} from './roles.ts'

/** What belongs to a database itself, not to what is in it: a restore into a new one leaves it behind. */
export interface DatabaseTraits {
  owner: string
  comment?: string | undefined
  connectionLimit: number
  allowsConnections: boolean
  /** `role` undefined: for everybody. */
  settings: {role?: string | undefined; name: string; value: string}[]
  /** In force, be they written down or the default; `*` after a privilege that may be passed on. */
  grants: {grantee: string; privileges: string[]}[]
}

/** Of a database by its name, over a connection to any; undefined when there is none. */
export async function readTraits(client: Client, name: string): Promise<DatabaseTraits | undefined> {
  const [row] = await rowsOf<{oid: number; owner: string; comment: string | null; limit: number; allows: boolean}>(client, `
    SELECT oid, pg_get_userbyid(datdba) AS owner, shobj_description(oid, 'pg_database') AS comment, datconnlimit AS limit, datallowconn AS allows FROM pg_catalog.pg_database WHERE datname = $1`, [name])
  if (row === undefined) return undefined
  const settings = await rowsOf<{role: string | null; name: string; value: string}>(client, `
    SELECT CASE WHEN setrole = 0 THEN NULL ELSE pg_get_userbyid(setrole)::text END AS role, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
    FROM pg_catalog.pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = $1 ORDER BY 1 NULLS FIRST, 2`, [row.oid])
  const grants = await rowsOf<{grantee: string; privileges: string[]}>(client, `
    SELECT CASE WHEN x.grantee = 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END AS grantee,
      array_agg(DISTINCT x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END) AS privileges
    FROM pg_catalog.pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) x WHERE oid = $1 GROUP BY 1 ORDER BY 1`, [row.oid])
  return {
    owner: row.owner, connectionLimit: row.limit, allowsConnections: row.allows, grants, ...(row.comment !== null && {comment: row.comment}),
    settings: settings.map(({role, ...setting}) => ({...setting, ...(role !== null && {role})})),
  }
}

/** One thing that a database lacks, in words, and the statement that gives it. */
export interface TraitChange {
  what: string
  sql: string
  /** Who has access depends on it, or how a role's sessions begin. */
  weighty: boolean
}

/**
 * What makes a database like another, save the comment. The owner comes first, because grants are made by the owner; settings
 * and privileges that the other lacks are taken away.
 */
export function traitChanges(name: string, has: DatabaseTraits, wanted: DatabaseTraits): TraitChange[] {
  const database = `DATABASE ${quoteIdent(name)}`
  return [
    ...(has.owner === wanted.owner ? [] : [{what: `owner ${wanted.owner}`, sql: `ALTER ${database} OWNER TO ${quoteIdent(wanted.owner)}`, weighty: true}]),
    ...(has.connectionLimit === wanted.connectionLimit ? [] : [{what: `connection limit ${wanted.connectionLimit}`, sql: `ALTER ${database} CONNECTION LIMIT ${wanted.connectionLimit}`, weighty: false}]),
    ...(has.allowsConnections ? [] : [{what: 'allow connections', sql: `ALTER ${database} ALLOW_CONNECTIONS true`, weighty: true}]),
    ...settingChanges(database, has, wanted), ...grantChanges(database, has, wanted),
  ]
}

function settingChanges(database: string, has: DatabaseTraits, wanted: DatabaseTraits): TraitChange[] {
  const altered = (role: string | undefined) => (role === undefined ? `ALTER ${database}` : `ALTER ROLE ${quoteIdent(role)} IN ${database}`)
  const key = ({role, name}: DatabaseTraits['settings'][number]) => JSON.stringify([role, name])
  const [before, after] = [new Map(has.settings.map((one) => [key(one), one])), new Map(wanted.settings.map((one) => [key(one), one]))]
  const word = ({role, name}: DatabaseTraits['settings'][number]) => `${role === undefined ? '' : `[${role}] `}${name}`
  return [
    ...has.settings.filter((one) => !after.has(key(one))).map((one) => ({what: `no ${word(one)}`, sql: `${altered(one.role)} RESET ${quotedSetting(one.name)}`, weighty: one.role !== undefined})),
    ...wanted.settings.filter((one) => before.get(key(one))?.value !== one.value).map((one) => ({what: `${word(one)} = ${one.value}`, sql: `${altered(one.role)} SET ${settingOf(one.name, one.value)}`, weighty: one.role !== undefined})),
  ]
}

const quotedSetting = (name: string): string => name.split('.').map(quoteIdent).join('.')

function grantChanges(database: string, has: DatabaseTraits, wanted: DatabaseTraits): TraitChange[] {
  // Changing the owner makes the old owner's privileges the new one's.
  const flat = ({grants, owner}: DatabaseTraits) => new Set(grants.flatMap(({grantee, privileges}) => privileges.map((privilege) => JSON.stringify([grantee === owner ? '' : grantee, privilege]))))
  const [before, after] = [flat(has), flat(wanted)]
  const parts = (text: string): {who: string; privilege: string; bare: string; option: boolean} => {
    const [grantee, privilege] = JSON.parse(text) as [string, string]
    const who = grantee === '' ? quoteIdent(wanted.owner) : grantee === 'public' ? 'PUBLIC' : quoteIdent(grantee)
    return {who, privilege, bare: privilege.replace('*', ''), option: privilege.endsWith('*')}
  }
  return [
    ...[...before].filter((one) => !after.has(one)).map(parts).map(({who, privilege, bare}) => ({what: `no ${privilege} of ${who}`, sql: `REVOKE ${bare} ON ${database} FROM ${who}`, weighty: true})),
    ...[...after].filter((one) => !before.has(one)).map(parts).map(({who, privilege, bare, option}) => ({what: `${privilege} for ${who}`, sql: `GRANT ${bare} ON ${database} TO ${who}${option ? ' WITH GRANT OPTION' : ''}`, weighty: true})),
  ]
}

/** A change that the server refused, and why. */
export interface RefusedChange extends TraitChange {
  why: string
}

/** Makes these changes one by one; what the server refuses is told, and the rest is done. `cancelled` and lost connections are thrown. */
export async function applyChanges(client: Client, changes: readonly TraitChange[], before?: (sql: string) => Promise<void>): Promise<RefusedChange[]> {
  const refused: RefusedChange[] = []
  for (const change of changes) {
    try {
      await before?.(change.sql)
      await client.query(change.sql)
    } catch (error) {
      if (!/^(22|42|0L|0P|2BP)/.test(codeOf(error) ?? '')) throw error
      refused.push({...change, why: messageOf(error)})
    }
  }
  return refused
}
