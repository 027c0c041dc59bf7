import * as rds from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {testRds, type TestRds} from '../../../support/rds-server.ts'
import {until} from '../../../support/until.ts'

const nameOf = (error: unknown): string => (error as Error).name
const faults = Object.entries(rds).filter(([name, value]) => typeof value === 'function' && value.prototype instanceof rds.RDSServiceException && name !== 'RDSServiceException').map(([name]) => name)

describe('what the RDS API of the sandbox does with an instance', function () {
  this.timeout(120_000)
  let aws: TestRds
  let source: Instance
  const id = 'crm-prod'
  const DBInstanceIdentifier = id

  before(async () => {
    aws = await testRds()
    aws.server.region.parameterGroups.set('crm17', {work_mem: '8MB'})
    source = await aws.server.region.create(id, {MasterUsername: 'crm_admin'})
    await query(source, 'CREATE ROLE crm_admin LOGIN')
  })
  after(() => aws.close())
  afterEach(() => { aws.server.faults.clear() })

  const query = (instance: Instance, sql: string) => withClient(aws.url(instance), {}, (client) => client.query(sql))
  const described = async (name = id) => (await aws.client.send(new rds.DescribeDBInstancesCommand({DBInstanceIdentifier: name}))).DBInstances?.[0]
  const refused = async (work: Promise<unknown>): Promise<string> => work.then(() => 'nothing was refused', nameOf)
  const quiet = (instance = source) => until(() => instance.timeline.isQuiet, 60_000)
  const modify = async (input: Partial<rds.ModifyDBInstanceCommandInput>) => (await aws.client.send(new rds.ModifyDBInstanceCommand({DBInstanceIdentifier, ApplyImmediately: true, ...input}))).DBInstance
  const since = (count: number) => source.timeline.history.slice(count)

  it('shows a change as pending until it is made, and keeps what can wait for the maintenance window', async () => {
    const waiting = await modify({ApplyImmediately: false, DBInstanceClass: 'db.r7g.large', MultiAZ: true, DeletionProtection: true, NewDBInstanceIdentifier: 'later'})
    expect(waiting?.PendingModifiedValues).to.deep.equal({DBInstanceClass: 'db.r7g.large', MultiAZ: true, DBInstanceIdentifier: 'later'})
    await quiet()
    expect(await described()).to.deep.include({DBInstanceClass: 'db.t4g.micro', MultiAZ: false, DeletionProtection: true, PendingModifiedValues: {DBInstanceClass: 'db.r7g.large', MultiAZ: true, DBInstanceIdentifier: 'later'}})
    const history = source.timeline.history.length
    const now = await modify({AllocatedStorage: 200, NewDBInstanceIdentifier: id, CloudwatchLogsExportConfiguration: {EnableLogTypes: ['upgrade', 'postgresql']}})
    expect(now?.PendingModifiedValues).to.deep.include({AllocatedStorage: 200, DBInstanceClass: 'db.r7g.large', PendingCloudwatchLogsExports: {LogTypesToEnable: ['upgrade', 'postgresql'], LogTypesToDisable: []}})
    await quiet()
    expect(await described()).to.deep.include({AllocatedStorage: 200, DBInstanceClass: 'db.r7g.large', MultiAZ: true, PendingModifiedValues: {}, EnabledCloudwatchLogsExports: ['upgrade', 'postgresql']})
    expect(since(history)).to.include('modifying')
    await modify({CloudwatchLogsExportConfiguration: {DisableLogTypes: ['upgrade']}, DeletionProtection: false})
    await quiet()
    expect(await described()).to.deep.include({EnabledCloudwatchLogsExports: ['postgresql'], DeletionProtection: false})
  })

  it('sets the settings that a restore does not take', async () => {
    await modify({PreferredMaintenanceWindow: 'mon:03:00-mon:03:30', MonitoringInterval: 60, MonitoringRoleArn: 'arn:aws:iam::123456789012:role/m', EnablePerformanceInsights: true, PerformanceInsightsRetentionPeriod: 465, DatabaseInsightsMode: 'advanced'})
    await quiet()
    expect(await described()).to.include({PreferredMaintenanceWindow: 'mon:03:00-mon:03:30', MonitoringInterval: 60, MonitoringRoleArn: 'arn:aws:iam::123456789012:role/m', PerformanceInsightsEnabled: true, PerformanceInsightsRetentionPeriod: 465, DatabaseInsightsMode: 'advanced'})
  })

  it('sets the password of the master user in the server itself, and tells nobody', async () => {
    const MasterUserPassword = 'ne\'w "pass" & zebra'
    const history = source.timeline.history.length
    expect((await modify({MasterUserPassword}))?.PendingModifiedValues).to.deep.equal({MasterUserPassword: '****'})
    await quiet()
    expect(since(history)).to.deep.equal(['resetting-master-credentials', 'available'])
    const url = new URL(aws.url(source))
    url.username = 'crm_admin'
    url.password = encodeURIComponent(MasterUserPassword)
    expect(await withClient(url.href, {}, (client) => rowOf(client, 'SELECT current_user AS me'))).to.deep.equal({me: 'crm_admin'})
    expect(JSON.stringify(aws.server.requests)).not.to.include('zebra')
    expect(await refused(modify({MasterUserPassword: 'short'}))).to.equal('InvalidParameterValue')
  })

  it('keeps the master password as a secret, which is a while in the making', async () => {
    const asked = await modify({ManageMasterUserPassword: true, MasterUserSecretKmsKeyId: 'key-1'})
    expect(asked?.MasterUserSecret).to.include({SecretStatus: 'creating', KmsKeyId: 'key-1'})
    await quiet()
    expect((await described())?.MasterUserSecret).to.deep.equal({...asked?.MasterUserSecret, SecretStatus: 'active'})
    expect(await refused(modify({MasterUserPassword: 'long enough'}))).to.equal('InvalidParameterCombination')
    expect(await refused(modify({ManageMasterUserPassword: true, MasterUserPassword: 'long enough'}))).to.equal('InvalidParameterCombination')
    await modify({ManageMasterUserPassword: false, MasterUserPassword: 'long enough'})
    await quiet()
    expect(await described()).not.to.have.property('MasterUserSecret')
  })

  it('runs with a new parameter group after a reboot', async () => {
    const applied = async () => (await described())?.DBParameterGroups?.[0]
    await modify({DBParameterGroupName: 'crm17'})
    await quiet()
    expect(await applied()).to.deep.equal({DBParameterGroupName: 'crm17', ParameterApplyStatus: 'pending-reboot'})
    await aws.client.send(new rds.RebootDBInstanceCommand({DBInstanceIdentifier}))
    await quiet()
    expect(await applied()).to.deep.equal({DBParameterGroupName: 'crm17', ParameterApplyStatus: 'in-sync'})
  })

  it('attaches and detaches roles', async () => {
    const role = {RoleArn: 'arn:aws:iam::123456789012:role/s3', FeatureName: 's3Import'}
    await aws.client.send(new rds.AddRoleToDBInstanceCommand({DBInstanceIdentifier, ...role}))
    expect((await described())?.AssociatedRoles).to.deep.equal([{...role, Status: 'PENDING'}])
    expect(await refused(aws.client.send(new rds.AddRoleToDBInstanceCommand({DBInstanceIdentifier, ...role})))).to.equal('DBInstanceRoleAlreadyExistsFault')
    await quiet()
    expect((await described())?.AssociatedRoles).to.deep.equal([{...role, Status: 'ACTIVE'}])
    await aws.client.send(new rds.RemoveRoleFromDBInstanceCommand({DBInstanceIdentifier, ...role}))
    await quiet()
    expect((await described())?.AssociatedRoles ?? []).to.deep.equal([])
    expect(await refused(aws.client.send(new rds.RemoveRoleFromDBInstanceCommand({DBInstanceIdentifier, ...role})))).to.equal('DBInstanceRoleNotFoundFault')
  })

  it('tells the log files', async () => {
    const {DescribeDBLogFiles: [file] = []} = await aws.client.send(new rds.DescribeDBLogFilesCommand({DBInstanceIdentifier}))
    expect(file).to.include({LogFileName: 'error/postgresql.log'}).and.have.property('Size').that.is.above(100)
    expect(file?.LastWritten).to.be.within(Date.now() - 600_000, Date.now() + 1000)
    expect((await aws.client.send(new rds.DescribeDBLogFilesCommand({DBInstanceIdentifier, FilenameContains: 'upgrade'}))).DescribeDBLogFiles).to.deep.equal([])
  })

  it('takes a snapshot with its tags', async () => {
    const {DBSnapshot} = await aws.client.send(new rds.CreateDBSnapshotCommand({DBInstanceIdentifier, DBSnapshotIdentifier: 'before', Tags: [{Key: 'dr:run-id', Value: '9'}]}))
    expect(DBSnapshot).to.deep.include({Status: 'creating', TagList: [{Key: 'dr:run-id', Value: '9'}]})
    await quiet()
    expect((await aws.client.send(new rds.DescribeDBSnapshotsCommand({DBSnapshotIdentifier: 'before'}))).DBSnapshots?.[0]).to.include({Status: 'available', DBInstanceIdentifier: id})
  })

  it('leads a proxy to its one target, wherever that is', async () => {
    const proxy = await aws.server.region.createProxy('crm')
    const at = {DBProxyName: 'crm'}
    const targets = async () => (await aws.client.send(new rds.DescribeDBProxyTargetsCommand(at))).Targets ?? []
    const through = () => {
      const url = new URL(aws.url(source))
      url.port = String(aws.server.region.proxyPort(proxy))
      return withClient(url.href, {timeoutMs: 2000}, (client) => rowOf<{at: string}>(client, "SELECT current_setting('data_directory') AS at"))
    }
    const register = (name: string) => aws.client.send(new rds.RegisterDBProxyTargetsCommand({...at, DBInstanceIdentifiers: [name]}))
    const deregister = (name: string) => aws.client.send(new rds.DeregisterDBProxyTargetsCommand({...at, DBInstanceIdentifiers: [name]}))
    expect(await targets()).to.deep.equal([])
    expect((await aws.client.send(new rds.DescribeDBProxiesCommand({}))).DBProxies?.[0]).to.include({DBProxyName: 'crm', Endpoint: `127.0.0.1:${aws.server.region.proxyPort(proxy)}`, Status: 'available'})
    expect(await refused(through())).not.to.equal('nothing was refused')
    expect((await register(id)).DBProxyTargets?.[0]).to.deep.include({RdsResourceId: id, Type: 'RDS_INSTANCE', TargetHealth: {State: 'REGISTERING'}})
    await until(async () => (await targets())[0]?.TargetHealth?.State === 'AVAILABLE')
    expect((await through()).at).to.equal(`${source.directory}/data`)
    expect(await refused(register(id))).to.equal('DBProxyTargetAlreadyRegisteredFault')
    expect(await refused(deregister('other'))).to.equal('DBProxyTargetNotFoundFault')
    await deregister(id)
    expect(await targets()).to.deep.equal([])
    expect(await refused(through())).not.to.equal('nothing was refused')
    expect(await refused(aws.client.send(new rds.DescribeDBProxyTargetsCommand({DBProxyName: 'gone'})))).to.equal('DBProxyNotFoundFault')
    await register(id)
  })

  it('stops, and is what it was when it is started again, by name and by proxy', async () => {
    await query(source, "CREATE TABLE pets AS SELECT 'Bo'::text AS name")
    const {port} = source
    const address = aws.url(source)
    await aws.client.send(new rds.StopDBInstanceCommand({DBInstanceIdentifier}))
    await quiet()
    expect(await described()).to.include({DBInstanceStatus: 'stopped'})
    expect(await refused(withClient(address, {}, (client) => client.query('SELECT 1')))).not.to.equal('nothing was refused')
    expect((await aws.client.send(new rds.DescribeDBProxyTargetsCommand({DBProxyName: 'crm'}))).Targets?.[0]?.TargetHealth).to.include({State: 'UNAVAILABLE'})
    expect(await refused(modify({MultiAZ: false}))).to.equal('InvalidDBInstanceStateFault')
    await aws.client.send(new rds.StartDBInstanceCommand({DBInstanceIdentifier}))
    await quiet()
    expect(await described()).to.include({DBInstanceStatus: 'available'}).and.nested.include({'Endpoint.Port': port})
    expect((await query(source, 'SELECT name FROM pets')).rows).to.deep.equal([{name: 'Bo'}])
    expect(await refused(aws.client.send(new rds.StartDBInstanceCommand({DBInstanceIdentifier})))).to.equal('InvalidDBInstanceStateFault')
    expect((await aws.client.send(new rds.DescribeDBProxyTargetsCommand({DBProxyName: 'crm'}))).Targets?.[0]?.TargetHealth).to.include({State: 'AVAILABLE'})
  })

  it('replicates automated backups, from which a copy is restored when instance and own backups are gone', async () => {
    const SourceDBInstanceArn = aws.server.region.arnOf(id).replace('us-east-1', 'eu-west-1')
    const {DBInstanceAutomatedBackup: backup} = await aws.client.send(new rds.StartDBInstanceAutomatedBackupsReplicationCommand({SourceDBInstanceArn}))
    expect(backup).to.include({Region: 'eu-west-1', DBInstanceArn: SourceDBInstanceArn, Status: 'replicating'})
    const SourceDBInstanceAutomatedBackupsArn = backup?.DBInstanceAutomatedBackupsArn ?? ''
    expect((await described())?.DBInstanceAutomatedBackupsReplications).to.deep.equal([{DBInstanceAutomatedBackupsArn: SourceDBInstanceAutomatedBackupsArn}])
    await aws.client.send(new rds.DeleteDBInstanceCommand({DBInstanceIdentifier, SkipFinalSnapshot: true}))
    await until(() => !aws.server.region.instances.has(id), 60_000)
    const {DBInstanceAutomatedBackups} = await aws.client.send(new rds.DescribeDBInstanceAutomatedBackupsCommand({DBInstanceAutomatedBackupsArn: SourceDBInstanceAutomatedBackupsArn}))
    expect(DBInstanceAutomatedBackups?.[0]).to.include({DBInstanceIdentifier: id}).and.have.nested.property('RestoreWindow.LatestTime')
    await aws.client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDBInstanceAutomatedBackupsArn, TargetDBInstanceIdentifier: 'copy', UseLatestRestorableTime: true}))
    const copy = aws.server.region.find('copy')
    await quiet(copy)
    expect(copy.status).to.equal('available')
    expect((await query(copy, 'SELECT name FROM pets')).rows).to.deep.equal([{name: 'Bo'}])
  })

  it('has a quota of instances, when it is given one', async () => {
    const other = await testRds({instanceQuota: 1})
    try {
      await other.server.region.create('one')
      expect(await refused(other.client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDBInstanceIdentifier: 'one', TargetDBInstanceIdentifier: 'two', UseLatestRestorableTime: true})))).to.equal('InstanceQuotaExceededFault')
    } finally {
      await other.close()
    }
  })

  it('produces every fault that the SDK knows, and what AWS says to those who may not, by switch', async () => {
    expect(faults.length).to.be.above(140)
    for (const code of faults) {
      aws.server.faults.add({match: {action: 'DescribeDBInstances'}, times: 1, action: {code}})
      const error = await aws.client.send(new rds.DescribeDBInstancesCommand({})).catch((one: unknown) => one)
      expect(error, code).to.be.instanceOf(rds[code as 'DBInstanceNotFoundFault'])
    }
    aws.server.faults.add({match: {}, times: 2, action: {code: 'AccessDenied'}}, {match: {}, times: 1, action: {code: 'Throttling'}})
    const denied = async (work: Promise<unknown>) => work.catch((error: unknown) => (error as Error).message)
    expect(await denied(modify({MultiAZ: true}))).to.match(/^User: arn:aws:iam::123456789012:user\/operator is not authorized to perform: rds:ModifyDBInstance on resource: arn:aws:rds:us-east-1:123456789012:db:crm-prod because/)
    expect(await denied(aws.client.send(new rds.DescribeEventsCommand({})))).to.include('rds:DescribeEvents on resource: arn:aws:rds:us-east-1:123456789012:db:* because')
    expect(await refused(described())).to.equal('Throttling')
  })
})
