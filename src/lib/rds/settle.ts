import type {DBInstance} from '@aws-sdk/client-rds'
import type {Afterwards, RestorePlan} from './restore-plan.ts'

/** Under which name an instance shows what is set by another one. `undefined`: it shows it otherwise. */
const SHOWN: Readonly<Record<string, (instance: DBInstance) => unknown>> = {
  MonitoringInterval: ({MonitoringInterval = 0}) => MonitoringInterval,
  MonitoringRoleArn: ({MonitoringRoleArn}) => MonitoringRoleArn,
  EnablePerformanceInsights: ({PerformanceInsightsEnabled = false}) => PerformanceInsightsEnabled,
  PerformanceInsightsKMSKeyId: ({PerformanceInsightsKMSKeyId}) => PerformanceInsightsKMSKeyId,
  PerformanceInsightsRetentionPeriod: ({PerformanceInsightsRetentionPeriod}) => PerformanceInsightsRetentionPeriod,
  DatabaseInsightsMode: ({DatabaseInsightsMode}) => DatabaseInsightsMode,
  PreferredMaintenanceWindow: ({PreferredMaintenanceWindow}) => PreferredMaintenanceWindow,
  ManageMasterUserPassword: ({MasterUserSecret}) => MasterUserSecret !== undefined,
  // Of a secret that is there its key is left as it is.
  MasterUserSecretKmsKeyId: ({MasterUserSecret}) => MasterUserSecret?.KmsKeyId,
}

/** Settings that the API takes only together. */
const TOGETHER: readonly (readonly string[])[] = [
  ['MonitoringInterval', 'MonitoringRoleArn'],
  ['EnablePerformanceInsights', 'PerformanceInsightsKMSKeyId', 'PerformanceInsightsRetentionPeriod', 'DatabaseInsightsMode'],
  ['ManageMasterUserPassword', 'MasterUserSecretKmsKeyId'],
]

/** What of a plan is not so yet on the instance: nothing of what is so is sent again. */
export function unsetOf(afterwards: Afterwards, instance: DBInstance): Afterwards {
  const differs = Object.entries(afterwards).filter(([name, value]) => value !== undefined && SHOWN[name]?.(instance) !== value).map(([name]) => name)
  const wanted = new Set(differs.flatMap((name) => TOGETHER.find((group) => group.includes(name)) ?? [name]))
  return Object.fromEntries(Object.entries(afterwards).filter(([name]) => wanted.has(name)))
}

export const missingRoles = (roles: RestorePlan['roles'], {AssociatedRoles = []}: DBInstance): RestorePlan['roles'] =>
  roles.filter((role) => !AssociatedRoles.some(({RoleArn, FeatureName}) => RoleArn === role.RoleArn && FeatureName === role.FeatureName))

/** Whether all that AWS does by and by is done: its secret is made, its roles are attached. */
export function isSettled({MasterUserSecret, AssociatedRoles = [], DBParameterGroups = []}: DBInstance): boolean {
  return (MasterUserSecret?.SecretStatus ?? 'active') === 'active' && AssociatedRoles.every(({Status = 'ACTIVE'}) => Status.toUpperCase() !== 'PENDING') && DBParameterGroups.every(({ParameterApplyStatus = 'in-sync'}) => ParameterApplyStatus !== 'applying')
}

/** A role that could not be attached; undefined when there is none. */
export const brokenRole = ({AssociatedRoles = []}: DBInstance): string | undefined => AssociatedRoles.find(({Status = ''}) => Status.toUpperCase() === 'INVALID')?.RoleArn

/** Static parameters wait for a restart. */
export const wantsReboot = ({DBParameterGroups = []}: DBInstance): boolean => DBParameterGroups.some(({ParameterApplyStatus}) => ParameterApplyStatus === 'pending-reboot')
