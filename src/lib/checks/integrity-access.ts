import type {Manifest} from '../repository/manifest.ts'
import type {Finding} from './finding.ts'
import type {RestoredFacts} from './integrity.ts'
import {deviates, difference, group, plural, warns, type Deviation, type Expected} from './integrity-group.ts'

type RowSecurity = Manifest['rowSecurity'][number]
type Policy = Manifest['policies'][number]
type Grant = Manifest['grants'][number]

export function rowSecurityFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {missing, extra, both} = difference<RowSecurity, RowSecurity>(manifest.rowSecurity, restored.rowSecurity, tableOf)
  return group('integrity.row-security', [
    ...missing.map((one) => deviates(tableOf(one), 'row-level security is off; in the backup it is on')),
    ...extra.map((one) => deviates(tableOf(one), 'row-level security is on; in the backup it is off')),
    ...both.filter(([one, other]) => one.enabled !== other.enabled || one.forced !== other.forced).map(([one, other]) => deviates(tableOf(one), `row-level security is ${stateOf(other)}; in the backup it is ${stateOf(one)}`)),
  ], `row-level security on ${plural(manifest.rowSecurity.length, 'table')}`)
}

const tableOf = ({schema, table}: {schema: string; table: string}) => `${schema}.${table}`
const stateOf = ({enabled, forced}: RowSecurity) => `${enabled ? 'on' : 'off'}${forced ? ' and forced' : ''}`

export function policyFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {missing, extra, both} = difference<Policy, Policy>(manifest.policies, restored.policies, policyOf)
  // A newer server may write the same expression in other words.
  const differs = manifest.server.major === restored.serverMajor ? deviates : warns
  return group('integrity.policies', [
    ...missing.map((one) => deviates(policyOf(one), 'the policy is missing')),
    ...extra.map((one) => deviates(policyOf(one), 'the policy is not in the backup')),
    ...both.filter(([one, other]) => sorted(one.definition) !== sorted(other.definition)).map(([one, other]) => differs(policyOf(one), `is ${other.definition}; in the backup: ${one.definition}`)),
  ], plural(manifest.policies.length, 'policy', 'policies'))
}

/** Servers sort the roles of a policy each in its own way. */
const sorted = (definition: string) => definition.replace(/ TO (.*?) USING \(/, (_all, roles: string) => ` TO ${roles.split(', ').toSorted().join(', ')} USING (`)

const policyOf = ({schema, table, name}: Policy) => `${schema}.${table}: ${name}`

/** MAINTAIN came with 17: between older and newer servers it is left out. */
export function grantFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const withMaintain = manifest.server.major >= 17 && restored.serverMajor >= 17
  const known = (grants: readonly Grant[]) => grants.map((grant) => ({...grant, privileges: distinct(grant.privileges.filter((privilege) => withMaintain || !/^MAINTAIN\*?$/.test(privilege)))})).filter(({privileges}) => privileges.length > 0)
  const expected = known(manifest.grants)
  const {missing, extra, both} = difference<Grant, Grant>(expected, known(restored.grants), grantOf)
  return group('integrity.grants', [
    ...missing.map((one) => deviates(one.object, `${one.grantee} lacks ${one.privileges.join(', ')}`)),
    ...extra.map((one) => deviates(one.object, `${one.grantee} has ${one.privileges.join(', ')}; in the backup nothing`)),
    ...both.flatMap(([one, other]) => privilegeDeviations(one, other)),
  ], `${plural(expected.length, 'grant')} on ${plural(new Set(expected.map(({object}) => object)).size, 'object')}`)
}

/** Several may have granted the same; one that may be passed on is more than the plain one. */
const distinct = (privileges: readonly string[]) => [...new Set(privileges)].filter((privilege) => !privileges.includes(`${privilege}*`)).toSorted()

const grantOf = ({object, grantee}: Grant) => JSON.stringify([object, grantee])

function privilegeDeviations(one: Grant, other: Grant): Deviation[] {
  if (one.privileges.join() === other.privileges.join()) return []
  return [deviates(one.object, `${one.grantee} has ${other.privileges.join(', ')}; in the backup ${one.privileges.join(', ')}`)]
}
