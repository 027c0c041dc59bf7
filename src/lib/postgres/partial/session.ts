import {CANONICAL_SETTINGS} from '../snapshot.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteLiteral} from '../quote.ts'

export interface SessionFacts {
  major: number
  deadlockTimeoutMs: number
  trackCounts: boolean
}

/** Asked before a transaction: a question inside would take its snapshot before its locks. */
export async function readSession(client: Client): Promise<SessionFacts> {
  return rowOf(client, `
    SELECT pg_catalog.current_setting('server_version_num')::int OPERATOR(pg_catalog./) 10000 AS major, (SELECT setting::int FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'deadlock_timeout') AS "deadlockTimeoutMs",
      pg_catalog.current_setting('track_counts')::bool AS "trackCounts"`)
}

/**
 * For a session in the live database: what role and database are set to neither ends it nor keeps it from writing, and in its SQL
 * every name is the server's own. `asApplication` makes an exception.
 */
export async function ownSession(client: Client): Promise<void> {
  await client.query("SET search_path = 'pg_catalog'; SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off")
  await client.query("SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')")
}

/** For one transaction: values compare as text the same everywhere, nothing is filtered, nobody's limits end it, and no name of a function or an operator is found but the server's own. */
export const transactionSettings = ({major}: SessionFacts): string[] => [
  ...CANONICAL_SETTINGS, 'SET row_security = off', 'SET statement_timeout = 0', 'SET idle_in_transaction_session_timeout = 0', ...(major >= 17 ? ['SET transaction_timeout = 0'] : []),
].map((setting) => setting.replace(/^SET /, 'SET LOCAL '))

/**
 * Inside of a transaction: expressions of indexes and checks, as the server writes them, whose functions may look for others of the
 * application's; whatever is the server's own is still found first. When it fails the transaction does, and its search_path with it.
 */
export async function withFunctions<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('SET LOCAL search_path TO DEFAULT')
  await client.query("SELECT pg_catalog.set_config('search_path', pg_catalog.regexp_replace(pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path')), ', $', ''), true)")
  const result = await work()
  await client.query("SET LOCAL search_path = 'pg_catalog'")
  return result
}

/**
 * Inside of a transaction: names are looked up as the application's own sessions do, by what role and database are set to. For the
 * operator's conditions, and for what runs functions of the schema (checks, indexes, views): of our own such a statement may hold
 * only names with their schema. When it fails the transaction does, and its search_path with it.
 */
export async function asApplication<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('SET LOCAL search_path TO DEFAULT')
  const result = await work()
  await client.query("SET LOCAL search_path = 'pg_catalog'")
  return result
}

/** Settings that decide which values a condition speaks of: `'2026-11-20 10:00'`, `now()::date`, `'{a,NULL}'`. */
const MEANINGS = ['TimeZone', 'DateStyle', 'IntervalStyle', 'array_nulls']

/** Their values, by name, as a new session of this role in this database has them. */
export async function readMeanings(client: Client): Promise<Record<string, string>> {
  const rows = await rowsOf<{name: string; value: string}>(client, `SELECT name, reset_val AS value FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) ANY ('{${MEANINGS.join(',')}}'::pg_catalog.text[])`)
  return Object.fromEntries(rows.map(({name, value}) => [name, value]))
}

/** Like `asApplication`, for a condition of the operator's: what it says of times means what it means in psql. `meanings`: of the live database; absent: this one's own. */
export async function asOperator<T>(client: Client, meanings: Readonly<Record<string, string>> | undefined, work: () => Promise<T>): Promise<T> {
  await client.query(MEANINGS.map((name) => `SET LOCAL ${name} TO ${meanings?.[name] === undefined ? 'DEFAULT' : quoteLiteral(meanings[name])}`).join('; '))
  const result = await asApplication(client, work)
  await client.query(CANONICAL_SETTINGS.filter((setting) => MEANINGS.some((name) => setting.startsWith(`SET ${name} `))).map((setting) => setting.replace(/^SET /, 'SET LOCAL ')).join('; '))
  return result
}
