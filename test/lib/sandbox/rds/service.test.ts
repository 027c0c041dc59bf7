import * as rds from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {runningPostmaster} from '../../../../src/lib/sandbox/cluster/postmaster.ts'
import {removeSandbox, sandboxEnvironment, sandboxStatus, startSandbox, stopSandbox} from '../../../../src/lib/sandbox/sandbox.ts'
import {readState} from '../../../../src/lib/sandbox/state.ts'
import {endProcess, processAlive} from '../../../../src/lib/system/service.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {realNetwork} from '../../../support/s3.ts'
import {temporarySandbox} from '../../../support/sandbox.ts'
import {until} from '../../../support/until.ts'

const small = {rows: 200, tenants: 3}

describe('the RDS server of a sandbox', function () {
  this.timeout(180_000)
  const place = temporarySandbox()
  let directory: string
  let client: rds.RDSClient
  let url = ''
  let blocked = () => {}
  beforeEach(() => {
    ({directory} = place)
    blocked = realNetwork()
  })
  afterEach(() => { blocked() })

  const started = async (options = {}): Promise<void> => {
    expect((await startSandbox(directory, {...small, rdsPace: 2, ...options})).running).to.equal(true)
    const environment = await sandboxEnvironment(directory)
    url = environment.DATABASE_URL ?? ''
    client = new rds.RDSClient({region: environment.AWS_REGION ?? '', endpoint: environment.AWS_ENDPOINT_URL_RDS ?? '', credentials: {accessKeyId: environment.AWS_ACCESS_KEY_ID ?? '', secretAccessKey: environment.AWS_SECRET_ACCESS_KEY ?? ''}})
  }
  const query = (sql: string) => withClient(url, {}, (one) => rowOf<{n: string}>(one, sql))
  const pets = async (): Promise<string> => (await query("SELECT string_agg(name, ',' ORDER BY name) AS n FROM pets")).n
  const described = async (id: string) => (await client.send(new rds.DescribeDBInstancesCommand({DBInstanceIdentifier: id}))).DBInstances?.[0]
  const ready = (id: string) => until(async () => (await described(id).catch(() => undefined))?.DBInstanceStatus === 'available', 60_000)
  const pidOf = async (name: string): Promise<number> => (await sandboxStatus(directory)).services.find((one) => one.name === name)?.pid ?? 0
  const renamed = async (from: string, to: string): Promise<void> => {
    await client.send(new rds.ModifyDBInstanceCommand({DBInstanceIdentifier: from, NewDBInstanceIdentifier: to, ApplyImmediately: true}))
    await until(async () => (await described(to).catch(() => undefined)) !== undefined, 60_000)
    await ready(to)
  }

  /** Restores to an instant before a row was lost, with a crash of the service in the middle, and swaps the names. */
  async function rehearse(): Promise<void> {
    await withClient(url, {}, (one) => one.query("CREATE TABLE pets (name text); INSERT INTO pets VALUES ('Bo'), ('Mia')"))
    const at = new Date()
    await until(() => Date.now() > at.getTime() + 1)
    await withClient(url, {}, (one) => one.query("DELETE FROM pets WHERE name = 'Mia'"))
    await until(async () => ((await described('dashboarduz'))?.LatestRestorableTime ?? 0) > at, 60_000)
    await client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDBInstanceIdentifier: 'dashboarduz', TargetDBInstanceIdentifier: 'copy', RestoreTime: at, Tags: [{Key: 'dr:run-id', Value: '7'}]}))
    await endProcess(await pidOf('rds'), {signal: 'SIGKILL'})
    expect((await drErrorOf(sandboxEnvironment(directory))).code).to.equal('sandbox.stopped')
    await started()
    expect((await sandboxStatus(directory)).instances?.map(({id}) => id)).to.deep.equal(['dashboarduz', 'copy'])
    await ready('copy')
    await renamed('dashboarduz', 'dashboarduz-old')
    expect((await sandboxEnvironment(directory)).DATABASE_URL, 'in the middle of the cut-over').to.equal(url)
    await renamed('copy', 'dashboarduz')
  }

  async function everything() {
    const [{DBInstances = []}, {Events = []}] = await Promise.all([client.send(new rds.DescribeDBInstancesCommand({})), client.send(new rds.DescribeEventsCommand({}))])
    return {
      events: Events.map(({Message}) => Message),
      instances: DBInstances.map(({DBInstanceIdentifier: id, DbiResourceId: resource, Endpoint, TagList, DBInstanceStatus}) => ({id, resource, port: Endpoint?.Port, TagList, DBInstanceStatus})).toSorted((a, b) => (a.id ?? '').localeCompare(b.id ?? '')),
    }
  }

  it('lets point-in-time recovery be rehearsed: the database address leads to the copy after a cut-over by rename, and all of it outlives crash and stop', async () => {
    await started()
    const address = url
    await rehearse()
    expect(await pets()).to.equal('Bo,Mia')
    const before = await everything()
    expect(before.instances.map(({id}) => id)).to.deep.equal(['dashboarduz', 'dashboarduz-old'])
    expect(before.instances[0]?.TagList).to.deep.equal([{Key: 'dr:run-id', Value: '7'}])
    await checkSecrets()
    const clusters = await servers()
    expect(clusters).to.have.length(2)

    for (const pid of [await pidOf('rds'), ...clusters]) await endProcess(pid, {signal: 'SIGKILL'})
    await started()
    expect(url).to.equal(address)
    expect(await pets()).to.equal('Bo,Mia')
    expect(await everything(), 'after a crash of everything').to.deep.equal(before)

    const running = [await pidOf('rds'), ...(await servers())]
    const stopped = await stopSandbox(directory)
    expect(stopped.instances?.map(({status}) => status)).to.deep.equal(['stopped', 'stopped'])
    for (const pid of running) expect(processAlive(pid)).to.equal(false)
    expect((await drErrorOf(startSandbox(directory, {rds: false}))).code).to.equal('sandbox.has-rds')
    await started()
    expect(await everything(), 'after a stop').to.deep.equal(before)
    expect(await pets()).to.equal('Bo,Mia')

    const ends = await servers()
    await removeSandbox(directory)
    for (const pid of ends) expect(processAlive(pid)).to.equal(false)
    expect(existsSync(directory)).to.equal(false)
  })

  async function checkSecrets(): Promise<void> {
    const {passwords, s3, encryptionKey} = (await readState(directory)) ?? {}
    const written = ['rds.log', 'rds/region.json'].map((name) => readFileSync(join(directory, name), 'utf8')).join('')
    for (const secret of [passwords?.owner ?? '', s3?.secretAccessKey ?? '', encryptionKey ?? '']) expect(secret !== '' && !written.includes(secret)).to.equal(true)
  }

  async function servers(): Promise<number[]> {
    const {clusterDirectory = ''} = (await readState(directory)) ?? {}
    const instances = join(clusterDirectory, 'instances')
    const found = await Promise.all([clusterDirectory, ...readdirSync(instances).map((name) => join(instances, name))].map((folder) => runningPostmaster(join(folder, 'data'))))
    return found.flatMap((one) => (one ? [one.pid] : []))
  }

  it('comes to a sandbox that was made without it, and keeps what is in the database', async () => {
    await startSandbox(directory, {...small, rds: false})
    url = (await sandboxEnvironment(directory)).DATABASE_URL ?? ''
    await withClient(url, {}, (one) => one.query("CREATE TABLE pets AS SELECT 'Bo'::text AS name"))
    const direct = new URL(url).port
    await started()
    expect(new URL(url).port).not.to.equal(direct)
    expect(await pets()).to.equal('Bo')
    expect(await described('dashboarduz')).to.include({DBInstanceStatus: 'available', MasterUsername: 'dashboarduz'}).and.have.property('LatestRestorableTime')
    await endProcess(await pidOf('postgres'), {signal: 'SIGKILL'})
    await started()
    expect(await pets(), 'when only the server had died').to.equal('Bo')
    expect((await sandboxStatus(directory)).instances).to.deep.equal([{id: 'dashboarduz', status: 'available', port: Number(new URL(url).port)}])
  })
})
