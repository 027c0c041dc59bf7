import {createHash, randomBytes} from 'node:crypto'
import {chmod, link, mkdir, open, rename, rm, stat, unlink, type FileHandle} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'
import {sha256OfHandle} from '../checksum.ts'
import {alreadyExists, otherBytes} from './failures.ts'
import {codeOf} from './local-errors.ts'
import {temporaryName} from './local-walk.ts'
import type {PutOptions, PutResult} from './storage.ts'

const BUFFER = 1024 * 1024

/** Brings the bytes to a path that does not exist yet. Returns their SHA-256 when it has seen them. */
type Place = (path: string) => Promise<string | undefined>

/**
 * Under a temporary name in the same folder: place, fsync, read back and hash; then the final name appears in one step, only if nobody
 * has it, and the folder is fsynced. Whatever fails, the temporary file goes.
 */
export async function write(path: string, place: Place, options: PutOptions): Promise<PutResult> {
  const temporary = join(dirname(path), temporaryName(randomBytes(4).toString('hex'), basename(path)))
  try {
    const sent = await placeInFolder(temporary, place)
    const result = await prove(path, temporary, options.sha256 ?? sent, options)
    await (options.overwrite === true ? rename(temporary, path) : publish(temporary, path))
    return result
  } finally {
    await rm(temporary, {force: true})
    await syncFolder(dirname(path))
  }
}

async function prove(path: string, temporary: string, expected: string | undefined, options: PutOptions): Promise<PutResult> {
  // Backups hold personal data.
  await chmod(temporary, 0o600)
  const file = await open(temporary, 'r+')
  try {
    await file.sync()
    const {signal, progress} = options
    const {sha256, bytes} = await sha256OfHandle(file, {...(signal && {signal}), ...(progress && {progress})})
    if (expected !== undefined && expected !== sha256) throw otherBytes(path, expected, sha256)
    return {bytes, sha256, proof: 'reread'}
  } finally {
    await file.close()
  }
}

/** link refuses an existing name; file systems without hard links get a check and a rename, which two writers could pass at once. */
async function publish(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST' || (await exists(path))) throw alreadyExists(path)
    if (!cannotLink(error)) throw error
    await rename(temporary, path)
  }
}

export const exists = async (path: string): Promise<boolean> => stat(path).then(() => true, () => false)

const cannotLink = (error: unknown) => ['EXDEV', 'EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error) ?? '')

/** A folder may vanish between mkdir and use, when another process removes the last object in it. */
async function placeInFolder(path: string, place: Place, attempts = 5): Promise<string | undefined> {
  await makeFolderFor(path)
  try {
    return await place(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || attempts <= 1) throw error
    return placeInFolder(path, place, attempts - 1)
  }
}

async function makeFolderFor(path: string): Promise<void> {
  const folder = dirname(path)
  const first = await mkdir(folder, {recursive: true, mode: 0o700})
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

/** A name is durable only when its folder is. Windows cannot open a folder. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder)
    await handle.sync().finally(async () => handle.close())
  } catch (error) {
    if (!['EPERM', 'EISDIR', 'EINVAL', 'ENOENT', 'EACCES'].includes(codeOf(error) ?? '')) throw error
  }
}

export const placeBytes = (bytes: Buffer): Place => async (path) => {
  const file = await open(path, 'wx', 0o600)
  await file.writeFile(bytes).finally(async () => file.close())
  return undefined
}

/** A second name of the same file where the file system allows it, else a copy. */
export const placeFile = (source: string, signal?: AbortSignal): Place => async (path) => {
  try {
    await link(source, path)
    return undefined
  } catch (error) {
    if (!cannotLink(error)) throw error
  }
  const from = await open(source)
  try {
    return await copy(from, path, signal)
  } finally {
    await from.close()
  }
}

async function copy(from: FileHandle, path: string, signal?: AbortSignal): Promise<string> {
  const digest = createHash('sha256')
  const buffer = Buffer.allocUnsafe(BUFFER)
  const to = await open(path, 'wx', 0o600)
  try {
    for (let at = 0; ; ) {
      signal?.throwIfAborted()
      const {bytesRead} = await from.read(buffer, 0, BUFFER, at)
      if (bytesRead === 0) return digest.digest('hex')
      digest.update(buffer.subarray(0, bytesRead))
      await to.writeFile(buffer.subarray(0, bytesRead))
      at += bytesRead
    }
  } finally {
    await to.close()
  }
}

/** A missing file is no error. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error as Error
  })
}
