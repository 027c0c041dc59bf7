import {expect} from 'chai'
import {compareRecovered, type RecoveredFacts, type RecoveredReference, type TimedTable} from '../../../src/lib/checks/recovered.ts'
import {liveReference} from '../../../src/lib/procedures/pitr/facts.ts'

const AT = new Date('2026-11-22T09:00:00Z')
const leads: TimedTable = {schema: 'public', name: 'leads', rows: 10, columns: ['id', 'tenantId'], tenants: {t1: 6, t2: 4}, newest: '2026-11-22T08:59:30.000Z'}
const copy = (more: Partial<RecoveredFacts> = {}): RecoveredFacts => ({
  serverMajor: 17, encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}, tables: [leads], sequences: [], digests: false, roles: [{name: 'crm_app', login: true, memberOf: []}], migration: '42_leads',
  extensions: [], rowSecurity: [{schema: 'public', table: 'leads', enabled: true, forced: false}], policies: [{schema: 'public', table: 'leads', name: 'own', definition: 'PERMISSIVE * TO public USING (x)'}], grants: [{object: 'table public.leads', grantee: 'crm_app', privileges: ['SELECT']}],
  indexes: {count: 2, invalid: []}, constraints: {count: 1, notValidated: []}, materializedViews: [], largeObjects: 0, objects: {tables: 1}, ...more,
})
const compare = (found: Partial<RecoveredFacts>, source: Partial<RecoveredFacts> = {}, exact = true) => compareRecovered(copy(found), liveReference(copy(source)), {at: AT, exact})
const wrong = (...args: Parameters<typeof compare>) => compare(...args).filter(({severity}) => severity === 'error').map(({code, subject}) => `${code} ${subject}`.trim())
const told = (...args: Parameters<typeof compare>) => compare(...args).filter(({severity}) => severity === 'warning' || severity === 'info').map(({severity, code, message}) => `${severity} ${code} ${message}`)

describe('a recovered database, compared', () => {
  it('is in order when it is as its source, and says what was looked at', () => {
    expect(wrong({})).to.deep.equal([])
    expect(told({})).to.deep.equal([])
    expect(compare({}).map(({code}) => code)).to.include.members(['integrity.tables', 'pitr.newest', 'integrity.sequences', 'pitr.migrations', 'pitr.rows', 'integrity.row-security', 'integrity.policies', 'integrity.grants', 'pitr.roles', 'integrity.indexes'])
    expect(compare({})[0]?.message).to.equal('10 rows of 2 tenants in 1 table can be read')
  })

  it('may have no row from after the instant, but for what clocks differ', () => {
    const at = (newest: string) => wrong({tables: [{...leads, newest}]}, {tables: [{...leads, newest}]})
    expect(at('2026-11-22T09:00:59.000Z')).to.deep.equal([])
    expect(at('2026-11-22T09:01:01.000Z')).to.deep.equal(['pitr.newest public.leads'])
  })

  it('must have the rows that the source still has from before it, when an instant was asked for', () => {
    const older = {tables: [{...leads, newest: '2026-11-22T07:00:00.000Z'}]}
    const source = {tables: [{...leads, newest: '2026-11-22T08:00:00.000Z'}]}
    expect(wrong(older, source)).to.deep.equal(['pitr.newest public.leads'])
    expect(wrong(older, source, false), 'the latest: it is not known which').to.deep.equal([])
    expect(wrong(older, {tables: [{...leads, newest: '2026-11-22T09:30:00.000Z'}]}), 'written since').to.deep.equal([])
  })

  it('must be readable, and there', () => {
    expect(wrong({tables: [{...leads, trouble: 'no permission'}]})).to.deep.equal(['integrity.tables public.leads'])
    expect(wrong({tables: []})).to.deep.equal(['integrity.tables'])
    expect(wrong({unread: {grants: 'denied'}})).to.include('integrity.unread grants')
  })

  it('must be protected as its source, as long as no migration lies between', () => {
    expect(wrong({rowSecurity: []})).to.deep.equal(['integrity.row-security public.leads'])
    expect(wrong({policies: []})).to.deep.equal(['integrity.policies public.leads: own'])
    expect(wrong({rowSecurity: [], policies: [], migration: '41_calls'})).to.deep.equal([])
    expect(told({rowSecurity: [], migration: '41_calls'})).to.include('warning integrity.row-security row-level security is off; in the source it is on').and.include('warning pitr.migrations the last migration is 41_calls; the source has 42_leads')
  })

  it('tells what may have been changed since: rows, tables, grants, roles, objects', () => {
    const calls: TimedTable = {schema: 'public', name: 'calls', rows: 3, columns: ['id']}
    expect(wrong({tables: [leads, calls], grants: [], roles: [], objects: {tables: 2}}, {tables: [{...leads, rows: 7}]})).to.deep.equal([])
    expect(told({tables: [leads, calls], grants: [], roles: [], objects: {tables: 2}}, {tables: [{...leads, rows: 7}]})).to.deep.equal([
      'info pitr.rows the table is not in the source', 'info pitr.rows 10 rows; the source has 7', 'warning integrity.objects 2 tables; the source had 1', 'warning integrity.grants crm_app lacks SELECT', 'warning pitr.roles the role is not there; the source has it',
    ])
    expect(told({}, {tables: [leads, calls]})).to.deep.equal(['warning pitr.rows the table is not there; the source has it'])
    expect(told({roles: [{name: 'crm_app', login: true, superuser: true, memberOf: ['b', 'a']}]})).to.deep.equal(['warning pitr.roles is login, superuser, member of a, member of b; in the source login'])
  })

  it('keeps the words of a manifest when it is compared with one', () => {
    const {expected, roles, migration} = liveReference(copy({tables: [{...leads, rows: 7}]}))
    const reference: RecoveredReference = {kind: 'backup', expected, roles, ...(migration !== undefined && {migration})}
    expect(compareRecovered(copy(), reference, {at: AT, exact: true}).find(({code}) => code === 'pitr.rows')?.message).to.equal('10 rows; the backup has 7')
  })

  it('says what it can where there is nothing to compare with', () => {
    const found = compareRecovered(copy({tables: [{...leads, newest: undefined as never}]}), undefined, {at: AT, exact: true})
    expect(found.map(({code, severity}) => `${severity} ${code}`)).to.deep.equal(['ok integrity.tables', 'info pitr.newest', 'ok integrity.sequences'])
  })
})
