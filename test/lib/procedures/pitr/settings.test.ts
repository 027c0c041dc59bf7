import {StartDBInstanceAutomatedBackupsReplicationCommand} from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {appendFile, mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {recoveryState} from '../../../../src/lib/procedures/pitr/index.ts'
import {listRecovery} from '../../../../src/lib/procedures/pitr/list.ts'
import {planRecovery} from '../../../../src/lib/procedures/pitr/look.ts'
import {planFile, readPlan, writePlan} from '../../../../src/lib/procedures/pitr/plan-file.ts'
import type {RecoveryPlan} from '../../../../src/lib/procedures/pitr/recover-options.ts'
import {DEFAULTS, type Settings} from '../../../../src/lib/sandbox/rds/settings.ts'
import {saveInstanceSettings} from '../../../../src/lib/procedures/instance-settings/save.ts'
import {localRepository} from '../../../support/backup.ts'
import {RecoveryFixture} from '../../../support/recovery.ts'
import {drErrorOf} from '../../../support/rejection.ts'

/** Nothing of it is the service's default. */
const OWN: Partial<Settings> = {
  DBInstanceClass: 'db.m7g.large', AllocatedStorage: 100, MaxAllocatedStorage: 500, StorageType: 'io2', Iops: 3000, DedicatedLogVolume: true, BackupRetentionPeriod: 30, PreferredBackupWindow: '02:00-02:30',
  PreferredMaintenanceWindow: 'mon:03:00-mon:03:30', VpcSecurityGroupIds: ['sg-app', 'sg-ops'], DBParameterGroupName: 'crm17', DBSubnetGroupName: 'private', OptionGroupName: 'crm-options', MultiAZ: true, PubliclyAccessible: false, NetworkType: 'DUAL',
  AutoMinorVersionUpgrade: false, CACertificateIdentifier: 'rds-ca-ecc384-g1', CopyTagsToSnapshot: true, DeletionProtection: true, IAMDatabaseAuthenticationEnabled: true, EnabledCloudwatchLogsExports: ['postgresql', 'upgrade'],
  EngineLifecycleSupport: 'open-source-rds-extended-support-disabled', MonitoringInterval: 60, MonitoringRoleArn: 'arn:aws:iam::123456789012:role/monitoring', DatabaseInsightsMode: 'advanced', PerformanceInsightsEnabled: true,
  PerformanceInsightsRetentionPeriod: 465, AssociatedRoles: [{RoleArn: 'arn:s3', FeatureName: 's3Import'}, {RoleArn: 'arn:lambda', FeatureName: 'Lambda'}], TagList: [{Key: 'team', Value: 'crm & "co"'}],
}
/** Members of lists on the wire, as the model of the service names them. */
const MEMBERS: Readonly<Record<string, string>> = {VpcSecurityGroupIds: 'VpcSecurityGroupId', EnableCloudwatchLogsExports: 'member', Tags: 'Tag'}

/** The parameters of a request in the query protocol, made of a plan as it stands in a file. */
function parametersOf({request}: Pick<RecoveryPlan, 'request'>): Record<string, string> {
  const flat = Object.entries(request).flatMap(([name, value]: [string, unknown]): [string, string][] => {
    if (!Array.isArray(value)) return [[name, typeof value === 'string' ? value : JSON.stringify(value)]]
    return value.flatMap((one: unknown, index): [string, string][] => {
      const path = `${name}.${MEMBERS[name] ?? '?'}.${index + 1}`
      return typeof one === 'string' ? [[path, one]] : Object.entries(one as Record<string, string>).map(([key, text]) => [`${path}.${key}`, text])
    })
  })
  return Object.fromEntries([['Action', 'RestoreDBInstanceToPointInTime'], ['Version', '2014-10-31'], ...flat])
}

describe('the settings of a recovered instance', function () {
  this.timeout(120_000)
  const rds = new RecoveryFixture()
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dr-pitr-plan-'))
    await rds.open(OWN, ({server: {region}}) => {
      region.parameterGroups.set('crm17', {'rds.force_ssl': '1'})
      region.subnetGroups.add('private')
    })
    await rds.sql((client) => client.query('CREATE TABLE leads (id int PRIMARY KEY)'))
    await rds.archived()
  })
  after(async () => {
    await rds.close()
    await rm(folder, {recursive: true, force: true})
  })
  afterEach(async () => {
    for (const name of [...rds.aws.server.region.instances.keys()]) if (name !== 'crm') await rds.remove(name)
    rds.source.settings = {...rds.source.settings, ...OWN, MasterUserSecret: undefined}
    rds.aws.server.faults.clear()
  })

  /** Settings in which a copy is not as its source. */
  const different = (name: string) => Object.entries(rds.instance(name).settings).filter(([setting, value]) => JSON.stringify(value) !== JSON.stringify(rds.source.settings[setting as keyof Settings])).map(([setting]) => setting).toSorted()
  const requests = (action: string) => rds.aws.server.requests.filter((one) => one.action === action)
  const lastParameters = (action: string) => Object.fromEntries(new URLSearchParams(requests(action).at(-1)?.body ?? ''))
  const plan = (target: string) => planRecovery(rds.options(), {target, purpose: 'primary', to: null, runId: 'planned'}, new AbortController().signal)
  const made = async (target: string, name = `${target}.json`) => {
    const path = join(folder, name)
    await writePlan(path, planFile({createdAt: new Date().toISOString(), environment: 'staging', region: 'us-east-1', endpoint: rds.aws.server.endpoint, run: 'planned', wish: rds.wish({target}), plan: await plan(target), commands: []}))
    return path
  }
  const apply = async (path: string, acceptChanges = false) => {
    const file = await readPlan(path)
    return rds.recover({wish: file.wish, options: {expected: {plan: file.plan, runId: file.run, acceptChanges}}})
  }

  it('are those of its source, every one, though none is what AWS would take by itself', async () => {
    rds.source.settings = {...rds.source.settings, MasterUserSecret: {SecretArn: 'arn:secret', SecretStatus: 'active', KmsKeyId: 'arn:kms'}}
    for (const [name, value] of Object.entries(OWN)) expect(value, name).not.to.deep.equal(DEFAULTS[name as keyof Settings])
    const {state, error} = await rds.recover({wish: {target: 'copy'}})
    if (error) throw error
    expect(different('copy')).to.deep.equal(['MasterUserSecret', 'TagList'])
    expect(rds.instance('copy').settings.MasterUserSecret).to.include({SecretStatus: 'active', KmsKeyId: 'arn:kms'}).and.have.property('SecretArn').that.is.not.equal('arn:secret')
    expect(rds.instance('copy').settings.TagList.map(({Key, Value}) => `${Key}=${Value}`)).to.have.members(['team=crm & "co"', 'dr:run-id=run-1', 'dr:purpose=primary', 'dr:source=crm', `dr:source-id=${rds.source.resourceId}`, 'dr:restored-to=latest', `dr:proven=${state.marks.verified ?? ''}/proven`])
    expect(state.settled?.modified.toSorted()).to.deep.equal(['DatabaseInsightsMode', 'EnablePerformanceInsights', 'ManageMasterUserPassword', 'MasterUserSecretKmsKeyId', 'MonitoringInterval', 'MonitoringRoleArn', 'PerformanceInsightsRetentionPeriod', 'PreferredMaintenanceWindow'])
    expect(state.settled?.roles).to.deep.equal(['s3Import', 'Lambda'])
    expect(Date.parse(state.marks.available ?? '')).to.be.at.most(Date.parse(state.marks.verified ?? ''))
  })

  it('are asked for exactly as the plan shows them, and as its file holds them', async () => {
    const path = await made('planned')
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
    const file = await readPlan(path)
    const {error, state} = await apply(path)
    if (error) throw error
    expect(lastParameters('RestoreDBInstanceToPointInTime')).to.deep.equal(parametersOf(file.plan))
    expect(state.plan?.request).to.deep.equal(file.plan.request)
    expect(state.runId).to.equal('planned')
    expect(lastParameters('ModifyDBInstance')).to.deep.equal({Action: 'ModifyDBInstance', Version: '2014-10-31', DBInstanceIdentifier: 'planned', ApplyImmediately: 'true', ...Object.fromEntries(Object.entries(file.plan.afterwards).map(([name, value]: [string, unknown]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]))})

    const again = await apply(path)
    expect(again.error).to.equal(undefined)
    expect(again.notices.join('\n')).to.contain('it is taken over')
    expect(requests('RestoreDBInstanceToPointInTime').filter(({body}) => body.includes('=planned&'))).to.have.length(1)
  })

  it('are not asked for when the file was changed, or is none', async () => {
    const path = await made('edited')
    await writeFile(path, (await readFile(path, 'utf8')).replace('db.m7g.large', 'db.m7g.xlarge'))
    const before = requests('RestoreDBInstanceToPointInTime').length
    expect(await drErrorOf(apply(path))).to.include({code: 'pitr.plan-edited', exitCode: 3})
    await appendFile(join(folder, 'other.json'), '{}\n')
    expect(await drErrorOf(apply(join(folder, 'other.json')))).to.include({code: 'pitr.plan-file'})
    expect(await drErrorOf(apply(join(folder, 'missing.json')))).to.include({code: 'pitr.plan-file'})
    expect(await drErrorOf(made('edited'))).to.include({code: 'pitr.plan-file', exitCode: 3})
    expect(requests('RestoreDBInstanceToPointInTime')).to.have.length(before)
  })

  it('are not asked for when the source has others by now, unless that is accepted: then those of the plan are', async () => {
    const path = await made('changed')
    rds.source.settings = {...rds.source.settings, VpcSecurityGroupIds: ['sg-new'], MonitoringInterval: 30}
    const refused = await apply(path)
    expect(refused.error).to.include({code: 'pitr.changed', exitCode: 3})
    expect(refused.error?.message).to.contain('VpcSecurityGroupIds: was sg-app, sg-ops, would be sg-new now').and.contain('MonitoringInterval: was 60, would be 30 now')
    expect(rds.aws.server.region.instances.has('changed')).to.equal(false)
    const {error, state} = await apply(path, true)
    if (error) throw error
    expect(rds.instance('changed').settings).to.deep.include({VpcSecurityGroupIds: ['sg-app', 'sg-ops'], MonitoringInterval: 60})
    expect(state.plan?.warnings.join('\n')).to.contain('Changed since it was planned: VpcSecurityGroupIds')
  })

  it('are not asked for when AWS would refuse: of the name, the groups, the window', async () => {
    const before = requests('RestoreDBInstanceToPointInTime').length
    const codeOf = async (wish: Parameters<typeof rds.wish>[0]) => {
      const {error, entries} = await rds.recover({wish: {target: 'refused', ...wish}})
      expect(entries.at(-1)?.event, 'nothing is left to go on with').to.equal('ended')
      return [error?.code, error?.exitCode, error?.message]
    }
    expect((await codeOf({target: 'crm'})).join(' ')).to.match(/^rds.exists 3 .*crm already: available, tags team=crm/)
    expect((await codeOf({choice: {purpose: 'primary', parameterGroup: 'gone'}})).join(' ')).to.match(/^rds.setting 3 .*parameter group gone/)
    expect((await codeOf({choice: {purpose: 'primary', subnetGroup: 'gone'}})).join(' ')).to.match(/^rds.setting 3 .*subnet group gone/)
    expect((await codeOf({to: '2020-01-01T00:00:00.000Z'})).join(' ')).to.match(/^pitr.window 3 2020-01-01 00:00:00 UTC.* is before the restore window. It can be restored from 20\S+ \S+ UTC.*, to 20\S+ \S+ UTC, (just now|.* ago)/)
    const {error} = await rds.recover({wish: {to: new Date().toISOString()}})
    expect(error).to.include({code: 'pitr.window'})
    expect(error?.hints?.[0]).to.match(/every five minutes: try again at \d\d:\d\d UTC/)
    expect((await codeOf({source: {instance: 'nobody'}}))[0]).to.equal('rds.no-instance')
    rds.source.settings = {...rds.source.settings, Engine: 'aurora-postgresql'}
    expect((await codeOf({}))[0]).to.equal('pitr.aurora')
    rds.source.settings = {...rds.source.settings, Engine: 'postgres', BackupRetentionPeriod: 0}
    expect((await codeOf({}))[0]).to.equal('rds.no-pitr')
    expect(requests('RestoreDBInstanceToPointInTime')).to.have.length(before)
  })

  it('are set only when the copy is available, not while it is backed up', async () => {
    const {error} = await rds.recover({wish: {target: 'changed'}, options: {proof: {storages: [], jobs: 1}}})
    if (error) throw error
    const {history} = rds.instance('changed').timeline
    expect(history.slice(history.indexOf('backing-up')).join(), 'available between the backup and the change').to.match(/^backing-up,modifying,available,modifying,available$/)
  })

  it('of which static ones wait for a restart get one, on the copy alone', async () => {
    const {error, state} = await rds.recover({wish: {target: 'static'}, options: {proof: {storages: [], jobs: 1}}, onStep: (id) => { if (id === 'pitr.settings') rds.instance('static').parameterStatus = 'pending-reboot' }})
    if (error) throw error
    expect(state.settled).to.include({rebooted: true})
    expect(rds.instance('static').parameterStatus).to.equal('in-sync')
    expect(requests('RebootDBInstance').map(({body}) => new URLSearchParams(body).get('DBInstanceIdentifier'))).to.deep.equal(['static'])
  })

  it('come of backups that are replicated from another region, too, by their ARN', async () => {
    const {region} = rds.aws.server
    const {DBInstanceAutomatedBackup: replica} = await rds.aws.client.send(new StartDBInstanceAutomatedBackupsReplicationCommand({SourceDBInstanceArn: region.arnOf('crm')}))
    const arn = replica?.DBInstanceAutomatedBackupsArn ?? ''
    const {error, state} = await rds.recover({wish: {source: {backupArn: arn}, target: 'far'}, options: {proof: {storages: [], jobs: 1}}})
    if (error) throw error
    expect(state.asked).to.include({adopted: false})
    expect(lastParameters('RestoreDBInstanceToPointInTime')).to.include({SourceDBInstanceAutomatedBackupsArn: arn}).and.not.to.have.property('SourceDBInstanceIdentifier')
    expect(recoveryState({...rds.options({wish: {source: {backupArn: arn}}}), now: () => new Date('2026-11-22T09:00:00Z')}).target, 'named as the policies allow').to.equal('crm-pitr-20261122090000')
    expect((await listRecovery({api: rds.api, config: rds.config, journals: ''}, undefined, new AbortController().signal)).replicated.map((one) => one.arn)).to.deep.equal([arn])
  })

  it('of a deleted source are those that its backup holds and those that are given; what is lost is told', async () => {
    const [region, {resourceId}, storage] = [rds.aws.server.region, rds.source, localRepository(folder)]
    await saveInstanceSettings({api: rds.api, storages: [storage], instance: 'crm', environment: 'staging', by: 'test'}, new AbortController().signal)
    region.instances.delete('crm')
    region.retained.push({instance: rds.source, arn: 'arn:aws:rds:us-east-1:123456789012:auto-backup:ab-1'})
    try {
      const wish = {source: {resourceId}, choice: {purpose: 'primary' as const, instanceClass: 'db.m7g.large', securityGroups: ['sg-app'], parameterGroup: 'crm17', subnetGroup: 'private'}, target: 'again'}
      const {error, state} = await rds.recover({wish})
      if (error) throw error
      expect(rds.instance('again').settings).to.deep.include({DBInstanceClass: 'db.m7g.large', VpcSecurityGroupIds: ['sg-app'], DBParameterGroupName: 'crm17', StorageType: 'io2', IAMDatabaseAuthenticationEnabled: true, MultiAZ: false})
      expect(state.plan?.warnings[0]).to.contain('dr config snapshot')
      expect(state.plan?.warnings[1]).to.contain('does not hold these settings').and.contain('Multi-AZ (--multi-az)').and.contain('monitoring').and.not.contain('--class')
      expect(lastParameters('RestoreDBInstanceToPointInTime')).to.include({SourceDbiResourceId: resourceId}).and.not.to.have.property('SourceDBInstanceIdentifier')

      const saved = await rds.recover({wish: {source: {resourceId}, target: 'saved'}, options: {proof: {storages: [storage], jobs: 1}}})
      if (saved.error) throw saved.error
      expect(saved.state.plan?.warnings[0]).to.match(/its settings are those that were saved as \d{8}T\d{6}Z-\S+ \(/)
      expect(different('saved')).to.deep.equal(['TagList'])
      expect((await rds.recover({wish: {...wish, source: {resourceId: 'db-NOBODY'}}})).error).to.include({code: 'rds.no-backup'})
    } finally {
      region.retained.length = 0
      region.instances.set('crm', rds.source)
    }
  })
})
