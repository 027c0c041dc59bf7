import type {FileHandle} from 'node:fs/promises'
import {Readable} from 'node:stream'
import {abortReason, corrupt} from './failures.ts'
import {localError} from './local-errors.ts'

const CHUNK = 256 * 1024

/** Reads exactly up to the size that the file had when it was opened; a file that became shorter ends it in an error. */
export class LocalReadStream extends Readable {
  readonly #file: FileHandle
  readonly #what: string
  readonly #size: number
  readonly #signal: AbortSignal | undefined
  #position: number

  constructor(file: FileHandle, options: {what: string; size: number; offset: number; signal: AbortSignal | undefined}) {
    super({highWaterMark: CHUNK})
    this.#file = file
    this.#what = options.what
    this.#size = options.size
    this.#position = options.offset
    this.#signal = options.signal
    this.#signal?.addEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = () => {
    if (this.#signal !== undefined) this.destroy(abortReason(this.#signal))
  }

  override _read(): void {
    const wanted = Math.min(CHUNK, this.#size - this.#position)
    if (wanted === 0) {
      this.push(null)
      return
    }
    this.#file.read(Buffer.allocUnsafe(wanted), 0, wanted, this.#position).then(
      ({bytesRead, buffer}) => {
        this.#take(buffer.subarray(0, bytesRead))
      },
      (error: unknown) => this.destroy(localError(error, this.#what)),
    )
  }

  #take(chunk: Buffer): void {
    if (this.destroyed) return
    if (chunk.length === 0) {
      this.destroy(corrupt(`${this.#what} became shorter while it was read: ${this.#position} of ${this.#size} bytes.`))
      return
    }
    this.#position += chunk.length
    this.push(chunk)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#file.close().then(
      () => {
        callback(error)
      },
      () => {
        callback(error)
      },
    )
  }
}
