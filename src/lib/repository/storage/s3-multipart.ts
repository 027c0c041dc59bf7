import {CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand, type CompletedPart} from '@aws-sdk/client-s3'
import {createHash, hash} from 'node:crypto'
import type {FileHandle} from 'node:fs/promises'
import {fileChanged, otherBytes, unreachable} from './failures.ts'
import {rememberPayloadHash} from './s3-client.ts'
import {named, pathOf, request, type S3Context} from './s3-context.ts'
import {storeCode} from './s3-errors.ts'
import {newWriteId, WRITE_ID} from './s3-object.ts'
import {CLEAN_UP_MS, fill, isOurs, learnLimits, prove, refuseExisting, undoneUnlessProven, type Sent} from './s3-put.ts'
import {abortUpload} from './s3-uploads.ts'
import type {PutOptions, PutResult} from './storage.ts'

const MIB = 1024 * 1024
const MAX_PARTS = 9000

export const partSize = (bytes: number, usual: number): number => Math.max(usual, Math.ceil(bytes / MAX_PARTS / MIB) * MIB)

/** A file of any size, in parts of which a few are in flight. The object appears when the last request succeeds, or never. */
export async function putParts(context: S3Context, key: string, file: FileHandle, options: PutOptions): Promise<PutResult> {
  if (options.overwrite !== true) await refuseExisting(context, key, options.signal)
  const writeId = newWriteId()
  const uploadId = await create(context, key, writeId, options)
  return undoneUnlessProven(context, key, {writeId}, options, async () => {
    const upload = new PartUpload(context, key, uploadId, file, options)
    try {
      const sent = {...(await upload.send()), writeId}
      const answer = await complete(context, key, uploadId, upload.parts, sent, options)
      return await prove(context, key, sent, answer, options.signal)
    } catch (error) {
      await upload.stop()
      await giveUp(context, key, uploadId)
      throw error
    }
  })
}

async function create(context: S3Context, key: string, writeId: string, options: PutOptions): Promise<string> {
  try {
    const {UploadId: id} = await request(context, {action: 's3:PutObject', key, signal: options.signal}, async (client, abort) =>
      client.send(new CreateMultipartUploadCommand({...pathOf(context, key), Metadata: {[WRITE_ID]: writeId}, ...(context.sendsChecksums && {ChecksumAlgorithm: 'SHA256'})}), abort),
    )
    if (id === undefined) throw unreachable(`The store began no upload of ${named(context, key)}.`)
    return id
  } catch (error) {
    if (storeCode(error) !== 'NotImplemented' || !context.sendsChecksums) throw error
    context.sendsChecksums = false
    return create(context, key, writeId, options)
  }
}

class PartUpload {
  readonly parts: CompletedPart[] = []
  readonly #context: S3Context
  readonly #key: string
  readonly #uploadId: string
  readonly #file: FileHandle
  readonly #options: PutOptions
  readonly #stopping = new AbortController()
  readonly #signal: AbortSignal
  readonly #inFlight = new Set<Promise<void>>()
  readonly #hashes: Buffer[] = []
  #arrived = 0
  #failure: Error | undefined

  constructor(context: S3Context, key: string, uploadId: string, file: FileHandle, options: PutOptions) {
    this.#context = context
    this.#key = key
    this.#uploadId = uploadId
    this.#file = file
    this.#options = options
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#stopping.signal]) : this.#stopping.signal
  }

  async send(): Promise<Omit<Sent, 'writeId'>> {
    const before = await this.#file.stat()
    const whole = createHash('sha256')
    const size = partSize(before.size, this.#context.partBytes)
    for (let at = 0, number = 1; at < before.size; at += size, number += 1) await this.#sendPart(number, at, Math.min(size, before.size - at), whole)
    await Promise.all(this.#inFlight)
    this.#rethrow()
    const after = await this.#file.stat()
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw fileChanged(named(this.#context, this.#key))
    return this.#sent(before.size, whole.digest('hex'))
  }

  #sent(bytes: number, sha256: string): Omit<Sent, 'writeId'> {
    const {sha256: known} = this.#options
    if (known !== undefined && known !== sha256) throw otherBytes(named(this.#context, this.#key), known, sha256)
    return {bytes, sha256, expected: hash('sha256', Buffer.concat(this.#hashes), 'base64')}
  }

  /** Ends what is in flight and waits for it. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#inFlight)
  }

  /** Returns when the part is on its way; waits for a buffer before. */
  async #sendPart(number: number, at: number, length: number, whole: ReturnType<typeof createHash>): Promise<void> {
    while (this.#inFlight.size >= this.#context.concurrency) await Promise.race(this.#inFlight)
    this.#rethrow()
    const buffer = await this.#context.pool.take(length, this.#signal)
    let sending = false
    try {
      const body = buffer.bytes.subarray(0, length)
      await fill(this.#file, body, at, named(this.#context, this.#key))
      whole.update(body)
      const digest = hash('sha256', body, 'buffer')
      this.#hashes[number - 1] = digest
      sending = true
      this.#track(this.#upload(number, rememberPayloadHash(body, digest.toString('hex')), digest.toString('base64')).finally(() => {
        buffer.release()
      }))
    } finally {
      if (!sending) buffer.release()
    }
  }

  #track(sending: Promise<void>): void {
    const tracked = sending.catch((error: unknown) => {
      this.#failure ??= error as Error
      this.#stopping.abort(error)
    })
    this.#inFlight.add(tracked)
    void tracked.finally(() => this.#inFlight.delete(tracked))
  }

  async #upload(number: number, body: Buffer, sha256: string): Promise<void> {
    const {sendsChecksums} = this.#context
    const answer = await request(this.#context, {action: 's3:PutObject', key: this.#key, signal: this.#signal}, async (client, abort) =>
      client.send(
        new UploadPartCommand({
          ...pathOf(this.#context, this.#key),
          UploadId: this.#uploadId,
          PartNumber: number,
          Body: body,
          ContentLength: body.length,
          ...(sendsChecksums && {ChecksumAlgorithm: 'SHA256', ChecksumSHA256: sha256}),
        }),
        abort,
      ),
    )
    if (answer.ChecksumSHA256 !== undefined && answer.ChecksumSHA256 !== sha256) throw otherBytes(`Part ${number} of ${named(this.#context, this.#key)}`, sha256, answer.ChecksumSHA256)
    this.parts[number - 1] = {PartNumber: number, ETag: answer.ETag, ...(sendsChecksums && {ChecksumSHA256: sha256})}
    this.#arrived += body.length
    this.#options.progress?.(this.#arrived)
  }

  #rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#options.signal?.throwIfAborted()
  }
}

/** The last request may have done its work although its answer was lost: then the upload is gone and the object is there, with our mark. */
async function complete(context: S3Context, key: string, uploadId: string, parts: CompletedPart[], sent: Sent, options: PutOptions): Promise<{ChecksumSHA256?: string | undefined} | undefined> {
  const conditional = context.conditional && options.overwrite !== true
  try {
    return await request(context, {action: 's3:PutObject', key, signal: options.signal}, async (client, abort) =>
      client.send(new CompleteMultipartUploadCommand({...pathOf(context, key), UploadId: uploadId, MultipartUpload: {Parts: parts}, ...(conditional && {IfNoneMatch: '*'})}), abort),
    )
  } catch (error) {
    if (['NoSuchUpload', 'PreconditionFailed'].includes(storeCode(error)) && (await isOurs(context, key, sent, options.signal))) return undefined
    if (!conditional || !(await learnLimits(context, key, error, options))) throw error
    return complete(context, key, uploadId, parts, sent, options)
  }
}

/** With its own time: the caller's signal may be the reason for it. When the store cannot be reached, prune does it later. */
async function giveUp(context: S3Context, key: string, uploadId: string): Promise<void> {
  await abortUpload(context, key, uploadId, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => undefined)
}
