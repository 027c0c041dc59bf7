import type {Finding} from '../../checks/finding.ts'
import type {Config} from '../../config/config.ts'
import type {ServerFacts} from '../../postgres/server.ts'
import type {Target} from '../../postgres/target.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import type {Timing} from '../../system/stopwatch.ts'
import type {SwapOptions, SwapState} from '../swap/options.ts'
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
  /** Where members from S3 lie until they are loaded. */
  stagingDirectory: string
  /** Name of the new database; else the live one's with the time. */
  into?: string
  jobs: number
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
  findings: Finding[]
  timings: Timing[]
  /** With --swap. */
  swap?: SwapState
}
