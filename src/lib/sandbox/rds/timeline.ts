import {setTimeout as pause} from 'node:timers/promises'

/** One status that an instance goes through. */
export interface Stretch {
  status: string
  /** How long, in the service's own time. */
  seconds: number
  /** What is done meanwhile; the status stands until it is done as well. */
  work?: () => Promise<void>
}

/** The status of an instance. Stretches that are asked for while others go on follow them. */
export class Timeline {
  readonly #millisecondsPerSecond: number
  readonly #stop = new AbortController()
  readonly #history: string[]
  #going: Promise<void> = Promise.resolve()
  #left = 0

  /** `millisecondsPerSecond`: 1000 is the service's own pace. */
  constructor(status: string, millisecondsPerSecond: number) {
    this.#history = [status]
    this.#millisecondsPerSecond = millisecondsPerSecond
  }

  get status(): string {
    return this.#history.at(-1) ?? ''
  }

  /** Every status so far, the present one last. */
  get history(): readonly string[] {
    return this.#history
  }

  /** Whether nothing is going on. */
  get isQuiet(): boolean {
    return this.#left === 0
  }

  /** Goes through the stretches, and is `end` after them. Work that fails makes it `failure` for good. */
  follow(stretches: readonly Stretch[], {end = 'available', failure = 'failed'}: {end?: string; failure?: string} = {}): void {
    this.#left++
    this.#going = this.#going.then(async () => {
      try {
        for (const {status, seconds, work} of stretches) {
          this.set(status)
          const [paused, worked] = await Promise.allSettled([pause(seconds * this.#millisecondsPerSecond, undefined, {signal: this.#stop.signal}), work?.()])
          for (const one of [paused, worked]) if (one.status === 'rejected') throw one.reason
        }
        this.set(end)
      } catch {
        if (!this.#stop.signal.aborted) this.set(failure)
      } finally {
        this.#left--
      }
    })
  }

  /** From now on it is in this status. */
  set(status: string): void {
    if (this.status !== status) this.#history.push(status)
  }

  /** Resolves when nothing is going on any more. */
  async settled(): Promise<void> {
    while (!this.isQuiet) await this.#going
  }

  /** Ends what is going on where it is; work that has begun is waited for. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#going
  }
}
