import {DrError} from '../../errors.ts'
import {Repository} from '../../repository/repository.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {mergedBackups} from '../list.ts'
import {compare} from './instants.ts'
import {knownBackup, type KnownBackup, type Place} from './history.ts'

export interface ReadBackupsOptions {
  storages: readonly Storage[]
  environment: string
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
export async function readBackups({storages, environment, limit, since, place, signal}: ReadBackupsOptions): Promise<ReadBackups> {
  const read: ReadBackups = {backups: [], older: false, notes: [], incomplete: false}
  const fail = (storage: Storage, error: unknown) => {
    signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    read.incomplete = true
    read.notes.push(`The backups at ${storage.location} could not be looked at: ${error.message}`)
  }
  for await (const [first, ...others] of mergedBackups(storages.map((storage) => new Repository(storage, environment)), signal, fail)) {
    if (read.backups.length >= limit) {
      read.older = true
      break
    }
    const entries = first === undefined ? [] : [first, ...others]
    // Of several copies the one that nothing speaks against.
    const backup = entries.flatMap((entry) => storages.filter(({kind}) => kind === entry.storage).flatMap((storage) => knownBackup(entry, place, storage) ?? [])).toSorted((a, b) => Number(b.good) - Number(a.good))[0]
    if (backup === undefined) read.notes.push(`The backup ${first?.label ?? ''} cannot be read: ${first?.error?.message ?? 'it has no manifest'}`)
    else read.backups.push(backup)
    if (since !== undefined && backup?.good === true && compare(backup.at, since) < 0) break
  }
  return read
}
