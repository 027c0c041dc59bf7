import {createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress} from 'node:zlib'
import type {Compression, Layer} from '../../repository/foreign.ts'
import {lz4Content, Lz4Error} from '../../repository/lz4.ts'

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
  if (compression === 'lz4') {
    await fromLz4(source, counted)
    return total
  }
  const make = makers[compression]
  const chunks = source[Symbol.asyncIterator]()
  try {
    let rest = await take(chunks)
    if (rest === undefined) throw new StreamTrouble('is empty')
    for (let first = true; rest !== undefined; first = false) rest = await oneStream(make(), rest, chunks, counted, first)
    return total
  } finally {
    await chunks.return?.()
  }
}

async function fromLz4(source: AsyncIterable<Buffer>, sink: (chunk: Buffer) => void | Promise<void>): Promise<void> {
  const content = lz4Content(source)
  const next = () => content.next().catch((error: unknown) => { throw error instanceof Lz4Error ? new StreamTrouble(error.message) : error })
  for (let part = await next(); part.done !== true; part = await next()) await sink(part.value)
}

/** The same for a stream in several layers of compression, outermost first. */
export async function unpack(source: AsyncIterable<Buffer>, layers: readonly Layer[], sink: (chunk: Buffer) => void | Promise<void>): Promise<number> {
  const [outer = 'none', ...inner] = layers
  return inner.length === 0 ? decompress(source, outer, sink) : unpack(unpacked(source, [outer as Layer]), inner, sink)
}

/** The same, to be pulled instead of pushed. */
export async function* unpacked(source: AsyncIterable<Buffer>, layers: readonly Layer[]): AsyncGenerator<Buffer> {
  const between = new HandOver()
  void unpack(source, layers, (chunk) => between.put(chunk)).then(() => { between.end() }, (error: unknown) => { between.fail(error) })
  try {
    yield* between
  } finally {
    between.close()
  }
}

/** Hands chunks from a writer to a reader, one at a time: the writer waits until the reader wants the next. */
class HandOver implements AsyncIterable<Buffer> {
  #given = Promise.withResolvers<Buffer | undefined>()
  #taken = Promise.withResolvers<undefined>()

  constructor() {
    this.#given.promise.catch(() => {})
    this.#taken.promise.catch(() => {})
  }

  async put(chunk: Buffer): Promise<void> {
    const {promise} = this.#taken
    this.#given.resolve(chunk)
    await promise
  }

  end(): void {
    this.#given.resolve(undefined)
  }

  fail(error: unknown): void {
    this.#given.reject(error)
  }

  /** The reader wants no more: the writer ends with an error that nobody needs to hear of. */
  close(): void {
    this.#taken.reject(new StreamTrouble('was not read to its end'))
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (let chunk = await this.#given.promise; chunk !== undefined; chunk = await this.#given.promise) {
      this.#given = Promise.withResolvers()
      this.#given.promise.catch(() => {})
      yield chunk
      const {resolve} = this.#taken
      this.#taken = Promise.withResolvers()
      this.#taken.promise.catch(() => {})
      resolve(undefined)
    }
  }
}

type Decompressor = Gunzip | ZstdDecompress

const makers: Record<'gzip' | 'zstd', () => Decompressor> = {
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
