import {stat} from 'node:fs/promises'
import {basename, dirname, join, resolve} from 'node:path'
import {DrError, preflightError, usageError} from '../../errors.ts'
import type {Config} from '../../config/config.ts'
import type {DatabaseFacts} from '../../postgres/roles.ts'
import {isLabel} from '../../repository/label.ts'
import {LEASE} from '../../repository/lease.ts'
import {MANIFEST, parseManifest, type Manifest} from '../../repository/manifest.ts'
import {Repository} from '../../repository/repository.ts'
import {LocalStorage} from '../../repository/storage/local.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {Readable} from 'node:stream'
import {text} from 'node:stream/consumers'
import {dumpAt, dumpInBucket, dumpOnStdin, notABackup, type FoundDump} from './foreign/dump.ts'
import {latestBackup} from './latest.ts'

/** A backup to restore from. */
export interface FoundBackup {
  storage: Storage
  /** Of its keys, with the slash; empty when the storage is the backup's own folder. */
  prefix: string
  /** For people: a path or `s3://…`. */
  location: string
  /** Where its members lie as files; undefined when they must be downloaded. */
  directory?: string
  manifest: Manifest
  /** With a role map: the roles that the manifest named before. */
  namedRoles?: readonly string[]
  /** It holds something other than what it should, or a check of it failed. */
  suspect: boolean
  /** What the operator must know about the choice. */
  notices: string[]
}

/** What belongs to the source's database itself; absent where an older dr made the backup. */
export const databaseOf = (manifest: Manifest): Partial<DatabaseFacts> | undefined => (manifest as Manifest & {database?: Partial<DatabaseFacts>}).database

export interface WantedBackup {
  /** A label, `latest`, a path, `s3://bucket/key`, or `-` for standard input. */
  backup?: string | undefined
  /** The same in the bucket alone: a label, `latest` or a key. */
  s3?: string | undefined
}

export interface FindOptions {
  config: Config
  /** What `latest` has to be of, where a backup of another database would do harm; undefined: of any. */
  database?: string | undefined
  cwd: string
  openLocal: () => Promise<Storage>
  /** The bucket below this prefix; undefined: the configured one. */
  openS3: (prefix?: string) => Promise<Storage>
  /** For `-`; without it that is refused. */
  stdin?: Readable
  signal: AbortSignal
}

export const isDump = (found: FoundBackup | FoundDump): found is FoundDump => 'place' in found

/** Finds the backup that is meant, and refuses a dump that dr did not make: it has no manifest. */
export async function findBackup(wanted: WantedBackup, options: FindOptions): Promise<FoundBackup> {
  const found = await findSource(wanted, options)
  if (isDump(found)) throw notABackup(found)
  return found
}

/** Finds the backup or the dump that is meant. Suspect backups are never taken for `latest`; what was passed over is in `notices`. */
export async function findSource(wanted: WantedBackup, options: FindOptions): Promise<FoundBackup | FoundDump> {
  if (wanted.backup !== undefined && wanted.s3 !== undefined) throw usageError('restore.two-sources', 'Name the backup once: as an argument, or with --s3.')
  if (wanted.s3 !== undefined) return inBucket(wanted.s3, options)
  const name = wanted.backup ?? 'latest'
  if (name.startsWith('s3://')) return inBucket(name, options)
  if (name === '-' && options.stdin) return dumpOnStdin(options.stdin)
  if (name === 'latest') return latestBackup(await bothStorages(options), options)
  return isLabel(name) ? labelled(name, options) : atPath(resolve(options.cwd, name), name)
}

/** The local one first: nothing is to be downloaded there. */
async function bothStorages({config, openLocal, openS3}: FindOptions): Promise<Storage[]> {
  return config.s3.bucket === undefined ? [await openLocal()] : [await openLocal(), await openS3()]
}

async function labelled(label: string, options: FindOptions): Promise<FoundBackup> {
  const troubles: DrError[] = []
  let fallback: FoundBackup | undefined
  for (const storage of await bothStorages(options)) {
    try {
      const backup = await openLabel(storage, label, options)
      const passedOver = fallback?.notices.map((notice) => `The copy at ${backup.location} is taken, not the one at ${fallback?.location ?? ''}: ${notice}`) ?? []
      if (!backup.suspect) return withTroubles(backup, troubles, passedOver)
      fallback ??= backup
    } catch (error) {
      options.signal.throwIfAborted()
      if (!(error instanceof DrError)) throw error
      troubles.push(error)
    }
  }
  if (fallback) return withTroubles(fallback, troubles, [])
  const trouble = troubles.find(isTrouble)
  if (trouble) throw withRecoverScript(trouble)
  throw preflightError('restore.no-backup', `There is no backup ${label} of ${options.config.environment}.`, {cause: troubles[0], hints: ['dr list shows the backups; --environment names another environment.']})
}

const withTroubles = (backup: FoundBackup, troubles: readonly DrError[], passedOver: readonly string[]): FoundBackup =>
  ({...backup, notices: [...troubles.filter(isTrouble).map(({message}) => `The copy at ${backup.location} is taken: ${message}`), ...passedOver, ...backup.notices]})

/** More than that the backup does not lie there. */
const isTrouble = ({code}: DrError) => code !== 'storage.not-found'

/** The archive may be whole where the manifest is not, and recover.sh needs no manifest. */
export const RECOVER_HINT = 'The archive may be whole: in the folder of the backup, sh recover.sh --check looks, and sh recover.sh NEW_DATABASE restores without dr.'

function withRecoverScript(error: DrError): DrError {
  if (!['manifest.invalid', 'manifest.damaged'].includes(error.code)) return error
  return new DrError(error.code, error.message, {exitCode: error.exitCode, cause: error, hints: [...error.hints, RECOVER_HINT]})
}

export async function openLabel(storage: Storage, label: string, {config, signal}: FindOptions): Promise<FoundBackup> {
  const repository = new Repository(storage, config.environment)
  const {manifest, level} = await repository.open(label, {signal})
  return found(storage, repository.folder(label), repository.location(label), manifest, level === 'suspect')
}

export function found(storage: Storage, prefix: string, location: string, manifest: Manifest, suspect: boolean): FoundBackup {
  return {
    storage, prefix, location, manifest, suspect,
    ...(storage.kind === 'local' && {directory: join(storage.location, prefix)}),
    notices: suspect ? [`Backup ${manifest.label} is suspect: ${manifest.suspicions.join('; ') || 'a check of it failed'}.`] : [],
  }
}

async function inBucket(wanted: string, options: FindOptions): Promise<FoundBackup | FoundDump> {
  const {config, openS3, signal} = options
  if (wanted === 'latest') return latestBackup([await openS3()], options)
  if (isLabel(wanted)) return openLabel(await openS3(), wanted, options)
  const key = keyIn(wanted, config)
  const root = await openS3('')
  const folder = folderOf(key)
  if ((await root.stat(`${folder}/${MANIFEST}`, {signal})) !== undefined) {
    return fromFolder(root, `${folder}/`, `${root.location}/${folder}`, signal)
  }
  for (const name of OURS_ALONE) if ((await root.stat(`${folder}/${name}`, {signal})) !== undefined) throw unfinished(`${root.location}/${folder}`)
  const dump = await dumpInBucket(root, folder, signal)
  if (dump) return dump
  throw preflightError('restore.no-backup', `There is neither a backup nor an object ${root.location}/${key}.`, {hints: ['dr list shows the backups of the bucket.']})
}

/** Keys are meant from the bucket's beginning, with or without the configured prefix. */
function keyIn(wanted: string, {s3}: Config): string {
  const bucket = `s3://${s3.bucket ?? ''}/`
  if (wanted.startsWith('s3://') && !wanted.startsWith(bucket)) throw usageError('restore.other-bucket', `${wanted} is not in the configured bucket ${s3.bucket ?? '(none)'}.`, {hints: ['Set AWS_S3_BUCKET to the bucket that holds the backup.']})
  const key = wanted.startsWith(bucket) ? wanted.slice(bucket.length) : wanted
  const short = s3.prefix !== '' && !key.startsWith(`${s3.prefix}/`) && isLabel(basename(folderOf(key)))
  return short ? `${s3.prefix}/${key}` : key
}

const folderOf = (key: string) => key.replace(/\/+$/, '').replace(new RegExp(`/(?:${MANIFEST.replace('.', String.raw`\.`)}|toc\\.dat)$`), '')

async function fromFolder(storage: Storage, prefix: string, location: string, signal?: AbortSignal): Promise<FoundBackup> {
  const manifest = parseManifest(await text(await storage.read(`${prefix}${MANIFEST}`, signal ? {signal} : {})), `${location}/${MANIFEST}`)
  return found(storage, prefix, location, manifest, manifest.status === 'suspect' || (await failedCheck(storage, prefix, manifest.label, signal)))
}

/** By the evidence that lies with a backup in its place: `<environment>/<label>`. */
async function failedCheck(storage: Storage, prefix: string, label: string, signal?: AbortSignal): Promise<boolean> {
  const [holder, folder] = prefix === '' ? [new LocalStorage(dirname(dirname(storage.location))), storage.location] : [storage, prefix.replace(/\/$/, '')]
  const environment = prefix === '' ? basename(dirname(folder)) : dirname(folder)
  if (basename(folder) !== label || environment === '' || environment === '.') return false
  const {level} = await new Repository(holder, environment).open(label, signal ? {signal} : {})
  return level === 'suspect'
}

/** What only a run of dr's writes; the lease is there first, the manifest last. */
const OURS_ALONE = [LEASE, 'recover.sh']

const unfinished = (where: string): DrError => preflightError('restore.unfinished', `${where} is a backup that was not finished: it has no ${MANIFEST}.`, {hints: ['dr list shows the finished backups.']})

/** The folder of a backup, wherever it was copied to; or a file inside it. */
async function atPath(path: string, shown: string): Promise<FoundBackup | FoundDump> {
  const folder = [MANIFEST, 'toc.dat'].includes(basename(path)) ? dirname(path) : path
  const what = await stat(folder).catch(() => undefined)
  if (what === undefined) throw preflightError('restore.no-backup', `${shown} is neither a label nor a path that exists.`, {hints: ['dr list shows the backups.', 'A label looks like 20261122T020000Z-7f3a.']})
  const holds = async (name: string) => (await stat(join(folder, name)).catch(() => undefined)) !== undefined
  const isBackup = what.isDirectory() && (await holds(MANIFEST))
  if (!isBackup && what.isDirectory() && (isLabel(basename(folder)) || (await Promise.all(OURS_ALONE.map(holds))).includes(true))) throw unfinished(folder)
  const dump = isBackup ? undefined : await dumpAt(folder)
  if (dump) return dump
  if (!isBackup) throw preflightError('restore.no-backup', `${folder} holds no backup: there is neither a manifest.json nor a toc.dat.`, {hints: ['dr list shows the backups.']})
  const backup = await fromFolder(new LocalStorage(folder), '', folder)
  return {...backup, directory: folder}
}
