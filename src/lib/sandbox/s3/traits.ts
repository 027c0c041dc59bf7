import type {ObjectTraits} from './bucket.ts'
import {customerKey, encryptionHeaders} from './encryption.ts'
import type {Exchange, Headers} from './exchange.ts'
import {lockOfNewObject} from './object-lock.ts'
import {s3Error} from './s3-error.ts'

const kept = ['content-type', 'cache-control', 'content-disposition', 'content-language', 'expires', 'x-amz-website-redirect-location']
const classes = ['STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER', 'GLACIER_IR', 'DEEP_ARCHIVE']
const metadataPrefix = 'x-amz-meta-'
const largestMetadata = 2048
const longestKey = 1024

/** What the request's headers say about the object that it makes. */
export function traitsOf(exchange: Exchange): ObjectTraits {
  if (Buffer.byteLength(exchange.key) > longestKey) throw s3Error('KeyTooLongError', 'Your key is too long')
  const key = customerKey(exchange)
  return {
    headers: {...descriptionOf(exchange), ...storageClass(exchange), ...encryptionHeaders(exchange)},
    tags: parseTagging(exchange.header('x-amz-tagging') ?? ''),
    ...lockOfNewObject(exchange),
    ...(key ? {customerKey: key} : {}),
  }
}

/** Content type and its kin, and user metadata: the part that a copy takes from its source unless told to replace it. */
export function descriptionOf(exchange: Exchange): Record<string, string> {
  const headers: Record<string, string> = {'content-type': 'binary/octet-stream'}
  let metadataBytes = 0
  for (const [name, value] of Object.entries(exchange.request.headers)) {
    const text = Array.isArray(value) ? value.join(',') : (value ?? '')
    if (name.startsWith(metadataPrefix)) metadataBytes += name.length - metadataPrefix.length + text.length
    if (kept.includes(name) || name.startsWith(metadataPrefix)) headers[name] = text
  }
  if (metadataBytes > largestMetadata) throw s3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size')
  const encoding = exchange.header('content-encoding')?.split(',').map((item) => item.trim()).filter((item) => item !== '' && item !== 'aws-chunked').join(',')
  return encoding ? {...headers, 'content-encoding': encoding} : headers
}

export function isDescription(name: string): boolean {
  return kept.includes(name) || name === 'content-encoding' || name.startsWith(metadataPrefix)
}

export function storageClass(exchange: Exchange): Record<string, string> {
  const name = exchange.header('x-amz-storage-class') ?? 'STANDARD'
  if (!classes.includes(name)) throw s3Error('InvalidStorageClass', 'The storage class you specified is not valid')
  return name === 'STANDARD' ? {} : {'x-amz-storage-class': name}
}

/** The header's form: `a=1&b=2`, percent-encoded. */
export function parseTagging(text: string): [string, string][] {
  const tags = [...new URLSearchParams(text)]
  checkTags(tags)
  return tags
}

export function checkTags(tags: readonly (readonly [string, string])[]): void {
  const names = new Set(tags.map(([name]) => name))
  if (tags.length > 10) throw s3Error('InvalidTag', 'Object tags cannot be greater than 10')
  if (names.size < tags.length) throw s3Error('InvalidTag', 'Cannot provide multiple Tags with the same key')
  if (tags.some(([name, value]) => name === '' || name.length > 128 || value.length > 256)) throw s3Error('InvalidTag', 'The TagKey or TagValue you have provided is invalid')
}

/** Of a reply that tells which version it speaks of. */
export function versionHeaders({versionId}: {versionId: string}, versioning: string | undefined): Headers {
  return {'x-amz-version-id': versioning === undefined && versionId === 'null' ? undefined : versionId}
}
