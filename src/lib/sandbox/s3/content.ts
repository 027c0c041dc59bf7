import {createReadStream} from 'node:fs'
import type {Segment} from './bucket.ts'
import type {Content} from './exchange.ts'

const readBytes = 1024 ** 2

interface Piece {
  path: string
  start: number
  bytes: number
}

/** The files, and the places in them, that hold the range. */
function piecesOf({bucket, version, start, bytes}: Content): Piece[] {
  const pieces: Piece[] = []
  let offset = 0
  for (const segment of version.segments) {
    const piece = overlap(segment, start - offset, start + bytes - offset)
    if (piece.bytes > 0) pieces.push({...piece, path: bucket.dataPath(segment.file)})
    offset += segment.bytes
  }
  return pieces
}

function overlap({bytes}: Segment, from: number, to: number): {start: number; bytes: number} {
  const start = Math.max(0, from)
  return {start, bytes: Math.min(bytes, to) - start}
}

/** The bytes of a range, from the files where they lie. They stay readable to the end, also when the object is deleted meanwhile. */
export async function* readContent(content: Content): AsyncGenerator<Buffer> {
  const pieces = piecesOf(content)
  const release = content.bucket.files.hold(pieces.map(({path}) => path))
  try {
    for (const {path, start, bytes} of pieces) yield* createReadStream(path, {start, end: start + bytes - 1, highWaterMark: readBytes}) as AsyncIterable<Buffer>
  } finally {
    release()
  }
}
