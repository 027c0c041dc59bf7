import {createHash, createHmac, timingSafeEqual} from 'node:crypto'
import type {IncomingMessage} from 'node:http'
import {s3Error} from './s3-error.ts'

export interface Credentials {
  accessKeyId: string
  secretAccessKey: string
}

/** A checked Authorization header: what the signatures of body chunks go on from. */
export interface Signature {
  date: string
  scope: string
  signingKey: Buffer
  /** Hex. */
  signature: string
  /** The value of x-amz-content-sha256. */
  payload: string
}

const allowedSkewMs = 15 * 60 * 1000
const scheme = 'AWS4-HMAC-SHA256'

export const sha256Hex = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
export const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest()

export const sameText = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

/** Percent-encoding as SigV4 wants it: all but the unreserved characters, and `/` when told. */
export function uriEncode(text: string, keepSlash = false): string {
  const encoded = encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return keepSlash ? encoded.replaceAll('%2F', '/') : encoded
}

export interface SignedTarget {
  /** Decoded, from the first slash on. */
  path: string
  query: readonly (readonly [name: string, value: string])[]
}

/** Checks a request's header signature (version 4); throws the error that AWS gives. */
export function authenticate(request: IncomingMessage, target: SignedTarget, credentials: Credentials, region: string): Signature {
  const {accessKeyId, scope, signedHeaders, signature} = parseAuthorization(request.headers.authorization)
  if (accessKeyId !== credentials.accessKeyId) throw s3Error('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.')
  checkScope(scope, region)
  const date = checkDate(request.headers['x-amz-date'], scope)
  const payload = checkPayload(request.headers['x-amz-content-sha256'])
  checkSignedHeaders(request, signedHeaders)
  const signingKey = signingKeyFor(credentials.secretAccessKey, scope)
  const canonical = canonicalRequest(request, target, signedHeaders, payload)
  const expected = hmac(signingKey, [scheme, date, scope.join('/'), sha256Hex(canonical)].join('\n')).toString('hex')
  if (!sameText(expected, signature)) {
    throw s3Error('SignatureDoesNotMatch', 'The request signature we calculated does not match the signature you provided. Check your key and signing method.')
  }
  return {date, scope: scope.join('/'), signingKey, signature, payload}
}

let latestKey: {id: string; key: Buffer} | undefined

/** The key of a day and region; the latest one is remembered. */
export function signingKeyFor(secret: string, scope: readonly string[]): Buffer {
  const id = [secret, ...scope].join('/')
  if (latestKey?.id !== id) latestKey = {id, key: scope.reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`))}
  return latestKey.key
}

export function parseAuthorization(header: string | undefined) {
  if (header === undefined) throw s3Error('AccessDenied', 'Access Denied')
  if (!header.startsWith(`${scheme} `)) {
    throw s3Error('InvalidRequest', `The authorization mechanism you have provided is not supported. Please use ${scheme}.`)
  }
  const fields = new Map(header.slice(scheme.length + 1).split(',').map((field) => field.trim().split(/=(.*)/s, 2) as [string, string]))
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) => fields.get(name))
  const [accessKeyId, ...scope] = credential?.split('/') ?? []
  if (accessKeyId === undefined || scope.length !== 4 || signedHeaders === undefined || signature === undefined) {
    throw s3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed.')
  }
  return {accessKeyId, scope, signedHeaders: signedHeaders.split(';'), signature}
}

function checkScope([, region, service, end]: readonly string[], expected: string): void {
  if (region !== expected) {
    throw s3Error('AuthorizationHeaderMalformed', `The authorization header is malformed; the region '${region ?? ''}' is wrong; expecting '${expected}'`)
  }
  if (service !== 's3' || end !== 'aws4_request') throw s3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed; incorrect service or terminal.')
}

function checkDate(value: string | string[] | undefined, [day]: readonly string[]): string {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(value))
  if (typeof value !== 'string' || !match) throw s3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
  const [, year, month, date, hour, minute, second] = match.map(Number)
  const time = Date.UTC(year ?? 0, (month ?? 0) - 1, date, hour, minute, second)
  if (Math.abs(Date.now() - time) > allowedSkewMs) throw s3Error('RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.')
  if (day !== value.slice(0, 8)) throw s3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed; the credential date differs from the request date.')
  return value
}

const streamingPayloads = ['UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER']

function checkPayload(value: string | string[] | undefined): string {
  if (typeof value !== 'string') throw s3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  if (!streamingPayloads.includes(value) && !/^[\da-f]{64}$/.test(value)) {
    throw s3Error('InvalidArgument', `x-amz-content-sha256 must be ${streamingPayloads.join(', ')}, or a valid sha256 value.`)
  }
  return value
}

function checkSignedHeaders(request: IncomingMessage, signed: readonly string[]): void {
  const unsigned = Object.keys(request.headers).filter((name) => (name === 'host' || name.startsWith('x-amz-')) && !signed.includes(name))
  if (unsigned.length > 0) throw s3Error('AccessDenied', `There were headers present in the request which were not signed: ${unsigned.join(', ')}`)
}

export function canonicalRequest(request: IncomingMessage, {path, query}: SignedTarget, signedHeaders: readonly string[], payload: string): string {
  const pairs = query.map(([name, value]) => [uriEncode(name), uriEncode(value)] as const).sort(byNameThenValue).map((pair) => pair.join('='))
  const headers = signedHeaders.map((name) => `${name}:${valuesOf(request, name)}\n`)
  return [request.method, uriEncode(path, true), pairs.join('&'), headers.join(''), signedHeaders.join(';'), payload].join('\n')
}

function byNameThenValue([a, aValue]: readonly [string, string], [b, bValue]: readonly [string, string]): number {
  if (a !== b) return a < b ? -1 : 1
  return aValue < bValue ? -1 : 1
}

/** Node gives header bytes as Latin 1; what was signed are the bytes. */
function valuesOf({rawHeaders}: IncomingMessage, name: string): string {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name)
  return values.map((value) => Buffer.from(value, 'latin1').toString().trim().replaceAll(/ +/g, ' ')).join(',')
}
