import type {DBInstance, RestoreDBInstanceToPointInTimeCommandInput} from '@aws-sdk/client-rds'
import {tagsFor, type Purpose} from './tags.ts'

export type RestoreInput = RestoreDBInstanceToPointInTimeCommandInput

/** What the operator decides of a copy; everything else it has of its source. */
export interface RestoreChoice {
  target: string
  /** Undefined: the latest restorable time. */
  to: Date | undefined
  /** `primary` is to take the place of its source; `side` is looked at, taken from, and removed. */
  purpose: Purpose
  runId: string
  instanceClass?: string
  securityGroups?: readonly string[]
  parameterGroup?: string
  optionGroup?: string
  subnetGroup?: string
  multiAz?: boolean
  /** How the source is named to AWS, where not by its identifier: it is deleted, or its backups are of another region. */
  by?: {resourceId: string} | {backupArn: string}
}

/** How an input of the API is dealt with. `awsDefault`: what AWS does when it is left out. `of`: what is sent, undefined for nothing. `has`: what the source has, where it is a setting of an instance. */
export interface InputRule {
  deals: 'given' | 'copied' | 'chosen' | 'left out'
  awsDefault: string
  why: string
  of: (source: DBInstance, choice: RestoreChoice) => unknown
  has: (source: DBInstance) => unknown
}

const nothing = (): undefined => undefined
/** The choice of nothing: what is sent then is what the source has. */
const AS_IT_IS: RestoreChoice = {target: '', to: undefined, purpose: 'primary', runId: ''}

const copied = (awsDefault: string, of: InputRule['of'], why = 'as the source has it'): InputRule => ({deals: 'copied', awsDefault, why, of, has: (source) => of(source, AS_IT_IS)})
const chosen = (awsDefault: string, why: string, of: InputRule['of'], has: InputRule['has']): InputRule => ({deals: 'chosen', awsDefault, why, of, has})
const leftOut = (awsDefault: string, why: string, has: InputRule['has'] = nothing): InputRule => ({deals: 'left out', awsDefault, why, of: nothing, has})
const given = (why: string, of: InputRule['of']): InputRule => ({deals: 'given', awsDefault: 'none', why, of, has: nothing})

const none = <T>(list: readonly T[] | undefined): T[] | undefined => (list === undefined || list.length === 0 ? undefined : [...list])
const membership = ({DomainMemberships}: DBInstance) => DomainMemberships?.[0]

/** Tags that AWS made itself cannot be set. A tag of an earlier run is not this one's. */
function tagsOf({TagList = [], DBInstanceIdentifier, DbiResourceId}: DBInstance, {runId, purpose, to}: RestoreChoice): {Key: string; Value: string}[] {
  const own = TagList.filter(({Key = ''}) => !/^(aws|dr):/.test(Key)).map(({Key = '', Value = ''}) => ({Key, Value}))
  const marks = tagsFor({run: runId, purpose, restoredTo: to?.toISOString() ?? 'latest', ...(DBInstanceIdentifier !== undefined && {source: DBInstanceIdentifier}), ...(DbiResourceId !== undefined && {sourceId: DbiResourceId})})
  return [...own, ...marks.map(({Key = '', Value = ''}) => ({Key, Value}))]
}

/** gp3 takes no figures of its own below 400 GiB, and its baseline need not be said. */
function provisioned(source: DBInstance, field: 'Iops' | 'StorageThroughput'): number | undefined {
  const {StorageType, AllocatedStorage = 0} = source
  if (StorageType !== 'gp3') return field === 'Iops' ? source.Iops : undefined
  const baseline = AllocatedStorage < 400 ? undefined : {Iops: 12_000, StorageThroughput: 500}
  return baseline && (source.Iops !== baseline.Iops || source.StorageThroughput !== baseline.StorageThroughput) ? source[field] : undefined
}

/** Every input of RestoreDBInstanceToPointInTime (client-rds 3.1169). A test fails when the API has one that is not here. */
export const RESTORE_INPUTS: Readonly<Record<keyof RestoreInput, InputRule>> = {
  SourceDBInstanceIdentifier: given('what is restored', (source, {by}) => (by === undefined ? source.DBInstanceIdentifier : undefined)),
  SourceDbiResourceId: given('instead of a name, for a source that is deleted', (_source, {by}) => (by && 'resourceId' in by ? by.resourceId : undefined)),
  SourceDBInstanceAutomatedBackupsArn: given('instead of a name, for backups of another region', (_source, {by}) => (by && 'backupArn' in by ? by.backupArn : undefined)),
  TargetDBInstanceIdentifier: given('the new instance', (_source, {target}) => target),
  RestoreTime: given('the instant', (_source, {to}) => to),
  UseLatestRestorableTime: given('instead of an instant', (_source, {to}) => (to === undefined ? true : undefined)),
  DBInstanceClass: copied('as the source', (source, {instanceClass}) => instanceClass ?? source.DBInstanceClass),
  VpcSecurityGroupIds: copied('the default group of the VPC: the application cannot connect', (source, {securityGroups}) => none(securityGroups ?? source.VpcSecurityGroups?.filter(({Status}) => Status === 'active').map(({VpcSecurityGroupId = ''}) => VpcSecurityGroupId))),
  DBParameterGroupName: copied('the default group of the engine: force_ssl, preloaded libraries and max_connections are lost', (source, {parameterGroup}) => parameterGroup ?? source.DBParameterGroups?.[0]?.DBParameterGroupName),
  OptionGroupName: copied('the default group', (source, {optionGroup}) => {
    const name = optionGroup ?? source.OptionGroupMemberships?.[0]?.OptionGroupName
    return name?.startsWith('default:') === true ? undefined : name
  }, 'as the source has it, unless that is the default'),
  DBSubnetGroupName: copied('the default group, maybe of another VPC', (source, {subnetGroup}) => subnetGroup ?? source.DBSubnetGroup?.DBSubnetGroupName),
  MultiAZ: copied('false', (source, {multiAz, purpose}) => multiAz ?? (purpose === 'primary' ? source.MultiAZ : false), 'as the source has it; a side copy is in one zone'),
  PubliclyAccessible: copied('by the subnet group', (source) => source.PubliclyAccessible ?? false),
  StorageType: copied('gp3, or io1 with Iops', (source) => source.StorageType),
  Iops: copied('the baseline', (source) => provisioned(source, 'Iops'), 'as the source has it, where it is not the baseline'),
  StorageThroughput: copied('the baseline', (source) => provisioned(source, 'StorageThroughput'), 'as the source has it, where it is not the baseline'),
  MaxAllocatedStorage: copied('none: the storage does not grow by itself', (source) => source.MaxAllocatedStorage),
  DedicatedLogVolume: copied('false', (source) => source.DedicatedLogVolume),
  EnableIAMDatabaseAuthentication: copied('false', (source) => source.IAMDatabaseAuthenticationEnabled),
  EnableCloudwatchLogsExports: copied('none', (source) => none(source.EnabledCloudwatchLogsExports)),
  CopyTagsToSnapshot: copied('false', (source) => source.CopyTagsToSnapshot),
  BackupRetentionPeriod: copied('as the source', ({BackupRetentionPeriod: days}, {purpose}) => (purpose === 'side' && days !== undefined ? Math.min(days, 1) : days), 'as the source has it; of a side copy a day, because its backups outlive it'),
  PreferredBackupWindow: copied('a random half hour', (source) => source.PreferredBackupWindow),
  AutoMinorVersionUpgrade: copied('not stated', (source) => source.AutoMinorVersionUpgrade),
  CACertificateIdentifier: copied('the default of the account', (source) => source.CACertificateIdentifier),
  EngineLifecycleSupport: copied('extended support, which costs', (source) => source.EngineLifecycleSupport),
  NetworkType: copied('by the subnet group', (source) => source.NetworkType),
  Domain: copied('none', (source) => membership(source)?.Domain),
  DomainIAMRoleName: copied('none', (source) => membership(source)?.IAMRoleName),
  DomainFqdn: copied('none', (source) => membership(source)?.FQDN),
  DomainOu: copied('none', (source) => membership(source)?.OU),
  DomainAuthSecretArn: copied('none', (source) => membership(source)?.AuthSecretArn),
  DomainDnsIps: copied('none', (source) => none(membership(source)?.DnsIps)),
  DeletionProtection: chosen('false', 'on for an instance that is to be the live one, off for a side copy', (_source, {purpose}) => purpose === 'primary', ({DeletionProtection}) => DeletionProtection),
  Tags: chosen('those of the source; with any given, those of the source are lost', 'those of the source, and the marks of this run', tagsOf, ({TagList}) => none(TagList)),
  AllocatedStorage: leftOut('as the source', 'a restore cannot shrink it', ({AllocatedStorage}) => AllocatedStorage),
  Port: leftOut('as the source', 'clients know it', ({Endpoint}) => Endpoint?.Port),
  Engine: leftOut('as the source', 'a restore cannot change it', ({Engine}) => Engine),
  LicenseModel: leftOut('as the source', 'PostgreSQL has one', ({LicenseModel}) => LicenseModel),
  AvailabilityZone: leftOut('any', 'a pinned zone may lack capacity, and excludes MultiAZ', ({AvailabilityZone}) => AvailabilityZone),
  DBName: leftOut('none', 'not for PostgreSQL'),
  ProcessorFeatures: leftOut('by the class', 'not for PostgreSQL'),
  UseDefaultProcessorFeatures: leftOut('by the class', 'not for PostgreSQL'),
  ManageMasterUserPassword: leftOut('none', 'at a restore for Oracle only; set afterwards where the source has it'),
  MasterUserSecretKmsKeyId: leftOut('none', 'at a restore for Oracle only'),
  TagSpecifications: leftOut('none', 'tags of the automated backups are not used'),
  DBCapacityReservationIdentifier: leftOut('none', 'a reservation holds one instance, the source'),
  TdeCredentialArn: leftOut('none', 'not for PostgreSQL'),
  TdeCredentialPassword: leftOut('none', 'not for PostgreSQL'),
  CustomIamInstanceProfile: leftOut('none', 'for RDS Custom only'),
  EnableCustomerOwnedIp: leftOut('false', 'for Outposts only'),
  BackupTarget: leftOut('region', 'for Outposts only'),
  AdditionalStorageVolumes: leftOut('none', 'not for PostgreSQL'),
}
