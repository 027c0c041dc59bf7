import {ArchivedCluster} from './archived-cluster.ts'
import type {Instance} from './instance.ts'
import {recoverCluster, removeCluster} from './recovery.ts'
import type {Region} from './region.ts'
import type {Settings} from './settings.ts'

/** What is done of a request after its reply, as plain data. Each may be cut off at any moment, and is then done again. */
export type Work =
  | {do: 'recover'; /** The folder of the source. */ from: string; /** RFC 3339; nothing: all that is archived. */ to?: string}
  | {do: 'back up'}
  | {do: 'apply'; changes: Partial<Settings>}
  | {do: 'rename'; to: string}
  | {do: 'restart'}
  | {do: 'finish snapshot'; id: string}
  | {do: 'delete'; keepBackups: boolean}

export async function perform(region: Region, instance: Instance, work: Work): Promise<void> {
  switch (work.do) {
    case 'recover': await recover(region, instance, work); break
    case 'back up': await instance.backUp(); break
    case 'apply': instance.settings = {...instance.settings, ...work.changes}; break
    case 'rename': if (instance.id !== work.to) await region.rename(instance, work.to); break
    case 'restart': await region.restart(instance); break
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

function finishSnapshot(region: Region, id: string): void {
  const snapshot = region.snapshots.get(id)
  if (snapshot) snapshot.status = 'available'
}

async function remove(region: Region, instance: Instance, keepBackups: boolean): Promise<void> {
  const keeps = keepBackups && instance.restorableFrom !== undefined
  await instance.archiveLast()
  instance.cluster = undefined
  region.save()
  await removeCluster(instance.directory, {backups: !keeps})
  region.remove(instance, keeps)
}
