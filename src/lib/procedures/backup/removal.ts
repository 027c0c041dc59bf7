import {messageOf} from '../../errors.ts'
import {LEASE} from '../../repository/lease.ts'
import {MANIFEST} from '../../repository/manifest.ts'
import {mapInOrder} from '../../repository/map-in-order.ts'
import type {Repository} from '../../repository/repository.ts'
import type {Storage} from '../../repository/storage/storage.ts'

const AT_ONCE = 8

type Signal = {signal?: AbortSignal}

/**
 * Everything under the label but its lease, which tells the next run what is left when this one is killed. The manifest goes
 * first, so that nothing looks like a backup meanwhile. Every object is tried; what failed first is thrown.
 */
export async function removeMembers(repository: Repository, label: string, options: Signal = {}): Promise<void> {
  const {storage} = repository
  const folder = repository.folder(label)
  await storage.remove(`${folder}${MANIFEST}`, options)
  const keys: string[] = []
  for await (const {key} of storage.list(folder, options)) if (key !== `${folder}${LEASE}`) keys.push(key)
  const failures: unknown[] = []
  for await (const failure of mapInOrder(keys, AT_ONCE, (key) => storage.remove(key, options).then(() => undefined, (error: unknown) => error))) {
    if (failure !== undefined) failures.push(failure)
  }
  if (failures.length > 0) throw failures[0]
}

/** What a dead run left: its members, parts that its killed uploads left (no listing shows them, and they are paid for), and its lease. */
export async function removeAbandoned(repository: Repository, label: string, options: Signal): Promise<void> {
  await removeMembers(repository, label, options)
  await abortUploads(repository.storage, repository.folder(label), options)
  await repository.storage.remove(`${repository.folder(label)}${LEASE}`, options)
}

async function abortUploads(storage: Storage, folder: string, options: Signal): Promise<void> {
  for (const upload of await storage.abandonedUploads(0, options)) {
    if (upload.key.startsWith(folder)) await storage.abortUpload(upload, options)
  }
}

/** Does every one of them, and throws at the end what failed. */
export async function allOf(works: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const work of works) await work().catch((error: unknown) => { failures.push(error) })
  if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join(' '))
  if (failures.length === 1) throw failures[0]
}
