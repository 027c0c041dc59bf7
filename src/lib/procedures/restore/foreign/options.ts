import type {Collation} from '../../../postgres/create-database.ts'
import type {DumpKind, Layer} from '../../../repository/foreign.ts'
import type {RestoreOptions, RestoreState} from '../options.ts'
import type {FoundDump} from './dump.ts'

/** What the restore of a dump that dr did not make needs from outside. */
export interface ForeignOptions extends Omit<RestoreOptions, 'backup' | 'roleMap' | 'rowsOnly' | 'digest'> {
  dump: FoundDump
}

/** What is known of the dump; of one from standard input little before it is read. */
export interface DumpFacts {
  kind?: DumpKind
  layers: readonly Layer[]
  /** As it was stored. */
  bytes: number
  /** How far it was proven before anything was made. */
  extent: string
  /** As pg_dump states it. */
  source?: string
  serverVersion?: string
  toolVersion?: string
  encoding?: string
  collation?: Collation
  /** Of the source's database. */
  owner?: string
  tables: number
  /** psql runs the script in one transaction. */
  singleTransaction?: boolean
}

/** Plain data: it stands in the journal and in --json. */
export interface ForeignState extends RestoreState {
  dump: DumpFacts
}
