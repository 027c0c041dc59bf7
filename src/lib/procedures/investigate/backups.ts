import {DrError} from '../../errors.ts'
import type {Place} from '../../postgres/newer-rows.ts'
import {Repository} from '../../repository/repository.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {mergedBackups} from '../list.ts'
import {compare} from './instants.ts'
import {knownBackup, type KnownBackup} from './history.ts'

export interface ReadBackupsOptions {
  storages: readonly Storage[]
  environment: string
  /** Backups of other databases, which may lie beside, tell nothing of this one. */
  database: string
  limit: number
  /** ISO: of what is older only the newest good one is read. */
  since?: string | undefined
  place: Place
  signal: AbortSignal
}

export interface ReadBackups {
  /** Newest first. */
  backups: KnownBackup[]
  /** There are older ones. */
  older: boolean
  /** What is wrong with backups and places that could not be looked at. */
  notes: string[]
  /** A place could not be looked at. */
  incomplete: boolean
}

/** Reads the manifests of the newest backups, from all places. A place that cannot be reached is told and left out. */
export async function readBackups({storages, environment, database, limit, since, place, signal}: ReadBackupsOptions): Promise<ReadBackups> {
  const read: ReadBackups = {backups: [], older: false, notes: [], incomplete: false}
  const others = new Map<string, number>()
  const fail = (storage: Storage, error: unknown) => {
    signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    read.incomplete = true
    read.notes.push(`The backups at ${storage.location} could not be looked at: ${error.message}`)
  }
  for await (const [first, ...copies] of mergedBackups(storages.map((storage) => new Repository(storage, environment)), signal, fail)) {
    const all = first === undefined ? [] : [first, ...copies]
    const entries = all.filter(({manifest}) => manifest === undefined || manifest.source.database === database)
    const [other] = all
    if (entries.length === 0 && other?.manifest !== undefined) {
      others.set(other.manifest.source.database, (others.get(other.manifest.source.database) ?? 0) + 1)
      continue
    }
    if (read.backups.length >= limit) {
      read.older = true
      break
    }
    // Of several copies the one that nothing speaks against.
    const backup = entries.flatMap((entry) => storages.filter(({kind}) => kind === entry.storage).flatMap((storage) => knownBackup(entry, place, storage) ?? [])).toSorted((a, b) => Number(b.good) - Number(a.good))[0]
    if (backup === undefined) read.notes.push(`The backup ${first?.label ?? ''} cannot be read: ${first?.error?.message ?? 'it has no manifest'}`)
    else read.backups.push(backup)
    if (since !== undefined && backup?.good === true && compare(backup.at, since) < 0) break
  }
  if (others.size > 0) read.notes.push(`Backups of other databases, which lie beside, were left out: ${[...others].map(([name, count]) => `${count} of ${name}`).join(', ')}.`)
  return read
}
