import type {DBInstance, ModifyDBInstanceCommandInput} from '@aws-sdk/client-rds'
import {preflightError, usageError} from '../errors.ts'
import {RESTORE_INPUTS, type RestoreChoice, type RestoreInput} from './restore-inputs.ts'

/** One line of the table that an operator reads before anything is asked of AWS. Values are JSON, or undefined where there is none. */
export interface PlannedInput {
  input: string
  deals: 'given' | 'copied' | 'chosen' | 'left out'
  /** What the source has, where it is a setting of an instance. */
  source: unknown
  /** What is sent; undefined: nothing. */
  sent: unknown
  awsDefault: string
  why: string
}

/** What a restore takes no input for, and is set when the instance is there. */
export type Afterwards = Omit<ModifyDBInstanceCommandInput, 'DBInstanceIdentifier' | 'ApplyImmediately'>

export interface RestorePlan {
  request: RestoreInput
  inputs: PlannedInput[]
  afterwards: Afterwards
  /** Roles that are attached afterwards, one call each. */
  roles: {RoleArn: string; FeatureName: string}[]
  warnings: string[]
}

/**
 * The whole request of a point-in-time recovery, with what AWS would do by itself beside what is sent. Throws
 * `pitr.aurora` (exit 3) for a cluster's instance and `pitr.target` (exit 2) for a name that AWS would refuse.
 */
export function planRestore(source: DBInstance, choice: RestoreChoice): RestorePlan {
  assertInstance(source)
  assertName(choice.target)
  const inputs = Object.entries(RESTORE_INPUTS).map(([input, {deals, awsDefault, why, of, has}]): PlannedInput => ({input, deals, source: has(source), sent: of(source, choice), awsDefault, why}))
  const request = Object.fromEntries(inputs.filter(({sent}) => sent !== undefined).map(({input, sent}) => [input, sent])) as unknown as RestoreInput
  return {request, inputs, afterwards: afterwardsOf(source), roles: rolesOf(source), warnings: warningsOf(source)}
}

function assertInstance({Engine = '', DBClusterIdentifier, DBInstanceIdentifier = ''}: DBInstance): void {
  if (!Engine.startsWith('aurora') && DBClusterIdentifier === undefined) return
  throw preflightError('pitr.aurora', `${DBInstanceIdentifier} belongs to the cluster ${DBClusterIdentifier ?? ''}: instances of a cluster are not restored one by one.`, {
    hints: [`aws rds restore-db-cluster-to-point-in-time --source-db-cluster-identifier ${DBClusterIdentifier ?? 'CLUSTER'} --db-cluster-identifier NEW --restore-to-time TIME, then aws rds create-db-instance for its writer`],
  })
}

/** As the API has it: 1 to 63 letters, digits and hyphens, a letter first, no two hyphens together and none at the end. */
export function assertName(name: string): void {
  if (/^[a-z](?:-?[a-z\d])*$/i.test(name) && name.length <= 63) return
  throw usageError('pitr.target', `${name} cannot be the name of an instance.`, {hints: ['Up to 63 letters, digits and single hyphens, a letter first, no hyphen at the end.']})
}

function afterwardsOf(source: DBInstance): Afterwards {
  const {MonitoringInterval = 0, MonitoringRoleArn, PerformanceInsightsEnabled, PerformanceInsightsKMSKeyId, PerformanceInsightsRetentionPeriod, DatabaseInsightsMode, PreferredMaintenanceWindow, MasterUserSecret} = source
  return {
    ...(MonitoringInterval > 0 && {MonitoringInterval, MonitoringRoleArn}),
    ...(PerformanceInsightsEnabled === true && {EnablePerformanceInsights: true, ...(PerformanceInsightsKMSKeyId !== undefined && {PerformanceInsightsKMSKeyId}), ...(PerformanceInsightsRetentionPeriod !== undefined && {PerformanceInsightsRetentionPeriod})}),
    ...(DatabaseInsightsMode === 'advanced' && {DatabaseInsightsMode}),
    ...(PreferredMaintenanceWindow !== undefined && {PreferredMaintenanceWindow}),
    ...(MasterUserSecret && {ManageMasterUserPassword: true, ...(MasterUserSecret.KmsKeyId !== undefined && {MasterUserSecretKmsKeyId: MasterUserSecret.KmsKeyId})}),
  }
}

const rolesOf = ({AssociatedRoles = []}: DBInstance) => AssociatedRoles.map(({RoleArn = '', FeatureName = ''}) => ({RoleArn, FeatureName}))

function warningsOf(source: DBInstance): string[] {
  const {IAMDatabaseAuthenticationEnabled, MasterUserSecret, ReadReplicaDBInstanceIdentifiers = [], DBInstanceAutomatedBackupsReplications = [], DBInstanceIdentifier = ''} = source
  return [
    ...(IAMDatabaseAuthenticationEnabled === true ? [`IAM logins are denied until policies name the resource id of the copy: the present ones name ${source.DbiResourceId ?? 'that of the source'}.`] : []),
    ...(MasterUserSecret ? [`The master password is managed: the copy gets a secret of its own, and whoever reads ${MasterUserSecret.SecretArn ?? 'the old one'} must be told.`] : []),
    ...(ReadReplicaDBInstanceIdentifiers.length > 0 ? [`Replicas go on following ${DBInstanceIdentifier}, and are made anew for a copy: ${ReadReplicaDBInstanceIdentifiers.join(', ')}.`] : []),
    ...(DBInstanceAutomatedBackupsReplications.length > 0 ? ['Backups are replicated to another region: that is begun anew for a copy.'] : []),
    'A proxy, alarms by resource id and subscriptions to events follow no copy.',
    'Passwords of roles are those of the instant, whatever was changed since.',
  ]
}

/** The same request, to be typed: `aws rds restore-db-instance-to-point-in-time …`. */
export function awsCommand(action: string, request: object): string[] {
  return ['aws', 'rds', action, ...Object.entries(request).flatMap(([name, value]) => flagOf(name, value))]
}

function flagOf(name: string, value: unknown): string[] {
  const flag = `--${name.replaceAll(/(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase()}`
  if (typeof value === 'boolean') return [value ? flag : flag.replace('--', '--no-')]
  if (value instanceof Date) return [flag, value.toISOString()]
  if (!Array.isArray(value)) return [flag, String(value)]
  return [flag, ...value.map((one: unknown) => (typeof one === 'string' ? one : Object.entries(one as Record<string, string>).map(([key, text]) => `${key}=${text}`).join(',')))]
}
