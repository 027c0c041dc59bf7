import {readdir, stat, type FileHandle} from 'node:fs/promises'
import {join} from 'node:path'
import {codeOf} from './local-errors.ts'
import {byCodeUnits} from './keys.ts'
import type {StoredObject} from './storage.ts'

const TEMPORARY = '.dr-tmp-'

/** `.dr-tmp-<id>-<name>`, beside the file that it becomes. */
export const temporaryName = (id: string, name: string) => `${TEMPORARY}${id}-${name.slice(0, 200)}`
export const isTemporary = (name: string) => name.startsWith(TEMPORARY)
export const finalName = (temporary: string) => temporary.slice(temporary.indexOf('-', TEMPORARY.length) + 1)

interface Entry {
  /** Relative to the root; of a folder with the slash at the end, so that sorting by it is sorting by key. */
  key: string
  folder: boolean
}

/** Entries of one folder in key order, temporary files too. A folder that is not there has none. */
async function entriesOf(root: string, folder: string): Promise<Entry[]> {
  const found = await readdir(join(root, folder), {withFileTypes: true}).catch(emptyWhenMissing)
  return found
    .filter((entry) => entry.isDirectory() || entry.isFile() || entry.isSymbolicLink())
    .map((entry) => ({key: `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`, folder: entry.isDirectory()}))
    .sort((a, b) => byCodeUnits(a.key, b.key))
}

function emptyWhenMissing(error: unknown): [] {
  if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
  throw error as Error
}

const nameOf = (key: string) => key.slice(key.lastIndexOf('/') + 1)

/** Keys of the files below `prefix`, folder by folder: no more than the names of the open folders are in memory. */
export async function* walk(root: string, prefix: string, wanted: (name: string) => boolean): AsyncGenerator<string> {
  yield* below(root, prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, wanted)
}

async function* below(root: string, folder: string, prefix: string, wanted: (name: string) => boolean): AsyncGenerator<string> {
  for (const {key, folder: inner} of await entriesOf(root, folder)) {
    if (!key.startsWith(prefix)) continue
    if (inner) yield* below(root, key, '', wanted)
    else if (wanted(nameOf(key))) yield key
  }
}

export const isObject = (name: string) => !isTemporary(name)

/** Whether any object lies below this folder (relative, with the slash). */
export async function holdsObjects(root: string, folder: string): Promise<boolean> {
  for await (const key of walk(root, folder, isObject)) return key !== ''
  return false
}

/** The folders directly inside, in order. */
export async function foldersOf(root: string, folder: string): Promise<string[]> {
  const folders = (await entriesOf(root, folder)).filter((entry) => entry.folder).map((entry) => entry.key)
  const held = await Promise.all(folders.map(async (key) => holdsObjects(root, key)))
  return folders.filter((_, index) => held[index]).map((key) => key.slice(folder.length, -1))
}

/** Undefined when there is no such file; a folder is none. */
export async function statObject(root: string, key: string): Promise<StoredObject | undefined> {
  try {
    const found = await stat(join(root, key))
    return found.isFile() ? {key, bytes: found.size, modifiedAt: found.mtime} : undefined
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

export const sizeOf = async (file: FileHandle): Promise<number> => (await file.stat()).size
