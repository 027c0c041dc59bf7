import {xxh32} from '../../src/lib/repository/xxh32.ts'

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

const BLOCK = 64 * 1024

/** An LZ4 frame whose blocks are stored as they are, with every checksum that there may be. */
export function lz4Stored(content: Buffer): Buffer {
  const descriptor = Buffer.from([0x40 | 0x20 | 0x10 | 0x04, 0x40])
  const blocks: Buffer[] = []
  for (let at = 0; at < content.length; at += BLOCK) {
    const block = content.subarray(at, at + BLOCK)
    blocks.push(word(block.length + 0x80000000), block, word(xxh32(block)))
  }
  return Buffer.concat([word(0x184d2204), descriptor, Buffer.from([(xxh32(descriptor) >>> 8) & 0xff]), ...blocks, word(0), word(xxh32(content))])
}
