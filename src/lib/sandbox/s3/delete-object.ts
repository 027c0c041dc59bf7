import {receiveText, hasBodyDigest} from './body.ts'
import type {Bucket, ObjectVersion} from './bucket.ts'
import {checkWriteConditions} from './conditions.ts'
import type {Exchange, Headers, Reply} from './exchange.ts'
import {checkNotLocked} from './object-lock.ts'
import {S3Error, s3Error} from './s3-error.ts'
import {childrenOf, group, parseXml, tag, textOf, xmlDocument} from './xml.ts'

interface Deletion {
  versionId: string | undefined
  deleteMarker: boolean
}

export function deleteObject(exchange: Exchange): Reply {
  const {bucket, key} = exchange
  if (exchange.header('if-match') !== undefined) checkWriteConditions(exchange, bucket.current(key))
  const {versionId, deleteMarker} = erase(exchange, key, exchange.query('versionId'))
  const headers: Headers = {'x-amz-version-id': versionId, 'x-amz-delete-marker': deleteMarker ? 'true' : undefined}
  return {status: 204, headers}
}

/** With a version's id that version goes for good; without one, versioned buckets only get a delete marker. What is not there is no error. */
function erase(exchange: Exchange, key: string, versionId: string | undefined): Deletion {
  const {bucket} = exchange
  const {versioning} = bucket.settings
  if (versionId === undefined && versioning !== undefined) return {versionId: addMarker(bucket, key).versionId, deleteMarker: true}
  const found = bucket.versions(key).find((version) => version.versionId === (versionId ?? 'null'))
  if (!found) return {versionId, deleteMarker: false}
  checkNotLocked(exchange, found)
  bucket.remove(found)
  return {versionId, deleteMarker: found.deleteMarker}
}

function addMarker(bucket: Bucket, key: string): ObjectVersion {
  return bucket.commit({key, deleteMarker: true, bytes: 0, etag: '', segments: [], headers: {}, tags: []}, [])
}

export async function deleteObjects(exchange: Exchange): Promise<Reply> {
  exchange.store.bucket(exchange.target.bucket)
  if (!hasBodyDigest(exchange)) throw s3Error('InvalidRequest', 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*')
  const document = parseXml(await receiveText(exchange), 'Delete')
  const objects = childrenOf(document, 'Object').map((object) => ({key: textOf(object, 'Key'), versionId: textOf(object, 'VersionId')}))
  if (objects.length === 0 || objects.length > 1000) throw s3Error('MalformedXML', 'The XML you provided was not well-formed or did not validate against our published schema')
  const quiet = textOf(document, 'Quiet') === 'true'
  return {xml: xmlDocument('DeleteResult', ...objects.map(({key = '', versionId}) => eraseOne(exchange, key, versionId, quiet)))}
}

function eraseOne(exchange: Exchange, key: string, versionId: string | undefined, quiet: boolean): string {
  try {
    const done = erase(exchange, key, versionId)
    if (quiet) return ''
    const marker = done.deleteMarker ? tag('DeleteMarker', true) + tag('DeleteMarkerVersionId', done.versionId) : ''
    return group('Deleted', tag('Key', key), tag('VersionId', versionId), marker)
  } catch (error) {
    if (!(error instanceof S3Error)) throw error
    return group('Error', tag('Key', key), tag('VersionId', versionId), tag('Code', error.code), tag('Message', error.message))
  }
}
