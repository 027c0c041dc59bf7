import {preflightError} from '../errors.ts'
import {rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'
import {quoteIdent, quoteLiteral} from './quote.ts'
import type {RoleTrouble} from './restore-needs.ts'
import type {RoleFacts} from './roles.ts'

/** What a run made of roles; what it may take back. */
export interface CreatedRoles {
  created: string[]
  /** Memberships of roles that were there before. */
  granted: {member: string; group: string}[]
  /** May log in, and have no password: none is in a backup. */
  needPassword: string[]
  /** Attributes that the connected role may not give: `BYPASSRLS`. */
  refused: {role: string; attribute: string; message: string}[]
}

/** Of a manifest: older ones know less. */
export type KnownRole = Partial<RoleFacts> & {name: string}

export interface RoleWish {
  run: string
  trouble: RoleTrouble
  roles: readonly KnownRole[]
  serverMajor: number
}

/** Stands in the comment of each role that a restore makes: by it alone they are known as made by this run. */
export const roleMark = (run: string): string => `made by dr restore ${run}, without a password`

/** What this run has made already: a process of it that was killed, too. */
export const markedRoles = (client: Client, run: string): Promise<{name: string; login: boolean}[]> =>
  rowsOf(client, "SELECT rolname AS name, rolcanlogin AS login FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = $1 ORDER BY 1", [roleMark(run)])

/** Superusers and members of `CREATEROLE` may make roles. */
export async function mayCreateRoles(client: Client): Promise<boolean> {
  return (await rowsOf(client, 'SELECT FROM pg_roles WHERE rolname = current_user AND (rolcreaterole OR rolsuper)')).length > 0
}

/**
 * Makes the roles and memberships that are missing, without passwords and never as superusers, and lets the connected role
 * become the owners that it may administer. All in one transaction: nothing is left of it when it fails or is killed.
 */
export async function createRoles(client: Client, {run, trouble, roles, serverMajor}: RoleWish): Promise<CreatedRoles> {
  const earlier = await markedRoles(client, run)
  const made: CreatedRoles = {created: earlier.map(({name}) => name), granted: [], needPassword: earlier.filter(({login}) => login).map(({name}) => name), refused: []}
  await client.query('BEGIN')
  try {
    for (const name of trouble.missing) await createRole(client, roles.find((role) => role.name === name) ?? {name}, run, made)
    const {user} = await rowOf<{user: string}>(client, 'SELECT current_user AS user')
    for (const {member, group} of await membershipsToMake(client, roles, trouble)) {
      const {admin, ...options} = optionsOf(roles, member, group)
      // Whoever made a group administers it, and cannot be given that by itself.
      const sql = grantSql(group, member, {...options, admin: admin && member !== user}, serverMajor)
      const refusal = await tried(client, sql)
      if (refusal !== undefined) throw preflightError('restore.memberships', `Role ${user} may not make ${member} a member of ${group}: ${refusal}.`, {hints: [`Who administers ${group} can do this: ${sql}`, '--role-map OLD=NEW gives what is one role\'s to another one.']})
      if (!made.created.includes(member) && !made.created.includes(group)) made.granted.push({member, group})
    }
    await becomeOwners(client, trouble, made, serverMajor)
    await client.query('COMMIT')
    return made
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

async function createRole(client: Client, role: KnownRole, run: string, made: CreatedRoles): Promise<void> {
  const name = quoteIdent(role.name)
  const {login = false, inherit = true, connectionLimit = -1} = role
  await client.query(`CREATE ROLE ${name} ${login ? 'LOGIN' : 'NOLOGIN'} ${inherit ? 'INHERIT' : 'NOINHERIT'}${connectionLimit === -1 ? '' : ` CONNECTION LIMIT ${connectionLimit}`}`)
  await client.query(`COMMENT ON ROLE ${name} IS ${quoteLiteral(roleMark(run))}`)
  made.created.push(role.name)
  if (login) made.needPassword.push(role.name)
  for (const attribute of attributesOf(role)) await giveAttribute(client, role.name, attribute, made)
  if (role.superuser === true) made.refused.push({role: role.name, attribute: 'SUPERUSER', message: 'a restore never makes superusers'})
}

const attributesOf = ({createDb, createRole: creates, bypassRls}: KnownRole): string[] => [...(createDb ? ['CREATEDB'] : []), ...(creates ? ['CREATEROLE'] : []), ...(bypassRls ? ['BYPASSRLS'] : [])]

/** One that the connected role may not give leaves the role without it. */
async function giveAttribute(client: Client, role: string, attribute: string, made: CreatedRoles): Promise<void> {
  const refusal = await tried(client, `ALTER ROLE ${quoteIdent(role)} ${attribute}`)
  if (refusal !== undefined) made.refused.push({role, attribute, message: refusal})
}

/** The server's refusal for lack of rights, or undefined when it is done. Inside a transaction. */
async function tried(client: Client, sql: string): Promise<string | undefined> {
  await client.query('SAVEPOINT dr_try')
  try {
    await client.query(sql)
    await client.query('RELEASE SAVEPOINT dr_try')
    return undefined
  } catch (error) {
    if (codeOf(error) !== '42501') throw error
    await client.query('ROLLBACK TO SAVEPOINT dr_try')
    return (error as Error).message
  }
}

/** Those of the roles that were made now, and those that were missing between roles that are there. */
async function membershipsToMake(client: Client, roles: readonly KnownRole[], trouble: RoleTrouble): Promise<{member: string; group: string}[]> {
  const wanted = roles.flatMap(({name, memberOf = []}) => memberOf.map((group) => ({member: name, group}))).filter(({member, group}) => trouble.missing.includes(member) || trouble.missing.includes(group))
  const known = new Set((await rowsOf<{name: string}>(client, 'SELECT rolname AS name FROM pg_roles')).map(({name}) => name))
  return [...wanted, ...trouble.missingMemberships].filter(({member, group}) => known.has(member) && known.has(group))
}

const optionsOf = (roles: readonly KnownRole[], member: string, group: string) => {
  const role = roles.find(({name}) => name === member)
  const {admin = false, inherit = role?.inherit ?? true, set = true} = role?.memberships?.find((one) => one.group === group) ?? {}
  return {admin, inherit, set}
}

/** Before 16 a membership has no options but ADMIN. */
export function grantSql(group: string, member: string, {admin, inherit, set}: {admin: boolean; inherit: boolean; set: boolean}, serverMajor: number): string {
  const grant = `GRANT ${quoteIdent(group)} TO ${quoteIdent(member)}`
  const word = (on: boolean) => (on ? 'TRUE' : 'FALSE')
  if (serverMajor < 16) return `${grant}${admin ? ' WITH ADMIN OPTION' : ''}`
  return `${grant} WITH ${admin ? 'ADMIN TRUE, ' : ''}INHERIT ${word(inherit)}, SET ${word(set)}`
}

/** Whoever made a role may give it to itself; of others it depends. What is refused shows in the check that follows. */
async function becomeOwners(client: Client, {foreign, missing, becoming}: RoleTrouble, made: CreatedRoles, serverMajor: number): Promise<void> {
  const {user, superuser} = await rowOf<{user: string; superuser: boolean}>(client, 'SELECT rolname AS user, rolsuper AS superuser FROM pg_roles WHERE rolname = current_user')
  if (superuser) return
  for (const owner of new Set([...foreign, ...missing.filter((name) => becoming.includes(name))])) {
    const refusal = await tried(client, grantSql(owner, user, {admin: false, inherit: true, set: true}, serverMajor))
    if (refusal === undefined && !made.created.includes(owner)) made.granted.push({member: user, group: owner})
  }
}

/**
 * Takes back what `createRoles` made. A role that is no longer marked as made by this run is left alone, and so is one
 * that something depends on: their names come back.
 */
export async function dropCreatedRoles(client: Client, run: string, made: Pick<CreatedRoles, 'granted'>): Promise<string[]> {
  for (const {member, group} of made.granted) await client.query(`REVOKE ${quoteIdent(group)} FROM ${quoteIdent(member)}`)
  const kept: string[] = []
  for (const {name} of await markedRoles(client, run)) {
    try {
      await client.query(`DROP ROLE ${quoteIdent(name)}`)
    } catch (error) {
      if (codeOf(error) !== '2BP01') throw error
      kept.push(name)
    }
  }
  return kept
}
