import {stat} from 'node:fs/promises'
import {basename, dirname, join, resolve} from 'node:path'
import {DrError, preflightError, usageError} from '../../errors.ts'
import type {Config} from '../../config/config.ts'
import type {DatabaseFacts} from '../../postgres/roles.ts'
import {isLabel} from '../../repository/label.ts'
import {MANIFEST, parseManifest, type Manifest} from '../../repository/manifest.ts'
import {Repository} from '../../repository/repository.ts'
import {LocalStorage} from '../../repository/storage/local.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {text} from 'node:stream/consumers'
import {foreignFile, foreignObject} from './foreign.ts'
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
  /** What the operator must know about the choice. */
  notices: string[]
}

/** What belongs to the source's database itself; absent where an older dr made the backup. */
export const databaseOf = (manifest: Manifest): Partial<DatabaseFacts> | undefined => (manifest as Manifest & {database?: Partial<DatabaseFacts>}).database

export interface WantedBackup {
  /** A label, `latest`, a path or `s3://bucket/key`. */
  backup?: string | undefined
  /** The same in the bucket alone: a label, `latest` or a key. */
  s3?: string | undefined
}

export interface FindOptions {
  config: Config
  cwd: string
  openLocal: () => Promise<Storage>
  /** The bucket below this prefix; undefined: the configured one. */
  openS3: (prefix?: string) => Promise<Storage>
  signal: AbortSignal
}

/** Finds the backup that is meant. Suspect ones are never taken for `latest`; what was passed over is in `notices`. */
export async function findBackup(wanted: WantedBackup, options: FindOptions): Promise<FoundBackup> {
  if (wanted.backup !== undefined && wanted.s3 !== undefined) throw usageError('restore.two-sources', 'Name the backup once: as an argument, or with --s3.')
  if (wanted.s3 !== undefined) return inBucket(wanted.s3, options)
  const name = wanted.backup ?? 'latest'
  if (name.startsWith('s3://')) return inBucket(name, options)
  if (name === 'latest') return latestBackup(await bothStorages(options), options)
  return isLabel(name) ? labelled(name, options) : atPath(resolve(options.cwd, name), name)
}

/** The local one first: nothing is to be downloaded there. */
async function bothStorages({config, openLocal, openS3}: FindOptions): Promise<Storage[]> {
  return config.s3.bucket === undefined ? [await openLocal()] : [await openLocal(), await openS3()]
}

async function labelled(label: string, options: FindOptions): Promise<FoundBackup> {
  const troubles: DrError[] = []
  for (const storage of await bothStorages(options)) {
    try {
      const backup = await openLabel(storage, label, options)
      return {...backup, notices: [...troubles.filter(isTrouble).map(({message}) => `The copy at ${backup.location} is taken: ${message}`), ...backup.notices]}
    } catch (error) {
      options.signal.throwIfAborted()
      if (!(error instanceof DrError)) throw error
      troubles.push(error)
    }
  }
  const trouble = troubles.find(isTrouble)
  if (trouble) throw trouble
  throw preflightError('restore.no-backup', `There is no backup ${label} of ${options.config.environment}.`, {cause: troubles[0], hints: ['dr list shows the backups; --environment names another environment.']})
}

/** More than that the backup does not lie there. */
const isTrouble = ({code}: DrError) => !['storage.not-found', 'storage.no-bucket'].includes(code)

export async function openLabel(storage: Storage, label: string, {config, signal}: FindOptions): Promise<FoundBackup> {
  const repository = new Repository(storage, config.environment)
  const {manifest, level} = await repository.open(label, {signal})
  return found(storage, repository.folder(label), repository.location(label), manifest, level === 'suspect')
}

export function found(storage: Storage, prefix: string, location: string, manifest: Manifest, suspect: boolean): FoundBackup {
  return {
    storage, prefix, location, manifest,
    ...(storage.kind === 'local' && {directory: join(storage.location, prefix)}),
    notices: suspect ? [`Backup ${manifest.label} is suspect: ${manifest.suspicions.join('; ') || 'a check of it failed'}.`] : [],
  }
}

async function inBucket(wanted: string, options: FindOptions): Promise<FoundBackup> {
  const {config, openS3, signal} = options
  if (wanted === 'latest') return latestBackup([await openS3()], options)
  if (isLabel(wanted)) return openLabel(await openS3(), wanted, options)
  const key = keyIn(wanted, config)
  const root = await openS3('')
  const folder = folderOf(key)
  if (isLabel(basename(folder)) && (await root.stat(`${folder}/${MANIFEST}`, {signal})) !== undefined) {
    return fromFolder(root, `${folder}/`, `${root.location}/${folder}`, signal)
  }
  throw await foreignObject(root, key, options)
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
  return found(storage, prefix, location, manifest, manifest.status === 'suspect')
}

/** The folder of a backup, wherever it was copied to; or a file inside it. */
async function atPath(path: string, shown: string): Promise<FoundBackup> {
  const folder = [MANIFEST, 'toc.dat'].includes(basename(path)) ? dirname(path) : path
  const what = await stat(folder).catch(() => undefined)
  if (what === undefined) throw preflightError('restore.no-backup', `${shown} is neither a label nor a path that exists.`, {hints: ['dr list shows the backups.', 'A label looks like 20261122T020000Z-7f3a.']})
  const isBackup = what.isDirectory() && (await stat(join(folder, MANIFEST)).catch(() => undefined)) !== undefined
  if (!isBackup) throw await foreignFile(folder, what.isDirectory())
  const backup = await fromFolder(new LocalStorage(folder), '', folder)
  return {...backup, directory: folder}
}
