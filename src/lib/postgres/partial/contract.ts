/** What the parts of a partial restore hand to each other. All of it is plain data, so that it can stand in a journal. */

export interface TableName {
  schema: string
  name: string
}

export interface ColumnShape {
  name: string
  /** As in DDL: `character varying(40)`. */
  type: string
  notNull: boolean
  /** A stored or virtual generated column: never written. */
  generated: boolean
  /** `always` needs OVERRIDING SYSTEM VALUE. */
  identity?: 'always' | 'default'
}

export interface KeyShape {
  /** Of the index. */
  name: string
  columns: string[]
  primary: boolean
  /** No column may be NULL: it tells every row from every other. */
  strict: boolean
}

/** What a foreign key does to its rows when the row that they name goes, or gets another key. */
export type KeyRule = 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default'

export interface ForeignKeyShape {
  name: string
  /** That has the key. */
  table: TableName
  columns: string[]
  /** That is named by it. */
  references: TableName
  referencedColumns: string[]
  onDelete: KeyRule
  onUpdate: KeyRule
  /** Of ON DELETE SET NULL (a, b); absent: all. */
  setColumns?: string[]
  deferrable: boolean
  validated: boolean
  /** By which the server compares, column by column, with their schema; absent: its own `=`. */
  operators?: string[]
}

/** A table with rows of its own, or a partitioned one with those of its partitions. Foreign tables and views are not here. */
export interface TableShape extends TableName {
  oid: number
  kind: 'table' | 'partitioned'
  /** Of a partition: the partitioned table at the top. */
  root?: TableName
  /** Of a partition: the one that it is a partition of; the root, or a partition itself. */
  parent?: TableName
  /** Of a partition: the condition that its rows hold, of bare columns; absent of a default one, which takes what no other takes. */
  partition?: {bound?: string; isDefault: boolean}
  columns: ColumnShape[]
  /** The primary key first, then other unique indexes without expression or predicate; strict ones first. */
  keys: KeyShape[]
  rowSecurity: boolean
  forcedRowSecurity: boolean
  owner: string
  /** The planner's guess, for a progress. */
  estimatedRows: number
  /** User triggers that are not internal. */
  triggers: {name: string; enabled: 'origin' | 'always' | 'replica' | 'disabled'}[]
  /** Owned by a column, identity or serial; or its default takes numbers from it. */
  sequences: {column: string; schema: string; name: string}[]
}

/** The tables of one database and the foreign keys between them (those of partitions that only repeat their root's are left out). */
export interface Catalog {
  tables: TableShape[]
  foreignKeys: ForeignKeyShape[]
}

/**
 * Which rows of a table are meant, on either side. A predicate speaks of the row as `r` and may look into other tables
 * through `table(schema, name)` placeholders: see `predicateSql`.
 */
export type Predicate =
  | {kind: 'all'}
  /** `r.column = value`, compared as text. */
  | {kind: 'equals'; column: string; value: string}
  /** SQL of the operator's own, of the row's columns. */
  | {kind: 'sql'; text: string}
  /** The row's `columns` are the `targets` of a row of `table` for which `where` holds. */
  | {kind: 'refers'; columns: string[]; table: TableName; targets: string[]; where: Predicate}
  /** Rows of the live table whose last writer is this transaction; of the backup: the rows with the same key. */
  | {kind: 'written-by'; transaction: string}
  | {kind: 'any' | 'every'; of: Predicate[]}

/** What one table gives to the restore. */
export interface SelectedTable {
  /** Through which rows are written: a partitioned table when all of it is meant, else the table or the one partition. */
  table: TableName
  where: Predicate
  /**
   * `rows`: the selection itself. `parent`: rows that the selection refers to, of which only missing ones come back. `links`: rows
   * that are still there, of which only these columns are put back, and only where they are NULL now (`--relink`).
   */
  role: 'rows' | 'parent' | 'links'
  /** What may be put back; absent: every column that is on both sides. For `links`: the columns of the foreign key. */
  columns?: string[]
}

export interface Selection {
  /** In an order in which rows can be inserted; tables in a cycle stand side by side, with the same `group`. */
  tables: (SelectedTable & {group: number})[]
  /** The operator named a tenant: every touched row must be this tenant's, by this column where a table has it. */
  tenant?: {id: string; column: string}
}

/** Rows of the backup, in a table beside the live one. */
export interface StagedTable {
  table: TableName
  /** The schema and name of the staging table; its columns are `columns` in the backup's types, without constraints, with an index on the key. */
  stage: TableName
  /** Without generated ones. */
  columns: string[]
  /** What a row is told by; undefined: by all its columns, with duplicates counted. */
  key?: string[]
  rows: number
}

export type MergeMode = 'missing' | 'changed' | 'exact'

export interface MergeRequest {
  live: Catalog
  backup: Catalog
  staged: readonly StagedTable[]
  selection: Selection
  mode: MergeMode
  /** `dr_undo_<run>`: before images. */
  undoSchema: string
  lockTimeoutMs: number
  /** pg_current_snapshot() of the backup, and whether its xids are those of this server and database: for `changedSince`. */
  backupSnapshot?: string
  /** `Comparison.snapshot`: what came in after it, and is not in the backup, stays, and is counted as `late`. Absent: nothing is late. */
  comparedAt?: string
  /** When the backup was taken, ISO: what merges of dr have inserted since then was lost. Absent where it is not known. */
  backupAt?: string
  /** Settings of the live database's sessions by which the operator's conditions are read: see `readMeanings`. Absent: those of where the rows are compared. */
  meanings?: Readonly<Record<string, string>>
  /** How many changed rows to show per table. */
  sample: number
  /** Of more rows there are indexes on what is planned; 1,000 when absent. */
  largeFrom?: number
  /** The live tables are mirrors in another database (`createMirror`): only to be compared, never merged. */
  mirror?: true
  /** How many rows of each table to list in `Comparison.since`; absent: none. */
  list?: number
  /** Columns that say when a row was written (`investigate.timestampColumns`), for `editedSince`. */
  timestampColumns: readonly string[]
}

/** One table, compared within the selection. */
export interface TableComparison extends TableName {
  role: SelectedTable['role']
  missing: number
  changed: number
  /** Live, and not in the backup. */
  extra: number
  /** Live, not in the backup, and written after `comparedAt`; absent of none. Not among `extra`. */
  late?: number
  identical: number
  /** Of `changed`: last written after the backup by another transaction than the one selected; undefined when it is not known. */
  changedSince?: number
  /** Of `changed`: with another time of change (`timestampColumns`) than in the backup; undefined where there is no such column. */
  editedSince?: number
  /** Of `changed`, column by column; values as text, long ones cut. `hidden`: by its name the column holds a secret, and only that it differs is told. Not for the journal. */
  sample: {key: Record<string, string>; columns: {name: string; live: string | null; backup: string | null; hidden?: true}[]}[]
  /** Rows that a unique key other than the row's own does not let in. */
  conflicts: {key: Record<string, string>; index: string; holder: Record<string, string>}[]
  /** Which live rows `changed` and `extra` are, and in what form: the merge takes these or none. Absent of a table that is not live. */
  digest?: {changed: string; extra: string}
}

/** Rows of a table that differ from the backup and were changed after it, by whatever tells that: a repair puts them back to an older state. */
export interface RowsSince extends TableName {
  /** The column whose values `live` and `backup` are; null where the table has none of those that are configured. */
  timeColumn: string | null
  total: number
  /** No more than the limit. */
  listed: number
  rows: {
    key: Record<string, string>
    /** Last written after the backup, by another transaction than the one selected: those that `changedSince` counts. Null when it is not known. */
    written: boolean | null
    /** It bears another time of change than in the backup: those that `editedSince` counts. Null without a `timeColumn`. */
    edited: boolean | null
    live: string | null
    backup: string | null
  }[]
}

/** Foreign keys that the selection touches, both ways. */
export interface ClosureFinding {
  foreignKey: string
  /** `parent-missing`: rows to come back refer to rows that are not live. `detached`: live rows whose link was set to NULL or its default and that the backup knows. `unlinked`: such rows whose parent is not known to have been lost, so that somebody may have taken the link away on purpose: --relink leaves them alone. `gone-child`: rows of the backup that refer to rows to come back and are not live. */
  kind: 'parent-missing' | 'detached' | 'unlinked' | 'gone-child'
  table: TableName
  references: TableName
  columns: string[]
  rows: number
}

/** Rows of `table`, by ON UPDATE CASCADE, SET NULL or SET DEFAULT of a foreign key: `columns` of `references` are what they name. */
export interface KeyChange {
  foreignKey: string
  rule: KeyRule
  table: TableName
  references: TableName
  columns: string[]
  rows: number
}

/** Rows for a partitioned table whose partition of the backup, `lost`, is none of it live. */
export interface StrayRows {
  table: TableName
  lost: TableName
  rows: number
  /** The default partition that would take them; absent: nothing would. */
  into?: TableName
  /** It is live, as a table of its own. */
  isLive: boolean
}

export interface Comparison {
  /** pg_current_snapshot() of the live rows that were compared. */
  snapshot?: string
  /** In the order of the selection, one for each of its entries. */
  tables: TableComparison[]
  closure: ClosureFinding[]
  /** Rows of tables outside the selection that deletes of `exact` would take or change by cascade. */
  cascades: {table: TableName; deleted: number; updated: number}[]
  /** Which live rows these are, and in what form. */
  cascadesDigest?: string
  /** Foreign keys that do not let `exact` delete rows, because these name them and stay. */
  refusals?: {foreignKey: string; table: TableName; references: TableName; rows: number}[]
  /** Rows that the server would change behind the merge, because they name others by a value that it changes. */
  keyChanges?: KeyChange[]
  strays?: StrayRows[]
  /** Of the tables where something is told of it; not for the journal. */
  since?: RowsSince[]
}

export interface MergeResult {
  /** `late`: rows that the backup has not, written after the comparison, which stay; absent of none. */
  tables: (TableName & {inserted: number; updated: number; deleted: number; late?: number})[]
  cascades: Comparison['cascades']
  /** Sequences moved past the data. `denied`: this role may not; it has to be past `value`. */
  sequences: {schema: string; name: string; value: string; denied?: true}[]
  undoSchema: string
  /** Nothing remained to be done: rolled back, and there is no undo schema. */
  nothing?: true
  /** Of the longest wait for a lock, and of the transaction, milliseconds. */
  ms: number
}

export interface RevertResult {
  /** In which it was done, with its epoch. */
  transaction: string
  /** Had been made anew by the run, and are gone again. */
  dropped: TableName[]
  tables: (TableName & {restored: number; removed: number})[]
}
