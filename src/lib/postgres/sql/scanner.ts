import {Beginning, StatementStart} from './beginning.ts'
import {endOf, isDigit, isSpace, inWord, startsWord} from './bytes.ts'
import {copiesFromScript, StatementTokens, type OpenEnd, type SqlItem, type SqlStatement} from './tokens.ts'
import {CopyRows} from './copy-rows.ts'

const NEWLINE = 10
const RETURN = 13
const QUOTE = 39
const DOUBLE = 34
const BACKSLASH = 92
const DOLLAR = 36
const MOST_LINE = 1000
/** Longer than any name, any number, any tag of a dollar quote. */
const MOST_HELD = 4096

type Mode = 'sql' | 'line-comment' | 'block-comment' | 'string' | 'escape-string' | 'name' | 'dollar' | 'command' | 'rows'

/**
 * Reads a script as psql does: quotes of every kind, dollar quotes, nested comments, bodies of SQL functions, and the rows behind a
 * COPY FROM STDIN. Takes it in pieces and keeps no more than the beginning of a statement. Only for encodings in which every byte
 * below 128 is the character of ASCII.
 */
export class SqlScanner {
  /** As psql has it from the server: whether a backslash in a plain string means nothing. */
  plainStrings = true
  readonly #onItem: (item: SqlItem) => void
  #mode: Mode = 'sql'
  #held: Buffer = Buffer.alloc(0)
  /** Of the first byte of the piece at hand. */
  #base = 0
  #line = 1
  #tokens = new StatementTokens()
  #start: StatementStart | undefined
  /** What is inside of quotes or a comment, as far as it is kept. */
  #inside = new Beginning(MOST_LINE)
  #insideLine = 1
  #commandFrom = 0
  #depth = 0
  #tag: Buffer = Buffer.alloc(0)
  #rows: CopyRows | undefined
  /** After a string with escapes: a string that follows on a later line goes on with it. */
  #afterEscapes: 'no' | 'same-line' | 'later-line' = 'no'

  constructor(onItem: (item: SqlItem) => void) {
    this.#onItem = onItem
  }

  get line(): number {
    return this.#line
  }

  add(chunk: Buffer): void {
    this.#take(this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk, false)
  }

  /** After the last piece: what was still open. */
  end(): OpenEnd | undefined {
    if (this.#mode !== 'rows') this.#take(Buffer.concat([this.#held, Buffer.from('\n')]), true)
    if (this.#mode === 'rows') return this.#rows?.end(this.#held) === true ? undefined : 'rows'
    if (this.#mode === 'block-comment') return 'comment'
    if (this.#mode !== 'sql') return 'quote'
    return this.#tokens.isEmpty ? undefined : 'statement'
  }

  #take(bytes: Buffer, last: boolean): void {
    let at = 0
    while (at < bytes.length) {
      const mode = this.#mode
      const next = this.#step(bytes, at, last)
      if (next === at && this.#mode === mode) break
      at = next
    }
    this.#start?.keep(bytes, this.#base, at)
    this.#held = Buffer.from(bytes.subarray(at))
    this.#base += at
  }

  /** Goes on as far as it can, and returns where it is; the same place when more bytes are needed. */
  #step(bytes: Buffer, at: number, last: boolean): number {
    switch (this.#mode) {
      case 'sql': return this.#sql(bytes, at, last)
      case 'rows': return this.#copyRows(bytes, at)
      case 'line-comment':
      case 'command': return this.#toLineEnd(bytes, at)
      case 'block-comment': return this.#blockComment(bytes, at, last)
      case 'dollar': return this.#dollar(bytes, at)
      case 'string': return this.#quoted(bytes, at, QUOTE, last)
      case 'name': return this.#quoted(bytes, at, DOUBLE, last)
      case 'escape-string': return this.#escapeString(bytes, at, last)
    }
  }

  #sql(bytes: Buffer, at: number, last: boolean): number {
    const byte = bytes[at] ?? 0
    if (isSpace(byte)) {
      if (byte === NEWLINE) this.#line += 1
      if ((byte === NEWLINE || byte === RETURN) && this.#afterEscapes === 'same-line') this.#afterEscapes = 'later-line'
      return at + 1
    }
    const next = bytes[at + 1]
    if (next === undefined && !last) return at
    if (byte === 45 && next === 45) return this.#open('line-comment', at, 2)
    if (byte === 47 && next === 42) return this.#openBlock(at)
    if (byte === BACKSLASH) return this.#openCommand(at)
    if (byte === QUOTE && this.#afterEscapes === 'later-line') return this.#open('escape-string', at, 1)
    this.#afterEscapes = 'no'
    this.#begin(at)
    if (byte === QUOTE) return this.#open(this.plainStrings ? 'string' : 'escape-string', at, 1)
    if (byte === DOUBLE) return this.#open('name', at, 1)
    if (byte === DOLLAR) return this.#dollarSign(bytes, at, last)
    if (startsWord(byte)) return this.#word(bytes, at, last)
    if (isDigit(byte)) return this.#number(bytes, at, last)
    if (byte === 59 && this.#tokens.mayEnd) return this.#finish(bytes, at)
    this.#tokens.symbol(String.fromCharCode(byte))
    return at + 1
  }

  #begin(at: number): void {
    this.#start ??= new StatementStart(this.#line, this.#base + at)
  }

  #open(mode: Mode, at: number, length: number): number {
    this.#mode = mode
    this.#inside = new Beginning(MOST_LINE)
    this.#insideLine = this.#line
    return at + length
  }

  #openBlock(at: number): number {
    this.#depth = 1
    return this.#open('block-comment', at, 2)
  }

  #openCommand(at: number): number {
    this.#commandFrom = this.#base + at
    return this.#open('command', at, 1)
  }

  #word(bytes: Buffer, at: number, last: boolean): number {
    const end = endOf(bytes, at, inWord)
    if (end === bytes.length && !last && end - at < MOST_HELD) return at
    if (end - at > 1 && this.#tokens.ignoresWords) return end
    const word = bytes.toString('utf8', at, end)
    if (bytes[end] === QUOTE && /^[eE]$/.test(word)) return this.#open('escape-string', end, 1)
    if (bytes[end] === QUOTE && /^[bBxX]$/.test(word)) return this.#open('string', end, 1)
    if (/^[uU]$/.test(word) && bytes[end] === 38) {
      if (end + 1 >= bytes.length && !last) return at
      if (bytes[end + 1] === QUOTE) return this.#open('string', end, 2)
      if (bytes[end + 1] === DOUBLE) return this.#open('name', end, 2)
    }
    this.#tokens.word(word)
    return end
  }

  #number(bytes: Buffer, at: number, last: boolean): number {
    const end = endOf(bytes, at, isDigit)
    if (end === bytes.length && !last && end - at < MOST_HELD) return at
    if (this.#tokens.ignoresWords) return end
    this.#tokens.word(bytes.toString('latin1', at, end))
    return end
  }

  #dollarSign(bytes: Buffer, at: number, last: boolean): number {
    const end = endOf(bytes, at + 1, (byte) => startsWord(byte) || isDigit(byte))
    if (end === bytes.length && !last && end - at < MOST_HELD) return at
    if (bytes[end] !== DOLLAR || isDigit(bytes[at + 1] ?? 0)) {
      this.#tokens.symbol('$')
      return at + 1
    }
    this.#tag = Buffer.from(bytes.subarray(at, end + 1))
    return this.#open('dollar', end, 1)
  }

  #dollar(bytes: Buffer, at: number): number {
    const found = bytes.indexOf(this.#tag, at)
    // The tag may be cut in two: as many bytes stay.
    const end = found === -1 ? Math.max(at, bytes.length - this.#tag.length + 1) : found
    this.#countLines(bytes, at, end)
    if (found === -1) return end
    this.#mode = 'sql'
    this.#tokens.string('')
    return found + this.#tag.length
  }

  /** A plain string or a name: a quote that is doubled stands for itself. */
  #quoted(bytes: Buffer, at: number, quote: number, last: boolean): number {
    const found = bytes.indexOf(quote, at)
    const end = found === -1 ? bytes.length : found
    if (found !== -1 && found + 1 >= bytes.length && !last) {
      this.#gather(bytes, at, found)
      return found
    }
    this.#gather(bytes, at, end)
    if (found === -1) return end
    if (bytes[found + 1] === quote) {
      this.#inside.add(bytes.subarray(found, found + 1))
      return found + 2
    }
    this.#close()
    return found + 1
  }

  #escapeString(bytes: Buffer, at: number, last: boolean): number {
    let end = at
    while (end < bytes.length && bytes[end] !== QUOTE && bytes[end] !== BACKSLASH) end += 1
    if (end > at) {
      this.#gather(bytes, at, end)
      return end
    }
    if (end + 1 >= bytes.length && !last) return at
    if (bytes[end] === BACKSLASH || bytes[end + 1] === QUOTE) {
      if (bytes[end + 1] === NEWLINE) this.#line += 1
      return end + 2
    }
    this.#close()
    this.#afterEscapes = 'same-line'
    return end + 1
  }

  #close(): void {
    if (this.#mode === 'name') this.#tokens.name(this.#inside.text())
    else this.#tokens.string(this.#inside.text())
    this.#mode = 'sql'
  }

  #toLineEnd(bytes: Buffer, at: number): number {
    const isComment = this.#mode === 'line-comment'
    // For psql a comment ends at a carriage return, too.
    const end = endOf(bytes, at, (byte) => byte !== NEWLINE && !(isComment && byte === RETURN))
    this.#inside.add(bytes.subarray(at, end))
    if (end === bytes.length) return end
    if (isComment) this.#onItem({kind: 'comment', line: this.#line, text: this.#inside.text().trim()})
    else this.#onItem({kind: 'command', line: this.#line, from: this.#commandFrom, to: this.#base + end, text: `\\${this.#inside.text().trimEnd()}`, insideStatement: !this.#tokens.isEmpty})
    this.#mode = 'sql'
    return end
  }

  #blockComment(bytes: Buffer, at: number, last: boolean): number {
    const found = bytes.subarray(at).findIndex((byte) => byte === 42 || byte === 47)
    const end = found === -1 ? bytes.length : at + found
    this.#countLines(bytes, at, end)
    if (end >= bytes.length) return end
    if (end + 1 >= bytes.length && !last) return end
    if (bytes[end] === 47 && bytes[end + 1] === 42) this.#depth += 1
    else if (bytes[end] === 42 && bytes[end + 1] === 47) this.#depth -= 1
    else return end + 1
    if (this.#depth === 0) this.#mode = 'sql'
    return end + 2
  }

  #copyRows(bytes: Buffer, at: number): number {
    if (this.#rows === undefined) throw new Error('There are no rows to read.')
    const {end, lines, done} = this.#rows.take(bytes, at)
    this.#line += lines
    if (!done) return end
    this.#onItem({kind: 'rows', line: this.#insideLine, endLine: this.#line - 1, rows: this.#rows.count, followed: this.#rows.followed})
    this.#mode = 'sql'
    return end
  }

  #finish(bytes: Buffer, at: number): number {
    const start = this.#start ?? new StatementStart(this.#line, this.#base + at)
    start.keep(bytes, this.#base, at + 1)
    const tokens = this.#tokens.all
    const copies = copiesFromScript(tokens)
    const statement: SqlStatement = {kind: 'statement', line: start.line, endLine: this.#line, from: start.offset, to: this.#base + at + 1, text: start.text, tokens, copies}
    this.#tokens = new StatementTokens()
    this.#start = undefined
    this.#onItem(statement)
    return copies ? this.#openRows(bytes, at + 1) : at + 1
  }

  /** The rows begin on the next line. */
  #openRows(bytes: Buffer, at: number): number {
    this.#rows = new CopyRows()
    this.#mode = 'rows'
    this.#insideLine = this.#line + 1
    return this.#copyRows(bytes, at)
  }

  #gather(bytes: Buffer, from: number, to: number): void {
    if (this.#tokens.isWhole) this.#inside.add(bytes.subarray(from, to))
    this.#countLines(bytes, from, to)
  }

  #countLines(bytes: Buffer, from: number, to: number): void {
    for (let at = bytes.indexOf(NEWLINE, from); at !== -1 && at < to; at = bytes.indexOf(NEWLINE, at + 1)) this.#line += 1
  }
}
