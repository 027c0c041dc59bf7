import type {ObjectVersion} from './bucket.ts'
import type {Exchange} from './exchange.ts'
import {s3Error} from './s3-error.ts'

/** The version that the request names, or the newest; throws when it is missing or a delete marker. */
export function findVersion(exchange: Exchange, key = exchange.key, versionId = exchange.query('versionId'), bucket = exchange.bucket): ObjectVersion {
  const versions = bucket.versions(key)
  const found = versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId)
  if (!found) {
    if (versionId !== undefined) throw s3Error('NoSuchVersion', 'The specified version does not exist.')
    throw s3Error('NoSuchKey', 'The specified key does not exist.')
  }
  if (!found.deleteMarker) return found
  const headers = {'x-amz-delete-marker': 'true', 'x-amz-version-id': found.versionId, 'last-modified': new Date(found.modified).toUTCString()}
  if (versionId !== undefined) throw s3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.', headers)
  throw s3Error('NoSuchKey', 'The specified key does not exist.', headers)
}
