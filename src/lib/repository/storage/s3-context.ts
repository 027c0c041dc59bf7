import type {S3Client} from '@aws-sdk/client-s3'
import type {BufferPool} from './buffer-pool.ts'
import {abortReason} from './failures.ts'
import type {OpenClient} from './s3-client.ts'
import {s3Error, type S3Place} from './s3-errors.ts'

/** What the parts of the S3 driver share. */
export interface S3Context extends Readonly<OpenClient> {
  readonly place: S3Place
  /** Prefix of every key in the bucket: empty, or ends with a slash. */
  readonly root: string
  readonly partBytes: number
  readonly concurrency: number
  readonly pool: BufferPool
  /** First wait between attempts. */
  readonly retryDelayMs: number
  /** Sends SHA-256 headers; turned off when the store says that it does not know them. */
  sendsChecksums: boolean
  /** Sends If-None-Match; turned off when the store says that it does not know it. */
  conditional: boolean
  /** Looks for the key before writing: some stores take If-None-Match and ignore it, so only AWS is trusted with it alone. */
  looksFirst: boolean
  /** The bucket has answered before, so a 404 speaks of the key. */
  bucketSeen: boolean
}

interface Call {
  /** The permission that it needs. */
  action: string
  key?: string
  signal?: AbortSignal | undefined
}

type SendOptions = {abortSignal: AbortSignal} | undefined

/** One request. What fails comes out as a `DrError` that names the object; an abort as the signal's reason. */
export async function request<T>(context: S3Context, call: Call, send: (client: S3Client, options: SendOptions) => Promise<T>): Promise<T> {
  call.signal?.throwIfAborted()
  try {
    const answer = await send(context.client, call.signal && {abortSignal: call.signal})
    context.bucketSeen = true
    return answer
  } catch (error) {
    if (call.signal?.aborted === true) throw abortReason(call.signal)
    throw s3Error(error, context.place, call.action, call.key)
  }
}

export const pathOf = (context: S3Context, key: string) => ({Bucket: context.place.bucket, Key: context.root + key})

export const named = (context: S3Context, key: string) => `s3://${context.place.bucket}/${context.root}${key}`

/** Base64 as S3 speaks it, hex as everybody else does. */
export const toBase64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64')
export const toHex = (base64: string) => Buffer.from(base64, 'base64').toString('hex')
