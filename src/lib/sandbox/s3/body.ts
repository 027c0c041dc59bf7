import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {createWriteStream, type WriteStream} from 'node:fs'
import {rm} from 'node:fs/promises'
import {finished} from 'node:stream/promises'
import type {Bucket} from './bucket.ts'
import {checksumAlgorithms, checksumHeader, Digests, toAlgorithm, validChecksum, type ChecksumAlgorithm, type DigestName} from './checksum.ts'
import {decodeChunked} from './chunked.ts'
import type {Exchange} from './exchange.ts'
import {CutConnection} from './line.ts'
import {s3Error} from './s3-error.ts'

const largestBody = 5 * 1024 ** 3
const largestDocument = 2 * 1024 ** 2
const writeBufferBytes = 1024 ** 2

export interface Received {
  bytes: number
  /** Hex, without quotes: MD5 when the client sent one, else cut from a digest that was needed anyway, else random. */
  etag: string
  /** As the client sent it and as it was found right, or as `compute` asked. */
  checksum?: {algorithm: ChecksumAlgorithm; value: string}
}

interface Expectations {
  bytes: number
  chunked: boolean
  sha256?: string
  md5?: string
  checksum?: {algorithm: ChecksumAlgorithm; value: string | undefined}
}

/** Whether the client sent a digest of the body besides the signed one. */
export const hasBodyDigest = (exchange: Exchange) =>
  exchange.header('content-md5') !== undefined || exchange.header('x-amz-trailer') !== undefined || checksumAlgorithms.some((algorithm) => exchange.header(checksumHeader(algorithm)) !== undefined)

/** What the request's headers promise about its body. */
function expectations(exchange: Exchange): Expectations {
  const {payload} = exchange.signature
  const chunked = payload.startsWith('STREAMING-')
  const md5 = exchange.header('content-md5')
  if (md5 !== undefined && Buffer.from(md5, 'base64').length !== 16) throw s3Error('InvalidDigest', 'The Content-MD5 you specified was invalid.')
  const checksum = expectedChecksum(exchange, payload.endsWith('-TRAILER'))
  return {
    bytes: expectedBytes(exchange, chunked),
    chunked,
    ...(chunked || payload === 'UNSIGNED-PAYLOAD' ? {} : {sha256: payload}),
    ...(md5 === undefined ? {} : {md5}),
    ...(checksum ? {checksum} : {}),
  }
}

function expectedBytes(exchange: Exchange, chunked: boolean): number {
  const text = exchange.header(chunked ? 'x-amz-decoded-content-length' : 'content-length')
  if (text === undefined || !/^\d{1,16}$/.test(text)) throw s3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.')
  if (Number(text) > largestBody) throw s3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.')
  return Number(text)
}

function expectedChecksum(exchange: Exchange, trailing: boolean): Expectations['checksum'] {
  const given = checksumAlgorithms.filter((algorithm) => exchange.header(checksumHeader(algorithm)) !== undefined)
  const trailer = trailing ? exchange.header('x-amz-trailer') : undefined
  if (given.length + (trailer === undefined ? 0 : 1) > 1) throw s3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.')
  if (trailer !== undefined) return {algorithm: toAlgorithm(trailer.trim().replace(/^x-amz-checksum-/i, '')), value: undefined}
  const [algorithm] = given
  if (algorithm) return {algorithm, value: validChecksum(algorithm, exchange.header(checksumHeader(algorithm)) ?? '')}
  if (exchange.header('x-amz-sdk-checksum-algorithm') === undefined) return undefined
  throw s3Error('InvalidRequest', 'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.')
}

type Write = (chunk: Buffer) => Promise<void> | void

/** Reads the request's body, checks everything that was promised about it, and hands its bytes on. */
async function receive(exchange: Exchange, write: Write, compute: readonly DigestName[] = []): Promise<Received> {
  const expected = expectations(exchange)
  const digests = new Digests(digestNames(expected, compute))
  const trailers = new Map<string, string>()
  exchange.line.beginBody()
  let bytes = 0
  for await (const chunk of payloadOf(exchange, expected, trailers)) {
    bytes += chunk.length
    if (bytes > expected.bytes) break
    digests.update(chunk)
    await write(chunk)
  }
  if (bytes !== expected.bytes) throw s3Error('IncompleteBody', 'You did not provide the number of bytes specified by the Content-Length HTTP header')
  verify(expected, digests, trailers)
  const algorithm = expected.checksum?.algorithm ?? compute.find((name) => name !== 'MD5')
  const value = algorithm && digests.get(algorithm)?.toString('base64')
  return {bytes, etag: etagOf(digests), ...(algorithm && value !== undefined ? {checksum: {algorithm, value}} : {})}
}

function digestNames({sha256, md5, checksum}: Expectations, compute: readonly DigestName[]): Set<DigestName> {
  return new Set<DigestName>([...compute, ...(sha256 === undefined ? [] : ['SHA256' as const]), ...(md5 === undefined ? [] : ['MD5' as const]), ...(checksum ? [checksum.algorithm] : [])])
}

function payloadOf(exchange: Exchange, {chunked}: Expectations, trailers: Map<string, string>): AsyncIterable<Buffer> {
  const wire = fromWire(exchange)
  if (!chunked) return wire
  const signed = exchange.signature.payload.startsWith('STREAMING-AWS4')
  const onTrailer = (name: string, value: string) => void trailers.set(name, value)
  return decodeChunked(wire, signed ? {onTrailer, signature: exchange.signature} : {onTrailer})
}

/** The body as it comes, at the link's rate; cut where a fault says so. */
async function* fromWire({request, line}: Exchange): AsyncGenerator<Buffer> {
  const {link, signal, fault} = line
  const cutAfter = fault && 'cutAfterBytes' in fault ? fault.cutAfterBytes : Infinity
  let bytes = 0
  for await (const chunk of request.iterator({destroyOnReturn: false}) as AsyncIterable<Buffer>) {
    await link.up.pass(chunk.length, signal)
    bytes += chunk.length
    if (bytes > cutAfter) throw new CutConnection()
    yield chunk
  }
}

function verify({sha256, md5, checksum}: Expectations, digests: Digests, trailers: ReadonlyMap<string, string>): void {
  if (sha256 !== undefined && digests.get('SHA256')?.toString('hex') !== sha256) {
    throw s3Error('XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.")
  }
  if (md5 !== undefined && digests.get('MD5')?.toString('base64') !== md5) throw s3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.')
  if (!checksum) return
  const {algorithm, value = trailers.get(checksumHeader(algorithm))} = checksum
  if (value === undefined) throw s3Error('InvalidRequest', 'The trailing headers that x-amz-trailer announced did not come.')
  if (digests.get(algorithm)?.toString('base64') !== validChecksum(algorithm, value)) throw s3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
}

function etagOf(digests: Digests): string {
  const digest = digests.get('MD5') ?? digests.get('SHA256') ?? digests.get('SHA1') ?? randomBytes(16)
  return digest.toString('hex', 0, 16)
}

/** Receives an object's or a part's bytes into a new file; when anything is wrong with them, no file is left. */
export async function receiveFile(exchange: Exchange, bucket: Bucket, compute: readonly DigestName[] = []): Promise<Received & {path: string}> {
  const path = bucket.incomingPath()
  const file = createWriteStream(path, {highWaterMark: writeBufferBytes})
  file.on('error', () => undefined)
  file.cork()
  let corrupt = exchange.line.fault !== undefined && 'corrupt' in exchange.line.fault
  try {
    const received = await receive(exchange, async (chunk) => {
      if (corrupt) flipByte(chunk)
      corrupt = false
      if (file.errored) throw file.errored
      if (!file.write(chunk)) await flush(file, exchange.line.signal)
    }, compute)
    file.end()
    await finished(file)
    return {...received, path}
  } catch (error) {
    file.destroy()
    await rm(path, {force: true})
    throw error
  }
}

/** Writes what has gathered, in one call of the system. */
async function flush(file: WriteStream, signal: AbortSignal): Promise<void> {
  file.uncork()
  await once(file, 'drain', {signal})
  file.cork()
}

/** Receives a small document. */
export async function receiveText(exchange: Exchange): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  await receive(exchange, (chunk) => {
    bytes += chunk.length
    if (bytes > largestDocument) throw s3Error('MalformedXML', 'The document is too large.')
    chunks.push(chunk)
  })
  return Buffer.concat(chunks).toString()
}

/** A flipped byte in the middle, in place. */
export function flipByte(chunk: Buffer): void {
  const at = chunk.length >> 1
  if (chunk.length > 0) chunk.writeUInt8(chunk.readUInt8(at) ^ 0xff, at)
}
