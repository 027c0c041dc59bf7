import {setTimeout as wait} from 'node:timers/promises'
import {codeOf} from '../errors.ts'

const TRIES = 8
const PAUSE_MS = 250

/** A lock was not granted in time, or not at all. */
export const isLocked = (error: unknown): boolean => ['55P03', '40P01'].includes(codeOf(error) ?? '')

export interface RetryOptions {
  signal?: AbortSignal | undefined
  /** Told when others were in the way, and it is going to be tried again. */
  onWaiting?: () => void
}

/** Does it again, eight times in all, when a lock was not granted in time; between two tries whoever waited behind it goes on. Throws what the last one threw. */
export async function retried<T>(work: () => Promise<T>, {signal, onWaiting}: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!isLocked(error) || attempt === TRIES) throw error
    }
    onWaiting?.()
    await wait(PAUSE_MS, undefined, {signal}).catch(() => undefined)
  }
}
