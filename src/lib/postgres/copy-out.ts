import type {Duplex} from 'node:stream'
import type {Connection, Submittable} from 'pg'
import type {Client} from './connection.ts'

/** Messages of the protocol, by their first byte. */
const COPY_DATA = 0x64
const COPY_DONE = 0x63
const ERROR = 0x45
const HEAD_BYTES = 5

/**
 * Runs a `COPY … TO STDOUT` and gives its bytes, in pieces of the size in which they arrive; nothing is read ahead while
 * nobody asks. A piece is there until the next one is asked for. Of millions of small rows the general stream makes an object
 * each, which takes more memory than the rows.
 */
export function copyOut(client: Client, sql: string): AsyncIterator<Buffer> {
  const copy = new CopyOut(sql)
  client.query(copy)
  return copy
}

class CopyOut implements Submittable, AsyncIterator<Buffer> {
  readonly #sql: string
  /** The socket while it is ours, and what reads it otherwise. */
  #socket: Duplex | undefined
  #listener: ((bytes: Buffer) => void) | undefined
  readonly #head = Buffer.alloc(HEAD_BYTES)
  #headBytes = 0
  /** Of the message that has begun. */
  #left = 0
  #isData = false
  #failure: {error: unknown} | undefined
  #done = false
  #piece: Buffer | undefined
  #wake: () => void = () => {}

  constructor(sql: string) {
    this.#sql = sql
  }

  /** Called by the driver when it is this statement's turn. */
  submit(connection: Connection): void {
    const {stream} = connection
    const [listener] = stream.listeners('data')
    if (listener === undefined) throw new Error('Nothing reads this connection.')
    this.#listener = listener as (bytes: Buffer) => void
    stream.removeListener('data', this.#listener)
    stream.pause()
    stream.on('readable', this.#onReadable)
    this.#socket = stream
    connection.query(this.#sql)
    this.#wake()
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    this.#free()
    for (;;) {
      if (this.#failure) throw this.#failure.error
      if (this.#done) return {done: true, value: undefined}
      const bytes = this.#socket?.read() as Buffer | null | undefined
      const data = bytes ? this.#take(bytes) : 0
      // What the driver has got a part of is its own.
      this.#piece = this.#socket ? (bytes ?? undefined) : undefined
      if (bytes && data > 0) return {done: false, value: bytes.subarray(0, data)}
      if (!bytes) await new Promise<void>((resolve) => { this.#wake = resolve })
    }
  }

  handleError(error: unknown): void {
    this.#giveBack(undefined)
    this.#failure = {error}
    this.#wake()
  }

  handleCommandComplete(): void {
    // The end is where the driver is ready again.
  }

  handleReadyForQuery(): void {
    this.#done = true
    this.#wake()
  }

  /** Gives the memory of a piece back at once: without garbage there is no collection, and tens of megabytes of pieces wait for one. A small one may share its memory. */
  #free(): void {
    const {buffer, byteLength = 0} = this.#piece ?? {}
    if (buffer instanceof ArrayBuffer && byteLength > Buffer.poolSize && buffer.byteLength === byteLength) buffer.transfer(0)
    this.#piece = undefined
  }

  readonly #onReadable = (): void => { this.#wake() }

  /** Moves what is data to the beginning of the buffer, and says how much. What comes after the data is the driver's again. */
  #take(bytes: Buffer): number {
    let [at, data] = [0, 0]
    while (at < bytes.length) {
      if (this.#left === 0) {
        if (this.#headBytes === 0 && (bytes[at] === COPY_DONE || bytes[at] === ERROR)) {
          this.#giveBack(bytes.subarray(at))
          return data
        }
        this.#head[this.#headBytes++] = bytes[at++] ?? 0
        if (this.#headBytes < HEAD_BYTES) continue
        this.#headBytes = 0
        this.#left = this.#head.readUInt32BE(1) - 4
        this.#isData = this.#head[0] === COPY_DATA
        continue
      }
      const length = Math.min(this.#left, bytes.length - at)
      if (this.#isData) {
        bytes.copyWithin(data, at, at + length)
        data += length
      }
      this.#left -= length
      at += length
    }
    return data
  }

  #giveBack(rest: Buffer | undefined): void {
    const [socket, listener] = [this.#socket, this.#listener]
    if (socket === undefined || listener === undefined) return
    this.#socket = undefined
    socket.removeListener('readable', this.#onReadable)
    socket.on('data', listener)
    if (rest) listener(rest)
    // Taking the other listener away pauses the socket, a moment later.
    process.nextTick(() => socket.resume())
  }
}
