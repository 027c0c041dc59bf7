import * as rds from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {copyFileSync, existsSync} from 'node:fs'
import {join} from 'node:path'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {startRdsService} from '../../../../src/lib/sandbox/rds/main.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {testRds, type TestRds} from '../../../support/rds-server.ts'
import {until} from '../../../support/until.ts'

describe('a region that outlives its process', function () {
  this.timeout(120_000)
  let aws: TestRds
  before(async () => {
    aws = await testRds({millisecondsPerSecond: 3, isKept: true})
    const source = await aws.server.region.create('crm-prod')
    await withClient(aws.url(source), {}, (client) => client.query("CREATE TABLE pets AS SELECT 'Bo'::text AS name"))
    await aws.server.region.find('crm-prod').archiveLast()
  })
  after(() => aws.close())

  const find = (id: string): Instance | undefined => aws.server.region.instances.get(id)
  const named = (instance: Instance | undefined) => (instance ? withClient(aws.url(instance), {}, (client) => rowOf<{name: string}>(client, 'SELECT name FROM pets')).then(({name}) => name) : undefined)

  /** As kill -9 would: what was kept in this status is all that the next process knows. */
  async function killedIn(id: string, status: string): Promise<void> {
    await until(() => find(id)?.status === status)
    copyFileSync(aws.file, `${aws.file}.then`)
    const {region} = aws.server
    const all = [...region.instances.values()]
    await aws.server.leave()
    await Promise.all(all.map(({timeline}) => timeline.close()))
    copyFileSync(`${aws.file}.then`, aws.file)
    await aws.reopen()
    expect(find(id)?.status).to.equal(status)
    await until(() => [...aws.server.region.instances.values()].every(({timeline}) => timeline.isQuiet), 60_000)
  }

  it('finishes a restore', async () => {
    await aws.client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDBInstanceIdentifier: 'crm-prod', TargetDBInstanceIdentifier: 'copy', UseLatestRestorableTime: true, DBInstanceClass: 'db.m7g.large', Tags: [{Key: 'dr:at', Value: '2026-11-22T00:00:00.000Z'}]}))
    await killedIn('copy', 'creating')
    expect(find('copy')?.status).to.equal('available')
    expect(await named(find('copy'))).to.equal('Bo')
    expect((await aws.client.send(new rds.DescribeDBInstancesCommand({DBInstanceIdentifier: 'copy'}))).DBInstances?.[0]).to.deep.include({DBInstanceClass: 'db.m7g.large', TagList: [{Key: 'dr:at', Value: '2026-11-22T00:00:00.000Z'}]})
  })

  for (const status of ['renaming', 'rebooting']) {
    it(`finishes a rename, cut off while ${status}`, async () => {
      const [from, to] = find('copy') ? ['copy', 'copy-2'] : ['copy-2', 'copy']
      await aws.client.send(new rds.ModifyDBInstanceCommand({DBInstanceIdentifier: from, NewDBInstanceIdentifier: to, MultiAZ: true, ApplyImmediately: true}))
      await killedIn(to, status)
      expect([...aws.server.region.instances.keys()].toSorted()).to.deep.equal(['crm-prod', to].toSorted())
      expect(find(to)?.settings.MultiAZ).to.equal(true)
      expect(await named(find(to))).to.equal('Bo')
    })
  }

  it('finishes a stop and a start', async () => {
    await aws.client.send(new rds.StopDBInstanceCommand({DBInstanceIdentifier: 'copy'}))
    await killedIn('copy', 'stopping')
    expect(find('copy')).to.include({status: 'stopped', cluster: undefined})
    await aws.client.send(new rds.StartDBInstanceCommand({DBInstanceIdentifier: 'copy'}))
    await killedIn('copy', 'starting')
    expect(await named(find('copy'))).to.equal('Bo')
  })

  it('finishes a deletion, and keeps snapshots and backups', async () => {
    await aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier: 'copy', FinalDBSnapshotIdentifier: 'last', DeleteAutomatedBackups: false}))
    await killedIn('copy', 'deleting')
    expect(find('copy')).to.equal(undefined)
    const {retained: [kept], snapshots} = aws.server.region
    expect(snapshots.get('last')?.status).to.equal('available')
    await aws.client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDbiResourceId: kept?.instance.resourceId, TargetDBInstanceIdentifier: 'again', UseLatestRestorableTime: true}))
    await killedIn('again', 'creating')
    expect(await named(find('again'))).to.equal('Bo')
    const folder = find('again')?.directory ?? ''
    await aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier: 'again', SkipFinalSnapshot: true}))
    await until(() => find('again') === undefined, 60_000)
    expect(existsSync(folder)).to.equal(false)
    expect(existsSync(join(kept?.instance.directory ?? '', 'bases'))).to.equal(true)
  })

  it('starts a server anew that has died', async () => {
    const source = find('crm-prod')
    await source?.cluster?.cluster.stop('immediate')
    await until(() => aws.server.region.events.some(({Message}) => Message === 'DB instance restarted'), 30_000)
    expect(await named(source)).to.equal('Bo')
  })

  it('is refused without its options', async () => {
    const refusals = await Promise.all([startRdsService([], {}), startRdsService(['/d', '0'], {})].map((work) => work.catch((error: unknown) => (error as Error).message)))
    expect(refusals).to.deep.equal(['Usage: main <directory> [port]', 'DR_SANDBOX_RDS_OPTIONS must be set.'])
  })
})
