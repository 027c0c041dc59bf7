import {createWriteStream} from 'node:fs'
import {mkdir, open, stat, statfs} from 'node:fs/promises'
import {join} from 'node:path'
import {addAbortSignal} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {DrError, preflightError, verificationError} from '../../../errors.ts'
import {HEAD_BYTES, layersOf, sniff, type DumpKind, type Layer, type Sniffed} from '../../../repository/foreign.ts'
import type {Storage} from '../../../repository/storage/storage.ts'
import type {StepIo} from '../../../runbook/procedure.ts'
import {StreamTrouble, unpacked} from '../../verify/decompress.ts'
import {inFolder} from '../members.ts'
import {assertRestorable, type FoundDump} from './dump.ts'
import {ReadProgress} from './progress.ts'

/** A dump on this machine's disk, as PostgreSQL's tools take it. Of plain SQL the layers are still around it: it is unpacked on the way to psql. */
export interface ReadyDump {
  kind: Exclude<DumpKind, 'unknown' | 'cluster'>
  /** A file, or the folder of a directory archive. */
  path: string
  layers: readonly Layer[]
  found: Sniffed
  /** As it was stored. */
  bytes: number
}

const DUMP = 'dump'
const CHUNK = 64 * 1024

export const damaged = (location: string, what: string, hint = 'Fetch it again, or restore another one: dr list'): DrError => verificationError('restore.dump-damaged', `${location} is damaged: ${what}.`, {hints: [hint]})

/** The bytes of a file on the disk, as they lie there. No stream: an abort before anybody reads would be an error that nobody hears. */
export async function* bytesOf(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const file = await open(path)
  try {
    for (;;) {
      signal.throwIfAborted()
      const {bytesRead, buffer} = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/** Brings a dump onto the disk as far as that is needed. A local file that the tools can read is used where it lies. */
export async function receive(dump: FoundDump, staging: string, io: StepIo): Promise<ReadyDump> {
  const {place, location} = dump
  try {
    switch (place.kind) {
      case 'folder': return {kind: 'directory', path: place.path, layers: [], found: directory, bytes: 0}
      case 'prefix': return await download(place.storage, place.key, staging, io)
      case 'file': return await fromFile(dump, place.path, staging, io)
      case 'object': return await spooled(dump, (await place.storage.read(place.key, {signal: io.signal})) as AsyncIterable<Buffer>, staging, io)
      case 'stdin': return await spooled(dump, addAbortSignal(io.signal, place.stream) as AsyncIterable<Buffer>, staging, io)
    }
  } catch (error) {
    io.signal.throwIfAborted()
    throw error instanceof StreamTrouble ? damaged(location, `it ${error.message}`) : error
  }
}

const directory: Sniffed = {compression: 'none', kind: 'directory'}

async function fromFile(dump: FoundDump, path: string, staging: string, io: StepIo): Promise<ReadyDump> {
  const found = dump.found ?? {compression: 'none', kind: 'unknown'}
  const kind = restorable(dump, found)
  const layers = layersOf(found)
  const bytes = (await stat(path)).size
  if (kind === 'plain' || layers.length === 0) return {kind, path, layers, found, bytes}
  return spooled(dump, bytesOf(path, io.signal), staging, io)
}

function restorable(dump: FoundDump, found: Sniffed): ReadyDump['kind'] {
  assertRestorable(dump, found)
  return found.kind as ReadyDump['kind']
}

/** Plain SQL as it comes, which is small; an archive unpacked, because pg_restore jumps about in it. */
async function spooled(dump: FoundDump, source: AsyncIterable<Buffer>, staging: string, io: StepIo): Promise<ReadyDump> {
  const {head, all, close} = await peek(source)
  try {
    return await spool(dump, dump.found ?? (await sniff(head)), all, staging, io)
  } finally {
    await close()
  }
}

async function spool(dump: FoundDump, found: Sniffed, all: AsyncIterable<Buffer>, staging: string, io: StepIo): Promise<ReadyDump> {
  const kind = restorable(dump, found)
  const layers = layersOf(found)
  await assertRoom(staging, dump.bytes ?? 0)
  const progress = new ReadProgress(io, dump.bytes, 'received')
  const path = join(staging, DUMP)
  const counted = progress.over(all)
  await inFolder(staging, () => pipeline(kind === 'plain' ? counted : unpacked(counted, layers), createWriteStream(path, {mode: 0o600, highWaterMark: 16 * CHUNK}), {signal: io.signal}))
  return {kind, path, layers: kind === 'plain' ? layers : [], found, bytes: progress.done}
}

async function peek(source: AsyncIterable<Buffer>): Promise<{head: Buffer; all: AsyncIterable<Buffer>; close: () => Promise<unknown>}> {
  const chunks = source[Symbol.asyncIterator]()
  const seen: Buffer[] = []
  let length = 0
  while (length < HEAD_BYTES) {
    const next = await chunks.next()
    if (next.done === true) break
    seen.push(next.value)
    length += next.value.length
  }
  const all = async function* () {
    yield* seen
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
  }
  return {head: Buffer.concat(seen).subarray(0, HEAD_BYTES), all: all(), close: async () => chunks.return?.()}
}

/** At least as much as is stored: how large it is unpacked nobody says. */
async function assertRoom(staging: string, bytes: number): Promise<void> {
  await inFolder(staging, () => mkdir(staging, {recursive: true, mode: 0o700}))
  const {bavail, bsize} = await statfs(staging)
  if (bavail * bsize > bytes) return
  throw preflightError('restore.folder', `${staging} has room for ${megabytes(bavail * bsize)}; the dump has ${megabytes(bytes)}.`, {hints: ['Free space there, or set backup.stagingDirectory in dr.config.yaml to a larger disk.']})
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

/** A directory archive of a bucket: every file directly under its key. */
async function download(storage: Storage, prefix: string, staging: string, io: StepIo): Promise<ReadyDump> {
  const files: {key: string; name: string; bytes: number}[] = []
  for await (const {key, bytes} of storage.list(prefix, {signal: io.signal})) {
    const name = key.slice(prefix.length)
    if (name !== '' && !name.includes('/')) files.push({key, name, bytes})
  }
  const total = files.reduce((sum, {bytes}) => sum + bytes, 0)
  const path = join(staging, DUMP)
  await assertRoom(staging, total)
  await inFolder(staging, () => mkdir(path, {mode: 0o700}))
  const progress = new ReadProgress(io, total, 'received')
  for (const {key, name} of files) {
    const source = (await storage.read(key, {signal: io.signal})) as AsyncIterable<Buffer>
    await inFolder(staging, () => pipeline(progress.over(source), createWriteStream(join(path, name), {mode: 0o600}), {signal: io.signal}))
  }
  return {kind: 'directory', path, layers: [], found: directory, bytes: total}
}
