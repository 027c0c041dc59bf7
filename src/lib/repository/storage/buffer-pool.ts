import {abortReason} from './failures.ts'

export interface LentBuffer {
  readonly bytes: Buffer
  release(): void
}

interface Waiter {
  size: number
  resolve(buffer: LentBuffer): void
}

/**
 * Part buffers, lent out in order of asking: never more than `capacity` bytes at once, except that one buffer which is larger than all
 * of it is lent alone. Buffers of the usual size are used again: a new one of 16 MiB for every part would wait for the collector.
 */
export class BufferPool {
  readonly #capacity: number
  readonly #usual: number
  readonly #free: Buffer[] = []
  readonly #waiting: Waiter[] = []
  #lent = 0

  constructor(capacity: number, usual: number) {
    this.#capacity = capacity
    this.#usual = usual
  }

  async take(bytes: number, signal: AbortSignal): Promise<LentBuffer> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        size: Math.max(bytes, this.#usual),
        resolve(buffer) {
          signal.removeEventListener('abort', onAbort)
          resolve(buffer)
        },
      }
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(abortReason(signal))
        this.#serve()
      }
      signal.addEventListener('abort', onAbort, {once: true})
      this.#waiting.push(waiter)
      this.#serve()
    })
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#lent > 0 && this.#lent + next.size > this.#capacity) return
      this.#waiting.shift()
      this.#lent += next.size
      next.resolve(this.#lend(next.size))
    }
  }

  #lend(size: number): LentBuffer {
    const bytes = (size === this.#usual ? this.#free.pop() : undefined) ?? Buffer.allocUnsafeSlow(size)
    let out = true
    return {
      bytes,
      release: () => {
        if (!out) return
        out = false
        this.#lent -= size
        if (size === this.#usual) this.#free.push(bytes)
        this.#serve()
      },
    }
  }
}
