import type {Instance} from '../instance.ts'
import {RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import type {Snapshot} from '../saved-region.ts'
import {tagsOf} from '../settings.ts'
import {inUse, type Action, type Call} from './action.ts'
import {paged} from './describe.ts'

/** In the service's time. */
const SNAPSHOT_SECONDS = 60

export const createDbSnapshot: Action = (call) => {
  const {region, form} = call
  const instance = inUse(region, form.required('DBInstanceIdentifier'))
  const [id, tags] = [form.required('DBSnapshotIdentifier'), tagsOf(form)]
  form.assertAllRead()
  const snapshot = takeSnapshot(call, instance, id, tags)
  instance.timeline.follow([{status: 'backing-up', seconds: SNAPSHOT_SECONDS, work: {do: 'finish snapshot', id}}])
  return {DBSnapshot: shownSnapshot(region, snapshot)}
}

export const describeDbSnapshots: Action = ({region, form}) => {
  const [id, of] = [form.text('DBSnapshotIdentifier'), form.text('DBInstanceIdentifier')]
  const found = [...region.snapshots.values()].filter((one) => (id === undefined || one.id === id) && (of === undefined || one.source === of))
  if (id !== undefined && found.length === 0) throw new RdsError('DBSnapshotNotFound', `DBSnapshot ${id} not found.`, 404)
  return paged(form, 'DBSnapshots', found.map((one) => shownSnapshot(region, one)))
}

export function takeSnapshot({region}: Call, instance: Instance, id: string, tags: Snapshot['tags'] = []): Snapshot {
  if (region.snapshots.has(id)) throw new RdsError('DBSnapshotAlreadyExists', `Cannot create the snapshot because a snapshot with the identifier ${id} already exists.`)
  const snapshot: Snapshot = {id, source: instance.id, resourceId: instance.resourceId, at: new Date(), status: 'creating', type: 'manual', settings: instance.settings, tags}
  region.snapshots.set(id, snapshot)
  region.note(instance.id, 'Backing up DB instance', 'backup')
  return snapshot
}

const shownSnapshot = (region: Region, {id, source, resourceId, at, status, type, settings, tags}: Snapshot) => ({
  DBSnapshotIdentifier: id, DBInstanceIdentifier: source, DbiResourceId: resourceId, SnapshotCreateTime: at, Status: status, SnapshotType: type, Engine: settings.Engine, EngineVersion: settings.EngineVersion,
  AllocatedStorage: settings.AllocatedStorage, DBSnapshotArn: `arn:aws:rds:${region.name}:${region.account}:snapshot:${id}`, Encrypted: settings.StorageEncrypted, TagList: settings.CopyTagsToSnapshot ? [...settings.TagList, ...tags] : tags,
})
