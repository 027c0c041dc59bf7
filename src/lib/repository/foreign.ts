import {createGunzip, createZstdDecompress} from 'node:zlib'
import type {Duplex} from 'node:stream'
import {isLabel} from './label.ts'
import {lz4Head} from './lz4-head.ts'
import {mapInOrder} from './map-in-order.ts'
import {otherKind, type OtherKind} from './other-kinds.ts'
import type {Storage, StoredObject} from './storage/storage.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'lz4'
/** `cluster` is what pg_dumpall writes: SQL for a whole server. `directory` is a folder with a toc.dat, or that file itself. */
export type DumpKind = 'custom' | 'tar' | 'directory' | 'plain' | 'cluster' | 'unknown'

export interface Sniffed {
  /** The outermost. */
  compression: Compression
  kind: DumpKind
  /** Where there are several, one around the other: outermost first. */
  layers?: readonly Layer[]
  /** Of kind `unknown`: what it is, where that is known. */
  other?: OtherKind
}

export type Layer = Exclude<Compression, 'none'>

/** What has to be taken off, outermost first. */
export const layersOf = ({compression, layers}: Sniffed): readonly Layer[] => layers ?? (compression === 'none' ? [] : [compression])

/** For people: `gzip`, `gzip twice over`, `gzip around zstd`; empty when it is not compressed. */
export function compressionWords(found: Sniffed): string {
  const layers = layersOf(found)
  return layers.length === 2 && layers[0] === layers[1] ? `${layers[0]} twice over` : layers.join(' around ')
}

export interface ForeignDump extends StoredObject {
  /** Only when the bytes were looked at. */
  found?: Sniffed
}

/** As much as `sniff` needs: a whole block of zstd, which cannot be opened in part. */
export const HEAD_BYTES = 160 * 1024
/** A tar header block, and the comments with which SQL begins. */
const INNER_BYTES = 16 * 1024
/** Compressed once more, the content must suffice to look into that. */
const MOST_LAYERS = 4

/** What a dump is, by its first bytes (up to `HEAD_BYTES`), never by its name. A damaged compressed head is of kind `unknown`. */
export async function sniff(head: Buffer): Promise<Sniffed> {
  const layers: Layer[] = []
  let bytes = head
  for (let layer = compressionOf(bytes); layer !== 'none' && layers.length < MOST_LAYERS; layer = compressionOf(bytes)) {
    layers.push(layer)
    bytes = await inner(bytes, layer)
  }
  const kind = kindOf(bytes)
  const isHollow = layers.length > 0 && bytes.length === 0
  const other = kind !== 'unknown' ? undefined : isHollow ? {what: 'damaged or empty: nothing can be unpacked from its beginning'} : otherKind(bytes)
  return {compression: layers[0] ?? 'none', kind, ...(layers.length > 1 && {layers}), ...(other && {other})}
}

function compressionOf(head: Buffer): Compression {
  if (head.length < 4) return 'none'
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  const magic = head.readUInt32LE(0)
  return magic === 0xfd2fb528 ? 'zstd' : magic === 0x184d2204 ? 'lz4' : 'none'
}

async function inner(head: Buffer, layer: Layer): Promise<Buffer> {
  switch (layer) {
    case 'lz4':
      return lz4Head(head, HEAD_BYTES)
    case 'gzip':
      return firstOut(createGunzip(), head)
    case 'zstd':
      return firstOut(createZstdDecompress(), head)
  }
}

/** The first bytes that come out; the head is cut off, so its end is no error, and a bomb is not blown up further. */
async function firstOut(decompressor: Duplex, head: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  decompressor.on('error', () => undefined)
  decompressor.end(head)
  try {
    for await (const chunk of decompressor as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= HEAD_BYTES) break
    }
  } catch {
    // What came out before the end of the head counts.
  }
  return Buffer.concat(chunks)
}

const FORMAT_BYTE = 10
const CUSTOM_FORMAT = 1

function kindOf(bytes: Buffer): DumpKind {
  if (bytes.toString('latin1', 0, 5) === 'PGDMP') return bytes[FORMAT_BYTE] === CUSTOM_FORMAT ? 'custom' : 'directory'
  if (bytes.toString('latin1', 257, 262) === 'ustar') return bytes.toString('latin1', 0, 8) === 'toc.dat\0' ? 'tar' : 'unknown'
  if (otherKind(bytes) !== undefined) return 'unknown'
  return sqlKind(bytes.toString('utf8', 0, INNER_BYTES).replace(/^\uFEFF/, ''))
}

function sqlKind(text: string): DumpKind {
  if (text.includes('\0')) return 'unknown'
  if (/^--\s*\n-- PostgreSQL database cluster dump/.test(text.replaceAll('\r', ''))) return 'cluster'
  return /^\s*(--|\/\*|\\restrict |\\connect |(SET|BEGIN|START|CREATE|DROP|ALTER|INSERT|COPY|SELECT|COMMENT|DO|GRANT|REVOKE)\b)/i.test(text) ? 'plain' : 'unknown'
}

export interface ForeignOptions {
  /** Also reads the first bytes of each. */
  look?: boolean
  signal?: AbortSignal
}

/**
 * The objects below a prefix that are none of dr's own, oldest key first. A folder with a toc.dat is one dump, under the folder's key
 * with its slash. Empty objects are left out.
 */
export async function foreignDumps(storage: Storage, prefix: string, options: ForeignOptions = {}): Promise<ForeignDump[]> {
  const objects: StoredObject[] = []
  for await (const object of storage.list(prefix, signalOf(options))) if (object.bytes > 0 && !isOwn(object.key)) objects.push(object)
  const dumps = joinFolders(objects)
  if (options.look !== true) return dumps
  const looked: ForeignDump[] = []
  for await (const dump of mapInOrder(dumps, 8, async (one) => look(storage, one, options))) looked.push(dump)
  return looked
}

const isOwn = (key: string) => key.split('/').slice(0, -1).some(isLabel)
const folderOf = (key: string) => key.slice(0, key.lastIndexOf('/') + 1)

function joinFolders(objects: readonly StoredObject[]): ForeignDump[] {
  const folders = new Map(objects.filter(({key}) => key.endsWith('/toc.dat')).map((toc) => [folderOf(toc.key), {...toc, key: folderOf(toc.key), bytes: 0, found: {compression: 'none', kind: 'directory'} satisfies Sniffed}]))
  const singles = objects.filter(({key, bytes}) => {
    const folder = folders.get(folderOf(key))
    if (folder !== undefined) folder.bytes += bytes
    return folder === undefined
  })
  return [...folders.values(), ...singles].sort((a, b) => (a.key < b.key ? -1 : 1))
}

async function look(storage: Storage, dump: ForeignDump, options: ForeignOptions): Promise<ForeignDump> {
  return dump.found === undefined ? {...dump, found: await sniff(await readHead(storage, dump.key, options))} : dump
}

/** The first `HEAD_BYTES` of an object, or all of a shorter one. */
export async function readHead(storage: Storage, key: string, options: {signal?: AbortSignal} = {}): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of (await storage.read(key, signalOf(options))) as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= HEAD_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES)
}

const signalOf = ({signal}: {signal?: AbortSignal}) => (signal === undefined ? {} : {signal})
