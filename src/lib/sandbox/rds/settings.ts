import type {Form} from './form.ts'
import type {Value} from './document.ts'

export type Tag = {readonly Key: string; readonly Value: string}

export type Role = {readonly RoleArn: string; readonly FeatureName: string; /** `ACTIVE` when absent. */ readonly Status?: string}

/** What is set of an instance, by the names of the API's DBInstance; lists of groups by their names alone. */
export interface Settings {
  DBInstanceClass: string
  Engine: string
  EngineVersion: string
  MasterUsername: string
  /** GiB. */
  AllocatedStorage: number
  MaxAllocatedStorage: number | undefined
  StorageType: string
  Iops: number | undefined
  StorageThroughput: number | undefined
  DedicatedLogVolume: boolean
  /** Days; 0: no automated backups, and no PITR. */
  BackupRetentionPeriod: number
  PreferredBackupWindow: string
  PreferredMaintenanceWindow: string
  VpcSecurityGroupIds: readonly string[]
  DBParameterGroupName: string
  OptionGroupName: string
  DBSubnetGroupName: string
  MultiAZ: boolean
  PubliclyAccessible: boolean
  NetworkType: string
  AutoMinorVersionUpgrade: boolean
  LicenseModel: string
  StorageEncrypted: boolean
  KmsKeyId: string | undefined
  CACertificateIdentifier: string
  CopyTagsToSnapshot: boolean
  DeletionProtection: boolean
  IAMDatabaseAuthenticationEnabled: boolean
  EnabledCloudwatchLogsExports: readonly string[]
  EngineLifecycleSupport: string
  /** Seconds. */
  MonitoringInterval: number
  MonitoringRoleArn: string | undefined
  DatabaseInsightsMode: string
  PerformanceInsightsEnabled: boolean
  PerformanceInsightsKMSKeyId: string | undefined
  PerformanceInsightsRetentionPeriod: number | undefined
  AssociatedRoles: readonly Role[]
  /** Set when the service keeps the master password as a secret. */
  MasterUserSecret: {readonly SecretArn: string; readonly SecretStatus: string; readonly KmsKeyId: string} | undefined
  TagList: readonly Tag[]
}

/** As they come in a request; undefined when none do. */
export const tagsOf = (form: Form): Tag[] | undefined => form.objects('Tags', 'Tag')?.map((one) => ({Key: one.required('Key'), Value: one.text('Value') ?? ''}))

/** What an instance gets where nothing is said. */
export const DEFAULTS: Settings = {
  DBInstanceClass: 'db.t4g.micro', Engine: 'postgres', EngineVersion: '17.5', MasterUsername: 'postgres', AllocatedStorage: 20, MaxAllocatedStorage: undefined, StorageType: 'gp3', Iops: undefined,
  StorageThroughput: undefined, DedicatedLogVolume: false, BackupRetentionPeriod: 1, PreferredBackupWindow: '07:10-07:40', PreferredMaintenanceWindow: 'sun:04:00-sun:04:30', VpcSecurityGroupIds: ['sg-default'],
  DBParameterGroupName: 'default.postgres17', OptionGroupName: 'default:postgres-17', DBSubnetGroupName: 'default', MultiAZ: false, PubliclyAccessible: true, NetworkType: 'IPV4', AutoMinorVersionUpgrade: true,
  LicenseModel: 'postgresql-license', StorageEncrypted: false, KmsKeyId: undefined, CACertificateIdentifier: 'rds-ca-rsa2048-g1', CopyTagsToSnapshot: false, DeletionProtection: false,
  IAMDatabaseAuthenticationEnabled: false, EnabledCloudwatchLogsExports: [], EngineLifecycleSupport: 'open-source-rds-extended-support', MonitoringInterval: 0, MonitoringRoleArn: undefined,
  DatabaseInsightsMode: 'standard', PerformanceInsightsEnabled: false, PerformanceInsightsKMSKeyId: undefined, PerformanceInsightsRetentionPeriod: undefined, AssociatedRoles: [], MasterUserSecret: undefined, TagList: [],
}

/** Settings that a copy has of its source whatever the request says or leaves out. */
const OF_THE_SOURCE = ['Engine', 'EngineVersion', 'MasterUsername', 'StorageEncrypted', 'KmsKeyId', 'BackupRetentionPeriod', 'DBInstanceClass', 'AllocatedStorage', 'LicenseModel'] as const

/**
 * The settings of a copy by RestoreDBInstanceToPointInTime. What the request leaves out is NOT that of the source but the
 * service's default, except for a few; tags come along only when none are given.
 */
export function restoredSettings(source: Settings, form: Form): Settings {
  const kept = Object.fromEntries(OF_THE_SOURCE.map((name) => [name, source[name]]))
  const {given, tags} = readSettings(form)
  const major = source.EngineVersion.split('.')[0] ?? ''
  return {
    ...DEFAULTS, DBParameterGroupName: `default.postgres${major}`, OptionGroupName: `default:postgres-${major}`, ...kept, ...given,
    StorageType: given.StorageType ?? (given.Iops === undefined ? 'gp3' : 'io1'), TagList: tags ?? source.TagList,
  }
}

/** What a request of ModifyDBInstance changes of what is set now. */
export function modifiedSettings(form: Form, now: Settings): Partial<Settings> {
  const {given} = readSettings(form)
  const insights = form.boolean('EnablePerformanceInsights')
  return definedOf({
    ...given,
    PreferredMaintenanceWindow: form.text('PreferredMaintenanceWindow'), MonitoringInterval: form.integer('MonitoringInterval'), MonitoringRoleArn: form.text('MonitoringRoleArn'),
    DatabaseInsightsMode: form.text('DatabaseInsightsMode'), PerformanceInsightsEnabled: insights, PerformanceInsightsKMSKeyId: form.text('PerformanceInsightsKMSKeyId'),
    PerformanceInsightsRetentionPeriod: form.integer('PerformanceInsightsRetentionPeriod'), EngineVersion: form.text('EngineVersion'),
    EnabledCloudwatchLogsExports: exportsAfter(form, now.EnabledCloudwatchLogsExports),
  })
}

function exportsAfter(form: Form, now: readonly string[]): readonly string[] | undefined {
  const [more, less] = ['EnableLogTypes', 'DisableLogTypes'].map((name) => form.texts(`CloudwatchLogsExportConfiguration.${name}`, 'member'))
  return more || less ? [...new Set([...now, ...(more ?? [])])].filter((name) => !less?.includes(name)) : undefined
}

/** Settings that wait for the maintenance window unless a change is wanted at once, and are shown as pending until it is made. */
const WAITING = ['DBInstanceClass', 'AllocatedStorage', 'BackupRetentionPeriod', 'MultiAZ', 'EngineVersion', 'LicenseModel', 'Iops', 'StorageThroughput', 'StorageType', 'CACertificateIdentifier', 'DBSubnetGroupName', 'IAMDatabaseAuthenticationEnabled', 'DedicatedLogVolume'] as const satisfies readonly (keyof Settings)[]

export const waitingOf = (changes: Partial<Settings>): Partial<Settings> => definedOf(Object.fromEntries(WAITING.map((name) => [name, changes[name]])))

/** Inputs that restore and modify have in common. */
function readSettings(form: Form): {given: Partial<Settings>; tags: Tag[] | undefined} {
  const tags = tagsOf(form)
  const given = definedOf({
    DBInstanceClass: form.text('DBInstanceClass'), AllocatedStorage: form.integer('AllocatedStorage'), MaxAllocatedStorage: form.integer('MaxAllocatedStorage'), StorageType: form.text('StorageType'),
    Iops: form.integer('Iops'), StorageThroughput: form.integer('StorageThroughput'), DedicatedLogVolume: form.boolean('DedicatedLogVolume'), BackupRetentionPeriod: form.integer('BackupRetentionPeriod'),
    PreferredBackupWindow: form.text('PreferredBackupWindow'), VpcSecurityGroupIds: form.texts('VpcSecurityGroupIds', 'VpcSecurityGroupId'), DBParameterGroupName: form.text('DBParameterGroupName'),
    OptionGroupName: form.text('OptionGroupName'), DBSubnetGroupName: form.text('DBSubnetGroupName'), MultiAZ: form.boolean('MultiAZ'), PubliclyAccessible: form.boolean('PubliclyAccessible'),
    NetworkType: form.text('NetworkType'), AutoMinorVersionUpgrade: form.boolean('AutoMinorVersionUpgrade'), LicenseModel: form.text('LicenseModel'), CACertificateIdentifier: form.text('CACertificateIdentifier'),
    CopyTagsToSnapshot: form.boolean('CopyTagsToSnapshot'), DeletionProtection: form.boolean('DeletionProtection'), IAMDatabaseAuthenticationEnabled: form.boolean('EnableIAMDatabaseAuthentication'),
    EnabledCloudwatchLogsExports: form.texts('EnableCloudwatchLogsExports', 'member'), EngineLifecycleSupport: form.text('EngineLifecycleSupport'),
  })
  return {given, tags}
}

/** Without what is undefined. */
const definedOf = <T extends object>(value: T): {[K in keyof T]?: Exclude<T[K], undefined>} => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {[K in keyof T]?: Exclude<T[K], undefined>}

/** As DescribeDBInstances shows them. */
export function shownSettings({VpcSecurityGroupIds, DBParameterGroupName, OptionGroupName, DBSubnetGroupName, AssociatedRoles, ...plain}: Settings, ParameterApplyStatus: string): Record<string, Value> {
  return {
    ...plain,
    VpcSecurityGroups: VpcSecurityGroupIds.map((id) => ({VpcSecurityGroupId: id, Status: 'active'})),
    DBParameterGroups: [{DBParameterGroupName, ParameterApplyStatus}],
    OptionGroupMemberships: [{OptionGroupName, Status: 'in-sync'}],
    DBSubnetGroup: {DBSubnetGroupName, VpcId: 'vpc-sandbox', SubnetGroupStatus: 'Complete', Subnets: ['a', 'b'].map((zone) => ({SubnetIdentifier: `subnet-${zone}`, SubnetStatus: 'Active'}))},
    AssociatedRoles: AssociatedRoles.map((role) => ({Status: 'ACTIVE', ...role})),
  }
}
