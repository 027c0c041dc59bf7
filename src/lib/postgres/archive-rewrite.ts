import {readToc, type ArchiveEntry} from './archive.ts'

export interface EntryChange {
  definition?: string
  owner?: string
}

/**
 * A copy of `toc.dat` (of a directory archive) in which entries have other definitions or owners; all other bytes stay.
 * Data lies in members of its own, so nothing else has to change.
 */
export function rewriteToc(bytes: Buffer, change: (entry: ArchiveEntry) => EntryChange): Buffer {
  const {archive: {entries}, spans, intSize} = readToc(bytes)
  const parts: Buffer[] = []
  let at = 0
  for (const [index, entry] of entries.entries()) {
    const places = spans[index]
    if (places === undefined) continue
    const {definition, owner} = change(entry)
    for (const [text, {start, end}] of [[definition, places.definition], [owner, places.owner]] as const) {
      if (text === undefined) continue
      parts.push(bytes.subarray(at, start), textBytes(text, intSize))
      at = end
    }
  }
  return Buffer.concat([...parts, bytes.subarray(at)])
}

/** A sign byte, the length in little-endian order, the text. */
function textBytes(text: string, intSize: number): Buffer {
  const content = Buffer.from(text)
  const head = Buffer.alloc(1 + intSize)
  head.writeUIntLE(content.length, 1, intSize)
  return Buffer.concat([head, content])
}
