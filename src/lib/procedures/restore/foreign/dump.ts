import type {Readable} from 'node:stream'
import {open, stat} from 'node:fs/promises'
import {basename} from 'node:path'
import {preflightError, usageError, verificationError, type DrError} from '../../../errors.ts'
import {compressionWords, HEAD_BYTES, readHead, sniff, type DumpKind, type Sniffed} from '../../../repository/foreign.ts'
import type {Storage} from '../../../repository/storage/storage.ts'

/** Where a dump comes from. `folder` and `prefix` hold a directory archive; a prefix ends with its slash. */
export type DumpPlace =
  | {kind: 'file'; path: string}
  | {kind: 'folder'; path: string}
  | {kind: 'object'; storage: Storage; key: string}
  | {kind: 'prefix'; storage: Storage; key: string}
  | {kind: 'stdin'; stream: Readable}

/** A dump that dr did not make. */
export interface FoundDump {
  place: DumpPlace
  /** For people: a path, `s3://…` or `standard input`. */
  location: string
  /** Its last part: for marks and messages. */
  name: string
  /** As it is stored; undefined of what comes from standard input. */
  bytes?: number
  /** By its first bytes; undefined of standard input, which is not read before the run begins. */
  found?: Sniffed
}

export const KIND_WORDS: Readonly<Record<DumpKind, string>> = {
  custom: 'custom archive of pg_dump', tar: 'tar archive of pg_dump', directory: 'directory archive of pg_dump', plain: 'plain SQL', cluster: 'SQL of pg_dumpall', unknown: 'no dump of PostgreSQL',
}

/** `custom archive of pg_dump, gzip twice over`. */
export const foundWords = (found: Sniffed): string => `${KIND_WORDS[found.kind]}${found.compression === 'none' ? '' : `, ${compressionWords(found)}`}`

/** A file, or a folder with a toc.dat; undefined where a folder has none. */
export async function dumpAt(path: string): Promise<FoundDump | undefined> {
  const what = await stat(path)
  const name = basename(path)
  if (what.isDirectory()) {
    const toc = await stat(`${path}/toc.dat`).catch(() => undefined)
    return toc && {place: {kind: 'folder', path}, location: path, name, found: {compression: 'none', kind: 'directory'}}
  }
  // A pipe of the shell's, such as <(…), can be read only once.
  if (!what.isFile()) throw usageError('restore.not-a-file', `${path} is neither a file nor a folder.`, {hints: ['What comes from another program can be piped in: … | dr restore -']})
  return {place: {kind: 'file', path}, location: path, name, bytes: what.size, found: await sniff(await headOf(path))}
}

/** An object, or what lies under a key as a directory archive; undefined where there is neither. */
export async function dumpInBucket(storage: Storage, key: string, signal: AbortSignal): Promise<FoundDump | undefined> {
  const location = `${storage.location.replace(/\/$/, '')}/${key}`
  const name = basename(key)
  const object = await storage.stat(key, {signal})
  if (object) return {place: {kind: 'object', storage, key}, location, name, bytes: object.bytes, found: await sniff(object.bytes === 0 ? Buffer.alloc(0) : await readHead(storage, key, {signal}))}
  const prefix = `${key.replace(/\/+$/, '')}/`
  if ((await storage.stat(`${prefix}toc.dat`, {signal})) === undefined) return undefined
  return {place: {kind: 'prefix', storage, key: prefix}, location, name, found: {compression: 'none', kind: 'directory'}}
}

export function dumpOnStdin(stream: Readable & {isTTY?: boolean}): FoundDump {
  if (stream.isTTY === true) throw usageError('restore.no-stdin', 'Nothing is piped into dr.', {hints: ['gzip -dc dump.sql.gz | dr restore -', 'A file can be named: dr restore dump.sql.gz']})
  return {place: {kind: 'stdin', stream}, location: 'standard input', name: 'stdin'}
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const {buffer, bytesRead} = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Throws when this can never be restored, whatever it is. */
export function assertRestorable({location, place}: FoundDump, found: Sniffed): void {
  if (found.kind === 'unknown') {
    const {what, hint} = found.other ?? {what: 'something that dr does not know'}
    throw verificationError('restore.not-a-dump', `${location} is no dump of PostgreSQL: it is ${what}${found.compression === 'none' ? '' : ` (${compressionWords(found)})`}.`, {hints: [...(hint === undefined ? [] : [hint]), 'dr list shows the backups and the dumps that are there.']})
  }
  if (found.kind === 'cluster') {
    throw verificationError('restore.cluster-dump', `${location} is ${foundWords(found)}: roles and every database of a server. dr restores one database at a time, into a new one.`, {hints: ['pg_dump makes a dump of one database.', 'By hand, into an empty server: psql --set=ON_ERROR_STOP=1 --file=FILE postgres']})
  }
  if (found.kind === 'directory' && place.kind !== 'folder' && place.kind !== 'prefix') {
    throw verificationError('restore.not-a-dump', `${location} is only the table of contents of a directory archive.`, {hints: ['Name the folder that holds toc.dat and the files of the tables.']})
  }
}

/** For what needs a manifest. */
export const notABackup = ({location, found}: FoundDump): DrError =>
  preflightError('restore.foreign', `${location} is not a backup of dr but ${found === undefined ? 'a dump' : foundWords(found)}: it has no manifest.`, {hints: ['dr restore takes it; dr list shows the backups.']})
