import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {CopyInFlight, IndexInFlight} from '../../postgres/monitor.ts'
import type {Manifest} from '../../repository/manifest.ts'
import type {ProgressItem, StepIo} from '../../runbook/procedure.ts'
import {Pace} from '../pace.ts'
import type {Job} from './flow.ts'
import type {LoadUnit} from './units.ts'

const MOST_ITEMS = 4
const nameOf = ({schema, table}: {schema: string | undefined; table: string}) => `${schema ?? ''}.${table}`

/** What building one index takes, measured against loading the same table: only for the time that is left. */
const INDEX_WEIGHT = 0.25

/** How far the data and its indexes are: finished members by their bytes, those in flight by the rows that the server has taken. */
export class LoadProgress {
  readonly #io: StepIo
  readonly #pace = new Pace()
  readonly #rows: ReadonlyMap<string, number>
  readonly #sizes = new Map<string, number>()
  readonly #total: number
  readonly #weight: number
  readonly #counts = {tables: 0, indexes: 0}
  readonly #downloaded: () => number | undefined
  #done = 0
  #built = 0
  #loaded = 0
  #weighed = 0
  #copies: readonly CopyInFlight[] = []
  #indexes: readonly IndexInFlight[] = []
  readonly #over = new Set<string>()

  constructor(io: StepIo, units: readonly LoadUnit[], tables: Manifest['tables'], downloaded: () => number | undefined) {
    this.#io = io
    this.#downloaded = downloaded
    this.#rows = new Map(tables.map(({schema, name, rows}) => [nameOf({schema, table: name}), rows ?? 0]))
    for (const {entries, members} of units) for (const [index, entry] of entries.entries()) this.#sizes.set(keyOf(entry), members[index]?.bytes ?? 0)
    const jobs = units.flatMap((unit) => [{unit}, ...unit.indexes.map((indexes) => ({unit, indexes}))])
    this.#total = units.reduce((sum, {bytes}) => sum + bytes, 0)
    this.#weight = jobs.reduce((sum, job) => sum + weightOf(job), 0)
    this.#counts = {tables: this.#sizes.size, indexes: jobs.reduce((sum, job) => sum + buildsOf(job).length, 0)}
  }

  finished(job: Job): void {
    this.#weighed += weightOf(job)
    this.#built += buildsOf(job).length
    if (job.indexes === undefined) {
      this.#done += job.unit.bytes
      this.#loaded += job.unit.entries.length
      for (const entry of job.unit.entries) this.#over.add(keyOf(entry))
    }
    this.show()
  }

  copies(copies: readonly CopyInFlight[]): void {
    this.#copies = copies
    this.show()
  }

  indexes(indexes: readonly IndexInFlight[]): void {
    this.#indexes = indexes
    this.show()
  }

  show(): void {
    const copies: ProgressItem[] = this.#copies.flatMap((copy) => {
      const total = this.#sizes.get(nameOf(copy))
      if (total === undefined || this.#over.has(nameOf(copy))) return []
      return [{name: nameOf(copy), total, done: total * Math.min(1, copy.rows / Math.max(1, this.#rows.get(nameOf(copy)) ?? 1))}]
    })
    const copied = copies.reduce((sum, item) => sum + item.done, 0)
    const downloaded = this.#downloaded()
    const building = this.#indexes.length === 0 ? '' : `, building on ${[...new Set(this.#indexes.map(nameOf))].slice(0, 2).join(', ')}`
    const note = `${this.#loaded} of ${this.#counts.tables} tables, ${this.#built} of ${this.#counts.indexes} indexes${building}${downloaded === undefined ? '' : `, ${(downloaded / 1e6).toFixed(1)} MB downloaded`}`
    const {secondsLeft} = this.#pace.at(this.#weighed + copied, this.#weight)
    this.#io.progress({unit: 'bytes', done: this.#done + copied, total: this.#total, items: copies.slice(0, MOST_ITEMS), note, ...(secondsLeft !== undefined && {secondsLeft})})
  }
}

const buildsOf = ({unit, indexes}: Job) => indexes ?? unit.keys
const weightOf = (job: Job) => (job.indexes === undefined ? job.unit.bytes : 0) + INDEX_WEIGHT * (job.unit.bytes / job.unit.entries.length) * buildsOf(job).length

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
