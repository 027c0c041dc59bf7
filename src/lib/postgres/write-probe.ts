import {setTimeout as wait} from 'node:timers/promises'
import {DrError, messageOf} from '../errors.ts'
import {rowsOf, withClient, type Client} from './connection.ts'
import {codeOf, statementError} from './errors.ts'
import {qualified} from './quote.ts'
import type {Target} from './target.ts'

/** `written`: into so many tables. Else why it could not be tried, or what the database is set to. */
export interface ProbeOutcome {
  written: number
  remark?: string
}

const TABLES = 5
const TRIES = 20

/**
 * Writes into a database and takes it back: locks a row of its largest tables, which writes into them without running a
 * trigger, in a transaction that is rolled back. Throws when the database cannot be written for a reason of its own; one that
 * is set to read only, or has no connection left because everybody comes back at once, is only remarked on.
 */
export async function writeProbe(target: Target, database: string, applicationName: string, signal: AbortSignal): Promise<ProbeOutcome> {
  for (let tried = 1; ; tried++) {
    try {
      return await withClient(target, {database, applicationName}, probe)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof DrError && error.code === 'postgres.too-many-connections') {
        if (tried === TRIES) return {written: 0, remark: 'no connection was left to try it: everybody is back'}
        await wait(250, undefined, {signal})
        continue
      }
      throw statementError(error, `Writing into ${database}`)
    }
  }
}

async function probe(client: Client): Promise<ProbeOutcome> {
  await client.query("SET search_path = 'pg_catalog'")
  const tables = await rowsOf<{schema: string; name: string}>(client, `
    SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') ORDER BY c.relpages DESC LIMIT ${TABLES}`)
  await client.query('BEGIN')
  try {
    await client.query("SET LOCAL lock_timeout = '1s'")
    await client.query('SELECT pg_catalog.txid_current()')
    let written = 0
    for (const table of tables) written += (await rowsOf(client, `SELECT FROM ONLY ${qualified(table)} LIMIT 1 FOR UPDATE SKIP LOCKED`)).length
    return {written}
  } catch (error) {
    if (codeOf(error) === '25006') return {written: 0, remark: 'it is set to read only, as the old one was'}
    if (codeOf(error) === '42501' || codeOf(error) === '55P03') return {written: 0, remark: messageOf(error)}
    throw error
  } finally {
    await client.query('ROLLBACK').catch(() => undefined)
  }
}
