import {expect} from 'chai'
import {connect, endQuietly, rowOf, withClient, type Client} from '../../../src/lib/postgres/connection.ts'
import {copyOut} from '../../../src/lib/postgres/copy-out.ts'
import {codeOf, isConnectionLost} from '../../../src/lib/postgres/errors.ts'
import {testCluster, type TestCluster} from '../../support/cluster.ts'
import {until} from '../../support/until.ts'

async function all(pieces: AsyncIterator<Buffer>): Promise<Buffer> {
  const found: Buffer[] = []
  for (let piece = await pieces.next(); !piece.done; piece = await pieces.next()) found.push(Buffer.from(piece.value))
  return Buffer.concat(found)
}

describe('copyOut', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let client: Client
  before(async () => {
    cluster = await testCluster()
    client = await connect(await cluster.createDatabase('copy_out'))
  })
  after(async () => {
    await endQuietly(client)
    await cluster.drop('copy_out')
  })

  it('gives every byte, of many small rows and of few large ones, and the connection goes on', async () => {
    for (const [rows, width] of [[0, 1], [1, 0], [50_000, 3], [200, 30_000], [3, 3_000_000]] as const) {
      const text = (await all(copyOut(client, `COPY (SELECT repeat(chr(97 + n % 26), ${width}) FROM generate_series(1, ${rows}) n) TO STDOUT`))).toString()
      expect(text).to.equal(Array.from({length: rows}, (_, index) => `${String.fromCharCode(97 + (index + 1) % 26).repeat(width)}\n`).join(''))
      expect((await rowOf<{one: number}>(client, 'SELECT 1 AS one')).one).to.equal(1)
    }
  })

  it('lets notices between the rows pass', async () => {
    await client.query("CREATE OR REPLACE FUNCTION loud(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', n; RETURN n; END $$")
    expect((await all(copyOut(client, 'COPY (SELECT loud(n) FROM generate_series(1, 300) n) TO STDOUT'))).toString().split('\n')).to.have.length(301)
  })

  for (const [when, at] of [['at once', 1], ['in the middle', 40_000]] as const) {
    it(`fails with the server's words when the statement fails ${when}, and the connection goes on`, async () => {
      const error: unknown = await all(copyOut(client, `COPY (SELECT 1 / (n - ${at}) FROM generate_series(1, 50000) n) TO STDOUT`)).catch((caught: unknown) => caught)
      expect(codeOf(error)).to.equal('22012')
      expect((await rowOf<{one: number}>(client, 'SELECT 1 AS one')).one).to.equal(1)
    })
  }

  it('fails when a statement cannot be read, and when the connection is lost', async () => {
    expect(codeOf(await all(copyOut(client, 'COPY nonsense')).catch((caught: unknown) => caught))).to.equal('42601')
    const other = await connect(cluster.url('copy_out'))
    const {pid} = await rowOf<{pid: number}>(other, 'SELECT pg_backend_pid() AS pid')
    const pieces = copyOut(other, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT")
    expect((await pieces.next()).done).to.not.equal(true)
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('SELECT pg_terminate_backend($1)', [pid]))
    expect(await all(pieces).catch((caught: unknown) => caught)).to.satisfy(isConnectionLost)
    await endQuietly(other)
    expect(await all(copyOut(other, 'COPY (SELECT 1) TO STDOUT')).catch((caught: unknown) => caught)).to.be.an('error')
  })

  it('reads no further than it is asked: the server waits', async () => {
    const other = await connect(cluster.url('copy_out'))
    const {pid} = await rowOf<{pid: number}>(other, 'SELECT pg_backend_pid() AS pid')
    const pieces = copyOut(other, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT")
    expect((await pieces.next()).done).to.not.equal(true)
    await until(() => withClient(cluster.adminUrl, {}, async (admin) => (await admin.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'ClientWrite'", [pid])).rowCount === 1))
    await endQuietly(other)
  })
})
