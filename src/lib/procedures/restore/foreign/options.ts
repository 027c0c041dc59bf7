import type {Config} from '../../../config/config.ts'
import type {Collation} from '../../../postgres/create-database.ts'
import type {Target} from '../../../postgres/target.ts'
import type {ClientTools} from '../../../postgres/tools.ts'
import type {DumpKind, Layer} from '../../../repository/foreign.ts'
import type {SkipKind} from '../../../postgres/restore-skip.ts'
import type {SwapOptions} from '../../swap/options.ts'
import type {RestoreState} from '../options.ts'
import type {FoundDump} from './dump.ts'

/** What the restore of a dump that dr did not make needs from outside. */
export interface ForeignOptions {
  config: Config
  /** The live database: only the address is used; nothing is written into it. */
  target: Target
  dump: FoundDump
  /** Every installation found, newest first. */
  tools: readonly ClientTools[]
  runDirectory: string
  runId: string
  /** Where the dump lies while it is restored, when it is not a file that can be used as it is. */
  stagingDirectory: string
  into?: string
  jobs: number
  /** Make the roles that are missing. */
  createRoles?: boolean
  /** What is left out of an archive. */
  skip?: readonly SkipKind[]
  /** Put the new database in the live one's place. */
  swap?: SwapOptions
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
