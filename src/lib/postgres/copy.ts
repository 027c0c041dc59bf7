import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {from} from 'pg-copy-streams'
import type {Client} from './connection.ts'

const BATCH = 64 * 1024

/**
 * Runs a `COPY … FROM STDIN` and feeds it. Each item of `rows` is text of whole lines, newlines included, in the format
 * that the statement names; many rows in one item are fastest. Returns the server's count of rows. A failing source makes the COPY fail; an abort too, with the signal's reason.
 */
export async function copyIn(client: Client, sql: string, rows: Iterable<string> | AsyncIterable<string>, signal?: AbortSignal): Promise<number> {
  const stream = client.query(from(sql))
  await pipeline(Readable.from(batches(rows), {objectMode: false}), stream, {...(signal && {signal})}).catch((error: unknown) => {
    signal?.throwIfAborted()
    throw error
  })
  return stream.rowCount
}

/** Few large buffers instead of many small ones, which are several times slower. */
async function* batches(rows: Iterable<string> | AsyncIterable<string>): AsyncGenerator<Buffer> {
  let text = ''
  for await (const row of rows) {
    text += row
    if (text.length < BATCH) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}

/** One value of COPY's text format. */
export const copyText = (value: string): string => value.replaceAll(/[\\\t\n\r]/g, (found) => ESCAPES[found] ?? found)

const ESCAPES: Readonly<Record<string, string>> = {'\\': String.raw`\\`, '\t': String.raw`\t`, '\n': String.raw`\n`, '\r': String.raw`\r`}
