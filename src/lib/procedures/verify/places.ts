import {DrError, preflightError} from '../../errors.ts'
import {isLabel} from '../../repository/label.ts'
import {LEASE} from '../../repository/lease.ts'
import {MANIFEST} from '../../repository/manifest.ts'
import {Repository} from '../../repository/repository.ts'
import {notFound} from '../../repository/storage/failures.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {BackupPlace} from './backup.ts'
import type {VerifyOptions, VerifyState, Wanted} from './options.ts'

/** A dump that dr did not make: a file, an object, or (with a slash at the end of its key) a directory archive. */
export interface ForeignPlaceOf {
  storage: Storage
  key: string
}

export type Found = {kind: 'backup'; place: BackupPlace} | {kind: 'foreign'; place: ForeignPlaceOf}

const ahead = 2

/** Where what is wanted lies. A storage that cannot be asked is noted in the state, as long as another one can. */
export async function findPlaces(options: VerifyOptions, state: VerifyState, signal: AbortSignal): Promise<Found[]> {
  const {wanted} = options
  if (wanted.kind === 'place') return [await placeOf(wanted, signal)]
  const asked = await Promise.all(options.storages.map((storage) => ask(storage, options, signal)))
  for (const {storage, error} of asked) if (error) state.unreachable.push({location: storage.location, code: error.code, message: error.message, hints: error.hints})
  const labels = wantedLabels(wanted, asked.flatMap((one) => one.labels))
  const found = labels.flatMap((label) => asked.filter((one) => one.labels.includes(label)).map(({storage}) => backupAt(storage, options.environment, label)))
  if (found.length > 0) return wanted.kind === 'latest' ? withOtherCopies(found, asked, options, signal) : found
  const [failed] = asked.flatMap(({error}) => error ?? [])
  throw failed ?? nothing(wanted, options)
}

function backupAt(storage: Storage, environment: string, label: string): Found {
  return {kind: 'backup', place: {storage, folder: new Repository(storage, environment).folder(label), label, environment}}
}

interface Asked {
  storage: Storage
  labels: string[]
  error?: DrError
}

/** Finished backups of a storage, as many as are of interest: all, the one that is named, or the newest. */
async function ask(storage: Storage, {wanted, environment}: VerifyOptions, signal: AbortSignal): Promise<Asked> {
  const repository = new Repository(storage, environment)
  try {
    if (wanted.kind === 'all') return {storage, labels: await repository.labels({signal})}
    if (wanted.kind === 'label') return {storage, labels: (await isFinished(repository, wanted.label, signal)) ? [wanted.label] : []}
    for await (const {label} of repository.backups({signal}, ahead)) return {storage, labels: [label]}
    return {storage, labels: []}
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof DrError) return {storage, labels: [], error}
    throw error
  }
}

const isFinished = async (repository: Repository, label: string, signal: AbortSignal) => (await repository.storage.stat(`${repository.folder(label)}${MANIFEST}`, {signal})) !== undefined

function wantedLabels({kind}: Wanted, labels: readonly string[]): string[] {
  const newestFirst = [...new Set(labels)].toSorted().toReversed()
  return kind === 'latest' ? newestFirst.slice(0, 1) : newestFirst
}

/** The newest of one storage may be an older one of another. */
async function withOtherCopies(found: readonly Found[], asked: readonly Asked[], options: VerifyOptions, signal: AbortSignal): Promise<Found[]> {
  const [first] = found
  if (first?.kind !== 'backup') return [...found]
  const {label} = first.place
  const others: Found[] = []
  for (const {storage, error, labels} of asked) {
    if (error || labels.includes(label)) continue
    if (await isFinished(new Repository(storage, options.environment), label, signal)) others.push(backupAt(storage, options.environment, label))
  }
  return [...found, ...others]
}

function nothing(wanted: Wanted, {environment, what}: VerifyOptions): DrError {
  if (wanted.kind === 'label') return notFound(`The backup ${what} of ${environment}`, {hints: ['dr list --all shows the backups of every environment; --environment chooses one.', 'dr list --unfinished shows what interrupted backups have left.']})
  return preflightError('verify.none', `There is no backup of ${environment} to verify.`, {hints: [`dr backup --environment ${environment}`, 'dr list --all shows the backups of every environment.']})
}

/** By what lies there: a manifest, a table of contents, or a single object. */
async function placeOf({storage, key}: Extract<Wanted, {kind: 'place'}>, signal: AbortSignal): Promise<Found> {
  const has = async (name: string) => (await storage.stat(`${key}/${name}`, {signal})) !== undefined
  const label = key.slice(key.lastIndexOf('/') + 1)
  const backup: Found = {kind: 'backup', place: {storage, folder: `${key}/`, label}}
  if (await has(MANIFEST)) return backup
  if ((await storage.stat(key, {signal})) !== undefined) return {kind: 'foreign', place: {storage, key}}
  if (!(await has('toc.dat'))) throw notFound(`${storage.location.replace(/\/$/, '')}/${key}, as a backup or a dump,`, {hints: ['dr list shows the backups and the dumps that are there.']})
  return isLabel(label) || (await has(LEASE)) || (await has('recover.sh')) ? backup : {kind: 'foreign', place: {storage, key: `${key}/`}}
}
