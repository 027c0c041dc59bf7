import {verificationError} from '../../errors.ts'
import type {DigestRows, KeyForm} from '../../postgres/digest-rows.ts'

/** How the rows of two sides differ. */
export interface RowDiff {
  onlyLive: number
  onlyBackup: number
  /** The key is on both sides, the row is not the same. */
  changed: number
  /** The first keys that differ, in the order of the key. */
  sample: RowSample[]
}

export interface RowSample {
  change: 'only-live' | 'only-backup' | 'changed'
  /** Values of the key's columns. */
  key: (string | null)[]
}

export interface MergeOptions {
  key: readonly KeyForm[]
  /** Keys to keep. */
  sample: number
  /** Called now and then with the rows read so far, of both sides. */
  onRows?: (rows: number) => void
  signal: AbortSignal
}

const REPORT_EVERY = 20_000

/**
 * Compares two streams that are sorted by key, then digest, holding no more than a row of each. Rows with the same key that
 * are not alike are `changed`, one for one; where a key is NULL, or there is none, rows are compared as wholes and can only be
 * on one side.
 */
export async function mergeRows(live: DigestRows, backup: DigestRows, options: MergeOptions): Promise<RowDiff> {
  const merge = new Merge(live, backup, options)
  await Promise.all([live.fill(), backup.fill()])
  await merge.run()
  await Promise.all([live.finish(), backup.finish()])
  return merge.result()
}

/** Keys that differ and are not told yet: more rows may follow with the same one. */
interface Pending {
  key: Buffer
  live: number
  backup: number
}

class Merge {
  readonly #live: Cursor
  readonly #backup: Cursor
  readonly #options: MergeOptions
  readonly #diff: RowDiff = {onlyLive: 0, onlyBackup: 0, changed: 0, sample: []}
  #pending: Pending | undefined
  #reported = 0

  constructor(live: DigestRows, backup: DigestRows, options: MergeOptions) {
    this.#live = new Cursor(live, options.key)
    this.#backup = new Cursor(backup, options.key)
    this.#options = options
  }

  async run(): Promise<void> {
    const [live, backup] = [this.#live, this.#backup]
    let [more, moreBackup] = [await live.next(), await backup.next()]
    while (more || moreBackup) {
      const order = !more ? 1 : !moreBackup ? -1 : live.compare(backup)
      if (order < 0) this.#differs(live, 'live')
      else if (order > 0) this.#differs(backup, 'backup')
      // Only a buffer that has run out is waited for.
      if (order <= 0) more = live.advance() ?? await live.next()
      if (order >= 0) moreBackup = backup.advance() ?? await backup.next()
      if (live.rows + backup.rows - this.#reported >= REPORT_EVERY) this.#report()
    }
    this.#flush()
  }

  result(): RowDiff {
    return this.#diff
  }

  #report(): void {
    this.#options.signal.throwIfAborted()
    this.#reported = this.#live.rows + this.#backup.rows
    this.#options.onRows?.(this.#reported)
  }

  #differs(row: Cursor, side: 'live' | 'backup'): void {
    if (this.#pending === undefined || !row.hasKey(this.#pending.key)) {
      this.#flush()
      this.#pending = {key: row.key(), live: 0, backup: 0}
    }
    this.#pending[side] += 1
  }

  #flush(): void {
    if (this.#pending === undefined) return
    const {key, live, backup} = this.#pending
    const values = keyValues(key, this.#options.key)
    const changed = values.length === 0 || values.includes(null) ? 0 : Math.min(live, backup)
    this.#diff.changed += changed
    this.#diff.onlyLive += live - changed
    this.#diff.onlyBackup += backup - changed
    const kinds: [RowSample['change'], number][] = [['changed', changed], ['only-live', live - changed], ['only-backup', backup - changed]]
    for (const [change, rows] of kinds) if (rows > 0 && values.length > 0 && this.#diff.sample.length < this.#options.sample) this.#diff.sample.push({change, key: values})
    this.#pending = undefined
  }
}

/** The current row of one side. */
class Cursor {
  readonly #source: DigestRows
  readonly #forms: readonly KeyForm[]
  /** The row before, to see that the order holds. */
  #before: {buffer: Buffer; starts: Int32Array; lengths: Int32Array} | undefined

  constructor(source: DigestRows, forms: readonly KeyForm[]) {
    this.#source = source
    this.#forms = forms
  }

  get rows(): number {
    return this.#source.rows
  }

  /** Whether there is a further row; undefined: not without waiting. */
  advance(): boolean | undefined {
    this.#remember()
    return this.#step()
  }

  async next(): Promise<boolean> {
    let found = this.#step()
    while (found === undefined) {
      await this.#source.fill()
      found = this.#step()
    }
    return found
  }

  /** Below zero: this row comes first. */
  compare(other: Cursor): number {
    return compareRows(this.#source, other.#source, this.#forms)
  }

  /** The fields of the key with their lengths, as they came. */
  key(): Buffer {
    return Buffer.from(this.#source.buffer.subarray(...this.#keyRange()))
  }

  hasKey(key: Buffer): boolean {
    return this.#source.buffer.compare(key, 0, key.length, ...this.#keyRange()) === 0
  }

  #keyRange(): [number, number] {
    const {starts} = this.#source
    const digest = (starts[this.#forms.length] ?? 0) - 4
    return this.#forms.length === 0 ? [digest, digest] : [(starts[0] ?? 0) - 4, digest]
  }

  #step(): boolean | undefined {
    const found = this.#source.step()
    if (found === 'wait') return undefined
    if (found === 'row' && this.#before !== undefined && compareRows(this.#before, this.#source, this.#forms) > 0) throw outOfOrder()
    return found === 'row'
  }

  #remember(): void {
    const {buffer, starts, lengths} = this.#source
    this.#before ??= {buffer, starts: new Int32Array(starts.length), lengths: new Int32Array(lengths.length)}
    this.#before.buffer = buffer
    this.#before.starts.set(starts)
    this.#before.lengths.set(lengths)
  }
}

const outOfOrder = () => verificationError('diff.order', 'The server sent rows in another order than it was asked for: an index may be damaged.', {hints: ['REINDEX the table, then compare again.']})

type Row = Pick<DigestRows, 'buffer' | 'starts' | 'lengths'>

/** By the key's columns, NULL last, then by the digest: as the server sorts. */
function compareRows(one: Row, other: Row, forms: readonly KeyForm[]): number {
  for (let field = 0; field <= forms.length; field += 1) {
    const order = compareField(one, other, field, forms[field] ?? 'integer')
    if (order !== 0) return order
  }
  return 0
}

function compareField(one: Row, other: Row, field: number, form: KeyForm): number {
  const [length, otherLength] = [one.lengths[field] ?? 0, other.lengths[field] ?? 0]
  if (length < 0 || otherLength < 0) return length < 0 && otherLength < 0 ? 0 : length < 0 ? 1 : -1
  const [start, otherStart] = [one.starts[field] ?? 0, other.starts[field] ?? 0]
  if (form !== 'integer') return one.buffer.compare(other.buffer, otherStart, otherStart + otherLength, start, start + length)
  const high = one.buffer.readInt32BE(start) - other.buffer.readInt32BE(otherStart)
  return high !== 0 ? high : one.buffer.readUInt32BE(start + 4) - other.buffer.readUInt32BE(otherStart + 4)
}

/** A key as it came, in words. */
function keyValues(key: Buffer, forms: readonly KeyForm[]): (string | null)[] {
  let at = 0
  return forms.map((form) => {
    const length = key.readInt32BE(at)
    const value = length < 0 ? undefined : key.subarray(at + 4, at + 4 + length)
    at += 4 + Math.max(0, length)
    return value === undefined ? null : valueText(value, form)
  })
}

function valueText(value: Buffer, form: KeyForm): string {
  if (form === 'integer') return value.readBigInt64BE().toString()
  return form === 'uuid' ? value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') : value.toString('utf8')
}
