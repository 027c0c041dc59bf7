import {open} from 'node:fs/promises'
import type {Readable} from 'node:stream'
import {BufferPool} from './buffer-pool.ts'
import {checkKey, checkPrefix, keyTrouble} from './keys.ts'
import {translated} from './local-errors.ts'
import {createClient, endpointOf, isAws, type S3StorageOptions} from './s3-client.ts'
import type {S3Context} from './s3-context.ts'
import {putParts} from './s3-multipart.ts'
import {firstPage, head, pages, removeObject, stored} from './s3-object.ts'
import {putObject, putWhole} from './s3-put.ts'
import {readObject} from './s3-read.ts'
import type {AbandonedUpload, PutOptions, PutResult, ReadOptions, Storage, StoredObject} from './storage.ts'
import {abortUpload, uploadPages} from './s3-uploads.ts'

export {profileRegion, type S3StorageOptions} from './s3-client.ts'

const MIB = 1024 * 1024
const LARGEST_POOL = 64 * MIB

type Signal = {signal?: AbortSignal} | undefined

/** A bucket, or a prefix of one, on AWS or on any store that speaks the S3 API. */
export class S3Storage implements Storage {
  readonly kind = 's3'
  readonly location: string
  readonly #context: S3Context

  constructor(options: S3StorageOptions) {
    const prefix = (options.prefix ?? '').replaceAll(/^\/+|\/+$/g, '')
    checkPrefix(prefix)
    this.location = `s3://${options.bucket}${prefix === '' ? '' : `/${prefix}`}`
    this.#context = contextOf(options, prefix === '' ? '' : `${prefix}/`)
  }

  /** Without the empty objects with which consoles mark folders. Order is the store's, by UTF-8 bytes: the same for keys of ASCII. */
  async *list(prefix: string, options?: Signal): AsyncGenerator<StoredObject> {
    checkPrefix(prefix)
    for await (const {Contents: contents = []} of pages(this.#context, prefix, options?.signal)) {
      for (const {Key: path = '', Size: bytes = 0, LastModified: modifiedAt = new Date(0)} of contents) {
        const key = path.slice(this.#context.root.length)
        if (keyTrouble(key) === undefined) yield {key, bytes, modifiedAt}
      }
    }
  }

  async folders(prefix: string, options?: Signal): Promise<string[]> {
    checkPrefix(prefix)
    const found: string[] = []
    for await (const {CommonPrefixes: folders = []} of pages(this.#context, prefix, options?.signal, '/')) {
      found.push(...folders.map(({Prefix: path = ''}) => path.slice(this.#context.root.length + prefix.length, -1)))
    }
    return found.filter((name) => name !== '')
  }

  async stat(key: string, options?: Signal): Promise<StoredObject | undefined> {
    checkKey(key)
    const found = await head(this.#context, key, options?.signal)
    return found && stored(key, found)
  }

  async put(key: string, body: string | Buffer, options: PutOptions = {}): Promise<PutResult> {
    checkKey(key)
    return putObject(this.#context, key, Buffer.from(body), options)
  }

  async putFile(key: string, path: string, options: PutOptions = {}): Promise<PutResult> {
    checkKey(key)
    options.signal?.throwIfAborted()
    const file = await translated(path, async () => open(path))
    try {
      const {size} = await file.stat()
      return await (size > this.#context.partBytes ? putParts(this.#context, key, file, options) : putWhole(this.#context, key, file, size, options))
    } finally {
      await file.close()
    }
  }

  async read(key: string, options: ReadOptions = {}): Promise<Readable> {
    checkKey(key)
    return readObject(this.#context, key, options)
  }

  async remove(key: string, options?: Signal): Promise<void> {
    checkKey(key)
    await removeObject(this.#context, key, options?.signal)
  }

  async abandonedUploads(olderThanMs: number, options?: Signal): Promise<AbandonedUpload[]> {
    const found: AbandonedUpload[] = []
    for await (const {Uploads: uploads = []} of uploadPages(this.#context, options?.signal)) {
      for (const {Key: path = '', UploadId: id = '', Initiated: startedAt = new Date()} of uploads) {
        if (Date.now() - startedAt.getTime() >= olderThanMs) found.push({key: path.slice(this.#context.root.length), id, startedAt})
      }
    }
    return found
  }

  async abortUpload({key, id}: AbandonedUpload, options?: Signal): Promise<void> {
    await abortUpload(this.#context, key, id, options?.signal)
  }

  /** A listing, because a HEAD of the bucket is answered without a reason. */
  async check(options?: Signal): Promise<void> {
    await firstPage(this.#context, '', options?.signal, 1)
  }

  close(): Promise<void> {
    this.#context.close()
    return Promise.resolve()
  }
}

function contextOf(options: S3StorageOptions, root: string): S3Context {
  const {partBytes = 16 * MIB, concurrency = 3, checksums = 'auto', retryDelayMs = 250} = options
  const endpoint = endpointOf(options)
  return {
    ...createClient(options),
    place: {bucket: options.bucket, root, region: options.region, endpoint, profile: options.profile},
    root,
    partBytes,
    concurrency,
    pool: new BufferPool(Math.max(partBytes, Math.min(partBytes * concurrency, LARGEST_POOL)), partBytes),
    retryDelayMs,
    sendsChecksums: checksums !== 'when-required',
    conditional: true,
    looksFirst: !isAws(endpoint),
    bucketSeen: false,
  }
}
