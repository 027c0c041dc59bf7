import {rowOf, type Client} from './connection.ts'

/** The instant of a backup, and where it was taken. */
export interface BackupInstant {
  /** As `pg_current_snapshot()` wrote it: `xmin:xmax:running`. */
  current: string
  systemIdentifier?: string | undefined
  databaseOid?: number | undefined
}

/** Transactions are told apart by 32 bits: older ones than this are not to be told from newer. */
const FAR = 2n ** 31n

/**
 * A condition that holds for rows that were written after the backup's instant, by the transaction that wrote them; or why
 * there is none. Rows are then new or changed. It says too little, never too much, where a transaction with savepoints was
 * open at that instant: its parts are not in the snapshot's list. A rewrite of the whole table makes every row new, save
 * VACUUM FULL and CLUSTER.
 */
export async function newerThan(client: Client, instant: BackupInstant): Promise<{condition: string} | {reason: string}> {
  const {mayAsk, oid, next} = await rowOf<{mayAsk: boolean; oid: number; next: string}>(client, `
    SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS "mayAsk", oid::int8::float8 AS oid, pg_snapshot_xmax(pg_current_snapshot())::text AS next
    FROM pg_database WHERE datname = current_database()`)
  if (instant.systemIdentifier === undefined || instant.databaseOid === undefined || !mayAsk) return {reason: 'it is not known whether the backup is of this server'}
  const {identifier} = await rowOf<{identifier: string}>(client, 'SELECT system_identifier::text AS identifier FROM pg_control_system()')
  if (identifier !== instant.systemIdentifier || oid !== instant.databaseOid) return {reason: 'the backup is of another server or another database'}
  const [, xmax, running = ''] = /^\d+:(\d+):([\d,]*)$/.exec(instant.current) ?? []
  if (xmax === undefined) return {reason: 'the backup does not say which transactions it saw'}
  const passed = BigInt(next) - BigInt(xmax)
  if (passed < 0n || passed >= FAR) return {reason: 'the server has lost count of the transactions since'}
  const open = running.split(',').filter((xid) => xid !== '').map(short)
  // `age` counts from one instant for a whole transaction, so two of them compare as their transactions do.
  const recent = `age(xmin) BETWEEN 0 AND (SELECT age('${short(xmax)}'::xid))`
  return {condition: open.length === 0 ? recent : `(${recent} OR xmin = ANY ('{${open.join(',')}}'::xid[]))`}
}

const short = (xid: string): string => (BigInt(xid) % 2n ** 32n).toString()
