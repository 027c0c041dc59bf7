import {CANONICAL_SETTINGS} from '../snapshot.ts'
import {rowOf, type Client} from '../connection.ts'

export interface SessionFacts {
  major: number
  deadlockTimeoutMs: number
  trackCounts: boolean
}

/** Asked before a transaction: a question inside would take its snapshot before its locks. */
export async function readSession(client: Client): Promise<SessionFacts> {
  return rowOf(client, `
    SELECT current_setting('server_version_num')::int / 10000 AS major, (SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout') AS "deadlockTimeoutMs",
      current_setting('track_counts')::bool AS "trackCounts"`)
}

/**
 * For one transaction: values compare as text the same everywhere, nothing is filtered, nobody's limits end it. The search_path
 * stays the application's own: the operator's conditions, and functions behind checks and indexes, are written for it.
 */
export const transactionSettings = ({major}: SessionFacts): string[] => [
  ...CANONICAL_SETTINGS.filter((setting) => !setting.includes('search_path')), 'SET row_security = off', 'SET statement_timeout = 0', 'SET idle_in_transaction_session_timeout = 0', ...(major >= 17 ? ['SET transaction_timeout = 0'] : []),
].map((setting) => setting.replace(/^SET /, 'SET LOCAL '))
