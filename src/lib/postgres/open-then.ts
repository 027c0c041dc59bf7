import {rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'

/** Transactions before that which a copy has not seen the end of. 64 bits, newest first. Plain data. */
export interface OpenThen {
  xids: string[]
  /** Those that there can be are all in it, or were open for longer than `SPAN` others took. */
  complete: boolean
}

/** Transactions that are asked for: a second or two. One that was open for longer than all these took is not found. */
const SPAN = 1_000_000
/** Each row is compared with all of them. */
const MOST = 10_000
const BUDGET_MS = 15_000
/** 0 to 2 are no transactions. */
const FIRST = 3

/**
 * Of the transactions below `xid` those that have committed on the server that a copy was made of, and not in the copy: they were
 * open at its instant. Savepoints count as transactions of their own. The copy knows them still when it has been written to.
 */
export async function openThen(copy: Client, source: Client, xid: string): Promise<OpenThen> {
  const unseen = await orUndefined(copy, () => notCommitted(copy, xid))
  return (unseen && await orUndefined(source, () => committedOf(source, unseen))) ?? {xids: [], complete: false}
}

interface NotCommitted {
  xids: string[]
  /** The youngest that the server knows nothing of any more; null: it knows all. */
  forgotten: string | null
}

async function notCommitted(client: Client, xid: string): Promise<NotCommitted> {
  return rowOf(client, `
    SELECT coalesce(array_agg(x::text) FILTER (WHERE status <> 'committed'), '{}') AS xids, (max(x) FILTER (WHERE status IS NULL))::text AS forgotten
    FROM (SELECT x, pg_xact_status(x::text::xid8) AS status FROM generate_series(greatest($1::int8 - ${SPAN}, ${FIRST}), $1::int8 - 1) x) seen`, [xid])
}

/** Of an old one, of which the server knows nothing any more, the rows themselves say that it has committed. */
async function committedOf(client: Client, {xids, forgotten}: NotCommitted): Promise<OpenThen> {
  const rows = await rowsOf<{xid: string}>(client, `
    SELECT xid FROM unnest($1::text[]) xid WHERE pg_xact_status(xid::xid8) IS DISTINCT FROM 'aborted' ORDER BY xid::int8 DESC LIMIT ${MOST + 1}`, [xids])
  // No server forgets one that is open: what this one knows still, the copy has known at its instant.
  const {known} = await rowOf<{known: boolean}>(client, 'SELECT pg_xact_status($1::text::xid8) IS NOT NULL AS known', [forgotten])
  return {xids: rows.slice(0, MOST).map((row) => row.xid), complete: !known && rows.length <= MOST}
}

/** Undefined where it may not be asked, or takes too long. */
async function orUndefined<T>(client: Client, work: () => Promise<T>): Promise<T | undefined> {
  try {
    await client.query(`SET statement_timeout = ${BUDGET_MS}`)
    return await work()
  } catch (error) {
    if (!/^(22|42|57014)/.test(codeOf(error) ?? '')) throw error
    return undefined
  }
}
