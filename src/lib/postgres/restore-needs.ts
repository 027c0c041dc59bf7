import {rowsOf, type Client} from './connection.ts'
import type {Archive} from './archive.ts'
import {grantors} from './role-map.ts'

export interface RoleNeeds {
  /** Own something in the archive, or granted a privilege: whoever restores must be able to give it to them, or to grant it as they. */
  owners: string[]
  /** Own a table with data, or have default privileges: whoever restores must have their rights. */
  dataOwners: string[]
  /** All that the archive and the manifest name. */
  named: string[]
  memberships: {member: string; group: string}[]
}

export interface RoleTrouble {
  missing: string[]
  /** `member of group`, both there, but not so. */
  missingMemberships: {member: string; group: string}[]
  /** Owners and grantors that the connected role may not become. */
  foreign: string[]
  /** Of `foreign`: the connected role may make itself a member. */
  administered: string[]
  /** Of `foreign`: superusers, whom nobody else can become. */
  superusers: string[]
  /** All that it must be able to become. */
  becoming: string[]
}

/** What a backup's manifest says of roles; more may stand in it. */
interface ManifestRoles {
  roles: readonly {name: string; [key: string]: unknown}[]
  grants: readonly {grantee: string}[]
}

/** `pg_` roles come with the server: pg_database_owner cannot be anyone's membership. */
const isSystem = (name: string) => name.startsWith('pg_')

/** Of the last section, whose other entries belong to whom their table does. */
const OWNED_LATE = ['DEFAULT ACL', 'STATISTICS', 'PUBLICATION', 'SUBSCRIPTION', 'EVENT TRIGGER']

/** Whether entries of this kind are given to their owner, and do not follow another. */
export const isOwned = (kind: string): boolean => !['TABLE DATA', 'INDEX', 'CONSTRAINT', 'FK CONSTRAINT', 'CHECK CONSTRAINT', 'TRIGGER', 'RULE', 'POLICY', 'ROW SECURITY', 'COMMENT', 'SEQUENCE SET', 'SEQUENCE OWNED BY', 'DEFAULT', 'TABLE ATTACH', 'INDEX ATTACH'].includes(kind)

export function roleNeeds(archive: Archive, {roles, grants}: ManifestRoles): RoleNeeds {
  const ownersOf = (entries: Archive['entries']) => unique(entries.flatMap(({owner}) => (owner === undefined || owner === '' || isSystem(owner) ? [] : [owner])))
  const grantedBy = archive.entries.flatMap(({kind, definition}) => (kind === 'ACL' ? grantors(definition) : [])).filter((name) => !isSystem(name))
  const owners = unique([...ownersOf(archive.entries.filter(({section, kind}) => section === 'pre-data' || section === 'data' || OWNED_LATE.includes(kind))), ...grantedBy])
  return {
    owners,
    dataOwners: ownersOf(archive.entries.filter(({kind}) => kind === 'TABLE DATA' || kind === 'DEFAULT ACL')),
    named: unique([...owners, ...roles.map(({name}) => name), ...grants.map(({grantee}) => grantee)].filter((name) => name !== 'public' && !isSystem(name))),
    memberships: roles.flatMap(({name, memberOf}) => (Array.isArray(memberOf) ? memberOf : []).map((group) => ({member: name, group: String(group)}))),
  }
}

const unique = (names: readonly string[]) => [...new Set(names)].toSorted()

/** Compares what a restore needs with what the server has, before dozens of errors do. */
export async function roleTrouble(client: Client, needs: RoleNeeds, serverMajor: number): Promise<RoleTrouble> {
  const known = await rowsOf<{name: string; become: boolean; inherits: boolean; superuser: boolean; admin: boolean}>(client, `
    SELECT rolname AS name, pg_has_role(current_user, oid, '${becoming(serverMajor)}') AS become, pg_has_role(current_user, oid, 'USAGE') AS inherits, rolsuper AS superuser,
      pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION')${serverMajor < 16 ? ' OR (NOT rolsuper AND (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user))' : ''} AS admin
    FROM pg_roles WHERE rolname = ANY ($1::text[])`, [[...needs.named, ...needs.memberships.map(({group}) => group)]])
  const names = new Set(known.map(({name}) => name))
  const members = new Set((await rowsOf<{pair: string}>(client, `
    SELECT json_build_array(m.rolname, g.rolname)::text AS pair FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
    WHERE m.rolname = ANY ($1::text[])`, [needs.memberships.map(({member}) => member)])).map(({pair}) => JSON.stringify(JSON.parse(pair))))
  const foreign = unique([...needs.owners, ...needs.dataOwners].filter((name) => known.some((role) => role.name === name && !(role.become && (role.inherits || !needs.dataOwners.includes(name))))))
  const of = (test: (role: (typeof known)[number]) => boolean) => known.filter((role) => foreign.includes(role.name) && test(role)).map(({name}) => name)
  return {
    missing: unique([...needs.named, ...needs.memberships.map(({group}) => group)].filter((name) => !names.has(name))),
    missingMemberships: needs.memberships.filter(({member, group}) => names.has(member) && names.has(group) && !members.has(JSON.stringify([member, group]))),
    becoming: unique([...needs.owners, ...needs.dataOwners]),
    foreign, administered: of(({admin}) => admin), superusers: of(({superuser}) => superuser),
  }
}

/** Whether the connected role may make a database that belongs to this role, and still mark and drop it. */
export async function mayOwn(client: Client, owner: string, serverMajor: number): Promise<boolean> {
  const rows = await rowsOf(client, `SELECT FROM pg_roles WHERE rolname = $1 AND pg_has_role(current_user, oid, '${becoming(serverMajor)}') AND pg_has_role(current_user, oid, 'USAGE')`, [owner])
  return rows.length > 0
}

const becoming = (serverMajor: number) => (serverMajor >= 16 ? 'SET' : 'MEMBER')

/** Names of extensions that the server does not offer. */
export async function missingExtensions(client: Client, wanted: readonly {name: string}[]): Promise<string[]> {
  const offered = new Set((await rowsOf<{name: string}>(client, 'SELECT name FROM pg_available_extensions WHERE name = ANY ($1::text[])', [wanted.map(({name}) => name)])).map(({name}) => name))
  return wanted.map(({name}) => name).filter((name) => !offered.has(name))
}

/** May the connected role make databases? */
export async function mayCreateDatabase(client: Client): Promise<boolean> {
  const rows = await rowsOf(client, 'SELECT FROM pg_roles WHERE rolname = current_user AND (rolcreatedb OR rolsuper)')
  return rows.length > 0
}

export async function databaseExists(client: Client, name: string): Promise<boolean> {
  return (await rowsOf(client, 'SELECT FROM pg_database WHERE datname = $1', [name])).length > 0
}
