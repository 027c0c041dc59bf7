import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {CopyInFlight, IndexInFlight} from '../../postgres/monitor.ts'
import type {Manifest} from '../../repository/manifest.ts'
import type {ProgressItem, StepIo} from '../../runbook/procedure.ts'
import {Pace} from '../pace.ts'
import type {LoadUnit} from './units.ts'

const MOST_ITEMS = 4
const nameOf = ({schema, table}: {schema: string | undefined; table: string}) => `${schema ?? ''}.${table}`

/** How far the data is: finished members by their bytes, those in flight by the rows that the server has taken. */
export class LoadProgress {
  readonly #io: StepIo
  readonly #pace = new Pace()
  readonly #rows: ReadonlyMap<string, number>
  readonly #sizes = new Map<string, number>()
  readonly #total: number
  readonly #tables: number
  readonly #downloaded: () => number | undefined
  #done = 0
  #finished = 0
  #inFlight: readonly CopyInFlight[] = []
  readonly #over = new Set<string>()

  constructor(io: StepIo, units: readonly LoadUnit[], tables: Manifest['tables'], downloaded: () => number | undefined) {
    this.#io = io
    this.#downloaded = downloaded
    this.#rows = new Map(tables.map(({schema, name, rows}) => [nameOf({schema, table: name}), rows ?? 0]))
    for (const {entries, members} of units) for (const [index, entry] of entries.entries()) this.#sizes.set(keyOf(entry), members[index]?.bytes ?? 0)
    this.#total = units.reduce((sum, {bytes}) => sum + bytes, 0)
    this.#tables = this.#sizes.size
  }

  finished({entries, bytes}: LoadUnit): void {
    this.#done += bytes
    this.#finished += entries.length
    for (const entry of entries) this.#over.add(keyOf(entry))
    this.show()
  }

  copies(copies: readonly CopyInFlight[]): void {
    this.#inFlight = copies
    this.show()
  }

  show(): void {
    const items: ProgressItem[] = this.#inFlight.flatMap((copy) => {
      const total = this.#sizes.get(nameOf(copy))
      if (total === undefined || this.#over.has(nameOf(copy))) return []
      return [{name: nameOf(copy), total, done: total * Math.min(1, copy.rows / Math.max(1, this.#rows.get(nameOf(copy)) ?? 1))}]
    })
    const done = this.#done + items.reduce((sum, item) => sum + item.done, 0)
    const downloaded = this.#downloaded()
    const note = `${this.#finished} of ${this.#tables} tables${downloaded === undefined ? '' : `, ${(downloaded / 1e6).toFixed(1)} MB downloaded`}`
    this.#io.progress({unit: 'bytes', done, total: this.#total, items: items.slice(0, MOST_ITEMS), note, ...this.#pace.at(done, this.#total)})
  }
}

const keyOf = ({schema, tag}: ArchiveEntry) => nameOf({schema, table: tag})

/** Indexes, keys and the rest: entries begun, and the index builds in flight. */
export class RestProgress {
  readonly #io: StepIo
  readonly #total: number
  #begun = 0
  #inFlight: readonly IndexInFlight[] = []

  constructor(io: StepIo, total: number) {
    this.#io = io
    this.#total = total
  }

  begun(): void {
    this.#begun++
    this.#show()
  }

  indexes(indexes: readonly IndexInFlight[]): void {
    this.#inFlight = indexes
    this.#show()
  }

  #show(): void {
    const items = this.#inFlight.slice(0, MOST_ITEMS).map((index) => ({name: `${nameOf(index)}: ${index.phase}`, done: index.share, total: 1}))
    this.#io.progress({unit: 'items', done: Math.min(this.#begun, this.#total), total: this.#total, items})
  }
}
