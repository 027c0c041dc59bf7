import {createHash} from 'node:crypto'
import {receiveText} from './body.ts'
import type {ObjectVersion, Part, UploadInProgress} from './bucket.ts'
import {checksumHeader, checksumOfParts, type Checksum} from './checksum.ts'
import {checkWriteConditions} from './conditions.ts'
import type {Exchange, Reply} from './exchange.ts'
import {findUpload, partPath} from './multipart.ts'
import {encryptionReply} from './put-object.ts'
import {s3Error} from './s3-error.ts'
import {versionHeaders} from './traits.ts'
import {childrenOf, parseXml, tag, textOf, xmlDocument, type XmlElement} from './xml.ts'

const leastPart = 5 * 1024 ** 2

export async function completeUpload(exchange: Exchange): Promise<Reply> {
  findUpload(exchange)
  const document = parseXml(await receiveText(exchange), 'CompleteMultipartUpload')
  const upload = findUpload(exchange)
  const parts = namedParts(upload, childrenOf(document, 'Part'))
  const checksum = objectChecksum(exchange, upload, parts)
  checkWriteConditions(exchange, exchange.bucket.current(exchange.key))
  const version = assemble(exchange, upload, parts, checksum)
  return {
    headers: {...versionHeaders(version, exchange.bucket.settings.versioning), ...encryptionReply(version)},
    xml: xmlDocument(
      'CompleteMultipartUploadResult',
      tag('Location', `http://${exchange.header('host') ?? ''}/${exchange.bucket.name}/${encodeURIComponent(exchange.key)}`),
      tag('Bucket', exchange.bucket.name),
      tag('Key', exchange.key),
      tag('ETag', `"${version.etag}"`),
      ...(checksum ? [tag(`Checksum${checksum.algorithm}`, checksum.value), tag('ChecksumType', checksum.type)] : []),
    ),
  }
}

/** The uploaded parts that the document names, when it names them rightly. */
function namedParts(upload: UploadInProgress, named: readonly XmlElement[]): Part[] {
  if (named.length === 0) throw s3Error('MalformedXML', 'The XML you provided was not well-formed or did not validate against our published schema')
  const parts = named.map((element) => namedPart(upload, element))
  parts.forEach((part, index) => {
    if (index > 0 && part.number <= (parts[index - 1]?.number ?? 0)) throw s3Error('InvalidPartOrder', 'The list of parts was not in ascending order. Parts must be ordered by part number.')
  })
  if (parts.slice(0, -1).some(({bytes}) => bytes < leastPart)) throw s3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size')
  return parts
}

function namedPart(upload: UploadInProgress, element: XmlElement): Part {
  const part = upload.parts.get(Number(textOf(element, 'PartNumber')))
  const invalid = s3Error('InvalidPart', "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
  if (part?.etag !== textOf(element, 'ETag')?.replaceAll('"', '')) throw invalid
  if (!part) throw invalid
  const given = part.checksum && textOf(element, `Checksum${part.checksum.algorithm}`)
  if (given !== undefined && given !== part.checksum?.value) throw invalid
  if (given === undefined && upload.type === 'COMPOSITE' && upload.algorithm) {
    throw s3Error('InvalidRequest', `The upload was created using a ${upload.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.number} in the request.`)
  }
  return part
}

function objectChecksum(exchange: Exchange, {algorithm, type}: UploadInProgress, parts: readonly Part[]): Checksum | undefined {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  const promised = exchange.header('x-amz-mp-object-size')
  if (promised !== undefined && Number(promised) !== bytes) throw s3Error('InvalidRequest', `The provided 'x-amz-mp-object-size' header value ${promised} does not match what was computed: ${bytes}`)
  if (!algorithm || !type) return undefined
  const checksum = checksumOfParts(algorithm, type, parts.map((part) => ({bytes: part.bytes, checksum: part.checksum?.value ?? ''})))
  const given = exchange.header(checksumHeader(algorithm))
  if (given !== undefined && given !== checksum.value) throw s3Error('BadDigest', `The ${algorithm.toLowerCase()} you specified did not match what we received.`)
  return checksum
}

function assemble(exchange: Exchange, upload: UploadInProgress, parts: readonly Part[], checksum: Checksum | undefined): ObjectVersion {
  const {bucket} = exchange
  const {headers, tags, retention, legalHold, customerKey} = upload
  const etag = createHash('md5').update(parts.map((part) => part.etag).join(' ')).digest('hex')
  const version = bucket.commit({
    key: upload.key,
    headers,
    tags,
    ...(retention ? {retention} : {}),
    ...(legalHold === undefined ? {} : {legalHold}),
    ...(customerKey ? {customerKey} : {}),
    deleteMarker: false,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    etag: `${etag}-${parts.length}`,
    segments: parts.map((part) => ({file: '', bytes: part.bytes, part: part.number, ...(part.checksum ? {checksum: part.checksum.value} : {})})),
    ...(checksum ? {checksum} : {}),
  }, parts.map((part) => partPath(bucket, upload, part)))
  bucket.endUpload(upload)
  return version
}
