import {GetObjectCommand, type GetObjectCommandOutput} from '@aws-sdk/client-s3'
import {Readable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'
import {abortReason, corrupt, unreachable} from './failures.ts'
import {named, pathOf, request, type S3Context} from './s3-context.ts'
import {storeCode} from './s3-errors.ts'
import {head} from './s3-object.ts'
import type {ReadOptions} from './storage.ts'

/** Cuts in a row, with less than this much between them, until a read is given up. */
const MAX_CUTS = 5
const PROGRESS = 1024 * 1024

/** The whole object from `offset`; a cut connection is taken up again where it broke. */
export async function readObject(context: S3Context, key: string, options: ReadOptions): Promise<Readable> {
  const offset = options.offset ?? 0
  const first = await get(context, key, {from: offset, signal: options.signal}).catch(async (error: unknown) => {
    if (offset > 0 && storeCode(error) === 'InvalidRange' && (await head(context, key, options.signal))?.ContentLength === offset) return undefined
    throw error
  })
  if (first === undefined) return Readable.from([])
  return new ResumingStream(context, key, first, options)
}

interface Part {
  body: Readable
  etag: string | undefined
  /** Of the whole object. */
  size: number
}

interface From {
  from: number
  etag?: string | undefined
  signal: AbortSignal | undefined
}

async function get(context: S3Context, key: string, {from, etag, signal}: From): Promise<Part> {
  const answer = await request(context, {action: 's3:GetObject', key, signal}, async (client, options) =>
    client.send(new GetObjectCommand({...pathOf(context, key), ...(from > 0 && {Range: `bytes=${from}-`}), ...(etag !== undefined && {IfMatch: etag})}), options),
  )
  const body = answer.Body as Readable
  const size = sizeIn(answer, from)
  if (size !== undefined) return {body, etag: answer.ETag, size}
  body.destroy()
  throw unreachable(`The store answered the request for ${named(context, key)} from byte ${from} with something else.`)
}

/** Of the whole object; undefined when the answer does not begin at `from`. */
function sizeIn({ContentRange: range, ContentLength: length}: GetObjectCommandOutput, from: number): number | undefined {
  if (from === 0) return length
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(range ?? '')
  return match !== null && Number(match[1]) === from ? Number(match[2]) : undefined
}

class ResumingStream extends Readable {
  readonly #context: S3Context
  readonly #key: string
  readonly #etag: string | undefined
  readonly #size: number
  readonly #signal: AbortSignal | undefined
  readonly #closing = new AbortController()
  #body: Readable | undefined
  #position: number
  #wanted = false
  #lost = false
  #cuts = 0
  #cutAt: number

  constructor(context: S3Context, key: string, first: Part, {offset = 0, signal}: ReadOptions) {
    super({highWaterMark: 256 * 1024})
    this.#context = context
    this.#key = key
    this.#etag = first.etag
    this.#size = first.size
    this.#position = offset
    this.#cutAt = offset
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort)
    this.#attach(first.body)
  }

  readonly #onAbort = () => {
    if (this.#signal !== undefined) this.destroy(abortReason(this.#signal))
  }

  override _read(): void {
    this.#wanted = true
    if (this.#lost) this.#takeUp()
    else this.#body?.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#closing.abort()
    this.#body?.destroy()
    callback(error)
  }

  #attach(body: Readable): void {
    this.#body = body
    body.on('data', (chunk: Buffer) => {
      this.#take(chunk)
    })
    body.on('error', (error) => {
      this.#cut(body, error)
    })
    body.on('close', () => {
      this.#cut(body)
    })
    body.on('end', () => {
      if (this.#position === this.#size) this.push(null)
      else this.#cut(body)
    })
    body.pause()
  }

  #take(chunk: Buffer): void {
    this.#position += chunk.length
    if (this.#position > this.#size) this.destroy(corrupt(`The store sent more than the ${this.#size} bytes of ${named(this.#context, this.#key)}.`))
    else if (!this.push(chunk)) this.#rest()
  }

  #rest(): void {
    this.#wanted = false
    this.#body?.pause()
  }

  /** A connection that idles because nobody reads here is cut too: that says nothing against it. */
  #cut(body: Readable, cause?: Error): void {
    if (this.#body !== body || this.#position === this.#size || this.destroyed) return
    this.#body = undefined
    body.destroy()
    this.#lost = true
    if (!this.#wanted) return
    this.#cuts = this.#position - this.#cutAt >= PROGRESS ? 1 : this.#cuts + 1
    this.#cutAt = this.#position
    this.#takeUp(cause)
  }

  #takeUp(cause?: Error): void {
    this.#lost = false
    this.#goOn(cause).catch((error: unknown) => this.destroy(error as Error))
  }

  async #goOn(cause?: Error): Promise<void> {
    const what = named(this.#context, this.#key)
    if (this.#cuts > MAX_CUTS) throw unreachable(`Reading ${what} broke off at ${this.#position} of ${this.#size} bytes, again and again.`, {cause, hints: ['Check the network between this machine and the store, then try again.']})
    await sleep(this.#context.retryDelayMs * this.#cuts, undefined, {signal: this.#closing.signal})
    const next = await get(this.#context, this.#key, {from: this.#position, etag: this.#etag, signal: this.#closing.signal}).catch((error: unknown) => {
      throw ['PreconditionFailed', 'InvalidRange', 'NoSuchKey'].includes(storeCode(error)) ? corrupt(`${what} was replaced or removed while it was read.`) : error
    })
    if (next.size !== this.#size) throw corrupt(`${what} changed its size while it was read.`)
    this.#attach(next.body)
    if (this.#wanted) next.body.resume()
  }
}
