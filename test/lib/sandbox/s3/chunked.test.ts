import {createHmac} from 'node:crypto'
import {expect} from 'chai'
import {decodeChunked} from '../../../../src/lib/sandbox/s3/chunked.ts'
import {S3Error} from '../../../../src/lib/sandbox/s3/s3-error.ts'
import type {Signature} from '../../../../src/lib/sandbox/s3/signature.ts'

/** The example of AWS's own description of signed chunks. */
const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const scope = '20130524/us-east-1/s3/aws4_request'
const signature: Signature = {
  date: '20130524T000000Z',
  scope,
  signingKey: scope.split('/').reduce<Buffer | string>((key, part) => createHmac('sha256', key).update(part).digest(), `AWS4${secret}`) as Buffer,
  signature: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
}
const example = Buffer.concat([
  Buffer.from('10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n'),
  Buffer.alloc(65_536, 'a'),
  Buffer.from('\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n'),
  Buffer.alloc(1024, 'a'),
  Buffer.from('\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n'),
])

async function* inPieces(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield Promise.resolve(data.subarray(at, at + size))
}

async function decode(data: Buffer, size: number, signed?: Signature): Promise<{bytes: Buffer; trailers: Map<string, string>}> {
  const trailers = new Map<string, string>()
  const pieces: Buffer[] = []
  const onTrailer = (name: string, value: string) => void trailers.set(name, value)
  for await (const piece of decodeChunked(inPieces(data, size), signed ? {onTrailer, signature: signed} : {onTrailer})) pieces.push(piece)
  return {bytes: Buffer.concat(pieces), trailers}
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  return attempt.then(
    () => 'accepted',
    (error: unknown) => (error instanceof S3Error ? error.code : String(error)),
  )
}

describe('aws-chunked bodies', () => {
  for (const size of [7, 1000, 65_536, 1_000_000]) {
    it(`decode AWS's signed example when it comes in pieces of ${size} bytes`, async () => {
      const {bytes} = await decode(example, size, signature)
      expect(bytes.equals(Buffer.alloc(66_560, 'a'))).to.be.true
    })
  }

  it('are refused when a signed byte is another one', async () => {
    const changed = Buffer.from(example)
    changed.write('b', 40_000)
    expect(await codeOf(decode(changed, 1000, signature))).to.equal('SignatureDoesNotMatch')
  })

  it('are refused when a chunk is left out, or the last one', async () => {
    const first = example.indexOf('\r\n400;')
    const last = example.indexOf('\r\n0;')
    const without = Buffer.concat([example.subarray(0, first), example.subarray(last)])
    expect(await codeOf(decode(without, 1000, signature))).to.equal('SignatureDoesNotMatch')
    expect(await codeOf(decode(example.subarray(0, last + 2), 1000, signature))).to.equal('IncompleteBody')
  })

  it('are refused when signatures are missing', async () => {
    expect(await codeOf(decode(Buffer.from('3\r\nabc\r\n0\r\n\r\n'), 100, signature))).to.equal('SignatureDoesNotMatch')
  })

  it('give their trailers', async () => {
    const {bytes, trailers} = await decode(Buffer.from('3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n'), 3)
    expect(bytes.toString()).to.equal('abc')
    expect([...trailers]).to.deep.equal([['x-amz-checksum-crc32', 'NSRBwg==']])
  })

  it('are refused when the framing is wrong', async () => {
    for (const wrong of ['zz\r\nabc\r\n0\r\n\r\n', '3\r\nabcd\r\n0\r\n\r\n', '3\r\nabc\r\n0\r\n\r\nmore', `${'1'.repeat(20_000)}\r\n`]) {
      expect(await codeOf(decode(Buffer.from(wrong), 100))).to.equal('InvalidRequest')
    }
    expect(await codeOf(decode(Buffer.from('5\r\nabc'), 100))).to.equal('IncompleteBody')
  })

})
