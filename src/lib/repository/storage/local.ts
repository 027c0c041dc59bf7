import {constants} from 'node:fs'
import {access, open, rmdir, stat} from 'node:fs/promises'
import {dirname, join, resolve} from 'node:path'
import type {Readable} from 'node:stream'
import {sha256Of} from '../checksum.ts'
import {alreadyExists, denied, noBucket, notFound, otherBytes} from './failures.ts'
import {checkKey, checkPrefix} from './keys.ts'
import {codeOf, translated} from './local-errors.ts'
import {LocalReadStream} from './local-read.ts'
import {finalName, foldersOf, isObject, isTemporary, sizeOf, statObject, walk} from './local-walk.ts'
import {exists, placeBytes, placeFile, removeFile, write} from './local-write.ts'
import type {AbandonedUpload, PutOptions, PutResult, ReadOptions, Storage, StoredObject} from './storage.ts'

export interface LocalStorageOptions {
  /**
   * A folder that is not there is `storage.no-bucket`: for one that is known to have been used, so that a disk which is not mounted
   * does not look like a place without backups. Otherwise it is an empty storage, and the first put makes it.
   */
  mustExist?: boolean
}

type Signal = {signal?: AbortSignal} | undefined

/** A folder. Files are 0600, folders 0700: backups hold personal data. Folders that become empty are removed. */
export class LocalStorage implements Storage {
  readonly kind = 'local'
  readonly location: string
  readonly #mustExist: boolean

  constructor(directory: string, options: LocalStorageOptions = {}) {
    this.location = resolve(directory)
    this.#mustExist = options.mustExist ?? false
  }

  async *list(prefix: string, options?: Signal): AsyncGenerator<StoredObject> {
    checkPrefix(prefix)
    await this.#open()
    const keys = walk(this.location, prefix, isObject)
    for (;;) {
      options?.signal?.throwIfAborted()
      const next = await translated(this.#path(prefix), async () => keys.next())
      if (next.done === true) return
      const found = await this.stat(next.value)
      if (found !== undefined) yield found
    }
  }

  async folders(prefix: string, options?: Signal): Promise<string[]> {
    checkPrefix(prefix)
    await this.#open()
    options?.signal?.throwIfAborted()
    return translated(this.#path(prefix), async () => foldersOf(this.location, prefix))
  }

  async stat(key: string, options?: Signal): Promise<StoredObject | undefined> {
    checkKey(key)
    options?.signal?.throwIfAborted()
    const found = await translated(this.#path(key), async () => statObject(this.location, key))
    if (found === undefined) await this.#open()
    return found
  }

  async put(key: string, body: string | Buffer, options: PutOptions = {}): Promise<PutResult> {
    const bytes = Buffer.from(body)
    const sha256 = sha256Of(bytes)
    if (options.sha256 !== undefined && options.sha256 !== sha256) throw otherBytes(key, options.sha256, sha256)
    return this.#write(key, placeBytes(bytes), {...options, sha256})
  }

  async putFile(key: string, path: string, options: PutOptions = {}): Promise<PutResult> {
    await translated(path, async () => access(path, constants.R_OK))
    return this.#write(key, placeFile(path, options.signal), options)
  }

  async #write(key: string, place: Parameters<typeof write>[1], options: PutOptions): Promise<PutResult> {
    checkKey(key)
    options.signal?.throwIfAborted()
    await this.#open()
    const path = this.#path(key)
    if (options.overwrite !== true && (await exists(path))) throw alreadyExists(path)
    return translated(path, async () => write(path, place, options))
  }

  async read(key: string, options: ReadOptions = {}): Promise<Readable> {
    checkKey(key)
    options.signal?.throwIfAborted()
    if ((await this.stat(key)) === undefined) throw notFound(this.#path(key))
    return translated(this.#path(key), async () => {
      const file = await open(this.#path(key))
      const size = await sizeOf(file)
      return new LocalReadStream(file, {what: this.#path(key), size, offset: Math.min(options.offset ?? 0, size), signal: options.signal})
    })
  }

  async remove(key: string, options?: Signal): Promise<void> {
    checkKey(key)
    options?.signal?.throwIfAborted()
    await this.#open()
    await translated(this.#path(key), async () => removeFile(this.#path(key)))
    await this.#tidy(dirname(this.#path(key)))
  }

  async abandonedUploads(olderThanMs: number, options?: Signal): Promise<AbandonedUpload[]> {
    await this.#open()
    const found: AbandonedUpload[] = []
    for await (const id of walk(this.location, '', isTemporary)) {
      options?.signal?.throwIfAborted()
      const startedAt = await linkedAt(this.#path(id))
      if (startedAt !== undefined && Date.now() - startedAt.getTime() >= olderThanMs) found.push({key: becoming(id), id, startedAt})
    }
    return found
  }

  async abortUpload(upload: AbandonedUpload): Promise<void> {
    await this.remove(upload.id)
  }

  async check(): Promise<void> {
    if (await this.#open()) await this.#checkWritable(this.location)
    else await this.#checkWritable(await nearestFolder(this.location))
  }

  async #checkWritable(folder: string): Promise<void> {
    await translated(folder, async () => access(folder, constants.R_OK | constants.W_OK | constants.X_OK))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Whether the folder is there. Throws when it should be. */
  async #open(): Promise<boolean> {
    const found = await stat(this.location).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw denied(`The folder ${this.location} cannot be read.`, {cause: error, hints: ['Check its path and its permissions.']})
    })
    if (found?.isDirectory() === true) return true
    if (found !== undefined) throw noBucket(`${this.location} is not a folder.`)
    if (!this.#mustExist) return false
    throw noBucket(`The folder ${this.location} does not exist.`, {hints: ['Mount the disk that holds it, or check the configured path.']})
  }

  /** A folder exists only for what lies in it, as in a bucket. */
  async #tidy(folder: string): Promise<void> {
    if (folder.length <= this.location.length) return
    try {
      await rmdir(folder)
    } catch {
      return
    }
    await this.#tidy(dirname(folder))
  }

  #path(key: string): string {
    return join(this.location, key)
  }
}

const becoming = (temporary: string) => {
  const slash = temporary.lastIndexOf('/') + 1
  return temporary.slice(0, slash) + finalName(temporary.slice(slash))
}

/** The time of modification may be that of the file it is a second name of. Not `ctime`: that is rounded, into the future too. */
const linkedAt = async (path: string) => stat(path).then(({ctimeMs}) => new Date(Math.floor(ctimeMs)), () => undefined)

async function nearestFolder(path: string): Promise<string> {
  return (await exists(path)) ? path : nearestFolder(dirname(path))
}
