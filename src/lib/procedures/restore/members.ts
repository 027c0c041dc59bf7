import {createHash} from 'node:crypto'
import {createWriteStream} from 'node:fs'
import {mkdir, rename, rm, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {DrError, messageOf, preflightError, verificationError} from '../../errors.ts'
import {sha256OfFile} from '../../repository/checksum.ts'
import type {ManifestMember} from '../../repository/manifest.ts'
import type {FoundBackup} from './source.ts'

export interface MembersOptions {
  backup: FoundBackup
  /** For downloads; not used for a local backup. */
  stagingDirectory: string
}

/** The members of a backup as files that are proven against its manifest. Nothing that is not is ever loaded. */
export class Members {
  /** Where pg_restore finds toc.dat and the proven members. */
  readonly directory: string
  readonly remote: boolean
  #downloadedBytes = 0
  readonly #backup: FoundBackup

  constructor({backup, stagingDirectory}: MembersOptions) {
    this.#backup = backup
    this.remote = backup.directory === undefined
    this.directory = backup.directory ?? stagingDirectory
  }

  get downloadedBytes(): number {
    return this.#downloadedBytes
  }

  async open(): Promise<void> {
    if (this.remote) await inFolder(this.directory, () => mkdir(this.directory, {recursive: true, mode: 0o700}))
  }

  /** Downloads under a temporary name, hashes, renames; a local member is hashed where it lies. */
  async prove(member: ManifestMember, signal: AbortSignal): Promise<void> {
    const {sha256, bytes} = this.remote ? await inFolder(this.directory, () => this.#download(member, signal)) : await this.#local(member, signal)
    if (bytes !== member.bytes) throw damaged(member, this.#backup, `it has ${bytes} bytes instead of ${member.bytes}`)
    if (sha256 !== member.sha256) throw damaged(member, this.#backup, 'its SHA-256 is not that of the manifest')
    if (this.remote) await inFolder(this.directory, () => rename(this.#temporary(member), join(this.directory, member.name)))
  }

  /** A downloaded member has done its work. */
  async discard(member: ManifestMember): Promise<void> {
    if (this.remote) await rm(join(this.directory, member.name), {force: true})
  }

  /** Compares names and sizes with the manifest before anything begins: a missing member would be met only after minutes. */
  async assertComplete(members: readonly ManifestMember[], signal: AbortSignal): Promise<void> {
    const {storage, prefix} = this.#backup
    const stored = new Map<string, number>()
    if (prefix === '') for (const {name} of members) stored.set(name, await sizeOf(join(this.directory, name)))
    else for await (const {key, bytes} of storage.list(prefix, {signal})) stored.set(key.slice(prefix.length), bytes)
    for (const member of members) {
      const bytes = stored.get(member.name) ?? -1
      if (bytes < 0) throw damaged(member, this.#backup, 'it is missing')
      if (bytes !== member.bytes) throw damaged(member, this.#backup, `it has ${bytes} bytes instead of ${member.bytes}`)
    }
  }

  async #local({name}: ManifestMember, signal: AbortSignal): Promise<{sha256: string; bytes: number}> {
    try {
      return await sha256OfFile(join(this.directory, name), {signal})
    } catch (error) {
      signal.throwIfAborted()
      throw verificationError('restore.member-unreadable', `${join(this.directory, name)} cannot be read.`, {cause: error, hints: ['Check the disk and the permissions of the backup.']})
    }
  }

  async #download(member: ManifestMember, signal: AbortSignal): Promise<{sha256: string; bytes: number}> {
    const digest = createHash('sha256')
    let bytes = 0
    const {storage, prefix} = this.#backup
    const source = await storage.read(`${prefix}${member.name}`, {signal}).catch((error: unknown) => {
      throw error instanceof DrError && error.code === 'storage.not-found' ? damaged(member, this.#backup, 'it is missing') : error
    })
    const hashing = async function* (this: Members, chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        digest.update(chunk)
        bytes += chunk.length
        this.#downloadedBytes += chunk.length
        yield chunk
      }
    }.bind(this)
    await pipeline(source, hashing, createWriteStream(this.#temporary(member), {mode: 0o600, highWaterMark: 1024 * 1024}), {signal})
    return {sha256: digest.digest('hex'), bytes}
  }

  #temporary({name}: ManifestMember): string {
    return join(this.directory, `.${name}.part`)
  }
}

const FULL = ['ENOSPC', 'EDQUOT']
const OF_FOLDERS = [...FULL, 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT', 'EEXIST', 'EISDIR', 'EIO', 'ENAMETOOLONG']

/** Says in words what the file system refuses in a folder of dr's own; `restore.folder`, exit 3. */
export async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && !(error instanceof DrError) && 'code' in error ? String(error.code) : ''
    if (!OF_FOLDERS.includes(code)) throw error
    const hints = [...(FULL.includes(code) ? [`Free space on the disk of ${folder}.`] : [`Check ${folder} and its permissions.`]), 'backup.stagingDirectory in dr.config.yaml names another folder for downloads.']
    throw preflightError('restore.folder', `${folder} cannot be written: ${FULL.includes(code) ? 'the disk is full' : messageOf(error)}.`, {cause: error, hints})
  }
}

const sizeOf = (path: string): Promise<number> => stat(path).then(({size}) => size, () => -1)

function damaged({name}: ManifestMember, {location}: FoundBackup, what: string): DrError {
  return verificationError('restore.member-damaged', `${name} of ${location} is not what was backed up: ${what}.`, {hints: ['Check the whole backup: dr verify --level full', 'Restore another one: dr list']})
}
