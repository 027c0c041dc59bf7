import {link, rm} from 'node:fs/promises'
import {createWriteStream} from 'node:fs'
import {pipeline} from 'node:stream/promises'
import type {Bucket, NewVersion, ObjectVersion, Part} from './bucket.ts'
import {Digests, toAlgorithm, type Checksum, type ChecksumAlgorithm} from './checksum.ts'
import {checkReadConditions} from './conditions.ts'
import {readContent} from './content.ts'
import {checkCustomerKey} from './encryption.ts'
import type {Exchange, Reply} from './exchange.ts'
import {findVersion} from './find-version.ts'
import {byteRange, isArchived} from './get-object.ts'
import {commitNew, writtenHeaders} from './put-object.ts'
import {s3Error} from './s3-error.ts'
import {isDescription, traitsOf} from './traits.ts'
import {tag, xmlDocument} from './xml.ts'

const largestCopy = 5 * 1024 ** 3

interface Source {
  bucket: Bucket
  version: ObjectVersion
}

/** The object that x-amz-copy-source names: `bucket/key?versionId=…`, percent-encoded. */
function sourceOf(exchange: Exchange): Source {
  const [path = '', versionId] = (exchange.header('x-amz-copy-source') ?? '').split(/\?versionId=/)
  const [, name, key] = /^\/?([^/]+)\/(.+)$/s.exec(decode(path)) ?? []
  if (name === undefined || key === undefined) throw s3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey')
  const bucket = exchange.store.bucket(name)
  const version = findVersion(exchange, key, versionId, bucket)
  if (isArchived(version)) throw s3Error('InvalidObjectState', "Operation is not valid for the source object's storage class")
  checkCustomerKey(exchange, version, 'copy-source-')
  checkReadConditions(exchange, version, 'x-amz-copy-source-')
  return {bucket, version}
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw s3Error('InvalidArgument', 'Invalid copy source encoding.')
  }
}

export async function copyObject(exchange: Exchange): Promise<Reply> {
  const {bucket, key} = exchange
  const source = sourceOf(exchange)
  if (source.version.bytes > largestCopy) throw s3Error('InvalidRequest', 'The specified copy source is larger than the maximum allowable size for a copy source: 5368709120')
  const fresh = freshVersion(exchange, source)
  const asked = exchange.header('x-amz-checksum-algorithm')
  const body = await copyBody(source, bucket, asked === undefined ? undefined : toAlgorithm(asked))
  const version = await commitNew(exchange, bucket, {...fresh, ...body.facts, key}, [body.path])
  return {
    headers: {...writtenHeaders(exchange, version), 'x-amz-copy-source-version-id': source.bucket.settings.versioning && source.version.versionId},
    xml: xmlDocument('CopyObjectResult', ...resultTags(version)),
  }
}

function freshVersion(exchange: Exchange, {bucket, version}: Source): NewVersion {
  const traits = traitsOf(exchange)
  const replace = exchange.header('x-amz-metadata-directive') === 'REPLACE'
  const unchanged = !replace && exchange.header('x-amz-storage-class') === undefined && exchange.header('x-amz-server-side-encryption') === undefined
  if (unchanged && bucket === exchange.bucket && version.key === exchange.key && exchange.query('versionId') === undefined && version === bucket.current(version.key)) {
    throw s3Error('InvalidRequest', "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
  }
  const from = replace ? traits.headers : version.headers
  const description = Object.fromEntries(Object.entries(from).filter(([name]) => isDescription(name)))
  const own = Object.fromEntries(Object.entries(traits.headers).filter(([name]) => !isDescription(name)))
  const tags = exchange.header('x-amz-tagging-directive') === 'REPLACE' ? traits.tags : version.tags
  return {...traits, headers: {...description, ...own}, tags, key: exchange.key, bytes: version.bytes, etag: version.etag, deleteMarker: false, segments: []}
}

interface CopiedBody {
  path: string
  facts: Pick<NewVersion, 'bytes' | 'etag' | 'segments' | 'checksum'>
}

/** A single body of the same bytes: shared on disk where nothing has to be computed anew. */
async function copyBody({bucket, version}: Source, to: Bucket, asked: ChecksumAlgorithm | undefined): Promise<CopiedBody> {
  const path = to.incomingPath()
  const segments = [{file: '', bytes: version.bytes}]
  const [only] = version.segments
  if (only && version.segments.length === 1 && !version.etag.includes('-') && (asked === undefined || asked === version.checksum?.algorithm)) {
    await link(bucket.dataPath(only.file), path)
    return {path, facts: {bytes: version.bytes, etag: version.etag, segments, ...(version.checksum ? {checksum: version.checksum} : {})}}
  }
  const algorithm = asked ?? version.checksum?.algorithm
  const {etag, value} = await rewrite({bucket, version}, path, 0, version.bytes, algorithm)
  const checksum: Checksum | undefined = algorithm && value !== undefined ? {algorithm, type: 'FULL_OBJECT', value} : undefined
  return {path, facts: {bytes: version.bytes, etag, segments, ...(checksum ? {checksum} : {})}}
}

/** Copies a range into a file of its own. */
async function rewrite({bucket, version}: Source, path: string, start: number, bytes: number, algorithm: ChecksumAlgorithm | undefined) {
  const digests = new Digests(new Set(['SHA256' as const, ...(algorithm ? [algorithm] : [])]))
  try {
    await pipeline(readContent({bucket, version, start, bytes}), async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        digests.update(chunk)
        yield chunk
      }
    }, createWriteStream(path))
  } catch (error) {
    await rm(path, {force: true})
    throw error
  }
  return {etag: digests.get('SHA256')?.toString('hex', 0, 16) ?? '', value: algorithm && digests.get(algorithm)?.toString('base64')}
}

function resultTags({etag, modified, checksum}: Pick<ObjectVersion, 'etag' | 'modified'> & {checksum?: {algorithm: ChecksumAlgorithm; value: string}}): string[] {
  return [tag('LastModified', modified), tag('ETag', `"${etag}"`), checksum ? tag(`Checksum${checksum.algorithm}`, checksum.value) : '']
}

export interface CopiedPart {
  path: string
  bytes: number
  etag: string
  checksum?: {algorithm: ChecksumAlgorithm; value: string}
}

/** The bytes of UploadPartCopy: the source, or the range of it that the request names. */
export async function copyPartBody(exchange: Exchange, algorithm: ChecksumAlgorithm | undefined): Promise<CopiedPart> {
  const source = sourceOf(exchange)
  const header = exchange.header('x-amz-copy-source-range')
  if (header !== undefined && !/^bytes=\d+-\d+$/.test(header)) throw s3Error('InvalidArgument', 'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy')
  const {start, bytes} = (header === undefined ? undefined : byteRange(header, source.version.bytes)) ?? {start: 0, bytes: source.version.bytes}
  if (bytes > largestCopy) throw s3Error('InvalidRequest', 'The specified copy range is larger than the maximum allowable size: 5368709120')
  const path = exchange.bucket.incomingPath()
  const {etag, value} = await rewrite(source, path, start, bytes, algorithm)
  return {path, bytes, etag, ...(algorithm && value !== undefined ? {checksum: {algorithm, value}} : {})}
}

export const copiedPartResult = (part: Part): Reply => ({xml: xmlDocument('CopyPartResult', ...resultTags(part))})
