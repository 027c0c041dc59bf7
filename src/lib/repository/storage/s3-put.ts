import {PutObjectCommand, type HeadObjectCommandOutput, type PutObjectCommandOutput} from '@aws-sdk/client-s3'
import {sha256Of, sha256OfStream} from '../checksum.ts'
import {DrError} from '../../errors.ts'
import type {FileHandle} from 'node:fs/promises'
import {alreadyExists, fileChanged, otherBytes} from './failures.ts'
import {rememberPayloadHash} from './s3-client.ts'
import {attemptsOf, storeCode} from './s3-errors.ts'
import {named, pathOf, request, toBase64, type S3Context} from './s3-context.ts'
import {head, newWriteId, removeObject, WRITE_ID} from './s3-object.ts'
import {readObject} from './s3-read.ts'
import type {PutOptions, PutResult} from './storage.ts'

/** For undoing what failed. */
export const CLEAN_UP_MS = 10_000
const NEVER = new AbortController().signal
const SMALL = 1024 * 1024

/** One object in one request, so the store shows all of it or nothing. */
export async function putObject(context: S3Context, key: string, body: Buffer, options: PutOptions): Promise<PutResult> {
  const sha256 = sha256Of(body)
  if (options.sha256 !== undefined && options.sha256 !== sha256) throw otherBytes(named(context, key), options.sha256, sha256)
  if (options.overwrite !== true && context.looksFirst) await refuseExisting(context, key, options.signal)
  const sent: Sent = {writeId: newWriteId(), bytes: body.length, expected: toBase64(sha256), sha256}
  return undoneUnlessProven(context, key, sent, options, async () => {
    const answer = await send(context, key, rememberPayloadHash(body, sha256), sent, options)
    const proof = await prove(context, key, sent, answer, options.signal)
    options.progress?.(body.length)
    return proof
  })
}

/** A file that fits into one part. Small ones need no part buffer. */
export async function putWhole(context: S3Context, key: string, file: FileHandle, bytes: number, options: PutOptions): Promise<PutResult> {
  const buffer = bytes > SMALL ? await context.pool.take(bytes, options.signal ?? NEVER) : {bytes: Buffer.allocUnsafeSlow(bytes), release() {}}
  try {
    const body = buffer.bytes.subarray(0, bytes)
    await fill(file, body, 0, named(context, key))
    if ((await file.stat()).size !== bytes) throw fileChanged(named(context, key))
    return await putObject(context, key, body, options)
  } finally {
    buffer.release()
  }
}

/** All of the buffer, from this position of the file. */
export async function fill(file: FileHandle, buffer: Buffer, at: number, what: string): Promise<void> {
  for (let filled = 0; filled < buffer.length; ) {
    const {bytesRead} = await file.read(buffer, filled, buffer.length - filled, at + filled)
    if (bytesRead === 0) throw fileChanged(what)
    filled += bytesRead
  }
}

/** What was sent, to compare with what the store says it holds. */
export interface Sent {
  writeId: string
  bytes: number
  /** Of the whole object. */
  sha256: string
  /** What a store that keeps SHA-256 answers, base64: of the whole object, or of the parts' hashes. */
  expected: string
}

/** Not where looking is not permitted: then the store's own refusal must do. */
export async function refuseExisting(context: S3Context, key: string, signal: AbortSignal | undefined): Promise<void> {
  const found = await head(context, key, signal).catch((error: unknown) => {
    if (error instanceof DrError && error.code === 'storage.denied') return undefined
    throw error
  })
  if (found !== undefined) throw alreadyExists(named(context, key))
}

/** The answer; undefined when an earlier attempt of this put had arrived although its answer was lost. */
async function send(context: S3Context, key: string, body: Buffer, sent: Sent, options: PutOptions): Promise<PutObjectCommandOutput | undefined> {
  const conditional = context.conditional && options.overwrite !== true
  try {
    return await request(context, {action: 's3:PutObject', key, signal: options.signal}, async (client, abort) =>
      client.send(
        new PutObjectCommand({
          ...pathOf(context, key),
          Body: body,
          ContentLength: body.length,
          Metadata: {[WRITE_ID]: sent.writeId},
          // The algorithm is named too: Ceph takes a wrong checksum when it is not.
          ...(context.sendsChecksums && {ChecksumAlgorithm: 'SHA256', ChecksumSHA256: sent.expected}),
          ...(conditional && {IfNoneMatch: '*'}),
        }),
        abort,
      ),
    )
  } catch (error) {
    if (storeCode(error) === 'PreconditionFailed' && attemptsOf(error) > 1 && (await isOurs(context, key, sent, options.signal))) return undefined
    if (!(await learnLimits(context, key, error, options))) throw error
    return send(context, key, body, sent, options)
  }
}

/**
 * Stores that lack conditional writes or checksums refuse the whole request (501; an old MinIO answers a conditional write with 404).
 * Then dr does without: it looks for the key beforehand, and reads back what the store cannot prove. Two writers of one key in the
 * same moment are not kept apart there; labels are random, so there is one writer.
 */
export async function learnLimits(context: S3Context, key: string, error: unknown, options: PutOptions): Promise<boolean> {
  const code = storeCode(error)
  if (code !== 'NotImplemented' && code !== 'NoSuchKey') return false
  const speaksOfChecksums = /checksum|sdk/i.test(error instanceof Error && error.cause instanceof Error ? error.cause.message : '')
  if (context.conditional && !speaksOfChecksums) withoutConditions(context)
  else if (context.sendsChecksums && code === 'NotImplemented') context.sendsChecksums = false
  else return false
  if (options.overwrite !== true) await refuseExisting(context, key, options.signal)
  return true
}

function withoutConditions(context: S3Context): void {
  context.conditional = false
  context.looksFirst = true
}

export async function isOurs(context: S3Context, key: string, {writeId}: Pick<Sent, 'writeId'>, signal: AbortSignal | undefined): Promise<boolean> {
  return (await head(context, key, signal))?.Metadata?.[WRITE_ID] === writeId
}

type Answer = Pick<HeadObjectCommandOutput, 'ChecksumSHA256'> | undefined

/** The store's own SHA-256, from its answer or from a HEAD; else every byte is read back. */
export async function prove(context: S3Context, key: string, sent: Sent, answer: Answer, signal: AbortSignal | undefined): Promise<PutResult> {
  const {sha256, bytes} = sent
  if (context.sendsChecksums) {
    const said = answer?.ChecksumSHA256 ?? (await head(context, key, signal))?.ChecksumSHA256
    const hash = said?.replace(/-\d+$/, '')
    if (hash === sent.expected) return {bytes, sha256, proof: 'store-sha256'}
    if (hash !== undefined) throw otherBytes(named(context, key), sent.expected, hash)
  }
  const found = await sha256OfStream(await readObject(context, key, signal ? {signal} : {}))
  if (found.sha256 !== sha256 || found.bytes !== bytes) throw otherBytes(named(context, key), sha256, found.sha256)
  return {bytes, sha256, proof: 'reread'}
}

/** Then nothing has been stored. */
const REFUSED = new Set(['storage.denied', 'storage.no-bucket', 'storage.wrong-region', 'storage.exists', 'storage.full'])

/** After a failure or an abort, an object that did arrive goes again; the metadata tells it from one that was there before. */
export async function undoneUnlessProven(context: S3Context, key: string, sent: Pick<Sent, 'writeId'>, options: PutOptions, work: () => Promise<PutResult>): Promise<PutResult> {
  try {
    return await work()
  } catch (error) {
    const refused = error instanceof DrError && REFUSED.has(error.code)
    if (!refused && options.overwrite !== true) await discard(context, key, sent)
    throw error
  }
}

async function discard(context: S3Context, key: string, sent: Pick<Sent, 'writeId'>): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS)
  try {
    if (await isOurs(context, key, sent, signal)) await removeObject(context, key, signal)
  } catch {
    // The failure that led here is the one to tell. A folder without a manifest is invisible and swept by prune.
  }
}
