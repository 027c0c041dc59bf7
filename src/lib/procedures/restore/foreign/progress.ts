import type {CopyInFlight, IndexInFlight} from '../../../postgres/monitor.ts'
import type {ProgressItem, StepIo} from '../../../runbook/procedure.ts'
import {Pace} from '../../pace.ts'

const EVERY_MS = 100
const MOST_ITEMS = 4

/** How far a dump was read, in bytes as they are stored. */
export class ReadProgress {
  done = 0
  readonly #io: StepIo
  readonly #total: number | undefined
  readonly #note: string
  readonly #pace = new Pace()
  #shown = 0

  constructor(io: StepIo, total: number | undefined, note: string) {
    this.#io = io
    this.#total = total
    this.#note = note
  }

  /** The same bytes, counted. */
  async *over(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      this.#io.signal.throwIfAborted()
      this.done += chunk.length
      this.#show()
      yield chunk
    }
  }

  #show(): void {
    if (performance.now() - this.#shown < EVERY_MS) return
    this.#shown = performance.now()
    const total = this.#total === undefined ? {} : {total: Math.max(this.#total, this.done), ...this.#pace.at(this.done, this.#total)}
    this.#io.progress({unit: 'bytes', done: this.done, note: this.#note, ...total})
  }
}

/** One pg_restore over a whole archive: entries begun, and what the server has in hand. */
export class ArchiveProgress {
  readonly #io: StepIo
  readonly #total: number
  #begun = 0
  #copies: readonly CopyInFlight[] = []
  #indexes: readonly IndexInFlight[] = []

  constructor(io: StepIo, total: number) {
    this.#io = io
    this.#total = total
  }

  begun(): void {
    this.#begun += 1
    this.#show()
  }

  copies(copies: readonly CopyInFlight[]): void {
    this.#copies = copies
    this.#show()
  }

  indexes(indexes: readonly IndexInFlight[]): void {
    this.#indexes = indexes
    this.#show()
  }

  #show(): void {
    const items: ProgressItem[] = this.#indexes.slice(0, MOST_ITEMS).map(({schema, table, phase, share}) => ({name: `${schema}.${table}: ${phase}`, done: share, total: 1}))
    const rows = this.#copies.map(({schema, table, rows: loaded}) => `${schema}.${table} ${loaded.toLocaleString('en-US')} rows`).join(', ')
    this.#io.progress({unit: 'items', done: Math.min(this.#begun, this.#total), total: this.#total, items, ...(rows !== '' && {note: rows})})
  }
}
