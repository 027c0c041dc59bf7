import {withClient} from '../connection.ts'
import {statementError} from '../errors.ts'
import type {Target} from '../target.ts'

const MOST = 100
const LIMIT_MS = 30_000
const SHOWN = 120

export interface FailingRows {
  /** At most a hundred. */
  rows: number
  more: boolean
  /** Of the first row, `column=value`, cut; empty when there is none. */
  first: string
}

/** The rows that a query of the operator's returns, in a transaction that may only read. One statement; 30 seconds. */
export async function failingRows(target: Target, applicationName: string, sql: string): Promise<FailingRows> {
  return withClient(target, {applicationName}, async (client) => {
    try {
      await client.query('BEGIN READ ONLY')
      await client.query(`SET LOCAL statement_timeout = ${LIMIT_MS}`)
      // Prepared, so that it cannot be several statements; a cursor, so that it may return any number of rows.
      await client.query({text: `DECLARE dr_failing NO SCROLL CURSOR FOR ${sql}`, queryMode: 'extended'} as {text: string})
      const {rows} = await client.query<Record<string, unknown>>(`FETCH ${MOST + 1} FROM dr_failing`)
      await client.query('ROLLBACK')
      return {rows: Math.min(rows.length, MOST), more: rows.length > MOST, first: rows[0] === undefined ? '' : shown(rows[0])}
    } catch (error) {
      throw statementError(error, 'The query')
    }
  })
}

function shown(row: Record<string, unknown>): string {
  const text = Object.entries(row).map(([name, value]) => `${name}=${valueText(value)}`).join(', ')
  return text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text
}

const valueText = (value: unknown): string => (value === null ? 'NULL' : value instanceof Date ? value.toISOString() : typeof value === 'string' ? value : JSON.stringify(value))
