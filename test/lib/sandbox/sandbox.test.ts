import {expect} from 'chai'
import {chmod, mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import nock from 'nock'
import {rowOf, withClient} from '../../../src/lib/postgres/connection.ts'
import {clusterDirectory} from '../../../src/lib/sandbox/postgres-service.ts'
import {removeSandbox, resetSandbox, sandboxEnvironment, sandboxStatus, startSandbox, stopSandbox, type SandboxStatus} from '../../../src/lib/sandbox/sandbox.ts'
import {readState} from '../../../src/lib/sandbox/state.ts'
import {endProcess, processAlive} from '../../../src/lib/system/service.ts'
import {testCluster} from '../../support/cluster.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporarySandbox} from '../../support/sandbox.ts'

/** The RDS server has tests of its own. */
const size = {rows: 200, tenants: 3}
const small = {...size, rds: false}
const pidsOf = ({services}: SandboxStatus): (number | undefined)[] => services.map(({pid}) => pid)
const calls = async (directory: string): Promise<number> => {
  const {DATABASE_URL = ''} = await sandboxEnvironment(directory)
  return withClient(DATABASE_URL, {}, async (client) => Number((await rowOf<{n: string}>(client, 'SELECT count(*) AS n FROM calls')).n))
}

describe('sandbox', function () {
  this.timeout(60_000)
  const place = temporarySandbox()
  let directory: string
  beforeEach(() => { ({directory} = place) })

  it('starts PostgreSQL, S3 and the sample database, once', async () => {
    const first = await startSandbox(directory, small)
    expect(first).to.include({running: true, bucket: 'dashboarduz-backups'})
    expect(first.database).to.deep.equal({name: 'dashboarduz', present: true, ...size})
    expect(await calls(directory)).to.equal(75)
    await checkEnvironment()
    await checkSecrets(first)
    const again = await startSandbox(directory, {rows: 999, rds: false})
    expect(pidsOf(again)).to.deep.equal(pidsOf(first))
    expect(again.database?.rows).to.equal(size.rows)
    const other = (first.postgres ?? 0) + 1
    expect((await drErrorOf(startSandbox(directory, {major: other, rds: false}))).message).to.equal(`The sandbox holds PostgreSQL ${other - 1}, not ${other}.`)
  })

  async function checkEnvironment(): Promise<void> {
    const environment = await sandboxEnvironment(directory)
    expect(Object.keys(environment)).to.deep.equal(['DATABASE_URL', 'AWS_S3_BUCKET', 'AWS_REGION', 'AWS_ENDPOINT_URL_S3', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'DR_ENVIRONMENT', 'ENCRYPTION_KEY'])
    expect(environment.ENCRYPTION_KEY).to.have.length.greaterThan(32)
    nock.enableNetConnect('127.0.0.1')
    try {
      const answer = await fetch(`${environment.AWS_ENDPOINT_URL_S3 ?? ''}/${environment.AWS_S3_BUCKET ?? ''}`)
      expect(answer.status).to.equal(403)
      expect(await answer.text()).to.include('AccessDenied')
    } finally {
      nock.disableNetConnect()
    }
  }

  /** Not in the status, and in files that only their owner reads. */
  async function checkSecrets(status: SandboxStatus): Promise<void> {
    const environment = await sandboxEnvironment(directory)
    const {password} = new URL(environment.DATABASE_URL ?? '')
    for (const secret of [password, environment.AWS_SECRET_ACCESS_KEY ?? '', environment.ENCRYPTION_KEY ?? '']) {
      expect(JSON.stringify(status)).not.to.include(secret)
      expect(await readFile(join(directory, 's3.log'), 'utf8')).not.to.include(secret)
    }
    expect((await stat(join(directory, 'state.json'))).mode & 0o777).to.equal(0o600)
  }

  it('recovers from a crash of everything, and keeps data and port of S3', async () => {
    const before = await startSandbox(directory, small)
    for (const pid of pidsOf(before)) await endProcess(pid ?? 0, {signal: 'SIGKILL'})
    expect((await sandboxStatus(directory)).running).to.equal(false)
    expect((await drErrorOf(sandboxEnvironment(directory))).hints).to.deep.equal(['dr sandbox start'])
    const after = await startSandbox(directory, small)
    expect(after.running).to.equal(true)
    expect(after.services.find(({name}) => name === 's3')?.port).to.equal(before.services.find(({name}) => name === 's3')?.port)
    expect(await calls(directory)).to.equal(75)
  })

  it('is not deceived by another server that has the pid of a dead one: status, stop and reset answer at once', async () => {
    const before = await startSandbox(directory, small)
    for (const pid of pidsOf(before)) await endProcess(pid ?? 0, {signal: 'SIGKILL'})
    const {clusterDirectory: own = ''} = (await readState(directory)) ?? {}
    const lock = join(own, 'data', 'postmaster.pid')
    const other = await testCluster()
    const deceive = async () => writeFile(lock, (await readFile(lock, 'utf8')).replace(/^\d+/, String(other.pid)))
    await deceive()
    const from = performance.now()
    expect((await sandboxStatus(directory)).running).to.equal(false)
    expect((await stopSandbox(directory)).running).to.equal(false)
    expect(performance.now() - from).to.be.lessThan(5000)
    expect(processAlive(other.pid)).to.equal(true)
    expect((await startSandbox(directory, small)).running).to.equal(true)
    await stopSandbox(directory)
    await writeFile(lock, `${other.pid}\n${join(own, 'data')}\n0\n${other.port}\n`)
    expect((await resetSandbox(directory, small)).running).to.equal(true)
    expect(processAlive(other.pid)).to.equal(true)
  })

  it('stops a server that does not answer, and does not wait to say so', async () => {
    const before = await startSandbox(directory, small)
    const {clusterDirectory: own = ''} = (await readState(directory)) ?? {}
    const lock = join(own, 'data', 'postmaster.pid')
    const lines = (await readFile(lock, 'utf8')).split('\n')
    await writeFile(lock, lines.with(3, '9').join('\n'))
    const postgres = before.services.find(({name}) => name === 'postgres')?.pid ?? 0
    const from = performance.now()
    expect((await sandboxStatus(directory)).services.find(({name}) => name === 'postgres')?.running).to.equal(false)
    expect((await stopSandbox(directory)).running).to.equal(false)
    expect(performance.now() - from).to.be.lessThan(15_000)
    expect(processAlive(postgres)).to.equal(false)
  })

  it('loads the sample anew when the first load was cut off', async () => {
    const controller = new AbortController()
    const cut = startSandbox(directory, {...small, signal: controller.signal, rowsProgress: () => { controller.abort(new Error('cut')) }})
    expect(await cut.catch((error: unknown) => error)).to.be.an('error')
    expect((await startSandbox(directory, small)).running).to.equal(true)
    expect(await calls(directory)).to.equal(75)
  })

  it('leaves a database alone that the operator dropped', async () => {
    await startSandbox(directory, small)
    const {DATABASE_URL = ''} = await sandboxEnvironment(directory)
    await withClient(DATABASE_URL, {database: 'postgres'}, (client) => client.query('DROP DATABASE dashboarduz'))
    const status = await startSandbox(directory, small)
    expect(status.running).to.equal(false)
    expect(status.database?.present).to.equal(false)
  })

  it('stops, and starts again with the same data', async () => {
    const pids = pidsOf(await startSandbox(directory, small))
    const stopped = await stopSandbox(directory)
    expect(stopped.running).to.equal(false)
    expect(pidsOf(stopped)).to.deep.equal([undefined, undefined])
    for (const pid of pids) expect(processAlive(pid ?? 0)).to.equal(false)
    await startSandbox(directory, small)
    expect(await calls(directory)).to.equal(75)
  })

  it('begins anew on reset', async () => {
    const first = await startSandbox(directory, small)
    const password = (await readState(directory))?.passwords.owner
    const second = await resetSandbox(directory, {rows: 400, tenants: 2, rds: false})
    expect(second.database).to.include({rows: 400, tenants: 2})
    expect((await readState(directory))?.passwords.owner).not.to.equal(password)
    for (const pid of pidsOf(first)) expect(processAlive(pid ?? 0)).to.equal(false)
  })

  it('touches no folder that it did not make', async () => {
    await mkdir(directory)
    await writeFile(join(directory, 'letter.txt'), 'dear')
    for (const attempt of [startSandbox, resetSandbox, removeSandbox]) {
      expect((await drErrorOf(attempt(directory, small))).code).to.equal('sandbox.foreign-folder')
    }
    expect(await readFile(join(directory, 'letter.txt'), 'utf8')).to.equal('dear')
    await rm(directory, {recursive: true})
  })

  it('lets one command work at a time', async () => {
    const results = await Promise.allSettled([startSandbox(directory, small), startSandbox(directory, small)])
    const failures = results.filter((result) => result.status === 'rejected').map(({reason}) => reason as unknown)
    expect(failures).to.have.length(1)
    expect(failures[0]).to.include({code: 'sandbox.locked', exitCode: 6})
    expect((await sandboxStatus(directory)).running).to.equal(true)
  })

  it('is nothing where there is none', async () => {
    expect(await sandboxStatus(directory)).to.deep.equal({directory, running: false, services: []})
    expect(await stopSandbox(directory)).to.deep.equal({directory, running: false, services: []})
  })

  it('puts the cluster elsewhere when the account of the server cannot enter', async () => {
    const stranger = {uid: 54_321, gid: 54_321}
    expect(await clusterDirectory(directory, stranger)).to.equal(join(directory, 'postgres'))
    await chmod(place.dataDir, 0o700)
    expect(await clusterDirectory(directory, stranger, '/var/lib/shared')).to.match(/^\/var\/lib\/shared\/sandbox-[\da-f]{8}$/)
  })
})
