import {randomBytes} from 'node:crypto'
import {renameSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import type {Checksum, ChecksumAlgorithm, ChecksumType} from './checksum.ts'
import {DataFiles, makeFolders, removeFolder, writeJson} from './disk.ts'

/** A run of an object's bytes, in a file of the bucket's `objects` folder. A multipart object has one for each part. */
export interface Segment {
  file: string
  bytes: number
  part?: number
  /** Base64, of the part alone, in the algorithm of the object's checksum. */
  checksum?: string
}

export interface Retention {
  mode: 'GOVERNANCE' | 'COMPLIANCE'
  until: string
}

/** SSE-C: what proves that a reader has the key. The key itself is not kept. */
export interface CustomerKey {
  md5: string
  proof: string
}

/** What a client may say about an object besides its bytes. */
export interface ObjectTraits {
  /** Replied as they are: content type and the like, user metadata, encryption, storage class. */
  headers: Record<string, string>
  tags: [name: string, value: string][]
  retention?: Retention
  legalHold?: boolean
  customerKey?: CustomerKey
}

export interface ObjectVersion extends ObjectTraits {
  id: string
  key: string
  versionId: string
  /** Newer versions have a greater one. */
  order: number
  modified: string
  deleteMarker: boolean
  bytes: number
  etag: string
  segments: Segment[]
  checksum?: Checksum
  /** Since RestoreObject an archived object can be read until then. */
  restoredUntil?: string
}

export interface Part {
  number: number
  bytes: number
  etag: string
  modified: string
  file: string
  checksum?: {algorithm: ChecksumAlgorithm; value: string}
}

export interface Upload extends ObjectTraits {
  id: string
  key: string
  initiated: string
  algorithm?: ChecksumAlgorithm
  type?: ChecksumType
}

export interface UploadInProgress extends Upload {
  parts: Map<number, Part>
}

export interface BucketSettings {
  created: string
  versioning?: 'Enabled' | 'Suspended'
  objectLock: boolean
  /** XML documents as they were put, by the name of their query parameter. */
  documents: Record<string, string>
}

export type NewVersion = Omit<ObjectVersion, 'id' | 'versionId' | 'order' | 'modified'>

/** Whole seconds, as S3 keeps its times. */
export const timestamp = (date = new Date()) => date.toISOString().replace(/\.\d+Z$/, '.000Z')

/** One bucket: its index in memory, and everything on disk, so that a new process finds it again. */
export class Bucket {
  readonly name: string
  readonly folder: string
  readonly settings: BucketSettings
  readonly uploads = new Map<string, UploadInProgress>()
  readonly files = new DataFiles()
  readonly #versions = new Map<string, ObjectVersion[]>()
  #sortedKeys: readonly string[] | undefined
  #lastOrder = 0

  constructor(name: string, folder: string, settings: BucketSettings) {
    this.name = name
    this.folder = folder
    this.settings = settings
  }

  create(): void {
    makeFolders(this.folder, join(this.folder, 'objects'), join(this.folder, 'uploads'), join(this.folder, 'incoming'))
    this.saveSettings()
  }

  saveSettings(): void {
    writeJson(join(this.folder, 'bucket.json'), this.settings)
  }

  /** Where a body is written until it counts. */
  incomingPath(): string {
    return join(this.folder, 'incoming', randomBytes(12).toString('hex'))
  }

  dataPath(file: string): string {
    return join(this.folder, 'objects', file)
  }

  uploadPath(uploadId: string, ...file: readonly string[]): string {
    return join(this.folder, 'uploads', uploadId, ...file)
  }

  get isEmpty(): boolean {
    return this.#versions.size === 0
  }

  /** In the order of their UTF-8 bytes. */
  keys(): readonly string[] {
    return (this.#sortedKeys ??= [...this.#versions.keys()].sort(compareKeys))
  }

  /** Newest first. */
  versions(key: string): readonly ObjectVersion[] {
    return this.#versions.get(key) ?? []
  }

  /** The object as a plain read sees it: not behind a delete marker. */
  current(key: string): ObjectVersion | undefined {
    const newest = this.versions(key)[0]
    return newest?.deleteMarker === false ? newest : undefined
  }

  /** Adds the newest version of its key, from bodies that lie at `sources`, one for each segment. */
  commit(fresh: NewVersion, sources: readonly string[]): ObjectVersion {
    const id = randomBytes(12).toString('hex')
    const versionId = this.settings.versioning === 'Enabled' ? randomBytes(24).toString('base64url') : 'null'
    this.#lastOrder = Math.max(Date.now() * 1000, this.#lastOrder + 1)
    const segments = fresh.segments.map((segment, index) => ({...segment, file: `${id}.${index}`}))
    const version: ObjectVersion = {...fresh, segments, id, versionId, order: this.#lastOrder, modified: timestamp()}
    segments.forEach(({file}, index) => {
      renameSync(sources[index] ?? '', this.dataPath(file))
    })
    this.save(version)
    if (versionId === 'null') for (const old of this.versions(version.key).filter((other) => other.versionId === 'null')) this.remove(old)
    this.admit(version)
    return version
  }

  /** Takes a version into the index. */
  admit(version: ObjectVersion): void {
    const others = this.#versions.get(version.key)
    if (!others) this.#sortedKeys = undefined
    this.#versions.set(version.key, [version, ...(others ?? [])].sort((a, b) => b.order - a.order))
    this.#lastOrder = Math.max(this.#lastOrder, version.order)
  }

  /** After a change of what a version says about itself. */
  save(version: ObjectVersion): void {
    writeJson(join(this.folder, 'objects', `${version.id}.json`), version)
  }

  remove(version: ObjectVersion): void {
    const left = this.versions(version.key).filter((other) => other !== version)
    if (left.length > 0) this.#versions.set(version.key, left)
    else if (this.#versions.delete(version.key)) this.#sortedKeys = undefined
    rmSync(join(this.folder, 'objects', `${version.id}.json`), {force: true})
    this.files.discard(version.segments.map(({file}) => this.dataPath(file)))
  }

  beginUpload(upload: Upload): void {
    makeFolders(this.uploadPath(upload.id))
    writeJson(this.uploadPath(upload.id, 'upload.json'), upload)
    this.uploads.set(upload.id, {...upload, parts: new Map()})
  }

  /** Takes over the body at `source`; an earlier part of the same number goes. */
  addPart(upload: UploadInProgress, fresh: Omit<Part, 'file' | 'modified'>, source: string): Part {
    const part: Part = {...fresh, file: `${fresh.number}.${randomBytes(6).toString('hex')}`, modified: timestamp()}
    const old = upload.parts.get(part.number)
    renameSync(source, this.uploadPath(upload.id, part.file))
    writeJson(this.uploadPath(upload.id, `${part.number}.json`), part)
    upload.parts.set(part.number, part)
    if (old) this.files.discard([this.uploadPath(upload.id, old.file)])
    return part
  }

  endUpload(upload: Upload): void {
    this.uploads.delete(upload.id)
    removeFolder(this.uploadPath(upload.id))
  }
}

/** As their UTF-8 bytes compare: surrogates, which stand for the highest code points, come after all other code units. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  if (unit < 0xd8_00) return unit
  return unit < 0xe0_00 ? unit + 0x1_00_00 : unit
}
