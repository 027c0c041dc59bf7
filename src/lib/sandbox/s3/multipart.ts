import {randomBytes} from 'node:crypto'
import {rm} from 'node:fs/promises'
import {receiveFile} from './body.ts'
import {timestamp, type Bucket, type Part, type UploadInProgress} from './bucket.ts'
import {checksumHeader, isCrc, toAlgorithm, type ChecksumAlgorithm, type ChecksumType} from './checksum.ts'
import {copiedPartResult, copyPartBody, type CopiedPart} from './copy-object.ts'
import {customerKey} from './encryption.ts'
import type {Exchange, Headers, Reply} from './exchange.ts'
import {encryptionReply} from './put-object.ts'
import {s3Error} from './s3-error.ts'
import {traitsOf} from './traits.ts'
import {tag, xmlDocument} from './xml.ts'

const mostParts = 10_000

export function createUpload(exchange: Exchange): Reply {
  const {bucket, key} = exchange
  const checksum = uploadChecksum(exchange)
  const traits = traitsOf(exchange)
  const id = randomBytes(32).toString('base64url')
  bucket.beginUpload({...traits, ...checksum, id, key, initiated: timestamp()})
  return {
    headers: {...encryptionReply(traits), 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type},
    xml: xmlDocument('InitiateMultipartUploadResult', tag('Bucket', bucket.name), tag('Key', key), tag('UploadId', id)),
  }
}

function uploadChecksum(exchange: Exchange): {algorithm?: ChecksumAlgorithm; type?: ChecksumType} {
  const [name, asked] = [exchange.header('x-amz-checksum-algorithm'), exchange.header('x-amz-checksum-type')]
  if (name === undefined) {
    if (asked !== undefined) throw s3Error('InvalidRequest', 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.')
    return {}
  }
  const algorithm = toAlgorithm(name)
  const type = asked ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE')
  if (type !== 'FULL_OBJECT' && type !== 'COMPOSITE') throw s3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.')
  if (type === 'FULL_OBJECT' ? !isCrc(algorithm) : algorithm === 'CRC64NVME') {
    throw s3Error('InvalidRequest', `The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`)
  }
  return {algorithm, type}
}

export function findUpload({bucket, key, target}: Exchange): UploadInProgress {
  const upload = bucket.uploads.get(target.query.get('uploadId') ?? '')
  if (upload?.key !== key) throw s3Error('NoSuchUpload', 'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.')
  return upload
}

function partNumber(exchange: Exchange): number {
  const number = Number(exchange.query('partNumber'))
  if (!Number.isInteger(number) || number < 1 || number > mostParts) throw s3Error('InvalidArgument', `Part number must be an integer between 1 and ${mostParts}, inclusive`)
  return number
}

export async function uploadPart(exchange: Exchange): Promise<Reply> {
  const upload = findUpload(exchange)
  const number = partNumber(exchange)
  checkPartKey(exchange, upload)
  checkPartAlgorithm(exchange, upload)
  const received = await receiveFile(exchange, exchange.bucket, upload.algorithm ? [upload.algorithm] : [])
  const part = await addPart(exchange, number, received)
  return {headers: {etag: `"${part.etag}"`, ...partChecksumHeaders(part), ...encryptionReply(upload)}}
}

function checkPartKey(exchange: Exchange, upload: UploadInProgress): void {
  if (customerKey(exchange)?.proof !== upload.customerKey?.proof) throw s3Error('InvalidRequest', 'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.')
}

/** A part may not bring a checksum of another algorithm than its upload has. */
function checkPartAlgorithm(exchange: Exchange, {algorithm}: UploadInProgress): void {
  const own = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'].find((name) => exchange.header(`x-amz-checksum-${name}`) !== undefined || exchange.header('x-amz-trailer') === `x-amz-checksum-${name}`)
  if (own === undefined || !algorithm || own === algorithm.toLowerCase()) return
  throw s3Error('InvalidRequest', `Checksum Type mismatch occurred, expected checksum Type: ${algorithm.toLowerCase()}, actual checksum Type: ${own}`)
}

export async function uploadPartCopy(exchange: Exchange): Promise<Reply> {
  const upload = findUpload(exchange)
  const number = partNumber(exchange)
  return copiedPartResult(await addPart(exchange, number, await copyPartBody(exchange, upload.algorithm)))
}

/** The upload may have been completed or aborted while the bytes came in. */
async function addPart(exchange: Exchange, number: number, {path, bytes, etag, checksum}: CopiedPart): Promise<Part> {
  try {
    return exchange.bucket.addPart(findUpload(exchange), {number, bytes, etag, ...(checksum ? {checksum} : {})}, path)
  } catch (error) {
    await rm(path, {force: true})
    throw error
  }
}

export function partChecksumHeaders({checksum}: Pick<Part, 'checksum'>): Headers {
  return checksum ? {[checksumHeader(checksum.algorithm)]: checksum.value} : {}
}

export function abortUpload(exchange: Exchange): Reply {
  exchange.bucket.endUpload(findUpload(exchange))
  return {status: 204}
}

export const partsInOrder = ({parts}: UploadInProgress): Part[] => [...parts.values()].sort((a, b) => a.number - b.number)

export const partPath = (bucket: Bucket, upload: UploadInProgress, part: Part) => bucket.uploadPath(upload.id, part.file)
