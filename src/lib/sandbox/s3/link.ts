import {setTimeout as delay} from 'node:timers/promises'

/** Pauses shorter than this are saved up: timers are not that fine. */
const leastPauseMs = 4

/** One direction of a link, shared by all connections: bytes wait their turn so that the rate is kept. */
export class Throttle {
  #bytesPerMs: number | undefined
  #freeAt = 0

  setRate(bytesPerSecond: number | undefined): void {
    this.#bytesPerMs = bytesPerSecond === undefined ? undefined : bytesPerSecond / 1000
    this.#freeAt = performance.now()
  }

  /** Resolves when so many bytes may have passed. */
  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerMs === undefined) return
    this.#freeAt = Math.max(performance.now(), this.#freeAt) + bytes / this.#bytesPerMs
    const pause = this.#freeAt - performance.now()
    if (pause >= leastPauseMs) await delay(pause, undefined, {signal})
  }
}

export class Link {
  readonly up = new Throttle()
  readonly down = new Throttle()

  constructor(bytesPerSecond?: number) {
    this.setRate(bytesPerSecond)
  }

  setRate(bytesPerSecond: number | undefined): void {
    this.up.setRate(bytesPerSecond)
    this.down.setRate(bytesPerSecond)
  }
}
