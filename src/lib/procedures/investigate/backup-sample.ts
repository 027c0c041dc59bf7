import {DrError} from '../../errors.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {StreamTrouble, unpacked} from '../verify/decompress.ts'
import {compressionOf} from '../verify/member.ts'

/** Where the rows of one table lie in a backup. */
export interface TableMember {
  storage: Storage
  key: string
  /** As COPY wrote them. */
  columns: readonly string[]
}

const MOST_ROWS = 5000
const MOST_BYTES = 8e6

/**
 * The values that each column has in the first rows of the backup; undefined where they cannot be read. Only as much is read
 * as that takes. They are for comparison alone: none is ever shown.
 */
export async function sampleOf({storage, key, columns}: TableMember, signal: AbortSignal): Promise<ReadonlyMap<string, ReadonlySet<string | null>> | undefined> {
  const values = columns.map(() => new Set<string | null>())
  try {
    let rows = 0
    for await (const line of linesOf(storage, key, signal)) {
      if (line === '\\.') break
      for (const [index, field] of line.split('\t').entries()) values[index]?.add(valueOf(field))
      rows += 1
      if (rows >= MOST_ROWS) break
    }
    return rows === 0 ? undefined : new Map(columns.map((column, index) => [column, values[index] ?? new Set()]))
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof DrError || error instanceof StreamTrouble) return undefined
    throw error
  }
}

async function* linesOf(storage: Storage, key: string, signal: AbortSignal): AsyncGenerator<string> {
  const stream = await storage.read(key, {signal})
  // Nobody listens any more when enough is read.
  stream.on('error', () => {})
  const compression = compressionOf(key.slice(key.lastIndexOf('/') + 1))
  const decoder = new TextDecoder()
  let [rest, bytes] = ['', 0]
  try {
    for await (const chunk of compression === 'none' ? (stream as AsyncIterable<Buffer>) : unpacked(stream, [compression])) {
      bytes += chunk.length
      const lines = (rest + decoder.decode(chunk, {stream: true})).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
      if (bytes >= MOST_BYTES) return
    }
  } finally {
    stream.destroy()
  }
}

const ESCAPES: Readonly<Record<string, string>> = {b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v'}

/** As COPY writes a value into a text. */
const valueOf = (field: string): string | null => (field === '\\N' ? null : field.replaceAll(/\\(.)/g, (_, letter: string) => ESCAPES[letter] ?? letter))
