import {setTimeout as pause} from 'node:timers/promises'

/** One status that an instance goes through. */
export interface Stretch<Work> {
  status: string
  /** How long, in the service's own time. */
  seconds: number
  /** What is done meanwhile, as plain data; the status stands until it is done as well. After a crash it is done again. */
  work?: Work
}

/** Stretches that were asked for together. */
export interface Course<Work> {
  /** Those that are not over yet; the first one is under way. */
  stretches: Stretch<Work>[]
  /** The status after the last. */
  end: string
  /** The status for good when work fails. */
  failure: string
}

export interface TimelineOptions<Work> {
  status: string
  /** What was under way when a former process ended. */
  courses?: readonly Course<Work>[]
  /** 1000 is the service's own pace. */
  millisecondsPerSecond: number
  perform: (work: Work) => Promise<void>
  /** Told at each change of the status, and of what is under way. */
  changed?: () => void
  /** Told the status other than `available` that it has come to; the reason is the failure of work, if it was one. */
  ended?: (status: string, reason: unknown) => void
}

/** The status of an instance. What is asked for while something goes on follows it. */
export class Timeline<Work> {
  readonly #options: TimelineOptions<Work>
  readonly #stop = new AbortController()
  readonly #history: string[]
  readonly #courses: Course<Work>[]
  #going: Promise<void> | undefined

  constructor(options: TimelineOptions<Work>) {
    this.#options = options
    this.#history = [options.status]
    this.#courses = structuredClone([...(options.courses ?? [])])
  }

  get status(): string {
    return this.#history.at(-1) ?? ''
  }

  /** Every status since the process began, the present one last. */
  get history(): readonly string[] {
    return this.#history
  }

  /** What is under way and what follows it, oldest first. */
  get courses(): readonly Course<Work>[] {
    return this.#courses
  }

  /** Whether nothing is going on. */
  get isQuiet(): boolean {
    return this.#courses.length === 0
  }

  /** Goes through the stretches, and is `end` after them. Work that fails makes it `failure` for good. */
  follow(stretches: readonly Stretch<Work>[], {end = 'available', failure = 'failed'}: {end?: string; failure?: string} = {}): void {
    this.#courses.push({stretches: [...stretches], end, failure})
    this.goOn()
  }

  /** Goes on with what is under way, when it does not already. */
  goOn(): void {
    this.#going ??= Promise.resolve().then(() => this.#goThrough()).finally(() => {
      this.#going = undefined
      if (!this.isQuiet && !this.#isStopped()) this.goOn()
    })
  }

  /** From now on it is in this status. */
  set(status: string): void {
    if (this.status !== status) this.#history.push(status)
    this.#options.changed?.()
  }

  /** Resolves when nothing is going on any more. */
  async settled(): Promise<void> {
    while (this.#going) await this.#going
  }

  /** Ends what is going on where it is; work that has begun is waited for. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#going
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #goThrough(): Promise<void> {
    for (let course = this.#courses[0]; course && !this.#isStopped(); course = this.#courses[0]) {
      const {end, failure, stretches} = course
      try {
        for (let stretch = stretches[0]; stretch; stretch = stretches[0]) {
          await this.#pass(stretch)
          stretches.shift()
        }
        this.set(end)
        if (end !== 'available') this.#options.ended?.(end, undefined)
      } catch (error) {
        if (this.#isStopped()) break
        this.set(failure)
        this.#options.ended?.(failure, error)
      }
      this.#courses.shift()
      this.#options.changed?.()
    }
  }

  async #pass({status, seconds, work}: Stretch<Work>): Promise<void> {
    this.set(status)
    const {signal} = this.#stop
    const both = await Promise.allSettled([pause(seconds * this.#options.millisecondsPerSecond, undefined, {signal}), work === undefined ? undefined : this.#options.perform(work)])
    signal.throwIfAborted()
    for (const one of both) if (one.status === 'rejected') throw one.reason
  }
}
