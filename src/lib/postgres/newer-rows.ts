import {readSystemIdentifier, readTimeline, shortXid} from './instance-marker.ts'
import {rowOf, type Client} from './connection.ts'

/** The instant of a backup, and where it was taken. */
export interface BackupInstant {
  /** As `pg_current_snapshot()` wrote it: `xmin:xmax:running`. */
  current: string
  systemIdentifier?: string | undefined
  databaseOid?: number | undefined
  /** Absent where an older dr made the backup. */
  timeline?: number | undefined
  /** Position in the WAL. */
  lsn?: string | undefined
}

/** Where a server and a database are now in what happens to them. */
export interface Place {
  /** Absent where the role may not ask. */
  systemIdentifier?: string
  databaseOid: number
  /** Absent of a standby that may not be asked. */
  timeline?: number
  lsn: string
  /** The next transaction, 64 bits. */
  next: string
}

export async function readPlace(client: Client): Promise<Place> {
  const place = await rowOf<Omit<Place, 'systemIdentifier' | 'timeline'>>(client, `
    SELECT oid::int8::float8 AS "databaseOid", pg_snapshot_xmax(pg_current_snapshot())::text AS next,
      (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS lsn
    FROM pg_database WHERE datname = current_database()`)
  const systemIdentifier = await readSystemIdentifier(client)
  const timeline = await readTimeline(client)
  return {...place, ...(systemIdentifier !== undefined && {systemIdentifier}), ...(timeline !== undefined && {timeline})}
}

/** Transactions are told apart by 32 bits: older ones than this are not to be told from newer. */
const FAR = 2n ** 31n

const partsOf = ({current}: BackupInstant): {xmax?: string; running: string[]} => {
  const [, xmax, running = ''] = /^\d+:(\d+):([\d,]*)$/.exec(current) ?? []
  return {...(xmax !== undefined && {xmax}), running: running.split(',').filter((xid) => xid !== '')}
}

const positionOf = (lsn: string): bigint => lsn.split('/').reduce((sum, part) => sum * 2n ** 32n + BigInt(`0x${part}`), 0n)

/**
 * Why numbers of transactions do not mean the same in the backup and in what is live; undefined where they do. A recovered server
 * bears the identifier of the one that was backed up: it is told by its timeline, and a copy of the data directory, which keeps
 * that, by an earlier position, until it has caught up with the backup's.
 */
export function incomparable(instant: BackupInstant, place: Place): string | undefined {
  if (instant.systemIdentifier === undefined || instant.databaseOid === undefined || place.systemIdentifier === undefined) return 'it is not known whether the backup is of this server'
  if (place.systemIdentifier !== instant.systemIdentifier || place.databaseOid !== instant.databaseOid) return 'the backup is of another server or another database'
  const {xmax} = partsOf(instant)
  if (xmax === undefined) return 'the backup does not say which transactions it saw'
  if (instant.timeline !== undefined && place.timeline !== undefined && instant.timeline !== place.timeline) return `the server was recovered or promoted: its timeline is ${place.timeline}, that of the backup ${instant.timeline}`
  if (BigInt(place.next) < BigInt(xmax) || (instant.lsn !== undefined && positionOf(place.lsn) < positionOf(instant.lsn))) return 'the server is at an earlier point than the backup: it was recovered since, or is a copy'
  return undefined
}

/**
 * A condition that holds for rows that were written after the backup's instant, by the transaction that wrote them; or why
 * there is none. Rows are then new or changed. It says too little, never too much, where a transaction with savepoints was
 * open at that instant: its parts are not in the snapshot's list. A rewrite of the whole table makes every row new, save
 * VACUUM FULL and CLUSTER.
 */
export async function newerThan(client: Client, instant: BackupInstant): Promise<{condition: string} | {reason: string}> {
  const place = await readPlace(client)
  const reason = incomparable(instant, place)
  const {xmax = '0', running} = partsOf(instant)
  if (reason !== undefined) return {reason}
  if (BigInt(place.next) - BigInt(xmax) >= FAR) return {reason: 'the server has lost count of the transactions since'}
  // `age` counts from one instant for a whole transaction, so two of them compare as their transactions do.
  const recent = `age(xmin) BETWEEN 0 AND (SELECT age('${shortXid(xmax)}'::xid))`
  return {condition: running.length === 0 ? recent : `(${recent} OR xmin = ANY ('{${running.map(shortXid).join(',')}}'::xid[]))`}
}
