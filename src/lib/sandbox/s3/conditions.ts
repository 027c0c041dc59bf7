import type {ObjectVersion} from './bucket.ts'
import type {Exchange} from './exchange.ts'
import {preconditionFailed, s3Error} from './s3-error.ts'

const named = (list: string, etag: string) => list.split(',').some((item) => ['*', etag].includes(item.trim().replace(/^W\//, '').replaceAll('"', '')))

/** If-None-Match and If-Match of a write, against the object that a reader sees now. */
export function checkWriteConditions(exchange: Exchange, current: ObjectVersion | undefined): void {
  const [unless, only] = [exchange.header('if-none-match'), exchange.header('if-match')]
  if (unless !== undefined && unless !== '*') throw s3Error('NotImplemented', 'A header you provided implies functionality that is not implemented: If-None-Match')
  if (unless !== undefined && current) throw preconditionFailed()
  if (only === undefined) return
  if (!current) throw s3Error('NoSuchKey', 'The specified key does not exist.')
  if (!named(only, current.etag)) throw preconditionFailed()
}

/** The four conditions of a read, or of a copy's source (whose headers carry a prefix, and whose failure is always 412). */
export function checkReadConditions(exchange: Exchange, version: ObjectVersion, prefix = ''): void {
  const [only, unless] = [exchange.header(`${prefix}if-match`), exchange.header(`${prefix}if-none-match`)]
  const [since, until] = [exchange.header(`${prefix}if-modified-since`), exchange.header(`${prefix}if-unmodified-since`)]
  const modified = Date.parse(version.modified)
  if (only === undefined ? until !== undefined && modified > Date.parse(until) : !named(only, version.etag)) throw preconditionFailed()
  if (unless === undefined ? since === undefined || modified > Date.parse(since) : !named(unless, version.etag)) return
  throw prefix === '' ? s3Error('NotModified', 'Not Modified', {etag: `"${version.etag}"`}) : preconditionFailed()
}
