import {z} from 'zod'
import {surelyEnded, type ProcessIdentity} from '../system/process-identity.ts'
import type {Storage} from './storage/storage.ts'

export const LEASE = 'lease.json'
const TERM = 10 * 60_000
const RENEWALS_PER_TERM = 5

/** How far the clocks of two machines may differ, and how long one that slept may take to renew. */
const GRACE = 60 * 60_000

const leaseSchema = z.looseObject({
  run: z.string(), host: z.string(), pid: z.number().int(), renewedAt: z.iso.datetime(), expiresAt: z.iso.datetime(),
  ticks: z.string().optional(), boot: z.string().optional(), pidNamespace: z.string().optional(),
})

/** Says that a run is still at work in a backup's folder. The only object that is ever replaced. */
export type LeaseRecord = z.infer<typeof leaseSchema>

/** Expired. Clocks of two machines differ, so whoever sweeps passes a `now` that lies well behind its own. */
export const isDead = (lease: Pick<LeaseRecord, 'expiresAt'> | undefined, now: Date): boolean =>
  lease === undefined || Date.parse(lease.expiresAt) < now.getTime()

/** Whether what its run left may be removed: the process is proven to have ended, or nobody has renewed the lease for very long. */
export const isAbandoned = (lease: LeaseRecord, now: Date): boolean => surelyEnded(lease) || isDead(lease, new Date(now.getTime() - GRACE))

/** Undefined when it is not readable as a lease: then nobody renews it either. */
export function parseLease(text: string): LeaseRecord | undefined {
  try {
    return leaseSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** `ownIdentity()` of the process that holds it. */
export interface LeaseOptions extends ProcessIdentity {
  run: string
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

  /** Writes it and keeps it alive until `release`. `folder` ends with a slash. `storage.exists` when another run holds one there. */
  static async take(storage: Storage, folder: string, options: LeaseOptions): Promise<Lease> {
    const lease = new Lease(storage, folder, options)
    await lease.#write(false)
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
    await this.#write(true)
  }

  async #write(overwrite: boolean): Promise<void> {
    const {run, host, pid, ticks, boot, pidNamespace} = this.#options
    const now = Date.now()
    const record: LeaseRecord = {run, host, pid, ticks, boot, pidNamespace, renewedAt: new Date(now).toISOString(), expiresAt: new Date(now + this.#term).toISOString()}
    await this.#storage.put(this.#key, `${JSON.stringify(record)}\n`, {overwrite})
    this.#expiresAt = now + this.#term
  }

  /** No longer renews it, and leaves it where it is: it tells the next run what is left to remove. */
  async abandon(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewal
    this.#expiresAt = 0
  }

  /** Removes it. What is left when that fails dies by itself. */
  async release(): Promise<void> {
    await this.abandon()
    await this.#storage.remove(this.#key)
  }
}
