import {preflightError, usageError} from '../../errors.ts'
import type {Archive} from '../../postgres/archive.ts'
import {mapped, roleChange, type RoleMap} from '../../postgres/role-map.ts'
import type {Manifest} from '../../repository/manifest.ts'
import type {FoundBackup} from './source.ts'

/** `OLD=NEW`, each given once. A name with `=` in it cannot be written so. */
export function parseRoleMap(pairs: readonly string[]): RoleMap {
  const map = new Map<string, string>()
  for (const pair of pairs) {
    const [, from, to] = /^([^=]+)=([^=]+)$/.exec(pair) ?? []
    if (from === undefined || to === undefined) throw usageError('restore.role-map', `--role-map ${pair} is not OLD=NEW.`, {hints: ['For example: --role-map rdsadmin=postgres']})
    if (map.has(from)) throw usageError('restore.role-map', `--role-map names ${from} twice.`)
    if (from !== to) map.set(from, to)
  }
  const chained = [...map].find(([, to]) => map.has(to))
  if (chained) throw usageError('restore.role-map', `--role-map gives what is of ${chained[0]} to ${chained[1]}, and what is of ${chained[1]} to ${map.get(chained[1]) ?? ''}: name the last one for both.`)
  return map
}

/** The backup as if it had been made with the roles of the map: what is needed, created and compared then follows from its manifest. */
export const withRoles = (backup: FoundBackup, map: RoleMap): FoundBackup => (map.size === 0 ? backup : {...backup, manifest: mapManifest(backup.manifest, map), namedRoles: namedIn(backup.manifest)})

function namedIn({roles, grants, database}: Manifest): string[] {
  const names = [...roles.map(({name}) => name), ...grants.map(({grantee}) => grantee), ...(database ? [database.owner, ...database.grants.map(({grantee}) => grantee)] : [])]
  return [...new Set(names)].filter((name) => name !== 'public').toSorted()
}

/** A map that changes nothing is a mistake: the manifest or the archive must name each of its roles. */
export function assertNamed({manifest, namedRoles = []}: FoundBackup, {entries}: Archive, map: RoleMap): void {
  const unknown = [...map].filter(([role, to]) => !namedRoles.includes(role) && !entries.some((entry) => Object.keys(roleChange(entry, {map: new Map([[role, to]]), plainRole: false})).length > 0))
  if (unknown.length === 0) return
  throw preflightError('restore.role-map', `Backup ${manifest.label} names no role ${unknown.map(([role]) => role).join(', ')}.`, {hints: [`It names: ${namedRoles.join(', ') || 'none'}`]})
}

export function mapManifest(manifest: Manifest, map: RoleMap): Manifest {
  const {database} = manifest
  return {
    ...manifest,
    roles: mapRoles(manifest.roles, map),
    grants: merged(manifest.grants.map((grant) => ({...grant, object: mapObject(grant.object, map), grantee: mapped(map, grant.grantee)})), ({object, grantee}) => JSON.stringify([object, grantee])),
    policies: manifest.policies.map((policy) => ({...policy, definition: mapPolicy(policy.definition, map)})),
    ...(database && {database: {
      ...database, owner: mapped(map, database.owner), grants: merged(database.grants.map((grant) => ({...grant, grantee: mapped(map, grant.grantee)})), ({grantee}) => grantee),
      settings: database.settings.map((setting) => ({...setting, ...(setting.role !== undefined && {role: mapped(map, setting.role)})})),
    }}),
  }
}

type Role = Manifest['roles'][number]

/** Where the backup has both roles, the new one keeps its own attributes; memberships come together. */
function mapRoles(roles: readonly Role[], map: RoleMap): Role[] {
  const newNames = [...new Set(roles.map(({name}) => mapped(map, name)))]
  return newNames.map((name) => {
    const same = roles.filter((role) => mapped(map, role.name) === name)
    const base = same.find((role) => role.name === name) ?? same[0]
    const memberOf = [...new Set(same.flatMap((role) => names(role.memberOf, map)))].filter((group) => group !== name).toSorted()
    const all = same.flatMap((role) => options(role.memberships, map)).filter(({group}) => group !== name)
    return {...base, name, memberOf, memberships: all.filter(({group}, at) => all.findIndex((one) => one.group === group) === at)}
  })
}

const names = (value: unknown, map: RoleMap): string[] => (Array.isArray(value) ? value.map((name) => mapped(map, String(name))) : [])
const options = (value: unknown, map: RoleMap): {group: string}[] => (Array.isArray(value) ? (value as {group: string}[]).map((one) => ({...one, group: mapped(map, one.group)})) : [])

/** `default privileges for OLD in schema app on r` names a role, too. */
function mapObject(object: string, map: RoleMap): string {
  const [, role, rest] = /^default privileges for (.+?)((?: in schema .*)? on .)$/.exec(object) ?? []
  return role === undefined || rest === undefined ? object : `default privileges for ${mapped(map, role)}${rest}`
}

/** `PERMISSIVE r TO a, b USING (…)`. */
function mapPolicy(definition: string, map: RoleMap): string {
  const [, head, roles, rest] = /^((?:PERMISSIVE|RESTRICTIVE) . TO )(.*?)( USING \([\s\S]*)$/.exec(definition) ?? []
  if (head === undefined || roles === undefined || rest === undefined) return definition
  return `${head}${[...new Set(roles.split(', ').map((role) => mapped(map, role)))].toSorted().join(', ')}${rest}`
}

/** Privileges of the same grantee on the same object come together; one that may be passed on stays so. */
function merged<G extends {privileges: string[]}>(grants: readonly G[], keyOf: (grant: G) => string): G[] {
  const byKey = new Map<string, G>()
  for (const grant of grants) {
    const before = byKey.get(keyOf(grant))
    const all = new Set([...(before?.privileges ?? []), ...grant.privileges])
    byKey.set(keyOf(grant), {...(before ?? grant), privileges: [...all].filter((privilege) => !all.has(`${privilege}*`)).toSorted()})
  }
  return [...byKey.values()]
}
