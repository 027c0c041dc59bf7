const NEWLINE = 10

/** The rows behind a COPY FROM STDIN, line by line, until the one that is only `\.`. The rest of the statement's own line comes first. */
export class CopyRows {
  /** Lines so far, without the last. */
  count = 0
  /** Something stands behind the semicolon, on the statement's own line. */
  followed = false
  #first = true
  #inLine = false

  /** Reads as far as it can: where it is, how many lines ended, and whether that was the end. What is left over may be the end in part. */
  take(bytes: Buffer, from: number): {end: number; lines: number; done: boolean} {
    let at = from
    let lines = 0
    for (;;) {
      const newline = bytes.indexOf(NEWLINE, at)
      if (this.#first) this.followed ||= /\S/.test(bytes.toString('latin1', at, newline === -1 ? bytes.length : newline))
      if (newline === -1) return {end: this.#unfinished(bytes, at), lines, done: false}
      lines += 1
      const isEnd = !this.#first && !this.#inLine && isEndOfRows(bytes, at, newline)
      if (isEnd) return {end: newline + 1, lines, done: true}
      if (!this.#first) this.count += 1
      this.#first = false
      this.#inLine = false
      at = newline + 1
    }
  }

  /** Whether what is left at the end of the script is the last line, without its newline. */
  end(left: Buffer): boolean {
    return !this.#first && !this.#inLine && isEndOfRows(left, 0, left.length)
  }

  #unfinished(bytes: Buffer, at: number): number {
    if (!this.#first && !this.#inLine && bytes.length - at <= 3) return at
    this.#inLine = true
    return bytes.length
  }
}

const isEndOfRows = (bytes: Buffer, from: number, to: number): boolean => bytes[from] === 92 && bytes[from + 1] === 46 && (to - from === 2 || (to - from === 3 && bytes[to - 1] === 13))
