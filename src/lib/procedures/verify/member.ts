import {createHash, type Hash} from 'node:crypto'
import type {Compression} from '../../repository/foreign.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {CopyText} from './copy-text.ts'
import {decompress, StreamTrouble} from './decompress.ts'

/** What one member turned out to hold. */
export interface ReadMember {
  bytes: number
  sha256: string
  /** Why it does not decompress: finishes the sentence «it …». */
  trouble?: string
  /** Of a table's data; undefined also when the end of the text is missing. */
  rows?: number
  /** The text, of a table of large objects. */
  text?: string
}

const SUFFIXES: Readonly<Record<string, Compression>> = {'.gz': 'gzip', '.zst': 'zstd', '.lz4': 'lz4'}

export type MemberKind = 'table' | 'large-object' | 'large-objects-toc' | 'other'

/** By the names that pg_dump gives. */
export function kindOfMember(name: string): MemberKind {
  if (/^\d+\.dat(\.\w+)?$/.test(name)) return 'table'
  if (/^blob_\d+\.dat(\.\w+)?$/.test(name)) return 'large-object'
  return /^blobs(_\d+)?\.toc$/.test(name) ? 'large-objects-toc' : 'other'
}

export const compressionOf = (name: string): Compression => (kindOfMember(name) === 'table' || kindOfMember(name) === 'large-object' ? (SUFFIXES[/\.[a-z]+\d?$/.exec(name)?.[0] ?? ''] ?? 'none') : 'none')

export interface MemberIo {
  signal: AbortSignal
  /** Bytes of this member so far, as stored. */
  progress?: (bytes: number) => void
}

/** Reads a member once, from its first byte to its last: hashed as it is stored, and looked at as it decompresses. */
export async function readMember(storage: Storage, key: string, io: MemberIo): Promise<ReadMember> {
  const name = key.slice(key.lastIndexOf('/') + 1)
  const kind = kindOfMember(name)
  const hash = createHash('sha256')
  const read: ReadMember = {bytes: 0, sha256: ''}
  const text = new CopyText()
  const kept: Buffer[] = []
  const raw = tapped((await storage.read(key, {signal: io.signal})) as AsyncIterable<Buffer>, hash, read, io)
  try {
    await decompress(raw, compressionOf(name), (chunk) => {
      if (kind === 'table') text.add(chunk)
      if (kind === 'large-objects-toc') kept.push(chunk)
    })
  } catch (error) {
    if (!(error instanceof StreamTrouble)) throw error
    // pg_dump 18 writes nothing at all for an empty large object, not even an empty stream.
    if (kind !== 'large-object' || read.bytes > 0) read.trouble = error.message
    // The hash is of all that is stored.
    while ((await raw.next()).done !== true);
  }
  read.sha256 = hash.digest('hex')
  const rows = kind === 'table' && read.trouble === undefined ? text.rows() : undefined
  return {...read, ...(rows !== undefined && {rows}), ...(kind === 'large-objects-toc' && {text: Buffer.concat(kept).toString('utf8')})}
}

async function* tapped(stream: AsyncIterable<Buffer>, hash: Hash, read: ReadMember, {signal, progress}: MemberIo): AsyncGenerator<Buffer, undefined> {
  for await (const chunk of stream) {
    signal.throwIfAborted()
    hash.update(chunk)
    read.bytes += chunk.length
    progress?.(read.bytes)
    yield chunk
  }
}
