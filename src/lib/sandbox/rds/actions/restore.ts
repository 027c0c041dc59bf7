import type {Form} from '../form.ts'
import type {Instance} from '../instance.ts'
import {instanceNotFound, invalidCombination, invalidValue, RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import {restoredSettings, type Settings} from '../settings.ts'
import type {Action} from './action.ts'

/** In the service's time. */
const SECONDS = {creating: 600, backingUp: 60, modifying: 30}

/** Recovers the source into a new instance. Its settings are the service's defaults but for those that the request has. */
export const restoreDbInstanceToPointInTime: Action = ({region, form, endsAs}) => {
  const source = sourceOf(region, form)
  const id = newName(form.required('TargetDBInstanceIdentifier'))
  const to = instantOf(form, source)
  const settings = restoredSettings(source.settings, form)
  assertGroups(region, settings)
  if (region.instances.size >= region.instanceQuota) throw new RdsError('InstanceQuotaExceeded', `Cannot create more than ${region.instanceQuota} DB instances.`)
  if (region.instances.has(id)) throw new RdsError('DBInstanceAlreadyExists', 'DB instance already exists')
  form.assertAllRead()
  const instance = region.instance(id, settings, 'creating')
  region.note(id, `Restored from DB instance ${source.id} to ${id}`, 'restoration')
  instance.timeline.follow([
    {status: 'creating', seconds: SECONDS.creating, ...(endsAs === undefined && {work: {do: 'recover', from: source.directory, ...(to && {to: to.toISOString()})}})},
    ...(endsAs === undefined ? [
      {status: 'backing-up', seconds: SECONDS.backingUp, work: {do: 'back up'} as const},
      {status: 'modifying', seconds: SECONDS.modifying},
    ] : []),
  ], {end: endsAs ?? 'available', failure: 'restore-error'})
  return {DBInstance: region.shown(instance)}
}

function sourceOf(region: Region, form: Form): Instance {
  const [id, resource, arn] = [form.text('SourceDBInstanceIdentifier'), form.text('SourceDbiResourceId'), form.text('SourceDBInstanceAutomatedBackupsArn')]
  const given = [id, resource, arn].filter((one) => one !== undefined)
  if (given.length !== 1) throw invalidCombination('Exactly one of SourceDBInstanceIdentifier, SourceDbiResourceId and SourceDBInstanceAutomatedBackupsArn must be given.')
  if (id !== undefined) return withBackups(region.find(id))
  const all = [...[...region.instances.values()].map((instance) => ({instance, arn: undefined})), ...region.retained, ...region.replicas]
  const found = all.find((one) => (resource === undefined ? one.arn === arn : one.instance.resourceId === resource))
  if (!found) throw arn === undefined ? instanceNotFound(resource ?? '') : new RdsError('DBInstanceAutomatedBackupNotFound', `The automated backup ${arn} was not found.`, 404)
  return withBackups(found.instance)
}

function withBackups(instance: Instance): Instance {
  if (instance.settings.BackupRetentionPeriod === 0) throw new RdsError('PointInTimeRestoreNotEnabled', `Point in time restore is not enabled for this instance: ${instance.id}`)
  if (instance.restorableFrom === undefined) throw new RdsError('InvalidDBInstanceState', `DB instance ${instance.id} has no restorable time yet.`)
  return instance
}

function instantOf(form: Form, {restorableFrom, restorableTo}: Instance): Date | undefined {
  const [to, latest] = [form.date('RestoreTime'), form.boolean('UseLatestRestorableTime')]
  if (to !== undefined && latest === true) throw invalidCombination('RestoreTime and UseLatestRestorableTime cannot both be given.')
  if (to === undefined && latest !== true) throw invalidCombination('Either RestoreTime or UseLatestRestorableTime must be given.')
  if (to === undefined || (restorableFrom && restorableTo && to >= restorableFrom && to <= restorableTo)) return to
  throw invalidValue(`The specified instance cannot be restored to a time ${restorableTo && to > restorableTo ? `later than ${restorableTo.toISOString()}` : `earlier than ${restorableFrom?.toISOString() ?? ''}`}`)
}

function assertGroups(region: Region, {DBParameterGroupName, DBSubnetGroupName}: Settings): void {
  if (!region.parameterGroups.has(DBParameterGroupName)) throw new RdsError('DBParameterGroupNotFound', `DBParameterGroup not found: ${DBParameterGroupName}`, 404)
  if (!region.subnetGroups.has(DBSubnetGroupName)) throw new RdsError('DBSubnetGroupNotFoundFault', `DB subnet group '${DBSubnetGroupName}' does not exist.`, 404)
}

/** 1 to 63 letters, digits and hyphens, a letter first, no two hyphens together and none at the end. */
export function newName(text: string): string {
  const id = text.toLowerCase()
  if (!/^[a-z](?:-?[a-z\d])*$/.test(id) || id.length > 63) throw invalidValue(`The parameter DBInstanceIdentifier is not a valid identifier: ${text}`)
  return id
}
