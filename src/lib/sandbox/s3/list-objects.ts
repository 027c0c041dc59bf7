import type {ObjectVersion} from './bucket.ts'
import {owner, type Exchange, type Reply} from './exchange.ts'
import {pageOf, type Page, type PageRequest} from './page.ts'
import {s3Error} from './s3-error.ts'
import {uriEncode} from './signature.ts'
import {group, tag, xmlDocument} from './xml.ts'

export const mostKeys = 1000

export type Encode = (text: string) => string

/** With encoding-type=url names are percent-encoded, spaces as plus signs. */
export function encoder(exchange: Exchange): Encode {
  const type = exchange.query('encoding-type')
  if (type !== undefined && type !== 'url') throw s3Error('InvalidArgument', 'Invalid Encoding Method specified in Request')
  return type === undefined ? (text) => text : (text) => uriEncode(text, true).replaceAll('%20', '+')
}

export const ownerTag = (name = 'Owner') => group(name, tag('ID', owner.id), tag('DisplayName', owner.name))

export const checksumTags = ({checksum}: Pick<ObjectVersion, 'checksum'>) => (checksum ? tag('ChecksumAlgorithm', checksum.algorithm) + tag('ChecksumType', checksum.type) : '')

/** What all listings ask and tell in the same way. */
export function listingRequest(exchange: Exchange, after: PageRequest['after'], limitName = 'max-keys'): PageRequest {
  const limit = exchange.number(limitName, mostKeys, mostKeys)
  return {prefix: exchange.query('prefix') ?? '', delimiter: exchange.query('delimiter') ?? '', limit, ...(after ? {after} : {})}
}

export function commonTags(exchange: Exchange, {prefix, delimiter}: PageRequest, page: Page<unknown>, encode: Encode): string[] {
  return [
    tag('Prefix', encode(prefix)),
    delimiter === '' ? '' : tag('Delimiter', encode(delimiter)),
    tag('IsTruncated', page.truncated),
    tag('EncodingType', exchange.query('encoding-type')),
    ...page.prefixes.map((common) => group('CommonPrefixes', tag('Prefix', encode(common)))),
  ]
}

export function listObjects(exchange: Exchange): Reply {
  const {bucket} = exchange
  const encode = encoder(exchange)
  const [token, startAfter] = [exchange.query('continuation-token'), exchange.query('start-after')]
  const from = token === undefined ? startAfter : fromToken(token)
  const request = listingRequest(exchange, from === undefined ? undefined : {key: from})
  const page = currentObjects(exchange, request)
  const withOwner = exchange.query('fetch-owner') === 'true'
  return {
    xml: xmlDocument(
      'ListBucketResult',
      tag('Name', bucket.name),
      tag('KeyCount', page.entries.length + page.prefixes.length),
      tag('MaxKeys', request.limit),
      tag('ContinuationToken', token),
      tag('NextContinuationToken', page.truncated ? toToken(page.last) : undefined),
      token === undefined ? tag('StartAfter', startAfter && encode(startAfter)) : '',
      ...page.entries.map((version) => contents(version, encode, withOwner)),
      ...commonTags(exchange, request, page, encode),
    ),
  }
}

/** The first version of the listing, with markers instead of tokens. */
export function listObjectsV1(exchange: Exchange): Reply {
  const encode = encoder(exchange)
  const marker = exchange.query('marker') ?? ''
  const request = listingRequest(exchange, marker === '' ? undefined : {key: marker})
  const page = currentObjects(exchange, request)
  return {
    xml: xmlDocument(
      'ListBucketResult',
      tag('Name', exchange.bucket.name),
      tag('Marker', encode(marker)),
      tag('NextMarker', page.truncated && request.delimiter !== '' ? encode(page.last) : undefined),
      tag('MaxKeys', request.limit),
      ...page.entries.map((version) => contents(version, encode, true)),
      ...commonTags(exchange, request, page, encode),
    ),
  }
}

function currentObjects({bucket}: Exchange, request: PageRequest): Page<ObjectVersion> {
  return pageOf(bucket.keys(), request, (key) => {
    const current = bucket.current(key)
    return current ? [current] : []
  })
}

const toToken = (key: string) => Buffer.from(`after ${key}`).toString('base64url')

function fromToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString()
  if (!text.startsWith('after ')) throw s3Error('InvalidArgument', 'The continuation token provided is incorrect')
  return text.slice('after '.length)
}

function contents(version: ObjectVersion, encode: Encode, withOwner: boolean): string {
  return group(
    'Contents',
    tag('Key', encode(version.key)),
    tag('LastModified', version.modified),
    tag('ETag', `"${version.etag}"`),
    checksumTags(version),
    tag('Size', version.bytes),
    withOwner ? ownerTag() : '',
    tag('StorageClass', version.headers['x-amz-storage-class'] ?? 'STANDARD'),
  )
}
