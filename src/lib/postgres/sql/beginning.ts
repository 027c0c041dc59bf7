/** The first bytes of something that comes in pieces; characters may be cut in two by them. */
export class Beginning {
  readonly #most: number
  #parts: Buffer[] = []
  #length = 0

  constructor(most: number) {
    this.#most = most
  }

  /** That were kept. */
  get length(): number {
    return this.#length
  }

  add(bytes: Buffer): void {
    if (this.#length >= this.#most || bytes.length === 0) return
    const part = Buffer.from(bytes.subarray(0, this.#most - this.#length))
    this.#parts.push(part)
    this.#length += part.length
  }

  text(): string {
    return Buffer.concat(this.#parts).toString('utf8')
  }
}

const MOST_TEXT = 400

/** Where a statement begins, and its text as far as it is shown. */
export class StatementStart {
  readonly line: number
  readonly offset: number
  readonly #beginning = new Beginning(MOST_TEXT)

  constructor(line: number, offset: number) {
    this.line = line
    this.offset = offset
  }

  /** Takes what is in this piece, which begins at `base`, as far as `to`. */
  keep(bytes: Buffer, base: number, to: number): void {
    this.#beginning.add(bytes.subarray(Math.max(0, this.offset + this.#beginning.length - base), Math.max(0, to)))
  }

  get text(): string {
    return this.#beginning.text()
  }
}
