/** A word is lower-cased; a name is what stood in double quotes; of a string only its beginning is kept. */
export interface Token {
  kind: 'word' | 'name' | 'string' | 'symbol'
  text: string
}

/** One thing of a script, in the order in which psql meets them. Lines count from 1, bytes from 0. */
export type SqlItem =
  | SqlStatement
  /** A command of psql's own: a backslash outside of quotes, to the end of its line. */
  | {kind: 'command'; line: number; from: number; to: number; text: string; insideStatement: boolean}
  /** The rows of a COPY FROM STDIN, from the line after the statement to the one with `\.`. */
  | {kind: 'rows'; line: number; endLine: number; rows: number; /** Something stands behind the semicolon of the COPY, on its line. */ followed: boolean}
  | {kind: 'comment'; line: number; text: string}

export interface SqlStatement {
  kind: 'statement'
  line: number
  endLine: number
  /** From its first byte to the one after its semicolon. */
  from: number
  to: number
  /** Its beginning as it stands there. */
  text: string
  /** Its first ones: `MOST_TOKENS`, more of a COPY. */
  tokens: readonly Token[]
  /** The lines that follow are its rows. */
  copies: boolean
}

/** Where a script ended that should not have ended there. */
export type OpenEnd = 'rows' | 'statement' | 'quote' | 'comment'

export const MOST_TOKENS = 300
const MOST_COPY_TOKENS = 20_000
/** The rest of an INSERT is data. */
const MOST_INSERT_TOKENS = 12
const MOST_STRING = 200

/** The tokens of one statement, and what psql counts to know where it ends. */
export class StatementTokens {
  readonly all: Token[] = []
  /** Open parentheses. */
  depth = 0
  /** Open BEGIN … END of a function whose body is SQL. */
  #bodies = 0
  readonly #firstWords: string[] = []

  get isEmpty(): boolean {
    return this.all.length === 0
  }

  /** Whether a semicolon here ends the statement. */
  get mayEnd(): boolean {
    return this.depth === 0 && this.#bodies === 0
  }

  /** What a word says no longer matters. */
  get ignoresWords(): boolean {
    return !this.isWhole && !this.#makesFunction
  }

  /** Its tokens are all kept. */
  get isWhole(): boolean {
    return this.all.length < this.#most
  }

  word(text: string): void {
    const lower = text.toLowerCase()
    this.#keep({kind: 'word', text: lower})
    if (this.#firstWords.length < 4) this.#firstWords.push(lower)
    if (this.depth > 0 || !this.#makesFunction) return
    if (lower === 'begin') this.#bodies += 1
    else if (lower === 'case' && this.#bodies > 0) this.#bodies += 1
    else if (lower === 'end' && this.#bodies > 0) this.#bodies -= 1
  }

  name(text: string): void {
    this.#keep({kind: 'name', text})
  }

  string(text: string): void {
    this.#keep({kind: 'string', text: text.slice(0, MOST_STRING)})
  }

  symbol(text: string): void {
    if (text === '(') this.depth += 1
    if (text === ')') this.depth = Math.max(0, this.depth - 1)
    this.#keep({kind: 'symbol', text})
  }

  #keep(token: Token): void {
    if (this.isWhole) this.all.push(token)
  }

  get #most(): number {
    const first = this.all[0]?.text
    return first === 'copy' ? MOST_COPY_TOKENS : first === 'insert' ? MOST_INSERT_TOKENS : MOST_TOKENS
  }

  /** As psql knows it: CREATE [OR REPLACE] FUNCTION or PROCEDURE. */
  get #makesFunction(): boolean {
    const [create, second, third, fourth] = this.#firstWords
    const isRoutine = (word: string | undefined) => word === 'function' || word === 'procedure'
    return create === 'create' && (isRoutine(second) || (second === 'or' && third === 'replace' && isRoutine(fourth)))
  }
}

/**
 * The tokens as one text for patterns: words as they are, `"` for a quoted name, `'` for a string, everything between single blanks.
 * A name can so never pass for a keyword.
 */
export function shapeOf(tokens: readonly Token[]): string {
  const known = shapes.get(tokens)
  if (known !== undefined) return known
  const shape = tokens.map(({kind, text}) => (kind === 'name' ? '"' : kind === 'string' ? "'" : text)).join(' ')
  shapes.set(tokens, shape)
  return shape
}

/** Many rules look at the shape of one statement. */
const shapes = new WeakMap<readonly Token[], string>()

/** `COPY … FROM STDIN`, whose rows follow in the script. */
export const copiesFromScript = (tokens: readonly Token[]): boolean => tokens[0]?.text === 'copy' && /^copy (binary )?(\S+)( \. \S+)*( \( [^()]* \))? from stdin\b/.test(shapeOf(tokens))
