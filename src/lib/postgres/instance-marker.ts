import {rowOf, type Client} from './connection.ts'

/** What tells the server that answers from one that it was copied from, or that was copied from it. */
export interface InstanceMarker {
  /** The same for a copy; absent where the role may not ask. */
  systemIdentifier?: string
  /** A recovery to an instant begins a new one. */
  timeline: number
  /** The next transaction, 64 bits: what was written since the instant of a copy has this one or a later one. */
  nextXid: string
}

export async function readMarker(client: Client): Promise<InstanceMarker> {
  const {mayAsk, ...row} = await rowOf<{mayAsk: boolean; file: string; nextXid: string}>(client, `
    SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS "mayAsk", pg_walfile_name(pg_current_wal_lsn()) AS file, pg_snapshot_xmax(pg_current_snapshot())::text AS "nextXid"`)
  const identifier = mayAsk ? (await rowOf<{identifier: string}>(client, 'SELECT system_identifier::text AS identifier FROM pg_control_system()')).identifier : undefined
  return {...(identifier !== undefined && {systemIdentifier: identifier}), timeline: Number.parseInt(row.file.slice(0, 8), 16), nextXid: row.nextXid}
}

/** Of a transaction with 64 bits, those that rows carry. */
export const shortXid = (xid: string): string => (BigInt(xid) % 2n ** 32n).toString()
