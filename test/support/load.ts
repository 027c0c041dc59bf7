import {setTimeout as wait} from 'node:timers/promises'
import pg from 'pg'
import {until} from './until.ts'

export interface LoadOptions {
  /** Of the database, with the role that works in it. */
  url: string
  clients: number
  /** Statements of one round, one after the other; each client runs rounds until it is stopped. */
  statements: readonly string[]
  /** Every so many rounds a client leaves and comes back; it also comes back after every error, as a pool does. */
  reconnectEvery?: number
}

/** What one client saw. Times are of `performance.now()`. */
export interface ClientReport {
  answers: number
  /** The longest time between two answers. */
  longestGapMs: number
  /** From the last answer of the first database to the first of another one; undefined when there was only one. */
  changeMs: number | undefined
  /** Codes of the errors that it saw, by how often. */
  errors: Record<string, number>
}

export interface Load {
  /** Rounds that all clients have done so far. */
  readonly rounds: number
  /** Ends the clients and says what they saw. */
  stop(): Promise<ClientReport[]>
}

const RETRY_MS = 2

/**
 * Clients that read, write and reconnect without a pause. Which database answers is known by its OID, so they notice when
 * another one has taken its name.
 */
export function startLoad(options: LoadOptions): Load {
  const ends = {stop: false}
  const clients = Array.from({length: options.clients}, () => new LoadClient(options, ends))
  const running = clients.map((client) => client.run())
  return {
    get rounds() { return clients.reduce((sum, {answers}) => sum + answers, 0) },
    async stop() {
      ends.stop = true
      await Promise.all(running)
      return clients.map((client) => client.report())
    },
  }
}

export interface UnderLoad<T> {
  result: T
  reports: ClientReport[]
  /** From the last answer of the old database to the first of the new one, of the client for which it took longest; NaN where one saw no other database. */
  changeMs: number
  /** The longest time between two answers that any client saw: for work that leaves the database in its place. */
  longestGapMs: number
}

/** Does the work while clients are busy: begun when all of them are, and over when all of them have had answers again. For tests and the benchmark. */
export async function underLoad<T>(options: LoadOptions, work: () => Promise<T>): Promise<UnderLoad<T>> {
  const load = startLoad(options)
  const rounds = options.clients * 10
  try {
    await until(() => load.rounds > rounds, 60_000)
    const result = await work()
    const after = load.rounds
    await until(() => load.rounds > after + rounds, 60_000)
    const reports = await load.stop()
    return {result, reports, changeMs: outageOf(reports), longestGapMs: Math.max(...reports.map(({longestGapMs}) => longestGapMs))}
  } finally {
    await load.stop()
  }
}

/** The longest `changeMs`: the outage as the clients felt it. */
export const outageOf = (reports: readonly ClientReport[]): number => Math.max(...reports.map(({changeMs}) => changeMs ?? Number.NaN))

class LoadClient {
  answers = 0
  readonly #options: LoadOptions
  readonly #ends: {stop: boolean}
  readonly #errors = new Map<string, number>()
  #last: {at: number; oid: string} | undefined
  #longestGapMs = 0
  #changeMs: number | undefined

  constructor(options: LoadOptions, ends: {stop: boolean}) {
    this.#options = options
    this.#ends = ends
  }

  async run(): Promise<void> {
    while (!this.#ends.stop) {
      try {
        await this.#session()
      } catch (error) {
        const code = (error as {code?: string}).code ?? (error as Error).message
        this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1)
        await wait(RETRY_MS)
      }
    }
  }

  report(): ClientReport {
    return {answers: this.answers, longestGapMs: this.#longestGapMs, changeMs: this.#changeMs, errors: Object.fromEntries(this.#errors)}
  }

  async #session(): Promise<void> {
    const client = new pg.Client({connectionString: this.#options.url, application_name: 'load'})
    client.on('error', () => undefined)
    try {
      await client.connect()
      for (let round = 0; round < (this.#options.reconnectEvery ?? 20) && !this.#ends.stop; round++) {
        for (const statement of this.#options.statements) await client.query(statement)
        const {rows: [row]} = await client.query<{oid: string}>('SELECT oid::text AS oid FROM pg_database WHERE datname = current_database()')
        this.#answered(row?.oid ?? '')
      }
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  #answered(oid: string): void {
    const at = performance.now()
    this.answers++
    if (this.#last) {
      this.#longestGapMs = Math.max(this.#longestGapMs, at - this.#last.at)
      if (this.#last.oid !== oid) this.#changeMs = at - this.#last.at
    }
    this.#last = {at, oid}
  }
}
