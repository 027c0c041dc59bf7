import type {Finding} from '../../checks/finding.ts'
import type {Config} from '../../config/config.ts'
import type {ServerFacts} from '../../postgres/server.ts'
import type {Target} from '../../postgres/target.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import type {Timing} from '../../system/stopwatch.ts'
import type {CreatedRoles} from '../../postgres/create-roles.ts'
import type {RoleTrouble} from '../../postgres/restore-needs.ts'
import type {RoleMap} from '../../postgres/role-map.ts'
import type {SkipKind, SkippedEntry} from '../../postgres/restore-skip.ts'
import type {HarmlessError} from '../../postgres/restore-rules.ts'
import type {Outcome} from './outcome.ts'
import type {SwapOptions, SwapState} from '../swap/options.ts'
import type {DumpFacts} from './foreign/options.ts'
import type {FoundBackup} from './source.ts'

/** What a restore needs from outside. */
export interface RestoreOptions {
  config: Config
  /** The live database: only the address is used; nothing is written into it. */
  target: Target
  backup: FoundBackup
  /** Every installation found, newest first. */
  tools: readonly ClientTools[]
  /** The private folder of this run: password file, lists, owner record. */
  runDirectory: string
  runId: string
  /** Where members from S3, or a dump that is no file to be used as it is, lie until they are loaded. */
  stagingDirectory: string
  /** Name of the new database; else the live one's with the time. */
  into?: string
  jobs: number
  /** Roles of the backup that become others; the manifest is the mapped one already: see `withRoles`. */
  roleMap?: RoleMap
  /** Make the roles and memberships that are missing. */
  createRoles?: boolean
  /** What is left out. */
  skip?: readonly SkipKind[]
  /** The rows are all that is wanted: no keys and indexes with them. */
  rowsOnly?: boolean
  /** Compare digests; undefined: when the backup has them. */
  digest?: boolean
  /** Put the new database in the live one's place. */
  swap?: SwapOptions
}

/** Plain data: it stands in the journal and in --json. */
export interface RestoreState {
  environment: string
  label: string
  location: string
  /** The live database, which is not touched. */
  live: string
  /** The new one. */
  database: string
  tools: ClientTools
  jobs: number
  maintenanceWorkMemBytes: number
  server?: ServerFacts
  /** Of the new database, when it can be the source's; else whoever restores. */
  owner?: string
  /** By which the mark and the lock of the new database are known. */
  runId: string
  /** What earlier processes of the run spent on what is not done again. */
  earlierMs?: number
  /** Its name is taken by this run. */
  created?: boolean
  /** Of the new database. */
  databaseOid?: number
  /** Finished: no longer marked as ours. */
  finished?: boolean
  tables?: number
  rows?: number
  archiveBytes: number
  /** Of a dump that dr did not make. */
  dump?: DumpFacts
  findings: Finding[]
  /** Entries of the archive that were left out as wished. */
  skipped?: SkippedEntry[]
  /** What the server lacked of roles in the check. */
  roleTrouble?: RoleTrouble
  /** How many an earlier process of this run has made. */
  madeBefore?: number
  /** Roles that this run made. */
  roles?: CreatedRoles
  /** Errors that a rule forgave. */
  harmless?: HarmlessError[]
  /** Known at the end. */
  outcome?: Outcome
  timings: Timing[]
  /** With --swap. */
  swap?: SwapState
}
