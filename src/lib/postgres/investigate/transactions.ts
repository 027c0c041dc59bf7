import {rowOf, rowsOf, type Client} from '../connection.ts'
import {readPlace, type Place} from '../newer-rows.ts'

/** What the server can say of its transactions. */
export interface Witnesses extends Place {
  /** A server that only reads along: what is read there prunes nothing. */
  standby: boolean
  /** `track_commit_timestamp`: it knows when they were committed. */
  commitTimestamps: boolean
}

export async function readWitnesses(client: Client): Promise<Witnesses> {
  const known = await rowOf<Pick<Witnesses, 'standby' | 'commitTimestamps'>>(client, `SELECT pg_is_in_recovery() AS standby, current_setting('track_commit_timestamp') = 'on' AS "commitTimestamps"`)
  return {...known, ...await readPlace(client)}
}

const ROUND = 2n ** 32n

/** The transaction that `xmin` shows, with its epoch: the newest one that was given out already and has these 32 bits. */
export function fullTransaction(transaction: string, next: string): bigint {
  const full = (BigInt(next) / ROUND) * ROUND + BigInt(transaction)
  return full < BigInt(next) ? full : full - ROUND
}

/** Whether the server has given out every number once already: then an old row may carry the number of a new transaction. */
export const hasWrapped = (next: string): boolean => BigInt(next) >= ROUND

/** Whether a snapshot (`xmin:xmax:running`) shows what this transaction wrote; undefined when the text is no snapshot. */
export function isSeenBy(snapshot: string, transaction: bigint): boolean | undefined {
  const [, xmax, running = ''] = /^\d+:(\d+):([\d,]*)$/.exec(snapshot) ?? []
  if (xmax === undefined) return undefined
  return transaction < BigInt(xmax) && !running.split(',').filter((one) => one !== '').some((one) => BigInt(one) === transaction)
}

/** When these were committed: ISO, UTC, to the microsecond. Empty unless the server keeps it; it forgets the oldest. */
export async function commitTimes(client: Client, transactions: readonly string[], {commitTimestamps}: Pick<Witnesses, 'commitTimestamps'>): Promise<Map<string, string>> {
  if (!commitTimestamps || transactions.length === 0) return new Map()
  const rows = await rowsOf<{transaction: string; at: string | null}>(client, `
    SELECT t AS transaction, to_char(pg_xact_commit_timestamp(t::xid) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM unnest($1::text[]) t`, [[...new Set(transactions)]])
  return new Map(rows.flatMap(({transaction, at}) => (at === null ? [] : [[transaction, at]])))
}
