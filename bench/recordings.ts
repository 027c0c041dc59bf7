import {randomBytes} from 'node:crypto'
import {withClient} from '../src/lib/postgres/connection.ts'
import {copyIn} from '../src/lib/postgres/copy.ts'
import type {Lab} from './lab.ts'

/** Of one row. */
const ROW_BYTES = 64 * 1024
/** More than one, so that they are dumped side by side. */
const TABLES = 4

/** Tables that hold nothing but random bytes, which no compression makes smaller; no other table refers to them. */
export const RECORDINGS = 'recordings_'

/** So many bytes and a little more: what an archive of the database has at least. */
export async function addRecordings(lab: Lab, database: string, bytes: number, signal: AbortSignal): Promise<void> {
  const rows = Math.ceil(bytes / ROW_BYTES / TABLES)
  await withClient(lab.url(database), {}, async (client) => {
    for (let number = 1; number <= TABLES; number += 1) {
      const table = `${RECORDINGS}${number}`
      // FREEZE takes a table of the same transaction.
      await client.query(`BEGIN; CREATE TABLE ${table} (id integer PRIMARY KEY, content bytea NOT NULL); ALTER TABLE ${table} ALTER content SET STORAGE EXTERNAL`)
      await copyIn(client, `COPY ${table} (id, content) FROM STDIN (FREEZE)`, lines(rows), signal)
      await client.query(`COMMIT; ANALYZE ${table}`)
    }
  })
}

function* lines(rows: number): Generator<string> {
  for (let id = 1; id <= rows; id += 1) yield `${id}\t\\\\x${randomBytes(ROW_BYTES).toString('hex')}\n`
}
