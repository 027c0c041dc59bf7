import type {DBInstance} from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {readdirSync, readFileSync} from 'node:fs'
import {RESTORE_INPUTS, type RestoreChoice} from '../../../src/lib/rds/restore-inputs.ts'
import {awsCommand, planRestore} from '../../../src/lib/rds/restore-plan.ts'

const CHOICE: RestoreChoice = {target: 'crm-copy', to: new Date('2026-11-22T09:00:00.500Z'), purpose: 'primary', runId: '20261122T100000Z-pitr-ab12'}

const SOURCE: DBInstance = {
  DBInstanceIdentifier: 'crm-prod', Engine: 'postgres', DbiResourceId: 'db-ABC', DBInstanceClass: 'db.m7g.large', AllocatedStorage: 500, MaxAllocatedStorage: 900, StorageType: 'gp3', Iops: 14_000, StorageThroughput: 600, DedicatedLogVolume: true,
  VpcSecurityGroups: [{VpcSecurityGroupId: 'sg-app', Status: 'active'}, {VpcSecurityGroupId: 'sg-gone', Status: 'removing'}], DBParameterGroups: [{DBParameterGroupName: 'crm17', ParameterApplyStatus: 'in-sync'}],
  OptionGroupMemberships: [{OptionGroupName: 'default:postgres-17', Status: 'in-sync'}], DBSubnetGroup: {DBSubnetGroupName: 'private'}, MultiAZ: true, PubliclyAccessible: false, IAMDatabaseAuthenticationEnabled: true,
  EnabledCloudwatchLogsExports: ['postgresql'], CopyTagsToSnapshot: true, BackupRetentionPeriod: 30, PreferredBackupWindow: '02:00-02:30', AutoMinorVersionUpgrade: false, CACertificateIdentifier: 'rds-ca-ecc384-g1',
  EngineLifecycleSupport: 'open-source-rds-extended-support-disabled', NetworkType: 'DUAL', DeletionProtection: true, TagList: [{Key: 'team', Value: 'crm'}, {Key: 'aws:cloudformation:stack-name', Value: 's'}, {Key: 'dr:run-id', Value: 'former'}],
  MonitoringInterval: 60, MonitoringRoleArn: 'arn:role', PerformanceInsightsEnabled: true, PerformanceInsightsRetentionPeriod: 465, DatabaseInsightsMode: 'advanced', PreferredMaintenanceWindow: 'mon:03:00-mon:03:30',
  AssociatedRoles: [{RoleArn: 'arn:s3', FeatureName: 's3Import', Status: 'ACTIVE'}], ReadReplicaDBInstanceIdentifiers: ['crm-replica'], MasterUserSecret: {SecretArn: 'arn:secret', SecretStatus: 'active', KmsKeyId: 'key'},
}

/** The inputs of the API, of the SDK's own types. */
function inputsOfApi(): string[] {
  const folder = new URL('../../../node_modules/@aws-sdk/client-rds/dist-types/models/', import.meta.url)
  const text = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n').replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
  const body = /export interface RestoreDBInstanceToPointInTimeMessage \{([\s\S]*?)\n\}/.exec(text)?.[1] ?? ''
  return [...body.matchAll(/^\s+(\w+)\??:/gm)].map(([, name = '']) => name)
}

describe('the plan of a point-in-time recovery', () => {
  it('deals with every input of the API, and says why', () => {
    const api = inputsOfApi()
    expect(api.length).to.be.above(50)
    expect(Object.keys(RESTORE_INPUTS).toSorted()).to.deep.equal(api.toSorted())
    for (const [name, {why, awsDefault}] of Object.entries(RESTORE_INPUTS)) expect(`${why}${awsDefault}`, name).not.to.equal('')
  })

  it('sends all that the source has, and nothing that AWS would refuse', () => {
    const {request, inputs} = planRestore(SOURCE, CHOICE)
    expect(request).to.deep.equal({
      SourceDBInstanceIdentifier: 'crm-prod', TargetDBInstanceIdentifier: 'crm-copy', RestoreTime: CHOICE.to, DBInstanceClass: 'db.m7g.large', VpcSecurityGroupIds: ['sg-app'], DBParameterGroupName: 'crm17', DBSubnetGroupName: 'private',
      MultiAZ: true, PubliclyAccessible: false, StorageType: 'gp3', Iops: 14_000, StorageThroughput: 600, MaxAllocatedStorage: 900, DedicatedLogVolume: true, EnableIAMDatabaseAuthentication: true, EnableCloudwatchLogsExports: ['postgresql'],
      CopyTagsToSnapshot: true, BackupRetentionPeriod: 30, PreferredBackupWindow: '02:00-02:30', AutoMinorVersionUpgrade: false, CACertificateIdentifier: 'rds-ca-ecc384-g1', EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
      NetworkType: 'DUAL', DeletionProtection: true, Tags: [{Key: 'team', Value: 'crm'}, {Key: 'dr:run-id', Value: CHOICE.runId}, {Key: 'dr:purpose', Value: 'primary'}, {Key: 'dr:source', Value: 'crm-prod'}, {Key: 'dr:source-id', Value: 'db-ABC'}, {Key: 'dr:restored-to', Value: '2026-11-22T09:00:00.500Z'}],
    })
    expect(inputs.filter(({sent}) => sent !== undefined).map(({input}) => input)).to.deep.equal(Object.keys(request))
  })

  it('says nothing of the baseline of the storage, and nothing of gp3 where it takes no figures', () => {
    const sent = (storage: Partial<DBInstance>) => {
      const {Iops, StorageThroughput} = planRestore({...SOURCE, ...storage}, CHOICE).request
      return [Iops, StorageThroughput]
    }
    expect(sent({Iops: 12_000, StorageThroughput: 500})).to.deep.equal([undefined, undefined])
    expect(sent({AllocatedStorage: 100, Iops: 3000, StorageThroughput: 125})).to.deep.equal([undefined, undefined])
    expect(sent({StorageType: 'io2', Iops: 5000, StorageThroughput: undefined})).to.deep.equal([5000, undefined])
  })

  it('makes a side copy that is small to lose: one zone, no protection, other groups where told', () => {
    const {request} = planRestore(SOURCE, {...CHOICE, to: undefined, purpose: 'side', instanceClass: 'db.t4g.medium', securityGroups: ['sg-operator']})
    expect(request).to.deep.include({UseLatestRestorableTime: true, MultiAZ: false, DeletionProtection: false, DBInstanceClass: 'db.t4g.medium', VpcSecurityGroupIds: ['sg-operator']}).and.not.to.have.property('RestoreTime')
  })

  it('sets afterwards what a restore takes no input for, and warns of what follows no copy', () => {
    const {afterwards, roles, warnings} = planRestore(SOURCE, CHOICE)
    expect(afterwards).to.deep.equal({
      MonitoringInterval: 60, MonitoringRoleArn: 'arn:role', EnablePerformanceInsights: true, PerformanceInsightsRetentionPeriod: 465, DatabaseInsightsMode: 'advanced', PreferredMaintenanceWindow: 'mon:03:00-mon:03:30',
      ManageMasterUserPassword: true, MasterUserSecretKmsKeyId: 'key',
    })
    expect(roles).to.deep.equal([{RoleArn: 'arn:s3', FeatureName: 's3Import'}])
    expect(warnings.join('\n')).to.contain('db-ABC').and.contain('arn:secret').and.contain('crm-replica')
    const plain = planRestore({DBInstanceIdentifier: 'plain', Engine: 'postgres', DBInstanceClass: 'db.t4g.micro'}, CHOICE)
    expect(plain).to.deep.include({afterwards: {}, roles: []}).and.have.property('warnings').with.length(2)
  })

  it('refuses an instance of Aurora with the calls that it needs, and names that AWS would refuse', () => {
    expect(() => planRestore({...SOURCE, Engine: 'aurora-postgresql', DBClusterIdentifier: 'crm'}, CHOICE)).to.throw(/belongs to the cluster crm/).with.property('exitCode', 3)
    for (const target of ['1copy', 'a--b', 'copy-', 'a'.repeat(64), 'with_underscore', '']) expect(() => planRestore(SOURCE, {...CHOICE, target}), target).to.throw().with.property('exitCode', 2)
    expect(planRestore(SOURCE, {...CHOICE, target: 'a'.repeat(63)}).request.TargetDBInstanceIdentifier).to.have.length(63)
  })

  it('is printed as the command that an operator could type', () => {
    expect(awsCommand('restore-db-instance-to-point-in-time', {TargetDBInstanceIdentifier: 'copy', RestoreTime: CHOICE.to, DBParameterGroupName: 'crm17', MultiAZ: true, PubliclyAccessible: false, EnableIAMDatabaseAuthentication: true, Iops: 1, CACertificateIdentifier: 'ca', VpcSecurityGroupIds: ['sg-1', 'sg-2'], Tags: [{Key: 'a', Value: 'b'}]}).join(' ')).to.equal(
      'aws rds restore-db-instance-to-point-in-time --target-db-instance-identifier copy --restore-time 2026-11-22T09:00:00.500Z --db-parameter-group-name crm17 --multi-az --no-publicly-accessible --enable-iam-database-authentication --iops 1 --ca-certificate-identifier ca --vpc-security-group-ids sg-1 sg-2 --tags Key=a,Value=b')
  })
})
