import type {ComparedColumn, TextOrder} from './compared-tables.ts'
import type {Client} from './connection.ts'
import {copyOut} from './copy-out.ts'
import {qualified, quoteIdent} from './quote.ts'

/** How a column of a key is sent, and so sorted: both sides must do it alike. */
export type KeyForm = 'integer' | 'uuid' | 'text'

export interface DigestQuery {
  table: {schema: string; name: string; kind: 'table' | 'partitioned'}
  key: readonly {column: ComparedColumn; form: KeyForm}[]
  /** No two rows have the same key, and none lacks it: else equal keys are sorted by their digests. */
  unique: boolean
  /** What the digest covers, in the same order on both sides. */
  columns: readonly string[]
  order: TextOrder
  /** A condition on the table, which is called `r`. */
  where?: string | undefined
}

const INTEGERS = ['int2', 'int4', 'int8']

/** Integers and uuids by their own order, which an index may give; everything else as text by its bytes, whatever the collation. */
export function keyForm(one: ComparedColumn, other: ComparedColumn): KeyForm {
  if ([one, other].every(({base}) => INTEGERS.includes(base))) return 'integer'
  return one.base === 'uuid' && other.base === 'uuid' ? 'uuid' : 'text'
}

/** Values that PostgreSQL calls equal must have one text: 1.0 and 1.00, 0 and -0. */
function textOf({name, base}: ComparedColumn): string {
  const column = `r.${quoteIdent(name)}`
  if (base === 'numeric') return `trim_scale(${column})::text`
  return base === 'float4' || base === 'float8' ? `(${column} + 0)::text` : `${column}::text`
}

function keyExpression({column, form}: DigestQuery['key'][number], {utf8, bytewise}: TextOrder): string {
  if (form === 'integer') return `r.${quoteIdent(column.name)}::int8`
  if (form === 'uuid') return `r.${quoteIdent(column.name)}`
  if (!utf8) return `convert_to(${textOf(column)}, 'UTF8')`
  if (bytewise && column.defaultCollation && column.base === 'text') return `r.${quoteIdent(column.name)}`
  return `(${textOf(column)}) COLLATE "C"`
}

/** Key and digest of every row, in the order of the key. The session has `CANONICAL_SETTINGS`. */
export function digestSql({table, key, unique, columns, order, where}: DigestQuery): string {
  const digest = `pg_catalog.hashtextextended(ROW(${columns.map((column) => `r.${quoteIdent(column)}`).join(', ')})::text, 0)`
  const places = [...key.keys(), ...(unique ? [] : [key.length])].map((place) => place + 1)
  const from = `${table.kind === 'table' ? 'ONLY ' : ''}${qualified(table)}`
  return `SELECT ${[...key.map((one) => keyExpression(one, order)), digest].join(', ')} FROM ${from} AS r${where === undefined ? '' : ` WHERE ${where}`}${places.length === 0 ? '' : ` ORDER BY ${places.join(', ')}`}`
}

const HEADER_BYTES = 19
const BUFFER_BYTES = 128 * 1024
const NOTHING = Buffer.alloc(0)

/**
 * One stream of keys and digests, a row at a time without a promise for each. `step` says `row`, `wait` (then `fill`) or
 * `end`. The fields of the current row are slices of a buffer that stays as it is until the second `fill` from then.
 */
export interface DigestRows {
  readonly buffer: Buffer
  /** Where field n of the row begins, after its length; the digest is the last. */
  readonly starts: Int32Array
  /** Bytes of field n; -1 for NULL. */
  readonly lengths: Int32Array
  step(): 'row' | 'wait' | 'end'
  fill(): Promise<void>
  /** After the end: the connection is ready for the next statement. */
  finish(): Promise<void>
  /** Rows so far. */
  readonly rows: number
}

/** Rows of a table that is not there. */
export const noRows = (fields: number): DigestRows =>
  ({buffer: NOTHING, starts: new Int32Array(fields), lengths: new Int32Array(fields), step: () => 'end', fill: () => Promise.resolve(), finish: () => Promise.resolve(), rows: 0})

/** Runs the query as a COPY in binary form: nothing is escaped, so bytes compare as the server sorted them. */
export function openDigestRows(client: Client, sql: string, fields: number): DigestRows {
  return rowsOfCopy(copyOut(client, `COPY (${sql}) TO STDOUT (FORMAT binary)`), fields)
}

/** The rows of a binary COPY, wherever its bytes are cut. */
export const rowsOfCopy = (chunks: AsyncIterator<Buffer>, fields: number): DigestRows => new CopiedRows(chunks, fields)

class CopiedRows implements DigestRows {
  buffer: Buffer = NOTHING
  readonly starts: Int32Array
  readonly lengths: Int32Array
  rows = 0
  readonly #chunks: AsyncIterator<Buffer>
  readonly #fields: number
  /** Where the next row begins. */
  #at = 0
  #begun = false
  #ended = false
  #rowsAtFill = 0
  readonly #buffers = [Buffer.allocUnsafeSlow(BUFFER_BYTES), Buffer.allocUnsafeSlow(BUFFER_BYTES)]

  constructor(chunks: AsyncIterator<Buffer>, fields: number) {
    this.#chunks = chunks
    this.#fields = fields
    this.starts = new Int32Array(fields)
    this.lengths = new Int32Array(fields)
  }

  step(): 'row' | 'wait' | 'end' {
    if (this.#ended) return 'end'
    const {buffer} = this
    if (!this.#begun) {
      if (buffer.length < HEADER_BYTES) return 'wait'
      this.#begun = true
      this.#at = HEADER_BYTES
    }
    let at = this.#at
    if (at + 2 > buffer.length) return 'wait'
    if (buffer.readInt16BE(at) === -1) return this.#end()
    at += 2
    for (let field = 0; field < this.#fields; field += 1) {
      if (at + 4 > buffer.length) return 'wait'
      const length = buffer.readInt32BE(at)
      at += 4
      if (at + Math.max(0, length) > buffer.length) return 'wait'
      this.starts[field] = at
      this.lengths[field] = length
      at += Math.max(0, length)
    }
    this.#at = at
    this.rows += 1
    return 'row'
  }

  /** Two buffers in turn, so that the row before stays as it was. While no row is whole, the row before is in the other one: then a third is made. */
  async fill(): Promise<void> {
    const next = await this.#chunks.next()
    if (next.done) throw new Error('A COPY ended before its end.')
    const rest = this.buffer.subarray(this.#at)
    const length = rest.length + next.value.length
    const into = this.rows > this.#rowsAtFill && length <= BUFFER_BYTES ? this.#other() : Buffer.allocUnsafeSlow(length)
    rest.copy(into)
    next.value.copy(into, rest.length)
    this.buffer = into.subarray(0, length)
    this.#at = 0
    this.#rowsAtFill = this.rows
  }

  #other(): Buffer {
    this.#buffers.reverse()
    return this.#buffers[0] ?? NOTHING
  }

  async finish(): Promise<void> {
    while (!(await this.#chunks.next()).done);
  }

  #end(): 'end' {
    this.#ended = true
    return 'end'
  }
}
