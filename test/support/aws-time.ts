import {setTimeout as pause} from 'node:timers/promises'
import type {DBInstance, RdsApi} from '../../src/lib/rds/api.ts'
import type {Clock} from '../../src/lib/rds/poller.ts'
import {kindOf} from '../../src/lib/rds/status.ts'

/**
 * The time of AWS, as a procedure lives it: what it pauses for, and nothing else, so that a busy machine adds none. Each pause
 * is the longest that its jitter makes, and takes as long here as AWS's emulator takes for so many of its seconds.
 */
export class AwsClock implements Clock {
  readonly pauses: number[] = []
  readonly #millisecondsPerSecond: number
  readonly #onPause: (count: number) => void

  constructor(millisecondsPerSecond: number, onPause: (count: number) => void = () => {}) {
    this.#millisecondsPerSecond = millisecondsPerSecond
    this.#onPause = onPause
  }

  now(): number {
    return this.pauses.reduce((sum, ms) => sum + ms, 0)
  }

  random(): number {
    return 1
  }

  async pause(ms: number, signal: AbortSignal): Promise<void> {
    this.pauses.push(ms)
    this.#onPause(this.pauses.length)
    await pause((ms / 1000) * this.#millisecondsPerSecond, undefined, {signal})
  }
}

/** How long the operator of a procedure knows nothing of what goes wrong, by its own clock. */
export class Lateness {
  /** What the procedure asks AWS through. */
  readonly api: RdsApi
  readonly #clock: Clock
  readonly #isMeant: (instance: DBInstance) => boolean
  #lastGood: number

  /** `isMeant`: of which instance the status counts. */
  constructor(api: RdsApi, clock: Clock, isMeant: (instance: DBInstance) => boolean) {
    this.#clock = clock
    this.#isMeant = isMeant
    this.#lastGood = clock.now()
    this.api = new Proxy(api, {get: (target, property) => {
      const method = Reflect.get(target, property) as unknown
      if (typeof method !== 'function') return method
      return async (...args: unknown[]) => {
        const result = await (method as (...given: unknown[]) => Promise<unknown>).apply(target, args)
        this.#saw(result)
        return result
      }
    }})
  }

  /** Since the last reply in which all was well with it: whatever goes wrong began after that. Milliseconds. */
  ms(): number {
    return this.#clock.now() - this.#lastGood
  }

  #saw(result: unknown): void {
    const found = (Array.isArray(result) ? result : [result]).find((one) => typeof one === 'object' && one !== null && 'DBInstanceStatus' in one && this.#isMeant(one as DBInstance)) as DBInstance | undefined
    if (found !== undefined && kindOf(found.DBInstanceStatus ?? '') !== 'terminal') this.#lastGood = this.#clock.now()
  }
}

/** Milliseconds within which an operator is told, and what to do. */
export const TOLD_WITHIN_MS = 30_000
