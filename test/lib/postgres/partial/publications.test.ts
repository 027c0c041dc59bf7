import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import type {Catalog} from '../../../../src/lib/postgres/partial/contract.ts'
import {privateCluster, type TestCluster} from '../../../support/cluster.ts'
import {catalogOf, createPartial, digestOf, learnColumns, requestOf, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {until} from '../../../support/until.ts'

const SLOT = 'dr_partial_test'

describe('a merge into a database whose tables are all published', function () {
  this.timeout(180_000)
  const options = {signal: new AbortController().signal}
  const reverting = {...options, lockTimeoutMs: 1000}
  let cluster: TestCluster
  let client: Client
  let subscriber: Client
  let live: Catalog

  before(async () => {
    cluster = await privateCluster(17)
    const url = await cluster.createDatabase('published')
    await withClient(url, {}, createPartial)
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('CREATE DATABASE subscribed TEMPLATE published'))
    client = await connect(url)
    await learnColumns(client)
    live = await catalogOf(client)
    await client.query('CREATE PUBLICATION everything FOR ALL TABLES')
    await rowsOf(client, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [SLOT])
    subscriber = await connect(cluster.url('subscribed'))
    const at = new URL(url)
    await subscriber.query(`CREATE SUBSCRIPTION mirror CONNECTION 'host=${at.hostname} port=${at.port} dbname=published user=${at.username} password=${decodeURIComponent(at.password)}' PUBLICATION everything WITH (create_slot = false, slot_name = '${SLOT}', copy_data = false)`)
  })
  after(async () => {
    await endQuietly(subscriber)
    await endQuietly(client)
    await cluster.stop()
  })

  /** Without what triggers of the subscriber's own write. */
  const leads = async (one: Client) => (await rowOf<{digest: string}>(one, 'SELECT count(*) || \' \' || coalesce(sum(hashtextextended(ROW(id, "tenantId", title, status, amount)::text, 0)), 0) AS digest FROM leads l')).digest
  /** What came before it has arrived, too. */
  const caughtUp = async (mark: string): Promise<void> => {
    await client.query(`INSERT INTO tenants VALUES ('${mark}', '${mark}')`)
    await until(async () => (await rowsOf(subscriber, 'SELECT FROM tenants WHERE id = $1', [mark])).length > 0, 60_000)
  }
  const request = (undoSchema: string) => requestOf(live, {tables: [tableSelection('leads')]}, 'exact', {undoSchema})
  const harm = () => client.query(`DELETE FROM leads WHERE id = 't1d1'; UPDATE leads SET status = 'x' WHERE "tenantId" = 't2'; INSERT INTO leads (id, "tenantId") VALUES ('extra', 't1'); INSERT INTO calls ("tenantId", "leadId") VALUES ('t1', 'extra')`)

  it('reaches the subscribers, and what is kept for its undo does not; both go on', async () => {
    await harm()
    await caughtUp('m1')
    const before = await leads(client)
    const {cascades} = await mergeSelection(client, request('dr_undo_a'), options)
    expect(cascades.map(({table: {name}, updated}) => [name, updated])).to.deep.equal([['calls', 1]])
    await caughtUp('m2')
    expect(await leads(subscriber)).to.equal(await leads(client)).and.not.to.equal(before)
    expect(await rowsOf(client, "SELECT relname, relpersistence FROM pg_class WHERE relnamespace = 'dr_undo_a'::regnamespace AND relkind IN ('r', 'i', 't') AND relpersistence <> 'p'")).to.deep.equal([])
    await revertMerge(client, 'dr_undo_a', reverting)
    await caughtUp('m3')
    expect(await leads(subscriber)).to.equal(await leads(client)).and.to.equal(before)
    expect(await rowOf(subscriber, 'SELECT apply_error_count::int AS errors FROM pg_stat_subscription_stats')).to.deep.equal({errors: 0})
    await subscriber.query('ALTER SUBSCRIPTION mirror DISABLE')
    await subscriber.query('ALTER SUBSCRIPTION mirror SET (slot_name = NONE)')
    await subscriber.query('DROP SUBSCRIPTION mirror')
  })

  it('says in words that the server lets nobody change rows that it could not name to them', async () => {
    await client.query("INSERT INTO notes VALUES ('t1', 'extra', 9)")
    const before = await digestOf(client)
    const error = await drErrorOf(mergeSelection(client, requestOf(live, {tables: [tableSelection('notes')]}, 'exact', {undoSchema: 'dr_undo_n'}), options))
    expect(error).to.include({code: 'partial.replica-identity', exitCode: 3})
    expect(error.message).to.include('"notes"')
    expect(await digestOf(client)).to.deep.equal(before)
  })

  it('can be taken back after a crash of the server', async () => {
    const before = await leads(client)
    await mergeSelection(client, request('dr_undo_b'), options)
    expect(await leads(client)).not.to.equal(before)
    await endQuietly(client)
    await endQuietly(subscriber)
    await cluster.crash()
    client = await connect(cluster.url('published'))
    await revertMerge(client, 'dr_undo_b', reverting)
    expect(await leads(client)).to.equal(before)
  })
})
