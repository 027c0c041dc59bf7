import type {Finding} from '../../checks/finding.ts'
import type {Config} from '../../config/config.ts'
import type {ServerFacts} from '../../postgres/server.ts'
import type {Target} from '../../postgres/target.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import type {Timing} from '../../system/stopwatch.ts'
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
  /** Where members from S3 lie until they are loaded. */
  stagingDirectory: string
  /** Name of the new database; else the live one's with the time. */
  into?: string
  jobs: number
  /** Compare digests; undefined: when the backup has them. */
  digest?: boolean
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
  /** Its name is taken by this run. */
  created?: boolean
  /** Finished: no longer marked as ours. */
  finished?: boolean
  tables?: number
  rows?: number
  archiveBytes: number
  /** Of a dump that dr did not make. */
  dump?: DumpFacts
  findings: Finding[]
  timings: Timing[]
}
