import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {lz4Content, Lz4Error} from '../../../src/lib/repository/lz4.ts'
import {xxh32} from '../../../src/lib/repository/xxh32.ts'
import {testCluster} from '../../support/cluster.ts'
import {clientTools} from '../../support/tools.ts'

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  await Promise.resolve()
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function unpacked(bytes: Buffer, size = 65_536): Promise<Buffer> {
  const out: Buffer[] = []
  for await (const chunk of lz4Content(chunks(bytes, size))) out.push(chunk)
  return Buffer.concat(out)
}

const troubleOf = (bytes: Buffer): Promise<string> => unpacked(bytes).then(() => 'none', (error: unknown) => {
  if (error instanceof Lz4Error) return error.message
  throw error
})

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

interface FrameOptions {
  blockChecksums?: boolean
  contentChecksum?: boolean
  contentSize?: boolean
  independent?: boolean
}

/** A frame of blocks as they are given: `[bytes as stored, whether they are compressed]`. */
function frame(blocks: readonly [Buffer, boolean][], content: Buffer, {blockChecksums = false, contentChecksum = false, contentSize = false, independent = false}: FrameOptions = {}): Buffer {
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(content.length))
  const descriptor = Buffer.concat([Buffer.from([0x40 | (independent ? 0x20 : 0) | (blockChecksums ? 0x10 : 0) | (contentSize ? 0x08 : 0) | (contentChecksum ? 0x04 : 0), 0x40]), ...(contentSize ? [size] : [])])
  return Buffer.concat([
    word(0x184d2204), descriptor, Buffer.from([(xxh32(descriptor) >>> 8) & 0xff]),
    ...blocks.flatMap(([bytes, compressed]) => [word(bytes.length + (compressed ? 0 : 0x80000000)), bytes, ...(blockChecksums ? [word(xxh32(bytes))] : [])]),
    word(0), ...(contentChecksum ? [word(xxh32(content))] : []),
  ])
}

describe('lz4', () => {
  it('hashes as xxHash does', () => {
    // From the specification of xxHash and of LZ4's own tests.
    const known: [string, number][] = [['', 0x02cc5d05], ['a', 0x550d7456], ['abc', 0x32d153ff], ['Nobody inspects the spammish repetition', 0xe2293b2f]]
    for (const [text, hash] of known) expect(xxh32(Buffer.from(text)), text).to.equal(hash)
  })

  describe('of pg_dump', () => {
    let plain = Buffer.alloc(0)
    let packed = Buffer.alloc(0)

    before(async function () {
      this.timeout(120_000)
      const cluster = await testCluster({major: 18})
      const url = await cluster.createDatabase('lz4_test')
      const bin = await clientTools(18)
      const dump = (...args: string[]) => execFileSync(`${bin}/pg_dump`, ['-d', url, '--restrict-key=same', ...args], {maxBuffer: 1e9, env: {...process.env, LC_ALL: 'C'}})
      execFileSync(`${bin}/psql`, ['-X', '-q', '-d', url, '-c', "CREATE TABLE t AS SELECT i, md5(i::text) AS a, repeat(chr(97 + i % 26), i % 700) AS b FROM generate_series(1, 40000) i"])
      plain = dump('-Fp')
      packed = dump('-Fp', '-Z', 'lz4')
    })

    it('is unpacked to the same bytes, however it is cut into chunks', async () => {
      for (const size of [777, 65_536, packed.length]) expect((await unpacked(packed, size)).equals(plain), `chunks of ${size}`).to.equal(true)
    })

    it('is one content when there are several frames, with what may be skipped in between', async () => {
      const skipped = Buffer.concat([word(0x184d2a53), word(5), Buffer.from('hello')])
      expect((await unpacked(Buffer.concat([packed, skipped, packed]))).equals(Buffer.concat([plain, plain]))).to.equal(true)
    })

    it('is told when it is cut off, wherever that is, and when something follows', async () => {
      for (const length of [1, 3, 6, 50, packed.length >> 1, packed.length - 4, packed.length - 1]) expect(await troubleOf(packed.subarray(0, length)), `cut to ${length}`).to.equal('ends too early')
      expect(await troubleOf(Buffer.alloc(0))).to.equal('is empty')
      expect(await troubleOf(Buffer.concat([packed, Buffer.from('more')]))).to.equal('goes on after its end with something else')
    })
  })

  const text = Buffer.from('lead 1, lead 2, lead 3\n')

  it('reads every kind of frame', async () => {
    for (const contentChecksum of [true, false]) {
      for (const blockChecksums of [true, false]) {
        for (const contentSize of [true, false]) {
          const bytes = frame([[text, false], [text, false]], Buffer.concat([text, text]), {contentChecksum, blockChecksums, contentSize})
          expect((await unpacked(bytes, 3)).toString()).to.equal(text.toString().repeat(2))
        }
      }
    }
  })

  it('lets a match reach into an earlier block, but not where blocks are independent', async () => {
    // No literals, then 4 + 15 + 0 bytes from 23 bytes back; five literals end the block.
    const back = Buffer.concat([Buffer.from([0x0f, text.length, 0, 0]), Buffer.from([0x50]), Buffer.from('12345')])
    const content = Buffer.concat([text, text.subarray(0, 19), Buffer.from('12345')])
    expect((await unpacked(frame([[text, false], [back, true]], content, {contentChecksum: true}))).toString()).to.equal(content.toString())
    expect(await troubleOf(frame([[text, false], [back, true]], content, {independent: true}))).to.match(/a block makes no sense/)
  })

  it('finds every flipped bit where there are checksums', async () => {
    const whole = frame([[text, false]], text, {contentChecksum: true, blockChecksums: true})
    for (let at = 0; at < whole.length * 8; at += 1) {
      const damaged = Buffer.from(whole)
      damaged[at >> 3] = (damaged[at >> 3] ?? 0) ^ (1 << (at & 7))
      expect(await troubleOf(damaged), `bit ${at}`).not.to.equal('none')
    }
  })
})
