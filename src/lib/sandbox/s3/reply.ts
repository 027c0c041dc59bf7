import {once} from 'node:events'
import type {OutgoingHttpHeaders} from 'node:http'
import {flipByte} from './body.ts'
import {readContent} from './content.ts'
import type {Headers, Reply} from './exchange.ts'
import {CutConnection, type Line} from './line.ts'
import {S3Error} from './s3-error.ts'
import {errorDocument} from './xml.ts'

/** Sends a reply, at the link's rate and with the fault that was chosen for it. */
export async function sendReply(line: Line, {status = 200, headers = {}, xml, content}: Reply): Promise<void> {
  const {response} = line
  const body = xml === undefined ? undefined : Buffer.from(xml)
  const bodiless = response.req.method === 'HEAD' || status === 204 || status === 304
  const typed: Headers = body ? {'content-type': 'application/xml', 'content-length': body.length, ...headers} : headers
  response.writeHead(status, withoutUndefined(content || body || bodiless ? typed : {'content-length': 0, ...typed}))
  const limit = bodyLimit(line)
  if (limit === 0) throw new CutConnection()
  if (!bodiless && content) await sendBytes(line, readContent(content), limit)
  else if (!bodiless && body) await sendBytes(line, [body], limit)
  response.end()
}

function withoutUndefined(headers: Headers): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
}

/** How many bytes of a reply's body go out before the connection breaks. A request that brought a body is cut at its reply. */
function bodyLimit({fault, response: {req}}: Line): number {
  if (fault && 'truncate' in fault) return fault.truncate
  if (!fault || !('cutAfterBytes' in fault)) return Infinity
  return req.method === 'PUT' || req.method === 'POST' ? 0 : fault.cutAfterBytes
}

async function sendBytes(line: Line, chunks: AsyncIterable<Buffer> | Iterable<Buffer>, limit: number): Promise<void> {
  const {response, link, signal, fault} = line
  let corrupt = fault !== undefined && 'corrupt' in fault && response.req.method === 'GET'
  let left = limit
  for await (const chunk of chunks) {
    await link.down.pass(chunk.length, signal)
    if (corrupt) flipByte(chunk)
    corrupt = false
    if (chunk.length >= left) {
      await lastWords(line, chunk.subarray(0, left))
      throw new CutConnection()
    }
    if (!response.write(chunk)) await once(response, 'drain', {signal})
    left -= chunk.length
  }
}

/** Resolves when the bytes have left the process. */
function lastWords({response}: Line, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    response.write(bytes, () => {
      resolve()
    })
  })
}

/** Sends an error as S3 words it. The rest of the request's body is read and forgotten. */
export async function sendError(line: Line, error: unknown, facts: {bucket?: string; key?: string; requestId: string}): Promise<void> {
  const message = error instanceof Error ? error.message : String(error)
  const known = error instanceof S3Error ? error : new S3Error('InternalError', `We encountered an internal error. ${message}`, 500)
  const {code, status, headers} = known
  const xml = errorDocument({Code: code, Message: known.message, BucketName: facts.bucket, Key: facts.key, RequestId: facts.requestId, HostId: 'sandbox'})
  line.fault = undefined
  line.refuseBody()
  await sendReply(line, status === 304 ? {status, headers} : {status, headers, xml})
  line.response.req.resume()
}
