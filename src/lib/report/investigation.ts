/** What `dr investigate` finds, as plain data: it stands in the journal, in --json and in the incident file. Times are ISO, UTC. */

export interface NamedTable {
  schema: string
  name: string
}

/** A backup, as far as it is looked at. */
export interface ComparedBackup {
  label: string
  /** Of its snapshot. */
  at: string
  /** Nothing speaks against it, and it was not made of a state that was about to be replaced. */
  good: boolean
  /** Its transactions are those of this server and database: what it holds can be told by `xmin`. */
  comparable: boolean
}

/** The rows of one transaction in one table, or of the biggest ones. */
export interface WritingTransaction {
  /** As `xmin` shows it. */
  transaction: string
  rows: number
  /** Of the table's rows, from 0 to 1; null where those are not known. */
  share: number | null
  frozen: boolean
  updatedFrom?: string
  updatedTo?: string
  createdFrom?: string
  createdTo?: string
  committedAt?: string
  /** It is no accident, but this run of `dr partial`, which put rows back. */
  repair?: string
  /** Nor that: it took back what this run of `dr partial` had put back. */
  takenBack?: string
  /** The newest backup that does not hold it yet; absent where that cannot be told. */
  notIn?: string
}

export interface InvestigatedTable extends NamedTable {
  /** Live; null where it is gone or was not counted. */
  rows: number | null
  /** In each of the backups, in their order; null: it is not in it. */
  history: (number | null)[]
  /** Biggest first. Absent where its rows were not grouped. */
  writers?: WritingTransaction[]
  /** Dead row versions that no VACUUM has taken yet, by the statistics. */
  dead?: number
  /** Why it was not looked at. */
  trouble?: string
}

export interface TenantHistory {
  tenant: string
  rows: number
  history: number[]
}

/** `commit`: the server's commit time. `stamp`: the transaction wrote it into its rows. `rows`: after times in rows that were there. `audit`: the audit log. `backups`: between two looks. */
export type TimeWitness = 'commit' | 'stamp' | 'rows' | 'audit' | 'backups'

export interface When {
  /** It was not before this; as the witness has it. */
  from: string
  /** Nor after this: the look that has it. The same where it is known. */
  to: string
  witness: TimeWitness
}

/** What a repair from the backup would do to rows that were rightly written since. Absent: cannot be told, and `unknown` says why. */
export interface RowsAtRisk {
  /** Rows of the transaction that had been changed after the backup: they go back to what they were then. */
  edited?: number
  /** Rows of the transaction that were made after the backup: it has nothing to put back. */
  made?: number
  /** Last written between the backup and the damage, and not touched by it: a repair without --transaction takes them back, too. */
  between?: number
  /** Why that is not known, though there is a backup from before. */
  betweenUnknown?: string
  /** Written since the damage: --transaction leaves them alone. */
  later?: number
  /** Of those, rows that were there before: they may still carry the damage. */
  laterOld?: number
  unknown?: string
}

export type DamageKind = 'overwritten' | 'rows-gone' | 'table-gone' | 'emptied' | 'tenant-gone'

export interface Damage {
  kind: DamageKind
  table?: NamedTable
  tenant?: string
  /** Rows that were overwritten, or are gone. */
  rows: number
  /** As `xmin` shows it. */
  transaction?: string
  certainty: 'likely' | 'possible'
  /** What speaks for it: one sentence each. */
  evidence: string[]
  when: When
  /** Of `overwritten`: columns with one value in all of its rows. */
  columns?: string[]
  /** The newest good backup from before; absent without one. */
  source?: {label: string; at: string}
  risk?: RowsAtRisk
  /** Whole seconds, just before the damage: for a recovery to a point in time. */
  point: string
  commands: {purpose: string; command: string}[]
}

export interface AuditFinding {
  /** Where it was looked for. */
  table: string
  since: string
  /** Why there is nothing. */
  unknown?: string
  hours: {hour: string; actor: string | null; action: string; resource: string | null; entries: number; things: number; deletion: boolean; first: string; last: string}[]
}

export interface Investigation {
  environment: string
  /** `HOST:PORT/DATABASE` */
  target: string
  database: string
  /** The instant of the live counts. */
  at: string
  scope: {tables: string[]; tenant?: string; since?: string; actor?: string}
  /** `track_commit_timestamp` is on. */
  commitTimestamps: boolean
  /** Newest first. */
  backups: ComparedBackup[]
  /** There are older ones, which were not read. */
  olderBackups: boolean
  tables: InvestigatedTable[]
  /** Those that lost most first. */
  tenants: TenantHistory[]
  damages: Damage[]
  audit: AuditFinding
  /** What the reader must know of how far this reaches. */
  notes: string[]
  /** Every table and place could be looked at. */
  complete: boolean
}
