import {expect} from 'chai'
import {connect, endQuietly, rowOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import type {RestoreState} from '../../../../src/lib/procedures/restore/options.ts'
import {settleRestore} from '../../../../src/lib/procedures/restore/resume.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'

describe('what a resumed restore takes for its own', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let client: Client
  let oid = 0

  before(async () => {
    cluster = await testCluster({major: 17})
    await cluster.createDatabase('settle_side')
    client = await connect(cluster.adminUrl)
    oid = Number((await rowOf<{oid: string}>(client, "SELECT oid::text AS oid FROM pg_database WHERE datname = 'settle_side'")).oid)
  })
  after(async () => {
    await endQuietly(client)
    await cluster.drop('settle_side')
  })

  const settle = (state: Partial<RestoreState>, {done = ['restore.create', 'restore.rest'], begun = done}: {done?: string[]; begun?: string[]} = {}) => settleRestore(
    {target: parseTarget(cluster.adminUrl)},
    {maintenance: () => Promise.resolve(client), maintenanceDatabase: 'postgres', mark: {run: 'r', label: 'l'}},
    {run: 'r', state: {live: 'settle_live', database: 'settle_side', databaseOid: oid, findings: [], ...state} as unknown as RestoreState, done: new Map(done.map((id) => [id, 1])), begun, before: new Map(), owners: []} as unknown as Parameters<typeof settleRestore>[2],
  )

  it('is the database that it made, under its name', async () => {
    expect(await settle({})).to.equal(undefined)
  })

  it('is not one that has another name by now: an undone swap has put it aside', async () => {
    expect(await settle({database: 'settle_restore'})).to.match(/settle_restore is called settle_side by now/)
  })

  it('is not one whose undo had begun', async () => {
    expect(await settle({}, {done: ['restore.rest']})).to.match(/an undo of settle_side had begun/)
  })

  it('is the live one when its swap has happened, whatever an undo had begun', async () => {
    expect(await settle({live: 'settle_side', database: 'settle_restore', swap: {safety: 'none', sideOid: oid, swapped: true}}, {done: ['restore.rest']})).to.equal(undefined)
  })

  it('is asked anew when the swap has not happened', async () => {
    const swap = {safety: 'none' as const, sideOid: oid, swapped: true, kept: 'settle_before', outageMs: 3}
    expect(await settle({live: 'settle_nobody', swap})).to.equal(undefined)
    expect(swap).to.deep.equal({safety: 'none'})
  })

  it('is not one that is gone', async () => {
    expect(await settle({databaseOid: 1_000_000_000})).to.match(/is gone/)
  })
})
