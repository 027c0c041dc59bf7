import type {IncomingMessage} from 'node:http'
import type {Target} from './exchange.ts'
import {s3Error} from './s3-error.ts'
import type {SignedTarget} from './signature.ts'

/** What a request's address names: a bucket and a key by path, or the bucket by host (`bucket.localhost`). */
export function parseTarget(request: IncomingMessage): Target & {signed: SignedTarget} {
  const [rawPath, rawQuery] = splitOnce(request.url ?? '/', '?')
  const path = decode(rawPath)
  const query = rawQuery === '' ? [] : rawQuery.split('&').map((pair) => splitOnce(pair, '=').map((text) => decode(text.replaceAll('+', ' '))) as [string, string])
  const host = /^(.+)\.localhost(?::\d+)?$/.exec(request.headers.host ?? '')?.[1]
  const [bucket, key] = host === undefined ? splitOnce(path.slice(1), '/') : [host, path.slice(1)]
  return {bucket, key, query: new Map(query), signed: {path, query}}
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw s3Error('InvalidURI', "Couldn't parse the specified URI.")
  }
}
