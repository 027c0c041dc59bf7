import type {ObjectVersion} from './bucket.ts'
import type {Exchange, Reply} from './exchange.ts'
import {checksumTags, commonTags, encoder, listingRequest, ownerTag, type Encode} from './list-objects.ts'
import {pageOf, type PageRequest} from './page.ts'
import {s3Error} from './s3-error.ts'
import {group, tag, xmlDocument} from './xml.ts'

export function listVersions(exchange: Exchange): Reply {
  const {bucket} = exchange
  const encode = encoder(exchange)
  const request = listingRequest(exchange, markerOf(exchange))
  const page = pageOf(bucket.keys(), request, (key, inside) => {
    const versions = bucket.versions(key)
    return inside === undefined ? versions : versions.slice(versions.findIndex(({versionId}) => versionId === inside) + 1)
  })
  const last = page.entries.at(-1)
  return {
    xml: xmlDocument(
      'ListVersionsResult',
      tag('Name', bucket.name),
      tag('KeyMarker', encode(exchange.query('key-marker') ?? '')),
      tag('VersionIdMarker', exchange.query('version-id-marker') ?? ''),
      tag('NextKeyMarker', page.truncated ? encode(page.last) : undefined),
      tag('NextVersionIdMarker', page.truncated && last?.key === page.last ? last.versionId : undefined),
      tag('MaxKeys', request.limit),
      ...page.entries.map((version) => entryOf(version, version === bucket.versions(version.key)[0], encode)),
      ...commonTags(exchange, request, page, encode),
    ),
  }
}

function markerOf(exchange: Exchange): PageRequest['after'] {
  const [key = '', inside = ''] = [exchange.query('key-marker'), exchange.query('version-id-marker')]
  if (key === '' && inside !== '') throw s3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.')
  if (key === '') return undefined
  return inside === '' ? {key} : {key, inside}
}

function entryOf(version: ObjectVersion, latest: boolean, encode: Encode): string {
  const head = [tag('Key', encode(version.key)), tag('VersionId', version.versionId), tag('IsLatest', latest), tag('LastModified', version.modified), ownerTag()]
  if (version.deleteMarker) return group('DeleteMarker', ...head)
  return group('Version', ...head, tag('ETag', `"${version.etag}"`), checksumTags(version), tag('Size', version.bytes), tag('StorageClass', version.headers['x-amz-storage-class'] ?? 'STANDARD'))
}
