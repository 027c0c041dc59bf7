/**
 * The first bytes of an LZ4 frame, at most `wanted`, from its beginning. Enough to see what is inside (Node has no LZ4);
 * the checksums are not looked at. What does not make sense ends the output.
 */
export function lz4Head(frame: Buffer, wanted: number): Buffer {
  const flags = frame[4] ?? 0
  const block = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0)
  if (frame.length < block + 4) return Buffer.alloc(0)
  const size = frame.readUInt32LE(block)
  const data = frame.subarray(block + 4, block + 4 + (size & 0x7fffffff))
  return size >>> 31 === 1 ? data.subarray(0, wanted) : decodeBlock(data, wanted)
}

function decodeBlock(data: Buffer, wanted: number): Buffer {
  const out = Buffer.alloc(wanted)
  let filled = 0
  let at = 0
  const length = (nibble: number) => {
    let total = nibble
    for (let more = nibble === 15 ? 255 : 0; more === 255; total += more) more = data[at++] ?? 0
    return total
  }
  while (at < data.length && filled < wanted) {
    const token = data[at++] ?? 0
    const literals = length(token >> 4)
    filled += data.copy(out, filled, at, at + literals)
    at += literals
    if (at + 2 > data.length) break
    const offset = data.readUInt16LE(at)
    at += 2
    const match = length(token & 15) + 4
    if (offset === 0 || offset > filled) break
    for (let copied = 0; copied < match && filled < wanted; copied += 1, filled += 1) out[filled] = out[filled - offset] ?? 0
  }
  return out.subarray(0, filled)
}
