import {expect} from 'chai'
import {lossWords} from '../../../src/lib/checks/loss-words.ts'
import {lossTable} from '../../../src/lib/checks/loss.ts'
import type {LiveCounts, LiveTableCounts} from '../../../src/lib/postgres/live-counts.ts'
import type {ManifestTable} from '../../../src/lib/repository/manifest.ts'
import {sampleManifest} from '../../support/manifest.ts'

const backup = (name: string, rows: number | null, tenants?: Record<string, number>): ManifestTable => ({schema: 'public', name, kind: 'table', rows, columns: ['id'], bytes: 0, ...(tenants && {tenants})})
const now = (name: string, rows: number | null, more: Partial<LiveTableCounts> = {}): LiveTableCounts => ({schema: 'public', name, columns: ['id'], rows, ...more})
const liveOf = (tables: LiveTableCounts[], more: Partial<LiveCounts> = {}): LiveCounts => ({database: 'crm', at: '2026-11-22T05:00:00.000Z', tables, ...more})
const compare = (before: ManifestTable[], tables: LiveTableCounts[], more: Partial<LiveCounts> = {}) => lossTable(sampleManifest({tables: before}), liveOf(tables, more))

describe('the loss of a restore', () => {
  it('counts what was written since, and what is gone since', () => {
    const {tables, total} = compare([backup('leads', 100)], [now('leads', 110, {newer: 30, newest: '2026-11-22T04:00:00.000Z'})])
    expect(tables).to.deep.equal([{schema: 'public', name: 'leads', where: 'both', live: 110, backup: 100, lost: 30, regained: 20, atLeast: false, newest: '2026-11-22T04:00:00.000Z'}])
    expect(total).to.deep.equal({live: 110, backup: 100, lost: 30, regained: 20, atLeast: false})
  })

  it('says the least that it can be where nothing tells new rows from old ones', () => {
    const {tables, total, newerUnknown} = compare([backup('a', 100), backup('b', 100)], [now('a', 90), now('b', 104)], {newerUnknown: 'it is another server'})
    expect(tables.map(({name, lost, regained, atLeast}) => ({name, lost, regained, atLeast}))).to.deep.equal([{name: 'a', lost: 0, regained: 10, atLeast: true}, {name: 'b', lost: 4, regained: 0, atLeast: true}])
    expect(total).to.include({lost: 4, regained: 10, atLeast: true})
    expect(newerUnknown).to.equal('it is another server')
  })

  it('is sure where one side is empty or not there', () => {
    const {tables, total} = compare([backup('dropped', 7), backup('emptied', 8), backup('filled', 0)], [now('emptied', 0), now('filled', 9), now('made', 5)])
    expect(tables.map(({name, where, lost, regained}) => ({name, where, lost, regained}))).to.deep.equal([
      {name: 'filled', where: 'both', lost: 9, regained: 0}, {name: 'emptied', where: 'both', lost: 0, regained: 8}, {name: 'dropped', where: 'backup', lost: 0, regained: 7}, {name: 'made', where: 'live', lost: 5, regained: 0},
    ])
    expect(total.atLeast).to.equal(false)
  })

  it('never says less than the numbers do, when fewer rows seem new than there are more', () => {
    expect(compare([backup('a', 10)], [now('a', 20, {newer: 3})]).total).to.include({lost: 10, regained: 0})
  })

  it('puts what differs most first, and adds up the tenants, one called __proto__ too', () => {
    const tenants = JSON.parse('{"__proto__": 4, "a": 6, "": 1}') as Record<string, number>
    const {tables, tenants: byTenant} = compare([backup('small', 11, tenants), backup('large', 50, {a: 50})], [
      now('small', 11, {tenants, newer: 1, newerTenants: {a: 1}}), now('large', 60, {tenants: {a: 40, b: 20}, newer: 30, newerTenants: {a: 10, b: 20}}),
    ])
    expect(tables.map(({name}) => name)).to.deep.equal(['large', 'small'])
    expect(byTenant.map(({tenant, live, backup: before, lost, regained}) => [tenant, live, before, lost, regained])).to.deep.equal([
      ['a', 46, 56, 11, 21], ['b', 20, 0, 20, 0], ['__proto__', 4, 4, 0, 0], ['', 1, 1, 0, 0],
    ])
  })

  it('keeps to one tenant, and says which tables name none', () => {
    const manifest = sampleManifest({tables: [backup('leads', 12, {a: 7, b: 5}), backup('plain', 3)]})
    const loss = lossTable(manifest, liveOf([now('leads', 13, {tenants: {a: 9, b: 4}, newer: 3, newerTenants: {a: 3}}), now('plain', 3, {newer: 0})]), {tenant: 'a'})
    expect(loss.total).to.include({live: 9, backup: 7, lost: 3, regained: 1})
    expect(loss.leftOut).to.deep.equal([{schema: 'public', name: 'plain'}])
    expect(loss.tenants.map(({tenant}) => tenant)).to.deep.equal(['a'])
  })

  it('keeps apart what could not be counted', () => {
    const loss = compare([backup('locked', 5), backup('uncounted', null)], [now('locked', null, {trouble: 'it is locked'}), now('uncounted', 3)])
    expect(loss.tables).to.deep.equal([])
    expect(loss.troubles.map(({name, message}) => `${name}: ${message}`)).to.deep.equal(['locked: it is locked', 'uncounted: the backup has no count of its rows'])
  })

  it('is said in words', () => {
    const words = (before: ManifestTable[], tables: LiveTableCounts[]) => lossWords(compare(before, tables))
    expect(words([backup('a', 100)], [now('a', 110, {newer: 30})])).to.deep.equal(['A restore of 20261122T020000Z-7f3a would lose 30 rows written since 02:00 UTC, and bring back 20 rows that were deleted or changed since.'])
    expect(words([backup('a', 100)], [now('a', 100, {newer: 0})])).to.deep.equal(['A restore of 20261122T020000Z-7f3a would lose nothing and bring nothing back: no row was written or deleted since 02:00 UTC.'])
    expect(words([backup('a', 1)], [now('b', 1)]).slice(1)).to.deep.equal(['1 table made since the backup would be gone: public.b (1 row).', '1 table dropped since the backup would come back: public.a (1 row).'])
    const [verdict, caution] = words([backup('a', 100)], [now('a', 99)])
    expect(verdict).to.include('would lose no rows, and bring back at least 1 row that was deleted since')
    expect(caution).to.match(/the least that it can be/)
    expect(lossWords({...compare([], []), liveAt: '2026-11-24T01:00:00.000Z'})[0]).to.include('since 2026-11-22 02:00 UTC')
  })
})
