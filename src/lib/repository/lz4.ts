import {xxh32, Xxh32} from './xxh32.ts'

/** What is wrong with an LZ4 stream, in words that finish the sentence «it …». */
export class Lz4Error extends Error {}

const MAGIC = 0x184d2204
const SKIPPABLE = 0x184d2a50
/** How far back a match may reach. */
const HISTORY = 64 * 1024
const BLOCK_BYTES: Readonly<Record<number, number>> = {4: 64 * 1024, 5: 256 * 1024, 6: 1024 * 1024, 7: 4 * 1024 * 1024}
const EARLY = 'ends too early'
const damaged = (why: string) => new Lz4Error(`does not decompress (${why})`)

/**
 * The content of a stream of LZ4 frames, to its very end, with every checksum that is in it compared. Node has no LZ4.
 * Several frames one after the other are one content. Memory stays below two blocks (4 MB each at most).
 */
export async function* lz4Content(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const bytes = new ByteReader(source)
  try {
    yield* frames(bytes)
  } finally {
    await bytes.close()
  }
}

async function* frames(bytes: ByteReader): AsyncGenerator<Buffer, void> {
  for (let first = true; ; first = false) {
    const magic = await bytes.upTo(4)
    if (magic.length === 0 && !first) return
    if (magic.length < 4) throw new Lz4Error(first && magic.length === 0 ? 'is empty' : EARLY)
    const value = magic.readUInt32LE(0)
    if ((value & 0xfffffff0) >>> 0 === SKIPPABLE) await bytes.skip((await bytes.exactly(4)).readUInt32LE(0))
    else if (value === MAGIC) yield* frame(bytes)
    else throw first ? damaged('it has no frame') : new Lz4Error('goes on after its end with something else')
  }
}

interface Frame {
  /** Matches may reach into earlier blocks. */
  linked: boolean
  blockChecksums: boolean
  contentChecksum: boolean
  contentBytes: number | undefined
  most: number
}

async function header(bytes: ByteReader): Promise<Frame> {
  const start = await bytes.exactly(2)
  const [flags = 0, block = 0] = start
  const rest = await bytes.exactly((flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0))
  const [check] = await bytes.exactly(1)
  if (((xxh32(Buffer.concat([start, rest])) >>> 8) & 0xff) !== check) throw damaged('the checksum of its header is wrong')
  const most = BLOCK_BYTES[(block >> 4) & 7]
  if (flags >> 6 !== 1 || most === undefined) throw damaged('its header makes no sense')
  if (flags & 0x01) throw damaged('it needs a dictionary')
  return {
    linked: (flags & 0x20) === 0, blockChecksums: (flags & 0x10) !== 0, contentChecksum: (flags & 0x04) !== 0, most,
    contentBytes: flags & 0x08 ? Number(rest.readBigUInt64LE(0)) : undefined,
  }
}

async function* frame(bytes: ByteReader): AsyncGenerator<Buffer, void> {
  const {linked, blockChecksums, contentChecksum, contentBytes, most} = await header(bytes)
  const window = new Window(most)
  const hash = new Xxh32()
  let total = 0
  for (let size = await blockSize(bytes); size !== 0; size = await blockSize(bytes)) {
    const stored = await bytes.exactly(checkedSize(size & 0x7fffffff, most))
    if (blockChecksums && (await bytes.exactly(4)).readUInt32LE(0) !== xxh32(stored)) throw damaged('the checksum of a block is wrong')
    if (!linked) window.forget()
    const content = size >>> 31 === 1 ? window.take(stored) : window.decode(stored)
    if (contentChecksum) hash.update(content)
    total += content.length
    if (content.length > 0) yield content
  }
  if (contentChecksum && (await bytes.exactly(4)).readUInt32LE(0) !== hash.digest()) throw damaged('the checksum of its content is wrong')
  if (contentBytes !== undefined && contentBytes !== total) throw damaged(`it holds ${total} bytes instead of ${contentBytes}`)
}

const blockSize = async (bytes: ByteReader): Promise<number> => (await bytes.exactly(4)).readUInt32LE(0)

function checkedSize(size: number, most: number): number {
  if (size > most) throw damaged('a block is larger than its header allows')
  return size
}

/** What was decoded last, for matches that reach back, with room for one block more. */
class Window {
  readonly #bytes: Buffer
  /** Valid bytes before `HISTORY`. */
  #kept = 0

  constructor(most: number) {
    this.#bytes = Buffer.alloc(HISTORY + most)
  }

  forget(): void {
    this.#kept = 0
  }

  /** A block that was stored as it is. */
  take(stored: Buffer): Buffer {
    stored.copy(this.#bytes, HISTORY)
    return this.#content(HISTORY + stored.length)
  }

  decode(block: Buffer): Buffer {
    return this.#content(decodeBlock(block, this.#bytes, HISTORY - this.#kept))
  }

  #content(end: number): Buffer {
    const content = Buffer.from(this.#bytes.subarray(HISTORY, end))
    this.#kept = Math.min(HISTORY, this.#kept + content.length)
    this.#bytes.copyWithin(HISTORY - this.#kept, end - this.#kept, end)
    return content
  }
}

const COPY_FROM = 24

/** Decodes a block to `out` from `HISTORY` on; matches reach back to `lowest`. Returns the end of what was written. */
function decodeBlock(block: Buffer, out: Buffer, lowest: number): number {
  let at = 0
  let end = HISTORY
  const length = (nibble: number): number => {
    let total = nibble
    for (let more = nibble === 15 ? 255 : 0; more === 255; total += more) more = block[at++] ?? 0
    return total
  }
  for (;;) {
    const token = block[at++] ?? 0
    const literals = length(token >> 4)
    if (at + literals > block.length || end + literals > out.length) throw damaged('a block makes no sense')
    if (literals > COPY_FROM) block.copy(out, end, at, at + literals)
    else for (let copied = 0; copied < literals; copied += 1) out[end + copied] = block[at + copied] ?? 0
    at += literals
    end += literals
    if (at === block.length) return end
    const offset = (block[at] ?? 0) | ((block[at + 1] ?? 0) << 8)
    at += 2
    const match = length(token & 15) + 4
    if (at > block.length || offset === 0 || end - offset < lowest || end + match > out.length) throw damaged('a block makes no sense')
    if (offset >= match && match > COPY_FROM) out.copyWithin(end, end - offset, end - offset + match)
    else for (let copied = 0; copied < match; copied += 1) out[end + copied] = out[end + copied - offset] ?? 0
    end += match
  }
}

/** Takes pieces of a stream, however it was cut into chunks. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>
  #held: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#chunks = source[Symbol.asyncIterator]()
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  /** Fewer only at the end of the stream. */
  async upTo(count: number): Promise<Buffer> {
    const parts = [this.#held]
    let length = this.#held.length
    while (length < count) {
      const next = await this.#chunks.next()
      if (next.done === true) break
      parts.push(next.value)
      length += next.value.length
    }
    const all = parts.length === 1 ? this.#held : Buffer.concat(parts)
    this.#held = all.subarray(count)
    return all.subarray(0, count)
  }

  async exactly(count: number): Promise<Buffer> {
    const bytes = await this.upTo(count)
    if (bytes.length < count) throw new Lz4Error(EARLY)
    return bytes
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; left -= HISTORY) await this.exactly(Math.min(left, HISTORY))
  }
}
