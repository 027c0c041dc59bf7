import {StreamTrouble} from './decompress.ts'

const BLOCK = 512

export interface TarEntry {
  name: string
  size: number
}

/** Takes a tar as it goes by. `onData` gets the content of each entry in pieces, at least one, even of an empty entry. */
export class TarReader {
  readonly #onData: (entry: TarEntry, piece: Buffer) => void
  #held: Buffer = Buffer.alloc(0)
  #entry: TarEntry | undefined
  #left = 0
  #padding = 0
  #zeroBlocks = 0

  constructor(onData: (entry: TarEntry, piece: Buffer) => void) {
    this.#onData = onData
  }

  /** Throws `StreamTrouble` where there is no tar. */
  add(chunk: Buffer): void {
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk
    while (rest.length > 0) {
      const used = this.#left > 0 ? this.#content(rest) : this.#padding > 0 ? this.#pad(rest) : this.#header(rest)
      if (used === 0) break
      rest = rest.subarray(used)
    }
    this.#held = Buffer.from(rest)
  }

  /** After the last piece. Two blocks of zeros are the end; without them the tar is cut off. */
  end(): void {
    if (this.#left > 0 || this.#padding > 0 || this.#zeroBlocks < 2 || this.#held.length > 0) throw new StreamTrouble('ends too early')
  }

  #content(bytes: Buffer): number {
    const piece = bytes.subarray(0, this.#left)
    this.#left -= piece.length
    if (this.#entry) this.#onData(this.#entry, piece)
    return piece.length
  }

  #pad(bytes: Buffer): number {
    const used = Math.min(this.#padding, bytes.length)
    this.#padding -= used
    return used
  }

  #header(bytes: Buffer): number {
    if (bytes.length < BLOCK) return 0
    const block = bytes.subarray(0, BLOCK)
    if (block.every((byte) => byte === 0)) this.#zeroBlocks += 1
    else if (this.#zeroBlocks > 0) throw new StreamTrouble('goes on after its end with something else')
    else this.#begin(block)
    return BLOCK
  }

  #begin(block: Buffer): void {
    if (numberIn(block, 148, 8) !== checksum(block)) throw new StreamTrouble('is damaged: the checksum of a header in the tar is wrong')
    const name = block.toString('utf8', 0, 100).replace(/\0.*$/s, '')
    const size = numberIn(block, 124, 12)
    this.#entry = {name, size}
    this.#left = size
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK
    if (size === 0) this.#onData(this.#entry, Buffer.alloc(0))
  }
}

/** The header with its own checksum taken for blanks. */
const checksum = (block: Buffer): number => block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0)

/** Octal digits; sizes from 8 GiB on are binary, with the highest bit set. */
function numberIn(block: Buffer, at: number, length: number): number {
  if ((block[at] ?? 0) >= 0x80) return Number(BigInt(`0x${block.toString('hex', at + 1, at + length)}`))
  return Number.parseInt(block.toString('latin1', at, at + length).trim().replace(/\0.*$/s, '') || '0', 8)
}
