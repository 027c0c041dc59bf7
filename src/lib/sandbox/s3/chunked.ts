import {createHash} from 'node:crypto'
import {s3Error} from './s3-error.ts'
import {hmac, sameText, sha256Hex, type Signature} from './signature.ts'

export interface ChunkedOptions {
  /** Present when every chunk carries a signature; the header's own is the seed. */
  signature?: Signature
  /** Called with each trailing header, in small letters. */
  onTrailer: (name: string, value: string) => void
}

const malformed = () => s3Error('InvalidRequest', 'The chunked body is malformed.')
const incomplete = () => s3Error('IncompleteBody', 'The request body terminated unexpectedly')
const maxLineBytes = 16_384

/** Takes the framing of aws-chunked off a body, and checks the chunks' signatures where they are signed. */
export async function* decodeChunked(source: AsyncIterable<Buffer>, {signature, onTrailer}: ChunkedOptions): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source)
  const verifier = signature && new ChunkVerifier(signature)
  for (;;) {
    const {bytes, chunkSignature} = parseChunkHeader(await reader.line())
    for (let left = bytes; left > 0; ) {
      const piece = await reader.some(left)
      left -= piece.length
      verifier?.update(piece)
      yield piece
    }
    verifier?.finishChunk(chunkSignature)
    if (bytes === 0) break
    if ((await reader.line()) !== '') throw malformed()
  }
  await readTrailers(reader, verifier, onTrailer)
  await reader.end()
}

function parseChunkHeader(line: string): {bytes: number; chunkSignature: string | undefined} {
  const match = /^([\da-fA-F]{1,12})(?:;chunk-signature=([\da-f]{64}))?$/.exec(line)
  if (!match) throw malformed()
  return {bytes: Number.parseInt(match[1] ?? '', 16), chunkSignature: match[2]}
}

async function readTrailers(reader: ByteReader, verifier: ChunkVerifier | undefined, onTrailer: ChunkedOptions['onTrailer']): Promise<void> {
  let signed = ''
  for (let line = await reader.line(); line !== ''; line = await reader.line()) {
    const [, name, value] = /^([^:]+):\s*(.*?)\s*$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw malformed()
    if (name.toLowerCase() === 'x-amz-trailer-signature') {
      verifier?.finishTrailer(signed, value)
      signed = ''
      continue
    }
    signed += `${name.toLowerCase()}:${value}\n`
    onTrailer(name.toLowerCase(), value)
  }
  if (verifier && signed !== '') throw s3Error('SignatureDoesNotMatch', 'The trailing headers are not signed.')
}

class ChunkVerifier {
  readonly #signature: Signature
  #previous: string
  #hash = createHash('sha256')

  constructor(signature: Signature) {
    this.#signature = signature
    this.#previous = signature.signature
  }

  update(piece: Buffer): void {
    this.#hash.update(piece)
  }

  finishChunk(given: string | undefined): void {
    this.#check('AWS4-HMAC-SHA256-PAYLOAD', [sha256Hex(''), this.#hash.digest('hex')], given)
    this.#hash = createHash('sha256')
  }

  finishTrailer(trailer: string, given: string): void {
    this.#check('AWS4-HMAC-SHA256-TRAILER', [sha256Hex(trailer)], given)
  }

  #check(kind: string, hashes: readonly string[], given: string | undefined): void {
    const {date, scope, signingKey} = this.#signature
    const expected = hmac(signingKey, [kind, date, scope, this.#previous, ...hashes].join('\n')).toString('hex')
    if (given === undefined || !sameText(expected, given)) {
      throw s3Error('SignatureDoesNotMatch', 'The chunk signature we calculated does not match the signature you provided.')
    }
    this.#previous = expected
  }
}

/** Lines and pieces from a stream of buffers, without copying the pieces. */
class ByteReader {
  readonly #iterator: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  /** Up to `limit` bytes, at least one. */
  async some(limit: number): Promise<Buffer> {
    while (this.#rest.length === 0) if (!(await this.#more())) throw incomplete()
    const piece = this.#rest.subarray(0, limit)
    this.#rest = this.#rest.subarray(piece.length)
    return piece
  }

  /** The text before the next CR LF, which is taken off too. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf('\r\n')
      if (end !== -1) {
        const text = this.#rest.toString('latin1', 0, end)
        this.#rest = this.#rest.subarray(end + 2)
        return text
      }
      if (this.#rest.length > maxLineBytes) throw malformed()
      if (!(await this.#more())) throw incomplete()
    }
  }

  /** Nothing may be left. */
  async end(): Promise<void> {
    if (this.#rest.length > 0 || (await this.#more())) throw malformed()
  }

  async #more(): Promise<boolean> {
    const next = await this.#iterator.next()
    if (next.done === true) return false
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value])
    return true
  }
}
