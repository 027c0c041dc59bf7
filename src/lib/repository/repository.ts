import {text} from 'node:stream/consumers'
import {DrError} from '../errors.ts'
import {EVIDENCE_FOLDER, evidenceName, isAtLeast, isEvidence, levelOf, parseEvidence, serializeEvidence, type Evidence, type Level} from './evidence.ts'
import {isLabel, newestFirst, parseLabel} from './label.ts'
import {Lease, LEASE, parseLease, type LeaseOptions, type LeaseRecord} from './lease.ts'
import {MANIFEST, parseManifest, serializeManifest, type Manifest} from './manifest.ts'
import {mapInOrder} from './map-in-order.ts'
import {notFound} from './storage/failures.ts'
import type {PutOptions, PutResult, Storage} from './storage/storage.ts'

const READS_AT_ONCE = 8
/** `latest` mostly wants the first; one more is on its way meanwhile. */
const READS_FOR_LATEST = 2

export interface BackupEntry {
  label: string
  environment: string
  storage: Storage['kind']
  /** Of the backup's folder: `s3://bucket/prefix/production/<label>` or a path. */
  location: string
  /** Undefined when it could not be read; then `error` says why. */
  manifest?: Manifest
  level?: Level
  /** Oldest first. What could not be read is left out. */
  evidence: Evidence[]
  error?: DrError
}

/** A folder without a manifest: of a run at work, or of one that died. */
export interface UnfinishedEntry {
  label: string
  location: string
  lease?: LeaseRecord
  bytes: number
  /** When the newest of its objects was written. */
  lastChange?: Date
}

export interface LatestOptions {
  levelAtLeast?: Level
  excludeSuspect?: boolean
  signal?: AbortSignal
}

type Signal = {signal?: AbortSignal} | undefined

/** The backups of one environment in one storage: `<environment>/<label>/…`. */
export class Repository {
  readonly storage: Storage
  readonly environment: string

  constructor(storage: Storage, environment: string) {
    this.storage = storage
    this.environment = environment
  }

  /** The key prefix of a backup's folder, with the slash. */
  folder(label: string): string {
    return `${this.environment}/${label}/`
  }

  location(label: string): string {
    return `${this.storage.location}/${this.environment}/${label}`
  }

  /** Of finished backups, newest first. */
  async labels(options?: Signal): Promise<string[]> {
    const finished: string[] = []
    for await (const {label, done} of this.#folders(options)) if (done) finished.push(label)
    return finished
  }

  /** Newest first; manifests are read a few ahead. Only an unreachable storage throws: what is wrong with one backup is in its entry. */
  async *backups(options?: Signal, readsAtOnce = READS_AT_ONCE): AsyncGenerator<BackupEntry> {
    for await (const entry of mapInOrder(await this.#labelled(options), readsAtOnce, async (label) => this.#entry(label, options))) {
      if (entry !== undefined) yield entry
    }
  }

  /** Throws `storage.not-found` when there is no such finished backup, and what is wrong with its manifest. */
  async open(label: string, options?: Signal): Promise<BackupEntry & {manifest: Manifest; level: Level}> {
    parseLabel(label)
    const entry = await this.#entry(label, options)
    if (entry === undefined) throw notFound(`The backup ${this.location(label)}`, {hints: ['dr list shows the backups of this environment.']})
    const {manifest, level, error} = entry
    if (error !== undefined) throw error
    if (manifest === undefined || level === undefined) throw new Error('An entry without error has a manifest.')
    return {...entry, manifest, level}
  }

  /** The newest that is good enough; one whose manifest cannot be read is not. */
  async latest({levelAtLeast = 'stored', excludeSuspect = true, signal}: LatestOptions = {}): Promise<BackupEntry | undefined> {
    for await (const entry of this.backups(signal && {signal}, READS_FOR_LATEST)) {
      const {level} = entry
      if (level === undefined) continue
      if (level === 'suspect' ? !excludeSuspect : isAtLeast(level, levelAtLeast)) return entry
    }
    return undefined
  }

  /** Newest first. */
  async unfinished(options?: Signal): Promise<UnfinishedEntry[]> {
    const found: UnfinishedEntry[] = []
    for await (const {label, done} of this.#folders(options)) if (!done) found.push(await this.#unfinished(label, options))
    return found
  }

  /** What killed runs may have left, in one walk: unfinished backups, and leases in whole ones, of runs that end at this moment or were killed between their manifest and their end. */
  async leftBehind(options: Signal = {}): Promise<{unfinished: UnfinishedEntry[]; leases: {label: string; lease: LeaseRecord}[]}> {
    const unfinished: UnfinishedEntry[] = []
    const whole: string[] = []
    for await (const {label, done} of this.#folders(options)) {
      if (done) whole.push(label)
      else unfinished.push(await this.#unfinished(label, options))
    }
    const leases: {label: string; lease: LeaseRecord}[] = []
    for await (const {label, lease} of mapInOrder(whole, READS_AT_ONCE, async (one) => ({label: one, lease: await this.#leftLease(one, options)}))) if (lease) leases.push({label, lease})
    return {unfinished, leases}
  }

  /** The commit point: written last, once. */
  async writeManifest(manifest: Manifest, options?: PutOptions): Promise<PutResult> {
    return this.storage.put(`${this.folder(manifest.label)}${MANIFEST}`, serializeManifest(manifest), options)
  }

  async addEvidence(label: string, evidence: Evidence, options?: PutOptions): Promise<PutResult> {
    return this.storage.put(`${this.folder(label)}${evidenceName(evidence)}`, serializeEvidence(evidence), options)
  }

  /** Before anything else is written into the folder. */
  async takeLease(label: string, options: LeaseOptions): Promise<Lease> {
    return Lease.take(this.storage, this.folder(label), options)
  }

  /** The manifest goes first, so what is left after an interruption is an unfinished folder and no damaged backup. */
  async remove(label: string, options?: Signal): Promise<void> {
    parseLabel(label)
    await this.storage.remove(`${this.folder(label)}${MANIFEST}`, options)
    const keys: string[] = []
    for await (const {key} of this.storage.list(this.folder(label), options)) keys.push(key)
    const removals = mapInOrder(keys, READS_AT_ONCE, async (key) => this.storage.remove(key, options))
    while ((await removals.next()).done !== true);
  }

  async #labelled(options: Signal): Promise<string[]> {
    return newestFirst((await this.storage.folders(`${this.environment}/`, options)).filter(isLabel))
  }

  async *#folders(options: Signal): AsyncGenerator<{label: string; done: boolean}> {
    yield* mapInOrder(await this.#labelled(options), READS_AT_ONCE, async (label) => ({label, done: (await this.storage.stat(`${this.folder(label)}${MANIFEST}`, options)) !== undefined}))
  }

  /** Undefined when the folder is unfinished, or was removed meanwhile. */
  async #entry(label: string, options: Signal): Promise<BackupEntry | undefined> {
    const entry: BackupEntry = {label, environment: this.environment, storage: this.storage.kind, location: this.location(label), evidence: []}
    try {
      const manifest = await this.#manifest(label, options)
      const evidence = await this.#evidence(label, options)
      return {...entry, manifest, evidence, level: levelOf(manifest, evidence)}
    } catch (error) {
      if (!(error instanceof DrError) || error.code === 'storage.unreachable' || error.code === 'interrupted') throw error
      return error.code === 'storage.not-found' ? undefined : {...entry, error}
    }
  }

  async #manifest(label: string, options: Signal): Promise<Manifest> {
    const manifest = parseManifest(await this.#text(`${this.folder(label)}${MANIFEST}`, options), `${this.location(label)}/${MANIFEST}`)
    if (manifest.label === label) return manifest
    throw new DrError('manifest.invalid', `${this.location(label)} holds the manifest of ${manifest.label}.`, {exitCode: 4, hints: ['The folder was renamed or mixed up: give it its own name back.']})
  }

  async #evidence(label: string, options: Signal): Promise<Evidence[]> {
    const keys: string[] = []
    for await (const {key} of this.storage.list(`${this.folder(label)}${EVIDENCE_FOLDER}`, options)) {
      if (isEvidence(key.slice(this.folder(label).length))) keys.push(key)
    }
    return (await Promise.all(keys.map(async (key) => this.#pieceOfEvidence(key, options)))).flat()
  }

  /** One file that is no evidence, or that is not given out, says nothing about the backup. */
  async #pieceOfEvidence(key: string, options: Signal): Promise<Evidence[]> {
    try {
      return [parseEvidence(await this.#text(key, options), key)]
    } catch (error) {
      options?.signal?.throwIfAborted()
      if (!(error instanceof DrError) || (error.code === 'storage.unreachable' && this.storage.kind !== 'local')) throw error
      return []
    }
  }

  async #text(key: string, options: Signal): Promise<string> {
    return text(await this.storage.read(key, options))
  }

  async #leftLease(label: string, options: Signal): Promise<LeaseRecord | undefined> {
    return (await this.storage.stat(`${this.folder(label)}${LEASE}`, options)) && this.#lease(label, options)
  }

  async #lease(label: string, options: Signal): Promise<LeaseRecord | undefined> {
    return parseLease(await this.#text(`${this.folder(label)}${LEASE}`, options).catch(() => ''))
  }

  async #unfinished(label: string, options: Signal): Promise<UnfinishedEntry> {
    const entry: UnfinishedEntry = {label, location: this.location(label), bytes: 0}
    for await (const {key, bytes, modifiedAt} of this.storage.list(this.folder(label), options)) {
      entry.bytes += bytes
      if (entry.lastChange === undefined || modifiedAt > entry.lastChange) entry.lastChange = modifiedAt
      if (key !== `${this.folder(label)}${LEASE}`) continue
      const lease = await this.#lease(label, options)
      if (lease !== undefined) entry.lease = lease
    }
    return entry
  }
}
