import {DrError} from '../errors.ts'
import type {Level} from '../repository/evidence.ts'
import {isLabel} from '../repository/label.ts'
import {isDead} from '../repository/lease.ts'
import {surelyEnded} from '../system/process-identity.ts'
import {Repository, type BackupEntry} from '../repository/repository.ts'
import type {Storage} from '../repository/storage/storage.ts'
import {isGood, listedBackup, objectiveOf, type ListedBackup, type Objective} from '../report/listed-backup.ts'
import {listForeign, type ForeignPlace, type ListedForeign} from './list-foreign.ts'

/** The repositories of one environment, and how old its newest good backup may be. */
export interface ListedEnvironment {
  environment: string
  rpoSeconds: number
  storages: readonly Storage[]
  foreign: readonly ForeignPlace[]
}

export interface ListOptions {
  environments: readonly ListedEnvironment[]
  /** At most so many backups, and so many foreign dumps; 0: all. */
  limit: number
  /** Only these. */
  levels?: readonly (Level | 'unreadable')[] | undefined
  /** Also the folders without a manifest. */
  unfinished: boolean
  now: Date
  signal: AbortSignal
}

export interface ListedUnfinished {
  label: string
  environment: string
  storage: Storage['kind']
  location: string
  bytes: number
  lastChange: string | null
  /** Its run still renews its lease. */
  running: boolean
}

/** A place that could not be listed: what lies there is not in the list. */
export interface Unreachable {
  storage: Storage['kind']
  location: string
  code: string
  message: string
  hints: readonly string[]
}

export interface BackupList {
  objectives: Objective[]
  /** Newest first. */
  backups: ListedBackup[]
  /** Older ones that were not read, because of the limit. */
  more: number
  unfinished: ListedUnfinished[]
  foreign: ListedForeign[]
  moreForeign: number
  unreachable: Unreachable[]
  /** What could not be looked at and does not matter to the backups. */
  notices: string[]
}

/**
 * Everything that is stored, merged by label over the repositories. What is wrong with one backup is in its row; a storage
 * that cannot be listed stands in `unreachable`. When none could be listed, the first failure is thrown.
 */
export async function listBackups(options: ListOptions): Promise<BackupList> {
  const failures = new Map<string, {storage: Storage; error: DrError}>()
  const fail = (storage: Storage, error: unknown) => {
    options.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    failures.set(storage.location, failures.get(storage.location) ?? {storage, error})
  }
  const {backups, newestGood, last} = await readBackups(options, fail)
  const repositories = repositoriesOf(options)
  const reached = repositories.filter(({storage}) => !failures.has(storage.location))
  const [failure] = failures.values()
  if (failure !== undefined && reached.length === 0) throw failure.error
  const notices: string[] = []
  const places = options.environments.flatMap((one) => one.foreign).filter(({storage}) => reached.some((repository) => repository.storage.kind === storage.kind))
  const foreign = await guarded(places, ({storage}) => storage, unlessDenied(fail, notices), async (place) => listForeign(place, options.signal))
  const shownForeign = options.limit === 0 ? foreign : foreign.slice(0, options.limit)
  return {
    objectives: options.environments.map(({environment, rpoSeconds}) => objectiveOf(environment, rpoSeconds, newestGood.get(environment))),
    backups,
    more: last === undefined ? 0 : new Set(await guarded(reached, ({storage}) => storage, fail, async (repository) => olderThan(last, repository, options.signal))).size,
    unfinished: options.unfinished ? await guarded(reached, ({storage}) => storage, fail, async (repository) => unfinishedOf(repository, options)) : [],
    foreign: shownForeign,
    moreForeign: foreign.length - shownForeign.length,
    unreachable: [...failures.values()].map(({storage, error}) => ({storage: storage.kind, location: storage.location, code: error.code, message: error.message, hints: error.hints})),
    notices,
  }
}

type Fail = (storage: Storage, error: unknown) => void

const repositoriesOf = ({environments}: ListOptions) => environments.flatMap(({environment, storages}) => storages.map((storage) => new Repository(storage, environment)))

interface Read {
  backups: ListedBackup[]
  newestGood: Map<string, ListedBackup>
  /** The label with which reading stopped; undefined when all were read. */
  last: string | undefined
}

/** Reads as few manifests as the limit asks for, and goes on for as long as no good backup of an environment was met. */
async function readBackups(options: ListOptions, fail: Fail): Promise<Read> {
  const {limit, levels, now} = options
  const read: Read = {backups: [], newestGood: new Map(), last: undefined}
  const isFull = () => limit > 0 && read.backups.length >= limit
  for await (const entries of mergedBackups(repositoriesOf(options), options.signal, fail)) {
    const backup = listedBackup(entries, now)
    if (isGood(backup) && !read.newestGood.has(backup.environment)) read.newestGood.set(backup.environment, backup)
    if (!isFull() && (levels === undefined || levels.includes(backup.level))) {
      read.backups.push(backup)
      if (isFull()) read.last = backup.label
    }
    if (isFull() && read.newestGood.size === options.environments.length) return read
  }
  return read
}

/** Entries of the same backup together, newest first, over all repositories. */
export async function* mergedBackups(repositories: readonly Repository[], signal: AbortSignal, fail: Fail): AsyncGenerator<BackupEntry[]> {
  const sources = repositories.map((repository) => ({repository, entries: repository.backups({signal}), head: undefined as BackupEntry | undefined}))
  const advance = async (source: (typeof sources)[number]) => {
    try {
      source.head = (await source.entries.next()).value as BackupEntry | undefined
    } catch (error) {
      source.head = undefined
      fail(source.repository.storage, error)
    }
  }
  await Promise.all(sources.map(advance))
  for (;;) {
    const [first] = sources.flatMap(({head}) => head ?? []).toSorted((a, b) => (a.label < b.label ? 1 : a.label > b.label ? -1 : a.environment < b.environment ? -1 : 1))
    if (first === undefined) return
    const same = sources.filter(({head}) => head?.label === first.label && head.environment === first.environment)
    const entries = same.flatMap(({head}) => head ?? [])
    await Promise.all(same.map(advance))
    yield entries
  }
}

async function olderThan(last: string, {storage, environment}: Repository, signal: AbortSignal): Promise<string[]> {
  return (await storage.folders(`${environment}/`, {signal})).filter((label) => isLabel(label) && label < last).map((label) => `${environment}/${label}`)
}

/** Credentials for backups alone are a good habit: the place of old dumps may then be closed to them. */
function unlessDenied(fail: Fail, notices: string[]): Fail {
  return (storage, error) => {
    if (error instanceof DrError && error.code === 'storage.denied') notices.push(`Dumps of others were not looked for: ${error.message}`)
    else fail(storage, error)
  }
}

async function guarded<T, R>(items: readonly T[], storageOf: (item: T) => Storage, fail: Fail, work: (item: T) => Promise<R[]>): Promise<R[]> {
  const found: R[] = []
  for (const item of items) {
    try {
      found.push(...(await work(item)))
    } catch (error) {
      fail(storageOf(item), error)
    }
  }
  return found
}

async function unfinishedOf(repository: Repository, {now, signal}: ListOptions): Promise<ListedUnfinished[]> {
  const {environment, storage} = repository
  return (await repository.unfinished({signal})).map(({label, location, bytes, lastChange, lease}) => ({
    label, environment, storage: storage.kind, location, bytes, lastChange: lastChange?.toISOString() ?? null, running: lease !== undefined && !isDead(lease, now) && !surelyEnded(lease),
  }))
}
