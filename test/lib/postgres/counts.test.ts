import {expect} from 'chai'
import {connect, endQuietly, type Client} from '../../../src/lib/postgres/connection.ts'
import {countTable} from '../../../src/lib/postgres/counts.ts'
import {testCluster} from '../../support/cluster.ts'

describe('the counts of a table', () => {
  let client: Client
  before(async () => { client = await connect(await (await testCluster()).createDatabase('counts')) })
  after(() => endQuietly(client))

  it('add up where NULL and the empty tenant meet, and know a tenant __proto__', async () => {
    await client.query(`CREATE TABLE t ("tenantId" text); INSERT INTO t SELECT unnest(ARRAY[NULL, NULL, '', 'a', '__proto__', '__proto__'])`)
    const counts = await countTable(client, {schema: 'public', name: 't', kind: 'table', columns: ['tenantId']}, 'tenantId')
    expect(counts?.rows).to.equal(6)
    expect(Object.entries(counts?.tenants ?? {})).to.deep.equal([['', 3], ['__proto__', 2], ['a', 1]])
  })
})
