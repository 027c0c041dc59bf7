import type {Instance} from '../instance.ts'
import {instanceState, invalidCombination, RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import type {Snapshot} from '../saved-region.ts'
import {modifiedSettings} from '../settings.ts'
import type {Action, Call} from './action.ts'
import {newName} from './restore.ts'

/** In the service's time. It is a moment until a change shows in the status. */
const SECONDS = {unchanged: 5, modifying: 120, renaming: 300, rebooting: 60, deleting: 120, snapshot: 60}

/** Renames it, or changes settings, or both. Only at once: this service has no maintenance window. */
export const modifyDbInstance: Action = ({region, form, endsAs}) => {
  const instance = available(region, form.required('DBInstanceIdentifier'))
  const [to, now] = [form.text('NewDBInstanceIdentifier'), form.boolean('ApplyImmediately')]
  const changes = modifiedSettings(form)
  // Passwords are not kept here; the one of the master user is that of the cluster.
  if (form.text('MasterUserPassword') !== undefined) throw new RdsError('NotImplemented', 'The sandbox does not set passwords.', 501)
  if (now !== true) throw new RdsError('NotImplemented', 'The sandbox has no maintenance window: ApplyImmediately must be true.', 501)
  const name = to === undefined ? undefined : newName(to)
  if (name !== undefined && name !== instance.id && region.instances.has(name)) throw new RdsError('DBInstanceAlreadyExists', 'DB instance already exists')
  const {DBParameterGroupName} = changes
  if (DBParameterGroupName !== undefined && !region.parameterGroups.has(DBParameterGroupName)) throw new RdsError('DBParameterGroupNotFound', `DBParameterGroup not found: ${DBParameterGroupName}`, 404)
  form.assertAllRead()
  instance.timeline.follow([
    {status: 'available', seconds: SECONDS.unchanged},
    ...(Object.keys(changes).length === 0 ? [] : [{status: 'modifying', seconds: SECONDS.modifying, work: {do: 'apply', changes} as const}]),
    ...(name === undefined ? [] : [{status: 'renaming', seconds: SECONDS.renaming, work: {do: 'rename', to: name} as const}, {status: 'rebooting', seconds: SECONDS.rebooting}]),
  ], {end: endsAs ?? 'available'})
  return {DBInstance: region.shown(instance)}
}

export const rebootDbInstance: Action = ({region, form, endsAs}) => {
  const instance = available(region, form.required('DBInstanceIdentifier'))
  form.assertAllRead()
  instance.timeline.follow([{status: 'rebooting', seconds: SECONDS.rebooting, work: {do: 'restart'}}], {end: endsAs ?? 'available'})
  return {DBInstance: region.shown(instance)}
}

/** Without `DeleteAutomatedBackups=false` the automated backups go too: the service's default. */
export const deleteDbInstance: Action = (call) => {
  const {region, form} = call
  const instance = region.find(form.required('DBInstanceIdentifier'))
  const [skip, finalId, backups] = [form.boolean('SkipFinalSnapshot') ?? false, form.text('FinalDBSnapshotIdentifier'), form.boolean('DeleteAutomatedBackups') ?? true]
  if (instance.settings.DeletionProtection) throw invalidCombination('Cannot delete protected DB Instance, please disable deletion protection and try again.')
  if (skip === (finalId !== undefined)) throw invalidCombination(skip ? 'FinalDBSnapshotIdentifier cannot be given with SkipFinalSnapshot.' : 'FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.')
  if (!skip && ['failed', 'incompatible-restore', 'incompatible-network'].includes(instance.status)) throw instanceState(instance.id, instance.status)
  form.assertAllRead()
  if (finalId !== undefined) takeSnapshot(call, instance, finalId)
  instance.timeline.follow([{status: 'deleting', seconds: SECONDS.deleting, work: {do: 'delete', keepBackups: !backups}}], {end: 'deleting'})
  return {DBInstance: region.shown(instance)}
}

export const createDbSnapshot: Action = (call) => {
  const {region, form} = call
  const instance = available(region, form.required('DBInstanceIdentifier'))
  const id = form.required('DBSnapshotIdentifier')
  // Taken, and shown nowhere.
  form.objects('Tags', 'Tag')?.forEach((one) => [one.required('Key'), one.text('Value')])
  form.assertAllRead()
  const snapshot = takeSnapshot(call, instance, id)
  instance.timeline.follow([{status: 'backing-up', seconds: SECONDS.snapshot, work: {do: 'finish snapshot', id}}])
  return {DBSnapshot: shownSnapshot(region, snapshot)}
}

export const describeDbSnapshots: Action = ({region, form}) => {
  const [id, of] = [form.text('DBSnapshotIdentifier'), form.text('DBInstanceIdentifier')]
  const found = [...region.snapshots.values()].filter((one) => (id === undefined || one.id === id) && (of === undefined || one.source === of))
  if (id !== undefined && found.length === 0) throw new RdsError('DBSnapshotNotFound', `DBSnapshot ${id} not found.`, 404)
  return {DBSnapshots: found.map((one) => shownSnapshot(region, one))}
}

function takeSnapshot({region}: Call, instance: Instance, id: string): Snapshot {
  if (region.snapshots.has(id)) throw new RdsError('DBSnapshotAlreadyExists', `Cannot create the snapshot because a snapshot with the identifier ${id} already exists.`)
  const snapshot: Snapshot = {id, source: instance.id, resourceId: instance.resourceId, at: new Date(), status: 'creating', type: 'manual', settings: instance.settings}
  region.snapshots.set(id, snapshot)
  region.note(instance.id, 'Backing up DB instance', 'backup')
  return snapshot
}

const shownSnapshot = (region: Region, {id, source, resourceId, at, status, type, settings}: Snapshot) => ({
  DBSnapshotIdentifier: id, DBInstanceIdentifier: source, DbiResourceId: resourceId, SnapshotCreateTime: at, Status: status, SnapshotType: type, Engine: settings.Engine, EngineVersion: settings.EngineVersion,
  AllocatedStorage: settings.AllocatedStorage, DBSnapshotArn: `arn:aws:rds:${region.name}:${region.account}:snapshot:${id}`, Encrypted: settings.StorageEncrypted,
})

function available(region: Region, id: string): Instance {
  const instance = region.find(id)
  if (!['available', 'storage-optimization', 'backing-up'].includes(instance.status)) throw instanceState(instance.id, instance.status)
  return instance
}
