import {checksumHeader} from './checksum.ts'
import {checkReadConditions} from './conditions.ts'
import {checkCustomerKey, customerKeyHeaders} from './encryption.ts'
import type {ObjectVersion} from './bucket.ts'
import type {Exchange, Headers, Reply} from './exchange.ts'
import {findVersion} from './find-version.ts'
import {lockHeaders} from './object-lock.ts'
import {s3Error} from './s3-error.ts'
import {versionHeaders} from './traits.ts'
import {group, tag, xmlDocument} from './xml.ts'

interface Range {
  start: number
  bytes: number
}

export function headObject(exchange: Exchange): Reply {
  const version = findVersion(exchange)
  checkCustomerKey(exchange, version)
  checkReadConditions(exchange, version)
  const range = rangeOf(exchange, version)
  return {
    status: range ? 206 : 200,
    headers: {...objectHeaders(exchange, version), ...rangeHeaders(exchange, version, range)},
  }
}

export function getObject(exchange: Exchange): Reply {
  const version = findVersion(exchange)
  if (isArchived(version)) throw s3Error('InvalidObjectState', "The operation is not valid for the object's storage class")
  const {start, bytes} = rangeOf(exchange, version) ?? {start: 0, bytes: version.bytes}
  return {...headObject(exchange), content: {bucket: exchange.bucket, version, start, bytes}}
}

export function isArchived({headers, restoredUntil}: ObjectVersion): boolean {
  const archived = ['GLACIER', 'DEEP_ARCHIVE'].includes(headers['x-amz-storage-class'] ?? '')
  return archived && !(restoredUntil !== undefined && Date.parse(restoredUntil) > Date.now())
}

function objectHeaders(exchange: Exchange, version: ObjectVersion): Headers {
  const overrides = [...exchange.target.query].filter(([name]) => name.startsWith('response-')).map(([name, value]): [string, string] => [name.slice('response-'.length), value])
  return {
    'accept-ranges': 'bytes',
    'last-modified': new Date(version.modified).toUTCString(),
    etag: `"${version.etag}"`,
    ...version.headers,
    ...Object.fromEntries(overrides),
    ...versionHeaders(version, exchange.bucket.settings.versioning),
    ...customerKeyHeaders(version.customerKey),
    ...lockHeaders(version),
    'x-amz-tagging-count': version.tags.length === 0 ? undefined : version.tags.length,
    'x-amz-restore': version.restoredUntil === undefined ? undefined : `ongoing-request="false", expiry-date="${new Date(version.restoredUntil).toUTCString()}"`,
  }
}

function rangeHeaders(exchange: Exchange, version: ObjectVersion, range: Range | undefined): Headers {
  const multipart = version.etag.includes('-')
  return {
    ...checksumHeaders(exchange, version, range),
    'content-length': range?.bytes ?? version.bytes,
    'content-range': range && `bytes ${range.start}-${range.start + range.bytes - 1}/${version.bytes}`,
    'x-amz-mp-parts-count': exchange.query('partNumber') !== undefined && multipart ? version.segments.length : undefined,
  }
}

/** Of the whole object; of a part, when the part was asked for by its number; of a range there is none. */
function checksumHeaders(exchange: Exchange, {checksum, segments}: ObjectVersion, range: Range | undefined): Headers {
  if (!checksum || exchange.header('x-amz-checksum-mode')?.toUpperCase() !== 'ENABLED') return {}
  const name = checksumHeader(checksum.algorithm)
  if (!range) return {[name]: checksum.value, 'x-amz-checksum-type': checksum.type}
  const number = exchange.query('partNumber')
  const part = number === undefined ? undefined : segments.find((segment) => (segment.part ?? 1) === Number(number))
  if (!part) return {}
  return {[name]: part.checksum ?? checksum.value, 'x-amz-checksum-type': checksum.type}
}

function rangeOf(exchange: Exchange, version: ObjectVersion): Range | undefined {
  const [header, number] = [exchange.header('range'), exchange.query('partNumber')]
  if (number !== undefined) {
    if (header !== undefined) throw s3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter')
    return partRange(version, Number(number))
  }
  return header === undefined ? undefined : byteRange(header, version.bytes)
}

function partRange({segments}: ObjectVersion, number: number): Range {
  const index = segments.findIndex(({part}) => (part ?? 1) === number)
  const found = segments[index]
  if (!found) throw s3Error('InvalidPartNumber', 'The requested partnumber is not satisfiable')
  return {start: segments.slice(0, index).reduce((sum, {bytes}) => sum + bytes, 0), bytes: found.bytes}
}

/** A header that cannot be read is ignored, as HTTP says; one that lies outside the object is an error. */
export function byteRange(header: string, size: number): Range | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim())
  const [, first = '', last = ''] = match ?? []
  if (first === '' && last === '') return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (start >= size) throw s3Error('InvalidRange', 'The requested range is not satisfiable', {'content-range': `bytes */${size}`})
  return {start, bytes: end - start + 1}
}

export function getAttributes(exchange: Exchange): Reply {
  const version = findVersion(exchange)
  checkCustomerKey(exchange, version)
  const wanted = new Set((exchange.header('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim()))
  const {checksum, segments} = version
  const multipart = version.etag.includes('-')
  return {
    headers: {'last-modified': new Date(version.modified).toUTCString(), ...versionHeaders(version, exchange.bucket.settings.versioning)},
    xml: xmlDocument(
      'GetObjectAttributesResponse',
      wanted.has('ETag') ? tag('ETag', version.etag) : '',
      wanted.has('Checksum') && checksum ? group('Checksum', tag(`Checksum${checksum.algorithm}`, checksum.value), tag('ChecksumType', checksum.type)) : '',
      wanted.has('ObjectParts') && multipart ? group('ObjectParts', tag('PartsCount', segments.length)) : '',
      wanted.has('StorageClass') ? tag('StorageClass', version.headers['x-amz-storage-class'] ?? 'STANDARD') : '',
      wanted.has('ObjectSize') ? tag('ObjectSize', version.bytes) : '',
    ),
  }
}

/** An archived object is readable at once, for as many days as asked. */
export async function restoreObject(exchange: Exchange, days: number): Promise<Reply> {
  const version = findVersion(exchange)
  const again = version.restoredUntil !== undefined
  if (!isArchived(version) && !again) throw s3Error('InvalidObjectState', "Restore is not allowed for the object's current storage class")
  version.restoredUntil = new Date(Date.now() + days * 86_400_000).toISOString()
  exchange.bucket.save(version)
  return Promise.resolve({status: again ? 200 : 202})
}
