import {rm} from 'node:fs/promises'
import {receiveFile} from './body.ts'
import {checksumHeader} from './checksum.ts'
import {checkWriteConditions} from './conditions.ts'
import {customerKeyHeaders} from './encryption.ts'
import type {Bucket, NewVersion, ObjectTraits, ObjectVersion} from './bucket.ts'
import type {Exchange, Headers, Reply} from './exchange.ts'
import {traitsOf, versionHeaders} from './traits.ts'

export async function putObject(exchange: Exchange): Promise<Reply> {
  const {bucket, key} = exchange
  const traits = traitsOf(exchange)
  checkWriteConditions(exchange, bucket.current(key))
  const {path, bytes, etag, checksum} = await receiveFile(exchange, bucket)
  const version = await commitNew(exchange, bucket, {
    ...traits,
    key,
    bytes,
    etag,
    deleteMarker: false,
    segments: [{file: '', bytes}],
    ...(checksum ? {checksum: {...checksum, type: 'FULL_OBJECT'}} : {}),
  }, [path])
  return {headers: {etag: `"${etag}"`, ...writtenHeaders(exchange, version)}}
}

/** The conditions once more, now that the bytes are here, and the new version: with nothing in between. */
export async function commitNew(exchange: Exchange, bucket: Bucket, fresh: NewVersion, sources: readonly string[]): Promise<ObjectVersion> {
  try {
    checkWriteConditions(exchange, bucket.current(fresh.key))
    exchange.store.bucket(bucket.name)
    return bucket.commit(fresh, sources)
  } catch (error) {
    await Promise.all(sources.map((path) => rm(path, {force: true})))
    throw error
  }
}

export function encryptionReply({headers, customerKey}: ObjectTraits): Headers {
  const named = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-server-side-encryption'))
  return {...Object.fromEntries(named), ...customerKeyHeaders(customerKey)}
}

/** What every write says of the version that it made, besides the ETag. */
export function writtenHeaders(exchange: Exchange, version: ObjectVersion): Headers {
  const {checksum} = version
  return {
    ...versionHeaders(version, exchange.bucket.settings.versioning),
    ...encryptionReply(version),
    ...(checksum ? {[checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type} : {}),
  }
}
