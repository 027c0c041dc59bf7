import {readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {parseArchive} from '../../postgres/archive.ts'
import type {FinishedItem} from '../../postgres/dump.ts'
import type {CopyInFlight} from '../../postgres/monitor.ts'
import type {TableRef} from '../../postgres/tables.ts'
import type {Progress, ProgressItem, StepIo} from '../../runbook/procedure.ts'
import {Pace} from '../pace.ts'
import type {Shipper} from './shipper.ts'

const SAMPLE_MS = 100

/**
 * How far a dump is. pg_dump says only which table is finished; the server tells how many rows of a running COPY are out.
 * Weighed by bytes on disk, because rows of different tables cost differently.
 */
export class DumpProgress {
  readonly #io: StepIo
  #tables: readonly TableRef[] = []
  #shipper: Shipper | undefined
  #directory = ''
  readonly #finished = new Set<number>()
  #inFlight: readonly CopyInFlight[] = []
  #pace = new Pace()
  #stagingPeak = 0
  #sampler: NodeJS.Timeout | undefined
  #items = 0
  #oids: Map<number, number> | undefined

  constructor(io: StepIo) {
    this.#io = io
  }

  begin(tables: readonly TableRef[], shipper: Shipper, directory: string): void {
    this.#tables = tables.filter(({kind}) => kind === 'table')
    this.#shipper = shipper
    this.#directory = directory
    this.#pace = new Pace()
    this.#sampleIn(SAMPLE_MS)
  }

  finished({dumpId}: FinishedItem): void {
    this.#items++
    try {
      this.#oids ??= this.#readOids()
    } catch {
      // Only the share that is shown depends on it; the backup reads toc.dat again when it is whole.
      return
    }
    const oid = this.#oids.get(dumpId)
    if (oid !== undefined) this.#finished.add(oid)
    this.#show()
  }

  copies(copies: readonly CopyInFlight[]): void {
    // What was in flight and is no more is out of the server; pg_dump says so a little later.
    for (const {oid} of this.#inFlight) if (!copies.some((copy) => copy.oid === oid)) this.#finished.add(oid)
    this.#inFlight = copies
    this.#show()
  }

  /** toc.dat is complete before the first member is: it tells which table a dump id is. */
  #readOids(): Map<number, number> {
    const {entries} = parseArchive(readFileSync(join(this.#directory, 'toc.dat')))
    const oids = new Map(this.#tables.map(({schema, name, oid}) => [JSON.stringify([schema, name]), oid]))
    return new Map(entries.filter(({kind}) => kind === 'TABLE DATA').flatMap(({dumpId, schema, tag}) => {
      const oid = oids.get(JSON.stringify([schema, tag]))
      return oid === undefined ? [] : [[dumpId, oid] as const]
    }))
  }

  /** The most bytes that staging held at once. */
  end(): number {
    clearTimeout(this.#sampler)
    return this.#stagingPeak
  }

  /** Thousands of members take long to look at: never more than a small part of the time. */
  #sampleIn(ms: number): void {
    this.#sampler = setTimeout(() => {
      const from = performance.now()
      this.#sample()
      this.#sampleIn(Math.max(SAMPLE_MS, 20 * (performance.now() - from)))
    }, ms)
  }

  #sample(): void {
    try {
      const bytes = readdirSync(this.#directory).reduce((sum, name) => sum + (statSync(join(this.#directory, name), {throwIfNoEntry: false})?.size ?? 0), 0)
      this.#stagingPeak = Math.max(this.#stagingPeak, bytes)
    } catch {
      // pg_dump has not made the folder yet.
    }
  }

  #show(): void {
    const total = this.#tables.reduce((sum, {bytes}) => sum + bytes, 0)
    const items: ProgressItem[] = []
    let done = 0
    for (const table of this.#tables) {
      if (this.#finished.has(table.oid)) {
        done += table.bytes
        continue
      }
      const copy = this.#inFlight.find(({oid}) => oid === table.oid)
      if (copy === undefined) continue
      const part = table.bytes * Math.min(1, copy.rows / Math.max(1, table.estimatedRows))
      done += part
      items.push({name: `${table.schema}.${table.name}`, done: part, total: table.bytes})
    }
    const shipped = this.#shipper?.shippedBytes ?? 0
    const progress: Progress = {unit: 'bytes', done, total, items, note: `${this.#items} of ${this.#tables.length} tables, ${(shipped / 1e6).toFixed(1)} MB stored`, ...this.#pace.at(done, total)}
    this.#io.progress(progress)
  }
}
