import {expect} from 'chai'
import {compareIntegrity, type RestoredFacts} from '../../../src/lib/checks/integrity.ts'
import {worst} from '../../../src/lib/checks/finding.ts'
import type {Manifest} from '../../../src/lib/repository/manifest.ts'

const at = '2026-11-22T02:00:00Z'

function manifest(): Manifest {
  return {
    schemaVersion: 1, label: '20261122T020000Z-7f3a', environment: 'production', createdAt: at, finishedAt: at, status: 'good', suspicions: [],
    tool: {dr: '0', pgDump: '17.5', pgRestoreMajor: 17}, server: {version: '17.5', versionNum: 170_005, major: 17}, source: {database: 'crm'},
    snapshot: {at, lsn: '0/1', xmin: '1', xmax: '1', current: '1:1:'}, encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C', version: '2.36'},
    sizes: {databaseBytes: 1, archiveBytes: 1}, compression: 'zstd:1', jobs: 2, members: [],
    tables: [
      {schema: 'public', name: 'leads', kind: 'table', rows: 3, columns: ['id', 'tenantId'], bytes: 1, tenants: {a: 2, '': 1}, digest: '42'},
      {schema: 'public', name: 'calls', kind: 'table', rows: 1, columns: ['id'], bytes: 1, digest: '7'},
      {schema: 'public', name: 'parent', kind: 'partitioned', rows: null, columns: ['id'], bytes: 0},
    ],
    sequences: [{schema: 'public', name: 's', lastValue: '10', isCalled: true}], materializedViews: [{schema: 'public', name: 'mv', populated: true}, {schema: 'public', name: 'empty', populated: false}], largeObjects: 2,
    extensions: [{name: 'pgcrypto', version: '1.3', schema: 'public'}], roles: [], rowSecurity: [{schema: 'public', table: 'leads', enabled: true, forced: false}],
    policies: [{schema: 'public', table: 'leads', name: 'p', definition: 'PERMISSIVE * TO public USING (true) WITH CHECK ()'}],
    grants: [{object: 'table public.leads', grantee: 'app', privileges: ['INSERT', 'SELECT']}, {object: 'table public.leads', grantee: 'owner', privileges: ['DELETE', 'MAINTAIN', 'SELECT']}],
    indexes: {count: 5, invalid: []}, constraints: {count: 4, notValidated: ['leads: c']}, objects: {triggers: 2, 'column defaults': 3}, databaseSettings: [], application: {}, encryption: null, timings: [], proofs: [], digests: true,
  }
}

function restored(): RestoredFacts {
  const {indexes, constraints, extensions, rowSecurity, policies, grants, materializedViews, largeObjects, collation, encoding, objects = {}} = structuredClone(manifest())
  return {
    extensions, rowSecurity, policies, grants: grants.map(({object, grantee, privileges}) => ({object, grantee, privileges})), indexes, constraints, materializedViews, largeObjects, objects, collation, encoding, serverMajor: 17, digests: true,
    tables: [
      {schema: 'public', name: 'leads', rows: 3, columns: ['tenantId', 'id'], tenants: {a: 2, '': 1}, digest: '42'},
      {schema: 'public', name: 'calls', rows: 1, columns: ['id'], digest: '7'},
      {schema: 'public', name: 'parent', rows: null, columns: ['id']},
    ],
    sequences: [{schema: 'public', name: 's', lastValue: '10', isCalled: true, increment: '1', owned: {table: 'public.leads', column: 'id', furthest: '10'}}],
  }
}

type Changes = (facts: {-readonly [K in keyof RestoredFacts]: RestoredFacts[K]}, manifest: Manifest) => void
const of = (change: Changes = () => {}) => {
  const [expected, facts] = [manifest(), restored()]
  change(facts, expected)
  return compareIntegrity(expected, facts)
}
const table = (facts: RestoredFacts, name: string) => facts.tables.find((one) => one.name === name) ?? expect.fail(name)

/** What must be noticed: the code, the severity, and words that name it. */
const deviations: Record<string, {change: Changes; code: string; severity?: string; says: string}> = {
  'a missing table': {change: (facts) => { facts.tables = facts.tables.filter(({name}) => name !== 'calls') }, code: 'integrity.tables', says: 'public.calls'},
  'an extra table': {change: (facts) => { facts.tables = [...facts.tables, {schema: 'public', name: 'more', rows: 0, columns: []}] }, code: 'integrity.tables', says: 'public.more'},
  'another column': {change: (facts) => { table(facts, 'calls').columns = ['id', 'x'] }, code: 'integrity.tables', says: 'id, x'},
  'an unreadable table': {change: (facts) => { table(facts, 'calls').trouble = 'no such column' }, code: 'integrity.tables', says: 'no such column'},
  'a sequence that cannot be read': {change: (facts) => { facts.sequences = facts.sequences.map((one) => ({...one, trouble: 'no function max(jsonb)'})) }, code: 'integrity.sequences', says: 'could not be compared: no function max(jsonb)'},
  'grants that cannot be read': {change: (facts) => { Object.assign(facts, {grants: [], unread: {grants: 'permission denied'}}) }, code: 'integrity.unread', says: 'grants: could not be compared: permission denied'},
  'a row of a tenant with a name of JavaScript\'s': {change: (facts) => { table(facts, 'leads').tenants = JSON.parse('{"a": 2, "": 1, "__proto__": 5}') as Record<string, number> }, code: 'integrity.tenants', says: 'tenant __proto__ has 5 rows'},
  'a missing row': {change: (facts) => { table(facts, 'leads').rows = 2 }, code: 'integrity.rows', says: '2 rows; the backup has 3'},
  'rows of another tenant': {change: (facts) => { table(facts, 'leads').tenants = {a: 1, '': 2} }, code: 'integrity.tenants', says: 'tenant a has 1 row'},
  'a tenant that is not in the backup': {change: (facts) => { table(facts, 'leads').tenants = {a: 2, b: 1} }, code: 'integrity.tenants', says: 'tenant'},
  'other values': {change: (facts) => { table(facts, 'calls').digest = '8' }, code: 'integrity.digests', says: 'public.calls'},
  'a missing sequence': {change: (facts) => { facts.sequences = [] }, code: 'integrity.sequences', says: 'public.s'},
  'a sequence at another value': {change: (facts) => { facts.sequences = facts.sequences.map((one) => ({...one, lastValue: '11'})) }, code: 'integrity.sequences', says: 'stands at 11'},
  'a sequence that was not used yet': {change: (facts) => { facts.sequences = facts.sequences.map((one) => ({...one, isCalled: false})) }, code: 'integrity.sequences', says: 'not used yet'},
  'a sequence behind its column': {change: (facts) => { facts.sequences = facts.sequences.map((one) => ({...one, owned: {table: 'public.leads', column: 'id', furthest: '11'}})) }, code: 'integrity.sequences', severity: 'warning', says: 'holds 11'},
  'a falling sequence behind its column': {change: (facts, {sequences: [first]}) => {
    if (first) first.lastValue = '-10'
    facts.sequences = facts.sequences.map((one) => ({...one, lastValue: '-10', increment: '-1', owned: {table: 't', column: 'id', furthest: '-99999999999999999999'}}))
  }, code: 'integrity.sequences', severity: 'warning', says: '-99999999999999999999'},
  'an index too few': {change: (facts) => { facts.indexes = {count: 4, invalid: []} }, code: 'integrity.indexes', says: '4 indexes; the source had 5'},
  'an invalid index': {change: (facts) => { facts.indexes = {count: 5, invalid: ['public.i']} }, code: 'integrity.indexes', says: 'public.i'},
  'a constraint too many': {change: (facts) => { facts.constraints = {count: 5, notValidated: ['leads: c']} }, code: 'integrity.constraints', says: '5 constraints'},
  'a constraint that is not validated': {change: (facts) => { facts.constraints = {count: 4, notValidated: ['leads: c', 'leads: d']} }, code: 'integrity.constraints', says: 'leads: d'},
  'a constraint that is validated now': {change: (facts) => { facts.constraints = {count: 4, notValidated: []} }, code: 'integrity.constraints', says: 'leads: c'},
  'a trigger too few': {change: (facts) => { facts.objects = {...facts.objects, triggers: 1} }, code: 'integrity.objects', says: '1 triggers; the source had 2'},
  'row security that is off': {change: (facts) => { facts.rowSecurity = [] }, code: 'integrity.row-security', says: 'public.leads'},
  'row security that is not forced': {change: (facts, expected) => { expected.rowSecurity = [{schema: 'public', table: 'leads', enabled: true, forced: true}] }, code: 'integrity.row-security', says: 'on and forced'},
  'a missing policy': {change: (facts) => { facts.policies = [] }, code: 'integrity.policies', says: 'public.leads: p'},
  'another policy': {change: (facts) => { facts.policies = facts.policies.map((one) => ({...one, definition: 'PERMISSIVE r'})) }, code: 'integrity.policies', says: 'PERMISSIVE r'},
  'a policy in other words on another major': {change: (facts) => {
    facts.serverMajor = 18
    facts.policies = facts.policies.map((one) => ({...one, definition: 'PERMISSIVE r'}))
  }, code: 'integrity.policies', severity: 'warning', says: 'PERMISSIVE r'},
  'a lost privilege': {change: (facts) => { facts.grants = facts.grants.map((one) => ({...one, privileges: one.privileges.filter((name) => name !== 'INSERT')})) }, code: 'integrity.grants', says: 'app has SELECT'},
  'a lost grantee': {change: (facts) => { facts.grants = facts.grants.filter(({grantee}) => grantee !== 'app') }, code: 'integrity.grants', says: 'app lacks INSERT, SELECT'},
  'a grantee that had nothing': {change: (facts) => { facts.grants = [...facts.grants, {object: 'schema app', grantee: 'public', privileges: ['CREATE']}] }, code: 'integrity.grants', says: 'public has CREATE'},
  'MAINTAIN that is lost between new servers': {change: (facts) => { facts.grants = facts.grants.map((one) => ({...one, privileges: one.privileges.filter((name) => name !== 'MAINTAIN')})) }, code: 'integrity.grants', says: 'owner has DELETE, SELECT'},
  'a missing extension': {change: (facts) => { facts.extensions = [] }, code: 'integrity.extensions', says: 'pgcrypto'},
  'another version of an extension': {change: (facts) => { facts.extensions = facts.extensions.map((one) => ({...one, version: '1.4'})) }, code: 'integrity.extensions', severity: 'warning', says: '1.4'},
  'a view that is not populated': {change: (facts) => { facts.materializedViews = facts.materializedViews.map((one) => ({...one, populated: false})) }, code: 'integrity.materialized-views', says: 'public.mv'},
  'a lost large object': {change: (facts) => { facts.largeObjects = 1 }, code: 'integrity.large-objects', says: '1 large object'},
  'another encoding': {change: (facts) => { facts.encoding = 'LATIN1' }, code: 'integrity.collation', says: 'LATIN1'},
  'another collation': {change: (facts) => { facts.collation = {...facts.collation, collate: 'en_US.UTF-8'} }, code: 'integrity.collation', says: 'en_US.UTF-8'},
  'another version of the collation': {change: (facts) => { facts.collation = {...facts.collation, version: '2.40'} }, code: 'integrity.collation', severity: 'warning', says: '2.40'},
}

describe('integrity of a restored database', () => {
  it('is one good finding a group, with figures', () => {
    const findings = of()
    expect(worst(findings)).to.equal('ok')
    expect(findings.map(({code}) => code)).to.deep.equal([...new Set(findings.map(({code}) => code))])
    expect(findings).to.have.length(15)
    expect(findings.find(({code}) => code === 'integrity.rows')?.message).to.equal('4 rows in 3 tables')
    expect(findings.find(({code}) => code === 'integrity.tenants')?.message).to.equal('1 tenant in 1 table')
  })

  for (const [name, {change, code, severity = 'error', says}] of Object.entries(deviations)) {
    it(`notices ${name}`, () => {
      const found = of(change).filter((finding) => finding.severity !== 'ok' && finding.code === code)
      expect(found.some((finding) => finding.severity === severity && `${finding.subject}: ${finding.message}`.includes(says)), JSON.stringify(found)).to.equal(true)
    })
  }

  it('does not mind MAINTAIN where one of the servers is older than 17', () => {
    for (const change of [
      (facts: RestoredFacts) => Object.assign(facts, {serverMajor: 16, grants: facts.grants.map((one) => ({...one, privileges: one.privileges.filter((name) => name !== 'MAINTAIN')}))}),
      (facts: RestoredFacts, expected: Manifest) => {
        expected.server.major = 15
        for (const grant of expected.grants) grant.privileges = grant.privileges.filter((name) => name !== 'MAINTAIN')
      },
    ] satisfies Changes[]) expect(of(change).find(({code}) => code === 'integrity.grants')?.severity).to.equal('ok')
  })

  it('does not mind kinds that it does not know, and backups that count none', () => {
    expect(of((facts, expected) => { expected.objects = {...expected.objects, novelties: 4} }).find(({code}) => code === 'integrity.objects')).to.include({severity: 'ok', message: '5 objects of 2 kinds'})
    expect(of((facts, expected) => { delete expected.objects }).some(({code}) => code === 'integrity.objects')).to.equal(false)
  })

  it('does not mind an index that was invalid in the source, which pg_dump leaves out', () => {
    const findings = of((facts, expected) => {
      expected.indexes = {count: 5, invalid: ['public.broken']}
      facts.indexes = {count: 4, invalid: []}
    }).filter(({code}) => code === 'integrity.indexes')
    expect(worst(findings)).to.equal('info')
    expect(findings.map(({message}) => message).join()).to.contain('public.broken')
  })

  it('says when digests were not compared, and nothing when there are none', () => {
    expect(of((facts) => { facts.digests = false }).find(({code}) => code === 'integrity.digests')).to.include({severity: 'info'})
    expect(of((facts, expected) => { expected.digests = false }).some(({code}) => code === 'integrity.digests')).to.equal(false)
  })
})
