import {DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command, type HeadObjectCommandOutput, type ListObjectsV2CommandOutput} from '@aws-sdk/client-s3'
import {randomUUID} from 'node:crypto'
import {DrError} from '../../errors.ts'
import {statusOf, storeCode} from './s3-errors.ts'
import {pathOf, request, toHex, type S3Context} from './s3-context.ts'
import type {StoredObject} from './storage.ts'

type Signal = AbortSignal | undefined

/** Metadata that says which put made an object: the only certain answer when a request's outcome is unknown. */
export const WRITE_ID = 'dr-write'
export const newWriteId = () => randomUUID()

/** Undefined when there is no such object. Throws when the bucket is not there, and says why where a HEAD only says 403. */
export async function head(context: S3Context, key: string, signal: Signal): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await request(context, {action: 's3:GetObject', key, signal}, async (client, options) =>
      client.send(new HeadObjectCommand({...pathOf(context, key), ...(context.sendsChecksums && {ChecksumMode: 'ENABLED'})}), options),
    )
  } catch (error) {
    const missing = error instanceof DrError && error.code === 'storage.not-found'
    if (!missing || !context.bucketSeen) await sayWhy(context, statusOf(error), signal)
    if (missing) return undefined
    throw error
  }
}

/** A HEAD is refused without a reason: throws what a listing says beyond «not allowed». */
async function sayWhy(context: S3Context, status: number | undefined, signal: Signal): Promise<void> {
  if (status === undefined || status >= 500) return
  try {
    await firstPage(context, '', signal, 1)
  } catch (error) {
    if (storeCode(error) !== 'AccessDenied') throw error
  }
}

export function stored(key: string, found: HeadObjectCommandOutput): StoredObject {
  const sha256 = wholeSha256(found)
  return {key, bytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0), ...(sha256 !== undefined && {sha256})}
}

/** Of the whole object. A multipart object's is a hash of hashes; stores differ in how they mark that. */
function wholeSha256({ChecksumSHA256: sha256, ChecksumType: type, ETag: etag}: HeadObjectCommandOutput): string | undefined {
  if (sha256 === undefined || sha256.includes('-') || type === 'COMPOSITE') return undefined
  return type === 'FULL_OBJECT' || etag?.includes('-') !== true ? toHex(sha256) : undefined
}

export async function removeObject(context: S3Context, key: string, signal: Signal): Promise<void> {
  await request(context, {action: 's3:DeleteObject', key, signal}, async (client, options) => client.send(new DeleteObjectCommand(pathOf(context, key)), options))
}

interface Page {
  prefix: string
  delimiter?: string
  token?: string | undefined
  most?: number
}

async function page(context: S3Context, {prefix, delimiter, token, most}: Page, signal: Signal): Promise<ListObjectsV2CommandOutput> {
  return request(context, {action: 's3:ListBucket', signal}, async (client, options) =>
    client.send(
      new ListObjectsV2Command({
        Bucket: context.place.bucket,
        Prefix: context.root + prefix,
        ...(delimiter !== undefined && {Delimiter: delimiter}),
        ...(token !== undefined && {ContinuationToken: token}),
        ...(most !== undefined && {MaxKeys: most}),
      }),
      options,
    ),
  )
}

export const firstPage = async (context: S3Context, prefix: string, signal: Signal, most?: number) =>
  page(context, {prefix, ...(most !== undefined && {most})}, signal)

export async function* pages(context: S3Context, prefix: string, signal: Signal, delimiter?: string): AsyncGenerator<ListObjectsV2CommandOutput> {
  let token: string | undefined
  do {
    const answer = await page(context, {prefix, token, ...(delimiter !== undefined && {delimiter})}, signal)
    yield answer
    token = nextToken(answer)
  } while (token !== undefined)
}

/** A page that says «there is more» and not where would make a short list look complete. */
function nextToken(answer: ListObjectsV2CommandOutput): string | undefined {
  if (answer.IsTruncated !== true) return undefined
  if (answer.NextContinuationToken !== undefined) return answer.NextContinuationToken
  throw new DrError('storage.unreachable', 'The store cut its list short without saying where it goes on.', {exitCode: 5})
}
