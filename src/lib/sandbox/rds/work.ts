import {rm} from 'node:fs/promises'
import {dirname} from 'node:path'
import {ArchivedCluster} from './archived-cluster.ts'
import type {Instance} from './instance.ts'
import {recoverCluster, removeCluster} from './recovery.ts'
import type {Region} from './region.ts'
import type {Role, Settings} from './settings.ts'

/** What is done of a request after its reply, as plain data. Each may be cut off at any moment, and is then done again. */
export type Work =
  | {do: 'recover'; /** The folder of the source. */ from: string; /** RFC 3339; nothing: all that is archived. */ to?: string}
  | {do: 'back up'}
  | {do: 'apply'; changes: Partial<Settings>}
  | {do: 'password is set'}
  | {do: 'rename'; to: string}
  | {do: 'restart'}
  | {do: 'stop'}
  | {do: 'start'}
  | {do: 'attach role'; role: Role}
  | {do: 'detach role'; role: Role}
  | {do: 'finish snapshot'; id: string}
  | {do: 'delete'; keepBackups: boolean}

export async function perform(region: Region, instance: Instance, work: Work): Promise<void> {
  switch (work.do) {
    case 'recover': await recover(region, instance, work); break
    case 'back up': await instance.backUp(); break
    case 'apply': await instance.apply(work.changes); break
    case 'password is set': instance.pending = {...instance.pending, password: false}; break
    case 'rename': await region.rename(instance, work.to); break
    case 'restart': await region.restart(instance); break
    case 'stop': await stop(region, instance); break
    case 'start': await start(region, instance); break
    case 'attach role': setRoles(instance, [...otherRoles(instance, work.role), work.role]); break
    case 'detach role': setRoles(instance, otherRoles(instance, work.role)); break
    case 'finish snapshot': finishSnapshot(region, work.id); break
    case 'delete': await remove(region, instance, work.keepBackups); break
  }
}

async function recover(region: Region, instance: Instance, {from, to}: {from: string; to?: string}): Promise<void> {
  const options = {directory: instance.directory, ...(to !== undefined && {to: new Date(to)})}
  const source = [...region.instances.values()].find(({directory}) => directory === from)?.cluster
  if (source) instance.cluster = await source.recover(options)
  else {
    const server = await region.serverOptions(from)
    await recoverCluster(from, options, server.binaries)
    instance.cluster = await ArchivedCluster.start({directory: instance.directory, ...server})
  }
  await region.lead(instance)
  instance.initializingSince = new Date()
}

async function stop(region: Region, instance: Instance): Promise<void> {
  await instance.archiveLast()
  const {cluster} = instance
  instance.cluster = undefined
  region.cut(instance)
  region.save()
  await cluster?.stop()
}

async function start(region: Region, instance: Instance): Promise<void> {
  instance.cluster ??= await ArchivedCluster.start({directory: instance.directory, ...(await region.serverOptions(instance.directory))})
  await region.lead(instance)
}

export const otherRoles = ({settings}: Instance, {RoleArn, FeatureName}: Role): Role[] => settings.AssociatedRoles.filter((one) => one.RoleArn !== RoleArn || one.FeatureName !== FeatureName)

export function setRoles(instance: Instance, AssociatedRoles: readonly Role[]): void {
  instance.settings = {...instance.settings, AssociatedRoles}
}

function finishSnapshot(region: Region, id: string): void {
  const snapshot = region.snapshots.get(id)
  if (snapshot) snapshot.status = 'available'
}

async function remove(region: Region, instance: Instance, keepBackups: boolean): Promise<void> {
  const keeps = keepBackups && instance.restorableFrom !== undefined
  const isReplicated = region.replicas.some((one) => one.instance === instance)
  await instance.archiveLast()
  instance.cluster = undefined
  region.save()
  await removeCluster(instance.directory, {backups: !keeps && !isReplicated})
  if (!keeps && !isReplicated && dirname(instance.directory) === region.directory) await rm(instance.directory, {recursive: true, force: true})
  region.remove(instance, keeps)
}
