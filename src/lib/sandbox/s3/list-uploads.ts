import {compareKeys, type Part, type UploadInProgress} from './bucket.ts'
import type {Exchange, Reply} from './exchange.ts'
import {commonTags, encoder, listingRequest, mostKeys, ownerTag, type Encode} from './list-objects.ts'
import {findUpload, partsInOrder} from './multipart.ts'
import {pageOf} from './page.ts'
import {group, tag, xmlDocument} from './xml.ts'

export function listUploads(exchange: Exchange): Reply {
  const {bucket} = exchange
  const encode = encoder(exchange)
  const [key = '', inside = ''] = [exchange.query('key-marker'), exchange.query('upload-id-marker')]
  const request = listingRequest(exchange, key === '' ? undefined : inside === '' ? {key} : {key, inside}, 'max-uploads')
  const byKey = Map.groupBy(bucket.uploads.values(), (upload) => upload.key)
  const page = pageOf([...byKey.keys()].sort(compareKeys), request, (name, marker) => {
    const uploads = (byKey.get(name) ?? []).sort((a, b) => compareKeys(a.id, b.id))
    return marker === undefined ? uploads : uploads.filter(({id}) => compareKeys(id, marker) > 0)
  })
  const last = page.entries.at(-1)
  return {
    xml: xmlDocument(
      'ListMultipartUploadsResult',
      tag('Bucket', bucket.name),
      tag('KeyMarker', encode(key)),
      tag('UploadIdMarker', inside),
      tag('NextKeyMarker', page.truncated ? encode(page.last) : undefined),
      tag('NextUploadIdMarker', page.truncated && last?.key === page.last ? last.id : undefined),
      tag('MaxUploads', request.limit),
      ...page.entries.map((upload) => uploadTag(upload, encode)),
      ...commonTags(exchange, request, page, encode),
    ),
  }
}

function uploadTag(upload: UploadInProgress, encode: Encode): string {
  return group(
    'Upload',
    tag('Key', encode(upload.key)),
    tag('UploadId', upload.id),
    ownerTag('Initiator'),
    ownerTag(),
    tag('StorageClass', upload.headers['x-amz-storage-class'] ?? 'STANDARD'),
    tag('Initiated', upload.initiated),
    tag('ChecksumAlgorithm', upload.algorithm),
    tag('ChecksumType', upload.type),
  )
}

export function listParts(exchange: Exchange): Reply {
  const upload = findUpload(exchange)
  const marker = exchange.number('part-number-marker', 0, Number.MAX_SAFE_INTEGER)
  const limit = exchange.number('max-parts', mostKeys, mostKeys)
  const rest = partsInOrder(upload).filter(({number}) => number > marker)
  const parts = rest.slice(0, limit)
  const truncated = limit > 0 && rest.length > parts.length
  return {
    xml: xmlDocument(
      'ListPartsResult',
      tag('Bucket', exchange.bucket.name),
      tag('Key', encoder(exchange)(upload.key)),
      tag('UploadId', upload.id),
      tag('PartNumberMarker', marker),
      tag('NextPartNumberMarker', parts.at(-1)?.number ?? 0),
      tag('MaxParts', limit),
      tag('IsTruncated', truncated),
      tag('ChecksumAlgorithm', upload.algorithm),
      tag('ChecksumType', upload.type),
      ...parts.map(partTag),
      ownerTag('Initiator'),
      ownerTag(),
      tag('StorageClass', upload.headers['x-amz-storage-class'] ?? 'STANDARD'),
    ),
  }
}

function partTag({number, modified, etag, bytes, checksum}: Part): string {
  return group('Part', tag('PartNumber', number), tag('LastModified', modified), tag('ETag', `"${etag}"`), tag('Size', bytes), checksum ? tag(`Checksum${checksum.algorithm}`, checksum.value) : '')
}
