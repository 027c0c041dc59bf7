import type {ManifestMember} from '../../repository/manifest.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import {mapInOrder} from '../../repository/map-in-order.ts'
import type {LoadUnit} from './units.ts'

export interface FlowOptions {
  /** In the order in which they are fetched. */
  units: readonly LoadUnit[]
  /** Fetched after all units, and kept: large objects. */
  others: readonly ManifestMember[]
  fetch: (member: ManifestMember, signal: AbortSignal) => Promise<void>
  /** Fetches at once. */
  lanes: number
  /** Units that may be fetched and not yet loaded: bounds what lies on the disk. */
  ahead: number
  signal: AbortSignal
}

const SMALL_AT_ONCE = 4

/** What one pg_restore is started for: the tables of a unit, or some indexes of a table that is loaded. */
export interface Job {
  unit: LoadUnit
  /** Undefined: the unit's data, and its keys. */
  indexes?: readonly ArchiveEntry[]
}

/** Members go in at one end, are proven, and come out as loaded tables with their indexes; all of it goes on side by side. */
export class Flow {
  readonly #options: FlowOptions
  readonly #failing = new AbortController()
  readonly #signal: AbortSignal
  readonly #toFetch: LoadUnit[]
  readonly #ready: Job[] = []
  #inHand = 0
  /** Jobs that nobody has begun, known or still to come. */
  #left: number
  #changed = Promise.withResolvers<undefined>()
  #fetching: Promise<void> | undefined
  /** What began to fail: the rest are its consequences. */
  #first: {error: unknown} | undefined

  constructor(options: FlowOptions) {
    this.#options = options
    this.#signal = AbortSignal.any([options.signal, this.#failing.signal])
    this.#signal.addEventListener('abort', () => { this.#wake() }, {once: true})
    this.#toFetch = [...options.units]
    this.#left = options.units.reduce((sum, {indexes}) => sum + 1 + indexes.length, 0)
  }

  /** Begins to fetch. Resolves when all is fetched; what fails is told by `load` too, so nobody needs to wait for this. */
  start(): Promise<void> {
    this.#fetching ??= this.#settle(Array.from({length: this.#options.lanes}, () => this.#fetchLane())).then(() => this.#fetch(this.#options.others))
    this.#fetching.catch(() => {})
    return this.#fetching
  }

  /**
   * Loads every unit as soon as it is there, and builds its indexes when it is loaded: what belongs to the largest table
   * first, while its pages are still warm; `jobs` at a time. The first failure ends all.
   */
  async load(jobs: number, work: (job: Job, signal: AbortSignal) => Promise<void>): Promise<void> {
    const fetching = this.start()
    await this.#settle([fetching, ...Array.from({length: jobs}, () => this.#loadLane(work))])
  }

  /** Ends what is in flight; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#failing.abort(new Error('The restore has ended.'))
    await this.#fetching?.catch(() => {})
  }

  async #fetchLane(): Promise<void> {
    for (;;) {
      while (this.#inHand >= this.#options.ahead && this.#toFetch.length > 0) await this.#change()
      this.#signal.throwIfAborted()
      const unit = this.#toFetch.shift()
      if (unit === undefined) return
      this.#inHand++
      await this.#fetch(unit.members)
      this.#ready.push({unit})
      this.#wake()
    }
  }

  async #fetch(members: readonly ManifestMember[]): Promise<void> {
    const results = mapInOrder(members, SMALL_AT_ONCE, (member) => this.#options.fetch(member, this.#signal))
    while (!(await results.next()).done) this.#signal.throwIfAborted()
  }

  async #loadLane(work: (job: Job, signal: AbortSignal) => Promise<void>): Promise<void> {
    for (let job = await this.#next(); job !== undefined; job = await this.#next()) {
      await work(job, this.#signal)
      if (job.indexes === undefined) {
        const {unit} = job
        this.#inHand--
        this.#ready.push(...unit.indexes.map((indexes) => ({unit, indexes})))
      }
      this.#wake()
    }
  }

  async #next(): Promise<Job | undefined> {
    for (;;) {
      this.#signal.throwIfAborted()
      if (this.#left === 0) return undefined
      const largest = this.#ready.reduce<Job | undefined>((one, other) => (one && one.unit.bytes >= other.unit.bytes ? one : other), undefined)
      if (largest) {
        this.#ready.splice(this.#ready.indexOf(largest), 1)
        this.#left--
        this.#wake()
        return largest
      }
      await this.#change()
    }
  }

  async #change(): Promise<void> {
    this.#signal.throwIfAborted()
    await this.#changed.promise
  }

  #wake(): void {
    this.#changed.resolve(undefined)
    this.#changed = Promise.withResolvers()
  }

  /** Waits for all, so that nothing is at work when the first failure is told. */
  async #settle(parts: readonly Promise<void>[]): Promise<void> {
    await Promise.all(parts.map((part) => part.catch((error: unknown) => {
      this.#first ??= {error}
      this.#failing.abort(error)
    })))
    if (this.#options.signal.aborted) throw this.#options.signal.reason
    if (this.#first) throw this.#first.error
  }
}
