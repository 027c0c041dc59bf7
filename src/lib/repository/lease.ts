import {z} from 'zod'
import type {Storage} from './storage/storage.ts'

export const LEASE = 'lease.json'
const TERM = 10 * 60_000
const RENEWALS_PER_TERM = 5

const leaseSchema = z.looseObject({run: z.string(), host: z.string(), pid: z.number().int(), renewedAt: z.iso.datetime(), expiresAt: z.iso.datetime()})

/** Says that a run is still at work in a backup's folder. The only object that is ever replaced. */
export type LeaseRecord = z.infer<typeof leaseSchema>

/** Expired. Clocks of two machines differ, so whoever sweeps passes a `now` that lies well behind its own. */
export const isDead = (lease: Pick<LeaseRecord, 'expiresAt'> | undefined, now: Date): boolean =>
  lease === undefined || Date.parse(lease.expiresAt) < now.getTime()

/** Undefined when it is not readable as a lease: then nobody renews it either. */
export function parseLease(text: string): LeaseRecord | undefined {
  try {
    return leaseSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

export interface LeaseOptions {
  run: string
  host: string
  pid: number
  termMs?: number
  /** Called when a renewal fails; the run may go on as long as the term lasts. */
  onTrouble?: (error: unknown) => void
}

export class Lease {
  readonly #storage: Storage
  readonly #key: string
  readonly #options: LeaseOptions
  readonly #term: number
  #timer: NodeJS.Timeout | undefined
  #renewal: Promise<void> = Promise.resolve()
  #expiresAt = 0

  private constructor(storage: Storage, folder: string, options: LeaseOptions) {
    this.#storage = storage
    this.#key = `${folder}${LEASE}`
    this.#options = options
    this.#term = options.termMs ?? TERM
  }

  /** Writes it and keeps it alive until `release`. `folder` ends with a slash. */
  static async take(storage: Storage, folder: string, options: LeaseOptions): Promise<Lease> {
    const lease = new Lease(storage, folder, options)
    await lease.renew()
    lease.#timer = setInterval(() => {
      lease.#renewal = lease.renew().catch((error: unknown) => options.onTrouble?.(error))
    }, lease.#term / RENEWALS_PER_TERM).unref()
    return lease
  }

  /** Whether others must still believe in it: a run whose lease has lapsed may have been swept and must not write its manifest. */
  get held(): boolean {
    return Date.now() < this.#expiresAt
  }

  async renew(): Promise<void> {
    const {run, host, pid} = this.#options
    const now = Date.now()
    const record: LeaseRecord = {run, host, pid, renewedAt: new Date(now).toISOString(), expiresAt: new Date(now + this.#term).toISOString()}
    await this.#storage.put(this.#key, `${JSON.stringify(record)}\n`, {overwrite: true})
    this.#expiresAt = now + this.#term
  }

  /** Removes it. What is left when that fails dies by itself. */
  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewal
    this.#expiresAt = 0
    await this.#storage.remove(this.#key)
  }
}
