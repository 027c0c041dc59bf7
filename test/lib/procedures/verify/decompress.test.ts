import {expect} from 'chai'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {decompress, StreamTrouble, unpack} from '../../../../src/lib/procedures/verify/decompress.ts'
import type {Compression, Layer} from '../../../../src/lib/repository/foreign.ts'

const content = Buffer.from(Array.from({length: 100_000}, (_, row) => `row ${(row * 7919) % 10_007}\n`).join(''))
const streams = {gzip: gzipSync(content), zstd: zstdCompressSync(content)}

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  await Promise.resolve()
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function unpacked(bytes: Buffer, compression: Compression, size = 65_536): Promise<Buffer> {
  const out: Buffer[] = []
  const length = await decompress(chunks(bytes, size), compression, (chunk) => { out.push(Buffer.from(chunk)) })
  const all = Buffer.concat(out)
  expect(length).to.equal(all.length)
  return all
}

const troubleOf = (bytes: Buffer, compression: Compression, size?: number): Promise<string> =>
  unpacked(bytes, compression, size).then(() => 'none', (error: unknown) => {
    if (error instanceof StreamTrouble) return error.message
    throw error
  })

describe('decompress', () => {
  it('hands over what is not compressed', async () => {
    expect((await unpacked(content, 'none')).equals(content)).to.equal(true)
    expect(await unpacked(Buffer.alloc(0), 'none')).to.have.length(0)
  })

  for (const compression of ['gzip', 'zstd'] as const) {
    const whole = streams[compression]
    describe(compression, () => {
      it('reads a stream to its end, and several one after the other, however they are cut into chunks', async () => {
        for (const size of [1000, 65_536, whole.length]) {
          expect((await unpacked(whole, compression, size)).equals(content)).to.equal(true)
          expect((await unpacked(Buffer.concat([whole, whole]), compression, size)).equals(Buffer.concat([content, content])), `chunks of ${size}`).to.equal(true)
        }
      })

      it('tells one that is cut off, wherever it is cut', async () => {
        for (const length of [1, 5, whole.length >> 1, whole.length - 1]) expect(await troubleOf(whole.subarray(0, length), compression)).to.equal('ends too early')
        expect(await troubleOf(Buffer.concat([whole, whole.subarray(0, 20)]), compression, whole.length)).to.equal('ends too early')
        expect(await troubleOf(Buffer.alloc(0), compression)).to.equal('is empty')
      })

      it('tells what follows the end', async () => {
        for (const size of [whole.length, 65_536]) {
          expect(await troubleOf(Buffer.concat([whole, Buffer.from('something else')]), compression, size)).to.match(/^(goes on after its end|does not decompress)/)
          expect(await troubleOf(Buffer.concat([whole, Buffer.alloc(100)]), compression, size)).to.match(/^(goes on after its end|does not decompress)/)
        }
      })

      it('tells a damaged beginning', async () => {
        const damaged = Buffer.from(whole)
        damaged[0] = 0
        expect(await troubleOf(damaged, compression)).to.match(/^does not decompress/)
      })
    })
  }

  it('gives up a failing source and a failing sink with their own errors', async () => {
    const source = async function* () {
      yield streams.zstd.subarray(0, 100)
      await Promise.reject(new Error('the source failed'))
    }
    const failure = (promise: Promise<unknown>) => promise.then(() => '', (error: unknown) => (error as Error).message)
    expect(await failure(decompress(source(), 'zstd', () => undefined))).to.equal('the source failed')
    expect(await failure(decompress(chunks(streams.gzip, 1000), 'gzip', () => Promise.reject(new Error('the sink failed'))))).to.equal('the sink failed')
  })

  it('keeps memory bounded when little unpacks to much', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(300_000_000))
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    let seen = 0
    const length = await decompress(chunks(bomb, 65_536), 'zstd', () => {
      seen += 1
      if (seen % 20 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    })
    expect(length).to.equal(300_000_000)
    // The engine itself lets go of buffers only from 64 MB on.
    expect(most).to.be.lessThan(150_000_000)
  })

  describe('several layers', () => {
    const through = async (bytes: Buffer, layers: readonly Layer[], size = 65_536) => {
      const out: Buffer[] = []
      await unpack(chunks(bytes, size), layers, (chunk) => { out.push(Buffer.from(chunk)) })
      return Buffer.concat(out)
    }
    const twice = gzipSync(streams.gzip)
    const mixed = gzipSync(zstdCompressSync(streams.gzip))

    it('are taken off one after the other', async () => {
      for (const size of [1000, 65_536]) {
        expect((await through(twice, ['gzip', 'gzip'], size)).equals(content)).to.equal(true)
        expect((await through(mixed, ['gzip', 'zstd', 'gzip'], size)).equals(content)).to.equal(true)
      }
      expect((await through(content, [])).equals(content)).to.equal(true)
    })

    it('are told when the inner or the outer one is cut off, and a failing sink with its own error', async () => {
      const failure = (promise: Promise<unknown>) => promise.then(() => '', (error: unknown) => (error as Error).message)
      expect(await failure(through(twice.subarray(0, -9), ['gzip', 'gzip']))).to.equal('ends too early')
      expect(await failure(through(gzipSync(streams.gzip.subarray(0, -9)), ['gzip', 'gzip']))).to.equal('ends too early')
      expect(await failure(unpack(chunks(mixed, 1000), ['gzip', 'zstd', 'gzip'], () => Promise.reject(new Error('the sink failed'))))).to.equal('the sink failed')
    })
  })
})
