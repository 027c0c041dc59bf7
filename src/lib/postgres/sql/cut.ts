const NEWLINE = 10

/** The script without these parts. Their newlines stay, so that every line keeps its number. */
export async function* withoutParts(source: AsyncIterable<Buffer>, parts: readonly {from: number; to: number}[]): AsyncGenerator<Buffer> {
  const left = parts.toSorted((a, b) => a.from - b.from)
  let offset = 0
  for await (const chunk of source) {
    const end = offset + chunk.length
    let at = offset
    for (let part = left[0]; part !== undefined && part.from < end; part = left[0]) {
      if (part.from > at) yield chunk.subarray(at - offset, part.from - offset)
      const until = Math.min(part.to, end)
      const newlines = newlinesIn(chunk.subarray(Math.max(part.from, offset) - offset, until - offset))
      if (newlines > 0) yield Buffer.alloc(newlines, NEWLINE)
      at = until
      if (part.to > end) break
      left.shift()
    }
    if (at < end) yield chunk.subarray(at - offset)
    offset = end
  }
}

function newlinesIn(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1
  return count
}
