import {expect} from 'chai'
import {existsSync} from 'node:fs'
import {mkdtemp, readFile, rm, stat} from 'node:fs/promises'
import {createServer, type AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {findServerBinaries} from '../../../../src/lib/sandbox/cluster/binaries.ts'
import {runningCluster, startCluster, type Cluster} from '../../../../src/lib/sandbox/cluster/cluster.ts'
import {connect} from '../../../../src/lib/postgres/connection.ts'
import {endProcess, processAlive} from '../../../../src/lib/system/service.ts'
import {serverMajors, testCluster} from '../../../support/cluster.ts'

const ask = async (url: string, query: string): Promise<unknown> => {
  const client = await connect(url)
  try {
    const {rows} = await client.query<{answer: unknown}>(query)
    return rows[0]?.answer
  } finally {
    await client.end()
  }
}

describe('cluster', () => {
  let directory: string
  let cluster: Cluster | undefined
  beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), 'dr-cluster-')) })
  afterEach(async () => {
    await (await runningCluster(directory))?.stop('immediate')
    await rm(directory, {recursive: true, force: true})
  })

  it('starts, answers on 127.0.0.1 only, asks for the password, and stops', async () => {
    cluster = await startCluster({directory, settings: {work_mem: '7MB'}})
    expect(await ask(cluster.url(), "SELECT current_setting('listen_addresses') AS answer")).to.equal('127.0.0.1')
    expect(await ask(cluster.url(), "SELECT current_setting('work_mem') AS answer")).to.equal('7MB')
    expect(await ask(cluster.url(), "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate AS answer FROM pg_database WHERE datname = 'postgres'")).to.equal('UTF8 C.UTF-8')
    const refused = await ask(cluster.url('postgres', {name: 'postgres', password: 'wrong'}), 'SELECT 1').catch((error: unknown) => error)
    expect(refused).to.have.property('code', 'postgres.denied')
    await cluster.stop()
    expect(processAlive(cluster.pid)).to.equal(false)
    expect(await runningCluster(directory)).to.equal(undefined)
  })

  it('keeps the password in a file that only its owner reads', async () => {
    cluster = await startCluster({directory, password: "it's: a/secret@"})
    expect((await stat(join(directory, 'password'))).mode & 0o777).to.equal(0o600)
    expect(existsSync(join(directory, 'password.initdb'))).to.equal(false)
    expect(await ask(cluster.url(), 'SELECT 1 AS answer')).to.equal(1)
  })

  it('adopts the running server when started twice, and keeps the data over a restart', async () => {
    cluster = await startCluster({directory})
    await ask(cluster.url(), 'CREATE TABLE kept AS SELECT 1')
    const again = await startCluster({directory})
    expect(again.pid).to.equal(cluster.pid)
    await again.stop()
    const anew = await startCluster({directory})
    expect(anew.pid).not.to.equal(cluster.pid)
    expect(await ask(anew.url(), 'SELECT count(*)::int AS answer FROM kept')).to.equal(1)
  })

  it('starts after a crash that left the lock file', async () => {
    cluster = await startCluster({directory})
    await endProcess(cluster.pid, {signal: 'SIGKILL'})
    expect(await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')).to.match(new RegExp(`^${cluster.pid}\\n`))
    const anew = await startCluster({directory})
    expect(await ask(anew.url(), 'SELECT 1 AS answer')).to.equal(1)
  })

  it('says that a given port is taken', async () => {
    const squatter = createServer()
    await new Promise<void>((resolve) => { squatter.listen(0, '127.0.0.1', resolve) })
    try {
      const {port} = squatter.address() as AddressInfo
      const failure = await startCluster({directory, port}).catch((error: unknown) => error)
      expect(failure).to.be.an('error').with.property('message').that.matches(/pg_ctl .* failed: FATAL: {2}could not create any TCP\/IP sockets/)
    } finally {
      squatter.close()
    }
  })

  it('finds the binaries of each major that the development dependencies carry', async () => {
    for (const major of serverMajors) expect(await findServerBinaries({major})).to.include({major})
  })

  for (const major of serverMajors) {
    it(`shares a test cluster of PostgreSQL ${major}`, async () => {
      const shared = await testCluster({major})
      expect((await testCluster({major})).pid).to.equal(shared.pid)
      const url = await shared.createDatabase('odd "name"')
      expect(await ask(url, "SELECT current_database() || ' ' || (current_setting('server_version_num')::int / 10000)::text AS answer")).to.equal(`odd "name" ${major}`)
    })
  }
})
