import {expect} from 'chai'
import {connect, endQuietly, rowOf, type Client} from '../../../src/lib/postgres/connection.ts'
import {openThen} from '../../../src/lib/postgres/open-then.ts'
import {serverMajors, testCluster, type TestCluster} from '../../support/cluster.ts'

for (const major of serverMajors) {
  describe(`transactions that were open, on PostgreSQL ${major}`, function () {
    this.timeout(120_000)
    let cluster: TestCluster
    let url = ''
    const clients: Client[] = []
    const client = async (at = url) => {
      const made = await connect(at)
      clients.push(made)
      return made
    }
    const xidIn = async (at: Client) => (await rowOf<{xid: string}>(at, 'SELECT pg_current_xact_id()::text AS xid')).xid

    before(async () => { cluster = await testCluster({major}) })
    beforeEach(async () => { url = await cluster.createDatabase('open_then') })
    afterEach(() => Promise.all(clients.splice(0).map(endQuietly)))
    after(async () => {
      await cluster.drop('open_then')
      const admin = await client(cluster.adminUrl)
      await admin.query('DROP ROLE IF EXISTS open_then_role')
      await endQuietly(admin)
    })

    it('are those that are neither committed on the one nor aborted on the other', async () => {
      const [open, other] = [await client(), await client()]
      await open.query('CREATE TABLE seen (id int)')
      await open.query('BEGIN')
      const xid = await xidIn(open)
      await open.query('SAVEPOINT one; INSERT INTO seen VALUES (1)')
      const {part} = await rowOf<{part: string}>(open, 'SELECT max(xmin::text) AS part FROM seen')
      await other.query('BEGIN')
      const aborted = await xidIn(other)
      await other.query('ROLLBACK')
      await other.query('INSERT INTO seen VALUES (2)')
      const next = await xidIn(other)
      const found = await openThen(other, await client(), next)
      expect(found.complete).to.equal(true)
      expect(found.xids).to.include.members([part, xid]).and.not.include(aborted)
      expect(found.xids.indexOf(part)).to.be.lessThan(found.xids.indexOf(xid))
      await open.query('ROLLBACK')
      expect((await openThen(other, await client(), next)).xids).to.not.include(xid).and.not.include(part)
    })

    it('are not known where nobody may ask, and of transactions to come', async () => {
      const admin = await client()
      await admin.query("DROP ROLE IF EXISTS open_then_role; CREATE ROLE open_then_role LOGIN PASSWORD 'it'; REVOKE EXECUTE ON FUNCTION pg_xact_status(xid8) FROM PUBLIC")
      const role = await client(cluster.url('open_then', {name: 'open_then_role', password: 'it'}))
      const next = await xidIn(admin)
      expect(await openThen(role, admin, next)).to.deep.equal({xids: [], complete: false})
      expect(await openThen(admin, admin, String(BigInt(next) + 1000n))).to.deep.equal({xids: [], complete: false})
      expect((await openThen(admin, admin, next)).complete).to.equal(true)
    })
  })
}
