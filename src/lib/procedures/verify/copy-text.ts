const NEWLINE = 0x0a
const END = Buffer.from('\\.\n\n\n')

/** Looks at the text that COPY wrote, as it goes by: pg_dump ends it with a line `\.` and two empty ones. */
export class CopyText {
  #newlines = 0
  #tail = Buffer.alloc(0)

  add(chunk: Buffer): void {
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) this.#newlines += 1
    const joined = chunk.length > END.length ? chunk : Buffer.concat([this.#tail, chunk])
    this.#tail = Buffer.from(joined.subarray(-END.length - 1))
  }

  /** The number of rows; undefined when the end is missing. Newlines inside of values are escaped, so a line is a row. */
  rows(): number | undefined {
    const before = this.#tail.length > END.length ? this.#tail[0] : NEWLINE
    if (!this.#tail.subarray(-END.length).equals(END) || before !== NEWLINE) return undefined
    return this.#newlines - 3
  }
}
