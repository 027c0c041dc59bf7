import * as rds from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {readFileSync} from 'node:fs'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {waitFor} from '../../src/lib/procedures/pitr/wait.ts'
import {latestInstanceSettings} from '../../src/lib/procedures/instance-settings/latest.ts'
import {saveInstanceSettings} from '../../src/lib/procedures/instance-settings/save.ts'
import {loadConfig} from '../../src/lib/config/load.ts'
import {RdsApi} from '../../src/lib/rds/api.ts'
import {createRdsClient} from '../../src/lib/rds/client.ts'
import {planRestore} from '../../src/lib/rds/restore-plan.ts'
import {marksOf} from '../../src/lib/rds/tags.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import {drErrorOf} from '../support/rejection.ts'
import {realNetwork} from '../support/s3.ts'
import {startMoto, type Moto} from './moto.ts'

const signal = new AbortController().signal
const arnOf = (id: string) => `arn:aws:rds:us-east-1:123456789012:db:${id}`

/** Every setting that moto keeps, none at its default. */
const SOURCE: Omit<rds.CreateDBInstanceCommandInput, 'DBInstanceIdentifier'> = {
  Engine: 'postgres', EngineVersion: '17.5', DBInstanceClass: 'db.m7g.large', AllocatedStorage: 500, MasterUsername: 'crm', MasterUserPassword: 'of-the-test-22', DBParameterGroupName: 'crm17', DBSubnetGroupName: 'private',
  BackupRetentionPeriod: 30, PreferredBackupWindow: '02:00-02:30', MultiAZ: true, StorageType: 'gp3', Iops: 14_000, StorageThroughput: 600, MaxAllocatedStorage: 900, EnableIAMDatabaseAuthentication: true, EnableCloudwatchLogsExports: ['postgresql'],
  CopyTagsToSnapshot: true, AutoMinorVersionUpgrade: false, CACertificateIdentifier: 'rds-ca-ecc384-g1', DeletionProtection: true, Tags: [{Key: 'team', Value: 'crm & co'}], VpcSecurityGroupIds: ['sg-app', 'sg-ops'], PubliclyAccessible: false,
}

describe('the RDS calls on moto', function () {
  this.timeout(120_000)
  let moto: Moto
  let api: RdsApi
  let client: rds.RDSClient
  const called = new Set<string>()
  const kept = {...process.env}
  const undo: (() => unknown)[] = []

  before(async () => {
    undo.push(realNetwork(), () => {
      for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
      Object.assign(process.env, kept)
    })
    for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, {AWS_ACCESS_KEY_ID: 'AKIDOFTHETEST', AWS_SECRET_ACCESS_KEY: 'secret/of+the+test'})
    moto = await startMoto()
    undo.push(() => moto.stop())
    const place = {endpoint: moto.endpoint, region: 'us-east-1'}
    client = createRdsClient(place, 1)
    undo.push(() => { client.destroy() })
    api = new Proxy(new RdsApi(place, client), {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown
        if (typeof value !== 'function') return value
        called.add(String(name))
        return (value as () => unknown).bind(target)
      },
    })
    await client.send(new rds.CreateDBParameterGroupCommand({DBParameterGroupName: 'crm17', DBParameterGroupFamily: 'postgres17', Description: 'of the CRM'}))
    await client.send(new rds.ModifyDBParameterGroupCommand({DBParameterGroupName: 'crm17', Parameters: [{ParameterName: 'work_mem', ParameterValue: '65536', ApplyMethod: 'immediate'}]}))
    await client.send(new rds.CreateDBSubnetGroupCommand({DBSubnetGroupName: 'private', DBSubnetGroupDescription: 'two zones', SubnetIds: moto.subnets.slice(0, 2)}))
    await client.send(new rds.CreateDBInstanceCommand({DBInstanceIdentifier: 'crm', ...SOURCE}))
  })
  after(async () => {
    for (const one of undo.toReversed()) await one()
  })

  const found = async (id: string) => {
    const instance = await api.instance(id, signal)
    if (!instance) throw new Error(`There is no ${id}.`)
    return instance
  }
  const planned = async (target: string, choice: {to?: Date; purpose?: 'primary' | 'side'} = {}) => planRestore(await found('crm'), {target, to: choice.to, purpose: choice.purpose ?? 'primary', runId: '20261122T100000Z-pitr-ab12'})
  /** What of an instance a recovery has to carry over. */
  const settingsOf = ({DBInstanceClass, MultiAZ, StorageType, Iops, StorageThroughput, IAMDatabaseAuthenticationEnabled, EnabledCloudwatchLogsExports, CopyTagsToSnapshot, BackupRetentionPeriod, PreferredBackupWindow, AutoMinorVersionUpgrade, CACertificateIdentifier, PubliclyAccessible, DeletionProtection, VpcSecurityGroups, DBParameterGroups, DBSubnetGroup}: rds.DBInstance) => ({
    DBInstanceClass, MultiAZ, StorageType, Iops, StorageThroughput, IAMDatabaseAuthenticationEnabled, EnabledCloudwatchLogsExports, CopyTagsToSnapshot, BackupRetentionPeriod, PreferredBackupWindow, AutoMinorVersionUpgrade, CACertificateIdentifier, PubliclyAccessible, DeletionProtection, VpcSecurityGroups, DBParameterGroups, subnets: DBSubnetGroup?.DBSubnetGroupName,
  })

  it('find an instance, by name and among all, and none where there is none', async () => {
    expect(await found('crm')).to.deep.include({DBInstanceStatus: 'available', EngineVersion: '17.5', TagList: SOURCE.Tags}).and.have.nested.property('Endpoint.Port', 5432)
    expect((await api.instances(signal)).map(({DBInstanceIdentifier: id}) => id)).to.include('crm')
    expect(await api.instance('nobody', signal)).to.equal(undefined)
    expect(await api.automatedBackups({DBInstanceIdentifier: 'nobody'}, signal)).to.deep.equal([])
    expect((await api.events('crm', 60, signal)).map(({Message}) => Message)).to.include('DB instance created')
  })

  it('take the whole request of a recovery as it is planned: the copy has the settings of its source, and the marks', async () => {
    const {request} = await planned('crm-copy', {to: new Date('2026-11-22T09:00:00.500Z')})
    expect(await api.restore(request, signal)).to.include({DBInstanceIdentifier: 'crm-copy'})
    const copy = await found('crm-copy')
    expect(settingsOf(copy)).to.deep.equal(settingsOf(await found('crm')))
    expect(marksOf(copy)).to.deep.equal({run: '20261122T100000Z-pitr-ab12', purpose: 'primary', source: 'crm', sourceId: (await found('crm')).DbiResourceId, restoredTo: '2026-11-22T09:00:00.500Z'})
    expect(copy.TagList).to.deep.include({Key: 'team', Value: 'crm & co'})
  })

  it('carry settings over only because they are sent: moto, unlike AWS, copies what is left out', async () => {
    await client.send(new rds.RestoreDBInstanceToPointInTimeCommand({SourceDBInstanceIdentifier: 'crm', TargetDBInstanceIdentifier: 'bare', UseLatestRestorableTime: true}))
    expect(await found('bare')).to.include({MultiAZ: true, DeletionProtection: true})
    const {request} = await planned('side', {purpose: 'side'})
    await api.restore(request, signal)
    expect(await found('side'), 'false is sent, and moto takes it for nothing').to.include({MultiAZ: true, DeletionProtection: true})
  })

  it('wait until a copy is ready', async () => {
    const {config} = await loadConfig({env: {}, cwd: tmpdir(), configDir: tmpdir(), dataDir: tmpdir()})
    const ready = await waitFor({config: {...config, rds: {...config.rds, pollSeconds: 0.05}}, api}, {instance: 'crm-copy', budgetMs: 60_000}, {signal, progress() {}, notice() {}} as never)
    expect(ready).to.include({DBInstanceIdentifier: 'crm-copy', DBInstanceStatus: 'available'})
  })

  it('tell each refusal by its name', async () => {
    const {request} = await planned('other')
    const cases: [string, () => Promise<unknown>][] = [
      ['rds.exists', () => api.restore({...request, TargetDBInstanceIdentifier: 'crm-copy'}, signal)],
      ['rds.no-instance', () => api.restore({...request, SourceDBInstanceIdentifier: 'nobody'}, signal)],
      ['rds.setting', () => api.restore({...request, DBParameterGroupName: 'gone'}, signal)],
      ['rds.setting', () => api.restore({...request, DBSubnetGroupName: 'gone'}, signal)],
      ['rds.no-instance', () => api.modify({DBInstanceIdentifier: 'nobody', MultiAZ: true}, signal)],
      ['rds.no-instance', () => api.snapshot('nobody', 's', [], signal)],
      ['rds.no-instance', () => api.remove({instance: 'nobody', finalSnapshot: null}, signal)],
      ['rds.setting', () => api.remove({instance: 'crm', finalSnapshot: null}, signal)],
    ]
    for (const [index, [code, work]] of cases.entries()) expect((await drErrorOf(work())).code, String(index)).to.equal(code)
    expect((await drErrorOf(api.remove({instance: 'crm', finalSnapshot: null}, signal))).hints.join()).to.contain('--no-deletion-protection')
    expect(await api.instance('other', signal)).to.equal(undefined)
  })

  it('change settings, restart, give a role, and take a role that is there for given', async () => {
    await api.modify({DBInstanceIdentifier: 'crm-copy', MonitoringInterval: 60, MonitoringRoleArn: 'arn:aws:iam::123456789012:role/m', PreferredMaintenanceWindow: 'mon:03:00-mon:03:30'}, signal)
    expect(await found('crm-copy')).to.include({MonitoringInterval: 60, PreferredMaintenanceWindow: 'mon:03:00-mon:03:30'})
    await api.reboot('crm-copy', signal)
    expect((await drErrorOf(api.reboot('nobody', signal))).code).to.equal('rds.no-instance')
    const role = {RoleArn: 'arn:aws:iam::123456789012:role/s3', FeatureName: 's3Import'}
    for (let time = 0; time < 2; time++) await api.addRole('crm-copy', role, signal)
    expect((await found('crm-copy')).AssociatedRoles).to.have.length(1)
  })

  it('know what is in a parameter group, and whether groups are there', async () => {
    expect(await api.parametersSet('crm17', signal)).to.deep.equal([{ParameterName: 'work_mem', ParameterValue: '65536', ApplyMethod: 'immediate'}])
    expect(await api.parameterGroup('crm17', signal)).to.include({DBParameterGroupFamily: 'postgres17', Description: 'of the CRM'})
    expect([await api.hasParameterGroup('crm17', signal), await api.hasParameterGroup('gone', signal), await api.hasSubnetGroup('private', signal), await api.hasSubnetGroup('gone', signal)]).to.deep.equal([true, false, true, false])
  })

  it('save the settings of an instance and read them again', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dr-moto-'))
    try {
      const storage = new LocalStorage(directory)
      const {missing} = await saveInstanceSettings({api, storages: [storage], instance: 'crm', environment: 'production', by: 'test'}, signal)
      expect(missing).to.deep.equal([])
      const {LatestRestorableTime: then, ...settings} = (await latestInstanceSettings([storage], 'crm'))?.settings ?? {}
      const {LatestRestorableTime: now, ...present} = await found('crm')
      expect(settings).to.deep.equal(present)
      expect(then?.getTime()).to.be.at.most(now?.getTime() ?? 0)
    } finally {
      await rm(directory, {recursive: true})
    }
  })

  it('mark an instance, and leave its other tags', async () => {
    await api.addTags(arnOf('crm-copy'), [{Key: 'dr:replaced', Value: 'crm'}], signal)
    expect((await found('crm-copy')).TagList).to.deep.include.members([{Key: 'team', Value: 'crm & co'}, {Key: 'dr:replaced', Value: 'crm'}])
    await api.removeTags(arnOf('crm-copy'), ['dr:replaced', 'dr:never'], signal)
    expect((await found('crm-copy')).TagList?.map(({Key}) => Key)).to.include('team').and.not.include('dr:replaced')
  })

  it('switch the target of a proxy', async () => {
    await client.send(new rds.CreateDBProxyCommand({DBProxyName: 'front', EngineFamily: 'POSTGRESQL', Auth: [{AuthScheme: 'SECRETS', SecretArn: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:x'}], RoleArn: 'arn:aws:iam::123456789012:role/m', VpcSubnetIds: moto.subnets.slice(0, 2)}))
    const targets = async () => (await api.proxyTargets('front', signal)).map(({RdsResourceId: id}) => id)
    expect(await api.proxies(signal)).to.deep.equal(['front'])
    await api.addProxyTarget('front', 'crm', signal)
    expect(await targets()).to.deep.equal(['crm'])
    await api.removeProxyTarget('front', 'crm', signal)
    await api.addProxyTarget('front', 'crm-copy', signal)
    expect(await targets()).to.deep.equal(['crm-copy'])
    await api.removeProxyTarget('front', 'crm-copy', signal)
  })

  it('snapshot, rename both, and delete the old one with a last snapshot', async () => {
    await api.snapshot('crm', 'before', [{Key: 'dr:run-id', Value: 'r'}], signal)
    expect(await api.snapshotNamed('before', signal)).to.include({DBInstanceIdentifier: 'crm', Status: 'available'})
    expect(await api.snapshotNamed('nothing', signal)).to.equal(undefined)
    expect((await drErrorOf(api.snapshot('crm', 'before', [], signal))).code).to.equal('rds.exists')
    await api.modify({DBInstanceIdentifier: 'crm', NewDBInstanceIdentifier: 'crm-old'}, signal)
    expect(await api.instance('crm', signal)).to.equal(undefined)
    await api.modify({DBInstanceIdentifier: 'crm-copy', NewDBInstanceIdentifier: 'crm'}, signal)
    expect(marksOf(await found('crm'))).to.include({purpose: 'primary'})
    await api.modify({DBInstanceIdentifier: 'crm-old', DeletionProtection: false}, signal)
    await api.remove({instance: 'crm-old', finalSnapshot: 'last'}, signal)
    expect(await api.instance('crm-old', signal)).to.equal(undefined)
    expect(await api.snapshotNamed('last', signal)).to.include({DBInstanceIdentifier: 'crm-old'})
    expect((await api.automatedBackups({DBInstanceIdentifier: 'crm-old'}, signal)), 'backups go by the name that they were made under').to.deep.equal([])
    expect((await api.automatedBackups({DBInstanceIdentifier: 'crm'}, signal)).length, 'and are kept').to.equal(1)
  })

  /** What AWS and the sandbox's server do, and moto does not: should it learn to, these say so. */
  describe('where moto is not as AWS', () => {
    it('takes times that AWS refuses, both of them too', async () => {
      const {request} = await planned('late', {to: new Date(Date.now() + 86_400_000)})
      await api.restore(request, signal)
      await api.restore({...request, TargetDBInstanceIdentifier: 'both', UseLatestRestorableTime: true}, signal)
      expect([(await found('late')).DBInstanceStatus, (await found('both')).DBInstanceStatus]).to.deep.equal(['available', 'available'])
    })

    it('has no window to restore within, and finds backups by name alone', async () => {
      const backups = await api.automatedBackups({DbiResourceId: 'db-OFNOBODY'}, signal)
      expect(backups.length).to.be.above(0)
      expect(backups.filter(({RestoreWindow}) => RestoreWindow !== undefined)).to.deep.equal([])
    })

    it('gives a copy the resource id of its source, and calls it a replica', async () => {
      const [live, copy] = [await found('crm'), await found('bare')]
      expect(copy.DbiResourceId).to.equal(live.DbiResourceId)
      expect(copy.ReadReplicaSourceDBInstanceIdentifier).to.equal('crm')
    })

    it('keeps nothing of some inputs', async () => {
      const {request} = await planned('more')
      await api.restore({...request, NetworkType: 'DUAL', DedicatedLogVolume: true, EngineLifecycleSupport: 'open-source-rds-extended-support-disabled'}, signal)
      const {NetworkType, DedicatedLogVolume, EngineLifecycleSupport} = await found('more')
      expect([NetworkType, DedicatedLogVolume, EngineLifecycleSupport]).to.deep.equal([undefined, undefined, undefined])
    })

    it('renames an instance to a name that is taken, over the other one', async () => {
      const before = (await api.instances(signal)).length
      await api.modify({DBInstanceIdentifier: 'late', NewDBInstanceIdentifier: 'both'}, signal)
      expect(await api.instances(signal)).to.have.length(before - 1)
    })

    it('tags what is not there, and has a target twice', async () => {
      await api.addTags(arnOf('nobody'), [{Key: 'dr:run-id', Value: 'r'}], signal)
      for (let time = 0; time < 2; time++) await api.addProxyTarget('front', 'crm', signal)
      expect(await api.proxyTargets('front', signal)).to.have.length(2)
    })

    it('breaks on a proxy that is not there, which is told as no answer of RDS', async () => {
      const error = await drErrorOf(api.proxyTargets('gone', signal))
      expect(error).to.include({code: 'rds.unreachable', message: `${moto.endpoint} cannot be reached: it answered 500, not as RDS does`})
    })
  })

  describe('altogether', () => {
    it('leave no method of the API untried', () => {
      const methods = [...readFileSync(new URL('../../src/lib/rds/api.ts', import.meta.url), 'utf8').matchAll(/^ {2}(?:async )?([a-z]\w*)\(/gm)].map(([, name = '']) => name).filter((name) => !['constructor', 'close'].includes(name))
      expect(methods.length).to.be.above(15)
      expect(methods.filter((name) => !called.has(name))).to.deep.equal([])
    })
  })
})
