import type {Config} from '../../config/config.ts'
import type {ForeignKeyShape, Predicate, StagedTable, TableName} from '../../postgres/partial/contract.ts'
import type {BackupInstant} from '../../postgres/newer-rows.ts'
import type {LostDefault} from '../../postgres/partial/lost-defaults.ts'
import type {ServerFacts} from '../../postgres/server.ts'
import type {Target} from '../../postgres/target.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import type {Timing} from '../../system/stopwatch.ts'
import type {RecoveryOptions} from '../pitr/recover-options.ts'
import type {FoundDump} from '../restore/foreign/dump.ts'
import type {FoundBackup} from '../restore/source.ts'

/** Where the rows come from: a backup of dr's, a dump that it did not make, or a database that answers (a copy of an earlier instant). */
export type PartialFrom = {kind: 'backup'; backup: FoundBackup} | {kind: 'dump'; dump: FoundDump} | {kind: 'database'; target: Target; copy?: SideCopy}

/** A point-in-time copy that is made for this run; the address in `target` is known when it is there. */
export interface SideCopy {
  recovery: RecoveryOptions
  /** Of --keep-copy: it is not removed at the end. */
  keep: boolean
}

/** What staging needs from outside. */
export interface StageOptions {
  config: Config
  /** The live database. */
  target: Target
  from: PartialFrom
  /** Every installation found, newest first. */
  tools: readonly ClientTools[]
  /** The private folder of this run: password files, lists. */
  runDirectory: string
  /** Of the run's folder: by it the scratch database, the staging schema and the lock are known. */
  runId: string
  /** Where members from S3, or a dump that has to be unpacked, lie until they are loaded. */
  stagingDirectory: string
  jobs: number
  /** Where the rows of the backup are until it is agreed what is done with them; else `schema`. */
  stage?: StagePlace | undefined
}

/** `schema`: in a schema of the live database. `database`: in a database beside it, on the same server. */
export type StagePlace = 'schema' | 'database'

/** What is known of the source once it is open. */
export interface SourceFacts {
  kind: PartialFrom['kind']
  /** A label, the name of a dump, or `HOST:PORT/DATABASE`. */
  label: string
  /** For people; never with a password. */
  location: string
  /** Of a dump or a database: the name of the database that it is of; null where a dump does not say, undefined until it is read. */
  database?: string | null
  /** Of its snapshot; of a database the moment when it was opened. Undefined of a dump, which does not say. */
  at?: string
  snapshot?: BackupInstant
}

/** Bytes that were brought here, of all that the archive has. Of a local one: that were read. */
export interface Fetched {
  bytes: number
  archiveBytes: number
  members: number
}

/** Lost tables that were made anew. */
export interface Recreated {
  /** With the numbers by which they are known as ours. */
  tables: (TableName & {oid: number})[]
  /** `INDEX public.leads_tenant`. */
  made: string[]
  leftOut: {what: string; why: string}[]
  /** The second part, by the numbers and names of the archive's entries. */
  after: {id: number; name: string}[]
  /** Of the second part. */
  foreignKeys: ForeignKeyShape[]
  /** Of living tables: gone before anything was made. */
  defaults?: LostDefault[]
  /** Foreign keys that hold for new rows only: rows that were there name rows that are not. */
  notValidated: {name: string; orphans: number}[]
}

/** Plain data: it stands in the journal and in --json. */
export interface StageState {
  /** The live database. */
  live: string
  source: SourceFacts
  server?: ServerFacts
  /** The scratch database, while it is there. */
  scratch?: string
  /** The schema that holds the rows of the backup, while it is there. */
  stageSchema?: string
  staged?: StagedTable[]
  /** The database where they are instead, until it is gone; then `staged` speaks of its tables. */
  stageDatabase?: string
  /** The rows that the merge needs, brought from there into the schema of the live database. */
  brought?: StagedTable[]
  recreated?: Recreated
  /** The copy that the rows were taken from is being removed: nothing is to be read from it any more. */
  copyRemoved?: boolean
  fetched?: Fetched
  timings: Timing[]
}

/** What is to be staged; known when both catalogs are. */
export interface StageWish {
  selection: {tables: readonly {table: TableName; where: Predicate}[]}
  /** Tables that are wanted whole beside it: to see what refers to the rows that come back. */
  also?: readonly TableName[]
  /** Also the backup's rows of the keys that selected live rows bear, whose ever they were: before a live row is taken for one that the backup does not have. */
  liveKeys?: boolean
}
