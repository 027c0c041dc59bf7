import * as rds from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {DEFAULTS, type Settings} from '../../../../src/lib/sandbox/rds/settings.ts'
import {rdsCredentials, testRds, type TestRds} from '../../../support/rds-server.ts'
import {until} from '../../../support/until.ts'

/** Nothing of it is the service's default. */
const OWN: Partial<Settings> = {
  DBInstanceClass: 'db.m7g.large', AllocatedStorage: 100, MaxAllocatedStorage: 500, StorageType: 'io2', Iops: 3000, StorageThroughput: 500, DedicatedLogVolume: true, BackupRetentionPeriod: 30,
  PreferredBackupWindow: '02:00-02:30', PreferredMaintenanceWindow: 'mon:03:00-mon:03:30', VpcSecurityGroupIds: ['sg-app', 'sg-ops'], DBParameterGroupName: 'crm17', DBSubnetGroupName: 'private', OptionGroupName: 'crm-options',
  MultiAZ: true, PubliclyAccessible: false, NetworkType: 'DUAL', AutoMinorVersionUpgrade: false, CACertificateIdentifier: 'rds-ca-ecc384-g1', CopyTagsToSnapshot: true, DeletionProtection: true,
  IAMDatabaseAuthenticationEnabled: true, EnabledCloudwatchLogsExports: ['postgresql', 'upgrade'], EngineLifecycleSupport: 'open-source-rds-extended-support-disabled', MonitoringInterval: 60,
  MonitoringRoleArn: 'arn:aws:iam::123456789012:role/monitoring', DatabaseInsightsMode: 'advanced', PerformanceInsightsEnabled: true, PerformanceInsightsRetentionPeriod: 465, TagList: [{Key: 'team', Value: 'crm & "co"'}],
}

const nameOf = (error: unknown): string => (error as Error).name

describe('the RDS API of the sandbox', function () {
  this.timeout(120_000)
  let aws: TestRds
  let source: Instance

  before(async () => {
    aws = await testRds()
    aws.server.region.parameterGroups.set('crm17', {'rds.force_ssl': '1'})
    aws.server.region.subnetGroups.add('private')
    source = await aws.server.region.create('crm-prod', OWN)
    await write(source, "CREATE TABLE calls (id serial PRIMARY KEY, note text); INSERT INTO calls (note) SELECT 'before' FROM generate_series(1, 500)")
  })
  after(() => aws.close())
  afterEach(() => { aws.server.faults.clear() })

  const write = (instance: Instance, sql: string) => withClient(aws.url(instance), {}, (client) => client.query(sql))
  const notesOf = (instance: Instance) => withClient(aws.url(instance), {}, (client) => rowOf<{notes: string}>(client, "SELECT string_agg(note || ' ' || n, ', ' ORDER BY note) AS notes FROM (SELECT note, count(*) AS n FROM calls GROUP BY 1) x")).then(({notes}) => notes)
  const described = async (id: string) => (await aws.client.send(new rds.DescribeDBInstancesCommand({DBInstanceIdentifier: id}))).DBInstances?.[0]
  const refused = async (work: Promise<unknown>): Promise<string> => work.then(() => 'nothing was refused', nameOf)

  /** Waits until nothing is going on with it; its statuses since it was made. */
  async function seen(id: string): Promise<readonly string[]> {
    const {timeline} = aws.server.region.find(id)
    await until(() => timeline.isQuiet, 60_000)
    expect((await described(id))?.DBInstanceStatus).to.equal(timeline.status)
    return timeline.history
  }

  const restore = (input: Partial<rds.RestoreDBInstanceToPointInTimeCommandInput>) =>
    aws.client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDBInstanceIdentifier: 'crm-prod', TargetDBInstanceIdentifier: 'copy', UseLatestRestorableTime: true, ...input}))

  async function removed(id: string): Promise<void> {
    const instance = aws.server.region.find(id)
    instance.settings = {...instance.settings, DeletionProtection: false}
    await aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier: id, SkipFinalSnapshot: true}))
    await until(() => !aws.server.region.instances.has(id), 60_000)
  }

  it('recovers an instance as it was at an instant, through every status of the service, and shows the volume as initializing', async () => {
    const at = new Date()
    await until(() => Date.now() > at.getTime() + 1, 1000)
    await write(source, "UPDATE calls SET note = 'lost'")
    await until(async () => ((await described('crm-prod'))?.LatestRestorableTime ?? 0) > at, 60_000)
    const {DBInstance} = await restore({UseLatestRestorableTime: undefined, RestoreTime: at})
    expect(DBInstance).to.include({DBInstanceIdentifier: 'copy', DBInstanceStatus: 'creating'}).and.not.to.have.property('Endpoint')
    expect(await seen('copy')).to.deep.equal(['creating', 'backing-up', 'modifying', 'available'])
    const copy = aws.server.region.find('copy')
    expect(await notesOf(copy)).to.equal('before 500')
    expect(await notesOf(source)).to.equal('lost 500')
    expect(await described('copy')).to.include({StorageOperationStatus: 'Initializing'}).and.nested.include({'Endpoint.Port': copy.port}).and.have.property('DbiResourceId').that.is.not.equal(source.resourceId)
    const {Events} = await aws.client.send(new rds.DescribeEventsCommand({SourceType: 'db-instance', SourceIdentifier: 'copy'}))
    expect(Events?.map(({Message}) => Message)).to.deep.equal(['Restored from DB instance crm-prod to copy'])
    await removed('copy')
  })

  it('gives a copy the defaults of the service where nothing is asked, and what is asked where it is', async () => {
    await restore({})
    const {settings} = aws.server.region.find('copy')
    const lost = Object.entries(settings).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(source.settings[name as keyof Settings])).map(([name]) => name)
    expect(lost.toSorted()).to.deep.equal(Object.keys(OWN).filter((name) => !['AllocatedStorage', 'BackupRetentionPeriod', 'DBInstanceClass', 'TagList'].includes(name)).toSorted())
    expect(settings).to.deep.include({VpcSecurityGroupIds: DEFAULTS.VpcSecurityGroupIds, DeletionProtection: false, StorageType: 'gp3'})
    await seen('copy')
    await removed('copy')
    await restore({VpcSecurityGroupIds: ['sg-app', 'sg-ops'], DBParameterGroupName: 'crm17', MultiAZ: true, EnableCloudwatchLogsExports: ['postgresql'], Tags: [{Key: 'dr:run-id', Value: 'a&b'}]})
    expect(await described('copy')).to.deep.include({MultiAZ: true, EnabledCloudwatchLogsExports: ['postgresql'], TagList: [{Key: 'dr:run-id', Value: 'a&b'}]})
    expect((await described('copy'))?.VpcSecurityGroups?.map(({VpcSecurityGroupId}) => VpcSecurityGroupId)).to.deep.equal(['sg-app', 'sg-ops'])
    await seen('copy')
    const asked = await aws.client.send(new rds.ModifyDBInstanceCommand({DBInstanceIdentifier: 'copy', MonitoringInterval: 60, EnablePerformanceInsights: true, CloudwatchLogsExportConfiguration: {EnableLogTypes: ['upgrade']}, ApplyImmediately: true}))
    expect(asked.DBInstance, 'it is a moment until it shows').to.include({MonitoringInterval: 0, DBInstanceStatus: 'available'})
    expect((await seen('copy')).slice(-3)).to.deep.equal(['available', 'modifying', 'available'])
    expect(await described('copy')).to.deep.include({MonitoringInterval: 60, PerformanceInsightsEnabled: true})
    await removed('copy')
  })

  it('refuses what the service refuses, by the names of its faults', async () => {
    const earlier = new Date((source.restorableFrom?.getTime() ?? 0) - 1000)
    const cases: [string, Promise<unknown>][] = [
      ['DBInstanceNotFoundFault', restore({SourceDBInstanceIdentifier: 'nobody'})],
      ['DBInstanceAlreadyExistsFault', restore({TargetDBInstanceIdentifier: 'CRM-prod'})],
      ['InvalidParameterCombination', restore({RestoreTime: new Date()})],
      ['InvalidParameterCombination', restore({UseLatestRestorableTime: undefined})],
      ['InvalidParameterCombination', restore({SourceDbiResourceId: source.resourceId})],
      ['InvalidParameterValue', restore({UseLatestRestorableTime: undefined, RestoreTime: earlier})],
      ['InvalidParameterValue', restore({UseLatestRestorableTime: undefined, RestoreTime: new Date(Date.now() + 3_600_000)})],
      ['InvalidParameterValue', restore({TargetDBInstanceIdentifier: 'no--good'})],
      ['DBParameterGroupNotFoundFault', restore({DBParameterGroupName: 'gone'})],
      ['DBSubnetGroupNotFoundFault', restore({DBSubnetGroupName: 'gone'})],
      ['NotImplemented', restore({Domain: 'a-directory'})],
      ['DBInstanceAutomatedBackupNotFoundFault', restore({SourceDBInstanceIdentifier: undefined, SourceDBInstanceAutomatedBackupsArn: 'arn:aws:rds:us-east-1:123456789012:auto-backup:ab-gone'})],
      ['InvalidParameterCombination', aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier: 'crm-prod', SkipFinalSnapshot: true}))],
    ]
    for (const [index, [name, work]] of cases.entries()) expect(await refused(work), String(index)).to.equal(name)
    expect([...aws.server.region.instances.keys()]).to.deep.equal(['crm-prod'])
    source.settings = {...source.settings, BackupRetentionPeriod: 0}
    expect(await refused(restore({}))).to.equal('PointInTimeRestoreNotEnabledFault')
    source.settings = {...source.settings, BackupRetentionPeriod: 30}
  })

  it('refuses who does not sign, or signs with another key or for another region', async () => {
    for (const [name, change] of [['InvalidClientTokenId', {credentials: {...rdsCredentials, accessKeyId: 'OTHER'}}], ['SignatureDoesNotMatch', {credentials: {...rdsCredentials, secretAccessKey: 'other'}}], ['SignatureDoesNotMatch', {region: 'eu-west-1'}]] as const) {
      const client = new rds.RDSClient({region: 'us-east-1', endpoint: aws.server.endpoint, credentials: rdsCredentials, maxAttempts: 1, ...change})
      expect(await refused(client.send(new rds.DescribeDBInstancesCommand({})))).to.equal(name)
      client.destroy()
    }
  })

  it('gives an address with the name: after two renames clients find the copy where the source was', async () => {
    const {port} = source
    await restore({})
    expect(await refused(aws.client.send(new rds.ModifyDBInstanceCommand({DBInstanceIdentifier: 'copy', NewDBInstanceIdentifier: 'crm-new', ApplyImmediately: true}))), 'while it is made').to.equal('InvalidDBInstanceStateFault')
    await seen('copy')
    const copy = aws.server.region.find('copy')
    await write(copy, "INSERT INTO calls (note) VALUES ('of the copy')")
    const rename = (from: string, to: string) => aws.client.send(new rds.ModifyDBInstanceCommand({DBInstanceIdentifier: from, NewDBInstanceIdentifier: to, ApplyImmediately: true}))
    expect(await refused(rename('copy', 'crm-prod'))).to.equal('DBInstanceAlreadyExistsFault')
    await rename('crm-prod', 'crm-prod-old')
    await until(() => aws.server.region.instances.has('crm-prod-old'), 60_000)
    expect(await refused(described('crm-prod'))).to.equal('DBInstanceNotFoundFault')
    expect(await seen('crm-prod-old')).to.include('rebooting').and.satisfy((all: string[]) => all.at(-1) === 'available')
    await rename('copy', 'crm-prod')
    await until(() => aws.server.region.instances.get('crm-prod')?.timeline.isQuiet === true, 60_000)
    expect((await described('crm-prod'))?.Endpoint?.Port).to.equal(port)
    expect(await notesOf(aws.server.region.find('crm-prod'))).to.contain('of the copy 1')
    expect(await notesOf(aws.server.region.find('crm-prod-old'))).not.to.contain('of the copy')
    await rename('crm-prod', 'copy')
    await until(() => copy.id === 'copy' && copy.timeline.isQuiet, 60_000)
    await rename('crm-prod-old', 'crm-prod')
    await until(() => source.id === 'crm-prod' && source.timeline.isQuiet, 60_000)
    expect(source.port).to.equal(port)
    await removed('copy')
  })

  it('forgets the backups of a deleted instance unless told to keep them, and recovers it from kept ones', async () => {
    await restore({DeletionProtection: true})
    await seen('copy')
    const copy = aws.server.region.find('copy')
    await write(copy, "INSERT INTO calls (note) VALUES ('just before')")
    copy.settings = {...copy.settings, DeletionProtection: false}
    expect(await refused(aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier: 'copy'})))).to.equal('InvalidParameterCombination')
    await aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier: 'copy', FinalDBSnapshotIdentifier: 'last', DeleteAutomatedBackups: false}))
    await until(() => !aws.server.region.instances.has('copy'), 60_000)
    const {DBInstanceAutomatedBackups} = await aws.client.send(new rds.DescribeDBInstanceAutomatedBackupsCommand({Filters: [{Name: 'status', Values: ['retained']}]}))
    expect(DBInstanceAutomatedBackups).to.have.length(1)
    expect(DBInstanceAutomatedBackups?.[0]).to.include({DbiResourceId: copy.resourceId, Status: 'retained'}).and.have.nested.property('RestoreWindow.EarliestTime')
    expect((await aws.client.send(new rds.DescribeDBSnapshotsCommand({DBSnapshotIdentifier: 'last'}))).DBSnapshots).to.have.length(1)
    await restore({SourceDBInstanceIdentifier: undefined, SourceDbiResourceId: copy.resourceId, TargetDBInstanceIdentifier: 'again'})
    await seen('again')
    expect(await notesOf(aws.server.region.find('again'))).to.contain('just before 1')
    await removed('again')
    expect((await aws.client.send(new rds.DescribeDBInstanceAutomatedBackupsCommand({Filters: [{Name: 'status', Values: ['retained']}]}))).DBInstanceAutomatedBackups).to.have.length(1)
  })

  it('takes, tells and removes tags', async () => {
    const ResourceName = aws.server.region.arnOf('crm-prod')
    await aws.client.send(new rds.AddTagsToResourceCommand({ResourceName, Tags: [{Key: 'dr:run-id', Value: '1'}, {Key: 'team', Value: 'other'}]}))
    expect((await aws.client.send(new rds.ListTagsForResourceCommand({ResourceName}))).TagList).to.deep.equal([{Key: 'dr:run-id', Value: '1'}, {Key: 'team', Value: 'other'}])
    await aws.client.send(new rds.RemoveTagsFromResourceCommand({ResourceName, TagKeys: ['dr:run-id']}))
    expect((await described('crm-prod'))?.TagList).to.deep.equal([{Key: 'team', Value: 'other'}])
  })

  it('goes wrong by switch: a refusal, a status that is the end, a reply that is lost', async () => {
    aws.server.faults.add({match: {action: 'DescribeDBInstances'}, times: 1, action: {code: 'AccessDenied', status: 403, message: 'User: arn:aws:iam::123456789012:user/x is not authorized to perform: rds:DescribeDBInstances'}})
    expect(await refused(described('crm-prod'))).to.equal('AccessDenied')
    expect((await described('crm-prod'))?.DBInstanceIdentifier).to.equal('crm-prod')
    aws.server.faults.add({match: {action: 'RestoreDBInstanceToPointInTime'}, times: 1, action: {endsAs: 'incompatible-network'}})
    await restore({})
    expect(await seen('copy')).to.deep.equal(['creating', 'incompatible-network'])
    await removed('copy')
    aws.server.faults.add({match: {action: 'RestoreDBInstanceToPointInTime'}, times: 1, action: {cutAfter: true}})
    expect(await refused(restore({Tags: [{Key: 'dr:run-id', Value: '7'}]}))).not.to.equal('nothing was refused')
    expect(await refused(restore({})), 'it was carried out').to.equal('DBInstanceAlreadyExistsFault')
    expect((await described('copy'))?.TagList).to.deep.equal([{Key: 'dr:run-id', Value: '7'}])
    await seen('copy')
    await removed('copy')
  })
})
