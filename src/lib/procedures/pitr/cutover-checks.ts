import type {Finding} from '../../checks/finding.ts'
import {preflightError, usageError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {marksOf, proofOf} from '../../rds/tags.ts'
import {isLost, kindOf} from '../../rds/status.ts'

/** The copy that is meant. Throws `pitr.no-copy` (exit 3), and `pitr.which-copy` (exit 2) where there are several. */
export function copyMeant(all: readonly DBInstance[], name: string, wanted: string | undefined): DBInstance {
  if (wanted !== undefined) {
    const found = all.find(({DBInstanceIdentifier}) => DBInstanceIdentifier === wanted.toLowerCase())
    if (found === undefined) throw preflightError('pitr.no-copy', `There is no instance ${wanted}.`, {hints: ['dr pitr list shows the copies that there are.']})
    return found
  }
  const copies = all.filter((one) => one.DBInstanceIdentifier !== name && marksOf(one)?.purpose === 'primary' && marksOf(one)?.source === name && !isLost(one.DBInstanceStatus ?? ''))
  const [copy, another] = copies
  if (copy === undefined) throw preflightError('pitr.no-copy', `dr has made no copy of ${name} that could take its place.`, {hints: ['dr pitr --to TIME makes one.']})
  if (another !== undefined) throw usageError('pitr.which-copy', `dr has made several copies of ${name}: ${copies.map(({DBInstanceIdentifier = ''}) => DBInstanceIdentifier).join(', ')}.`, {hints: ['Name the one that is meant: dr pitr cutover TARGET']})
  return copy
}

/** Throws where a cut-over must not begin. */
export function assertCopy(copy: DBInstance, name: string): void {
  const {DBInstanceIdentifier: id = '', DBInstanceStatus: status = ''} = copy
  const marks = marksOf(copy)
  if (id === name) throw usageError('pitr.same', `${id} is the production instance itself.`, {hints: ['dr pitr list shows the copies that there are.']})
  if (marks === undefined) throw preflightError('pitr.not-ours', `dr did not make ${id}: it has no dr:run-id tag.`, {hints: ['dr pitr list shows the copies that dr has made.']})
  if (marks.purpose !== 'primary') throw preflightError('pitr.purpose', `${id} was made to be looked at (dr:purpose is ${marks.purpose}), not to take a place.`, {hints: ['dr pitr --to TIME makes one that can.']})
  if (kindOf(status) !== 'ready') throw notReady(id, status)
  const waiting = copy.DBParameterGroups?.find(({ParameterApplyStatus}) => ParameterApplyStatus === 'pending-reboot')
  if (waiting) throw preflightError('pitr.pending-reboot', `${id} needs a reboot before parameters of ${waiting.DBParameterGroupName ?? 'its group'} hold.`, {hints: [`aws rds reboot-db-instance --db-instance-identifier ${id}`]})
}

export function assertOld({DBInstanceIdentifier: id = '', DBInstanceStatus: status = '', Engine = '', DBClusterIdentifier}: DBInstance): void {
  if (Engine.startsWith('aurora') || DBClusterIdentifier !== undefined) {
    throw preflightError('pitr.aurora', `${id} belongs to the cluster ${DBClusterIdentifier ?? ''}: it is cut over as a whole.`, {hints: [`aws rds modify-db-cluster --db-cluster-identifier ${DBClusterIdentifier ?? 'CLUSTER'} --new-db-cluster-identifier NAME --apply-immediately`]})
  }
  if (kindOf(status) !== 'ready') throw notReady(id, status)
}

const notReady = (id: string, status: string) => preflightError('rds.state', `${id} is ${status}, not available.`, {hints: ['Wait until it is available, then run the command again; dr pitr list shows its status.', 'An old instance that stays so: dr pitr cutover --mode url --no-freeze --no-snapshot']})

/** A change that is made at once takes everything along that waits. */
export function assertNothingPending(instances: readonly DBInstance[]): void {
  for (const {DBInstanceIdentifier: id = '', PendingModifiedValues = {}} of instances) {
    const waiting = Object.entries(PendingModifiedValues).filter(([, value]) => value !== undefined).map(([setting]) => setting)
    if (waiting.length > 0) throw preflightError('pitr.pending', `${id} has changes that wait for its maintenance window, and the cut-over would make them now: ${waiting.join(', ')}.`, {hints: ['--accept-pending lets that happen.']})
  }
}

type Value = string | number | readonly string[] | undefined
type Compared = [what: string, old: Value, copy: Value]

/** Whether somebody has compared it with its source, and what came of it. */
export function aboutProof(copy: DBInstance): Finding[] {
  const {DBInstanceIdentifier: id = ''} = copy
  const proof = proofOf(copy)
  if (proof?.outcome === 'proven') return []
  return [{code: 'pitr.unproven', severity: 'warning', subject: id, message: proof === undefined ? 'has not been proven: nobody has compared it with its source' : `its proof failed at ${proof.at}`, hint: `Before the cut-over: dr pitr resume ${id}`}]
}

/** Where the copy is less than the old one. `error`: clients or safety would suffer. */
export function compareSettings(old: DBInstance, copy: DBInstance): Finding[] {
  const id = copy.DBInstanceIdentifier ?? ''
  const finding = (severity: 'error' | 'warning', [what, was, is]: Compared): Finding => ({code: 'pitr.settings', severity, subject: id, message: `${what}: ${shown(is)}, where the old one has ${shown(was)}`, hint: `aws rds modify-db-instance --db-instance-identifier ${id} --apply-immediately, with that setting`})
  const groups = ({VpcSecurityGroups = []}: DBInstance) => VpcSecurityGroups.map(({VpcSecurityGroupId = ''}) => VpcSecurityGroupId).toSorted()
  const errors: [boolean, Compared][] = [
    [String(groups(old)) !== String(groups(copy)), ['security groups', groups(old), groups(copy)]],
    [old.DBSubnetGroup?.VpcId !== copy.DBSubnetGroup?.VpcId, ['VPC', old.DBSubnetGroup?.VpcId, copy.DBSubnetGroup?.VpcId]],
    [old.DBParameterGroups?.[0]?.DBParameterGroupName !== copy.DBParameterGroups?.[0]?.DBParameterGroupName, ['parameter group', old.DBParameterGroups?.[0]?.DBParameterGroupName, copy.DBParameterGroups?.[0]?.DBParameterGroupName]],
    [(old.BackupRetentionPeriod ?? 0) > (copy.BackupRetentionPeriod ?? 0), ['days of automated backups', old.BackupRetentionPeriod, copy.BackupRetentionPeriod]],
    [old.PubliclyAccessible !== true && copy.PubliclyAccessible === true, ['reachable from the internet', 'no', 'yes']],
    [old.IAMDatabaseAuthenticationEnabled === true && copy.IAMDatabaseAuthenticationEnabled !== true, ['IAM authentication', 'on', 'off']],
  ]
  const warnings: [boolean, Compared][] = [
    [old.DBInstanceClass !== copy.DBInstanceClass, ['instance class', old.DBInstanceClass, copy.DBInstanceClass]],
    [old.MultiAZ === true && copy.MultiAZ !== true, ['Multi-AZ', 'on', 'off: switch it on after the cut-over']],
    [old.StorageType !== copy.StorageType, ['storage type', old.StorageType, copy.StorageType]],
    [old.EngineVersion !== copy.EngineVersion, ['engine version', old.EngineVersion, copy.EngineVersion]],
    [(old.AssociatedRoles?.length ?? 0) > (copy.AssociatedRoles?.length ?? 0), ['roles', old.AssociatedRoles?.length, copy.AssociatedRoles?.length ?? 0]],
    [(old.MonitoringInterval ?? 0) > 0 && (copy.MonitoringInterval ?? 0) === 0, ['Enhanced Monitoring', 'on', 'off']],
  ]
  return [...errors.filter(([is]) => is).map(([, one]) => finding('error', one)), ...warnings.filter(([is]) => is).map(([, one]) => finding('warning', one)), ...whatStays(old, id)]
}

const shown = (value: Value): string => (value === undefined ? 'none' : typeof value === 'object' ? value.join(', ') : String(value))

/** What does not follow to the copy, whatever its settings are. */
function whatStays({ReadReplicaDBInstanceIdentifiers = [], IAMDatabaseAuthenticationEnabled, MasterUserSecret}: DBInstance, id: string): Finding[] {
  const warning = (message: string, hint: string): Finding => ({code: 'pitr.stays', severity: 'warning', subject: id, message, hint})
  return [
    ...(ReadReplicaDBInstanceIdentifiers.length > 0 ? [warning(`read replicas follow the old instance: ${ReadReplicaDBInstanceIdentifiers.join(', ')}`, 'aws rds create-db-instance-read-replica, of the new one')] : []),
    ...(IAMDatabaseAuthenticationEnabled === true ? [warning('IAM policies for rds-db:connect name the resource id of the old instance, and the copy has another', 'Put its DbiResourceId into those policies.')] : []),
    ...(MasterUserSecret === undefined ? [] : [warning('the secret of the master user belongs to the old instance', 'aws rds modify-db-instance --manage-master-user-password makes one for the new instance')]),
  ]
}
