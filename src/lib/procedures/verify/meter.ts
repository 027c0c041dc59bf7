import type {StepIo} from '../../runbook/procedure.ts'
import {Pace} from '../pace.ts'

const EVERY_MS = 100

export interface MeterItem {
  name: string
  done: number
  total: number
}

/** How many bytes of everything that is to be read were read, with what is in flight. */
export class Meter {
  readonly #io: StepIo
  readonly #items = new Set<MeterItem>()
  readonly #pace = new Pace()
  #total = 0
  #finished = 0
  #shown = 0
  note = ''

  constructor(io: StepIo) {
    this.#io = io
  }

  /** More that will be read. */
  expect(bytes: number): void {
    this.#total += bytes
  }

  begin(name: string, total: number): MeterItem {
    const item = {name, done: 0, total}
    this.#items.add(item)
    return item
  }

  at(item: MeterItem, done: number): void {
    item.done = done
    this.#show()
  }

  end(item: MeterItem): void {
    this.#items.delete(item)
    this.#finished += item.done
    this.#show()
  }

  say(text: string): void {
    this.#io.progress(text)
  }

  #show(): void {
    if (performance.now() - this.#shown < EVERY_MS) return
    this.#shown = performance.now()
    const done = this.#finished + [...this.#items].reduce((sum, item) => sum + item.done, 0)
    const total = Math.max(this.#total, done)
    this.#io.progress({unit: 'bytes', done, total, items: [...this.#items].map((item) => ({...item})), ...(this.note !== '' && {note: this.note}), ...this.#pace.at(done, total)})
  }
}
