import {createHash, createHmac} from 'node:crypto'
import {request, type ClientRequest, type IncomingMessage} from 'node:http'
import {text} from 'node:stream/consumers'

/** A small SigV4 signer of its own, after AWS's description, to say over the wire what the SDK never says. */
export interface Signing {
  method: string
  path: string
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
  payload: string
  headers?: Record<string, string>
  at?: Date
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest()
export const emptyHash = sha256('')

export interface Signed {
  headers: Record<string, string>
  /** Signs what follows the header: the chunks of a body. */
  next(kind: string, ...hashes: readonly string[]): string
}

export function sign({method, path, endpoint, region, accessKeyId, secretAccessKey, payload, headers = {}, at = new Date()}: Signing): Signed {
  const date = at.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const all: Record<string, string> = {...headers, host: new URL(endpoint).host, 'x-amz-content-sha256': payload, 'x-amz-date': date}
  const names = Object.keys(all).sort()
  const [plain = '', query = ''] = path.split('?')
  const sorted = query === '' ? '' : query.split('&').map((pair) => (pair.includes('=') ? pair : `${pair}=`)).sort().join('&')
  const canonical = [method, plain, sorted, ...names.map((name) => `${name}:${all[name] ?? ''}`), '', names.join(';'), payload].join('\n')
  const scope = `${date.slice(0, 8)}/${region}/s3/aws4_request`
  const key = scope.split('/').reduce<string | Buffer>((before, part) => hmac(before, part), `AWS4${secretAccessKey}`)
  let previous = hmac(key, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${previous}`
  return {
    headers: {...all, authorization},
    next(kind, ...hashes) {
      previous = hmac(key, [kind, date, scope, previous, ...hashes].join('\n')).toString('hex')
      return previous
    },
  }
}

/** A body in signed chunks, with signed trailers when there are any. */
export function signedChunks(signed: Signed, pieces: readonly Buffer[], trailers: Readonly<Record<string, string>> = {}): Buffer {
  const frames = [...pieces, Buffer.alloc(0)].map((piece) => {
    const signature = signed.next('AWS4-HMAC-SHA256-PAYLOAD', emptyHash, sha256(piece))
    return Buffer.concat([Buffer.from(`${piece.length.toString(16)};chunk-signature=${signature}\r\n`), piece, Buffer.from(piece.length > 0 ? '\r\n' : '')])
  })
  const lines = Object.entries(trailers).map(([name, value]) => `${name}:${value}`)
  const signature = lines.length === 0 ? [] : [`x-amz-trailer-signature:${signed.next('AWS4-HMAC-SHA256-TRAILER', sha256(`${lines.join('\n')}\n`))}`]
  return Buffer.concat([...frames, Buffer.from([...lines, ...signature, '', ''].join('\r\n'))])
}

export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

/** Sends a request as given, without an agent, and gives the answer's text. */
export function send(endpoint: string, {method, path, headers, body}: {method: string; path: string; headers: Record<string, string>; body?: Buffer}, watch?: (sent: ClientRequest) => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(endpoint + path, {method, headers, agent: false}, (reply) => {
      text(reply).then((content) => {
        resolve({status: reply.statusCode ?? 0, headers: reply.headers, body: content})
        sent.destroy()
      }, reject)
    })
    sent.on('error', reject)
    watch?.(sent)
    if (!watch) sent.end(body)
  })
}
