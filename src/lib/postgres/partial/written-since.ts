import {quoteLiteral} from '../quote.ts'

/**
 * Whether a row was written by a transaction that this snapshot does not see. Its xmin has 32 bits: it is taken for that of the
 * last 2^32 transactions.
 */
export function writtenSince(xmin: string, snapshot: string): string {
  const next = 'pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric'
  const number = `${xmin}::text::numeric`
  const whole = `greatest(${next} - pg_catalog.mod(${next} - ${number} + 4294967296::numeric, 4294967296::numeric), 0::numeric)::text::xid8`
  return `(${number} > 2::numeric AND NOT pg_catalog.pg_visible_in_snapshot(${whole}, ${quoteLiteral(snapshot)}::pg_snapshot))`
}
