import {createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress} from 'node:zlib'
import type {Compression} from '../../repository/foreign.ts'

const CHUNK = 64 * 1024

/** What is wrong with a compressed stream, in words that finish the sentence «it …». */
export class StreamTrouble extends Error {}

/**
 * Reads a compressed stream to its very end and hands its content to `sink`. Memory stays bounded at any ratio. Throws `StreamTrouble`
 * when it is damaged, cut off, or followed by something that is no such stream. Returns the bytes of the content. Several streams one
 * after the other are one content; Node itself would stop in silence after the first zstd frame.
 */
export async function decompress(source: AsyncIterable<Buffer>, compression: Compression, sink: (chunk: Buffer) => void | Promise<void>): Promise<number> {
  let total = 0
  const counted = (chunk: Buffer) => {
    total += chunk.length
    return sink(chunk)
  }
  if (compression === 'none') {
    for await (const chunk of source) await counted(chunk)
    return total
  }
  const make = makers[compression]
  if (make === undefined) throw new StreamTrouble(`is compressed with ${compression}, which dr cannot read`)
  const chunks = source[Symbol.asyncIterator]()
  let rest = await take(chunks)
  if (rest === undefined) throw new StreamTrouble('is empty')
  for (let first = true; rest !== undefined; first = false) rest = await oneStream(make(), rest, chunks, counted, first)
  return total
}

type Decompressor = Gunzip | ZstdDecompress

const makers: Partial<Record<Compression, () => Decompressor>> = {
  gzip: () => createGunzip({chunkSize: CHUNK}),
  zstd: () => createZstdDecompress({chunkSize: CHUNK}),
}

async function take(chunks: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  for (;;) {
    const next = await chunks.next()
    if (next.done === true) return undefined
    if (next.value.length > 0) return next.value
  }
}

/** Returns what follows the end of the stream. */
async function oneStream(stream: Decompressor, first: Buffer, chunks: AsyncIterator<Buffer>, sink: (chunk: Buffer) => void | Promise<void>, isFirst: boolean): Promise<Buffer | undefined> {
  const drained = drain(stream, sink).catch((error: unknown) => { throw troubleOf(error, isFirst) })
  drained.catch(() => undefined)
  let fed = 0
  let rest: Buffer | undefined = first
  while (rest !== undefined) {
    const chunk: Buffer = rest
    await Promise.race([write(stream, chunk, isFirst), drained])
    fed += chunk.length
    if (stream.bytesWritten < fed) {
      rest = chunk.subarray(chunk.length - (fed - stream.bytesWritten))
      break
    }
    rest = await take(chunks)
  }
  stream.end()
  await drained
  return rest
}

async function drain(stream: Decompressor, sink: (chunk: Buffer) => void | Promise<void>): Promise<void> {
  for await (const chunk of stream as AsyncIterable<Buffer>) await sink(chunk)
}

function write(stream: Decompressor, chunk: Buffer, isFirst: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => {
      if (error) reject(troubleOf(error, isFirst))
      else resolve()
    })
  })
}

function troubleOf(error: unknown, isFirst: boolean): Error {
  const {code, message} = error as NodeJS.ErrnoException
  if (code === 'Z_BUF_ERROR') return new StreamTrouble('ends too early')
  if (code !== undefined && /^(Z_|ZSTD_|ERR_ZLIB)/.test(code)) return new StreamTrouble(isFirst ? `does not decompress (${message})` : 'goes on after its end with something else')
  return error as Error
}
