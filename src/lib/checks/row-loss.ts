/** How the rows of one table differ, compared one by one with a restored copy. */
export interface TableRowLoss {
  schema: string
  name: string
  where: 'both' | 'live' | 'backup'
  /** Rows that were compared. */
  live: number
  backup: number
  /** A restore loses them. */
  onlyLive: number
  /** A restore brings them back. */
  onlyBackup: number
  /** A restore takes them back to what they were. */
  changed: number
  /** By which rows are told apart; empty: as wholes, so that a changed row is one of each. */
  key: string[]
  /** The first keys that differ; never other values of a row. */
  sample: {change: 'only-live' | 'only-backup' | 'changed'; key: (string | null)[]}[]
  /** What was not compared. */
  notes: string[]
}

export interface RowLoss {
  /** The database that was compared with. */
  against: string
  /** It was restored for this and is dropped again. */
  restored: boolean
  /** The instant of the live rows: ISO, UTC. */
  liveAt: string
  tenant?: string
  /** What differs most comes first. */
  tables: TableRowLoss[]
  total: Pick<TableRowLoss, 'live' | 'backup' | 'onlyLive' | 'onlyBackup' | 'changed'>
  troubles: {schema: string; name: string; message: string}[]
  /** Why the copy may not be the backup. */
  cautions: string[]
  /** With a tenant: tables that have no way to it. */
  leftOut: {schema: string; name: string}[]
}

export const differing = ({onlyLive, onlyBackup, changed}: Pick<TableRowLoss, 'onlyLive' | 'onlyBackup' | 'changed'>): number => onlyLive + onlyBackup + changed

export function rowLossTotal(tables: readonly TableRowLoss[]): RowLoss['total'] {
  const sum = (of: keyof RowLoss['total']) => tables.reduce((total, table) => total + table[of], 0)
  return {live: sum('live'), backup: sum('backup'), onlyLive: sum('onlyLive'), onlyBackup: sum('onlyBackup'), changed: sum('changed')}
}
