import type {DBInstance, DBInstanceAutomatedBackup} from '@aws-sdk/client-rds'

/** Settings that an automated backup does not hold, by the flag that sets them where there is one. */
const NOT_HELD: readonly (readonly [what: string, flag: string | undefined])[] = [
  ['instance class', '--class'], ['security groups', '--security-group'], ['parameter group', '--parameter-group'], ['subnet group', '--subnet-group'], ['Multi-AZ', '--multi-az'],
  ['log exports', undefined], ['storage autoscaling', undefined], ['monitoring', undefined], ['maintenance window', undefined], ['roles', undefined],
]

/** What an automated backup tells of the instance that it is of: little beside storage, engine and tags. */
export function sourceOfBackup({DBInstanceIdentifier, DbiResourceId, Engine, EngineVersion, AllocatedStorage, StorageType, Iops, StorageThroughput, DedicatedLogVolume, OptionGroupName, IAMDatabaseAuthenticationEnabled, BackupRetentionPeriod, PreferredBackupWindow, TagList, MasterUsername}: DBInstanceAutomatedBackup): DBInstance {
  return {
    DBInstanceIdentifier, DbiResourceId, Engine, EngineVersion, AllocatedStorage, StorageType, Iops, StorageThroughput, DedicatedLogVolume, IAMDatabaseAuthenticationEnabled, BackupRetentionPeriod, PreferredBackupWindow, TagList, MasterUsername,
    ...(OptionGroupName !== undefined && {OptionGroupMemberships: [{OptionGroupName, Status: 'in-sync'}]}),
  }
}

/** What has to be said when a source is known by its backup alone; `given` are the flags that were set. */
export function backupWarning(given: ReadonlySet<string>): string {
  const left = NOT_HELD.filter(([, flag]) => flag === undefined || !given.has(flag)).map(([what, flag]) => (flag === undefined ? what : `${what} (${flag})`))
  return `The instance is gone, and its backup does not hold these settings, so AWS's defaults apply: ${left.join(', ')}.`
}
