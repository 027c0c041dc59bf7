import type {Finding} from '../../checks/finding.ts'
import type {Config} from '../../config/config.ts'
import type {ServerFacts} from '../../postgres/server.ts'
import type {Target} from '../../postgres/target.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {BackedUpInstance} from './settings.ts'

/** What a backup needs from outside. */
export interface BackupOptions {
  config: Config
  target: Target
  storages: readonly Storage[]
  /** Every installation found, newest first. */
  tools: readonly ClientTools[]
  /** The private folder of this run: password file, owner record. */
  runDirectory: string
  /** Where pg_dump writes before the members are shipped; on the repository's own file system when that is local. */
  stagingRoot: string
  drVersion: string
  jobs?: number
  compress?: string
  digest: boolean
  /** The operator says that what looks suspect against the last good backup is right. */
  accept?: boolean
  /** Of a state that is about to be replaced. */
  purpose?: 'safety'
  /** Its settings are saved too; absent where none is configured. */
  instance?: BackedUpInstance
  env: NodeJS.ProcessEnv
  /** Tests only. */
  newLabel?: () => string
  /** Tests only: called before every statement of the leader. */
  beforeStatement?: (statement: string) => Promise<void>
}

export interface SuspectFinding extends Finding {
  severity: 'warning'
}

/** Plain data: it stands in the journal and in --json. */
export interface BackupState {
  environment: string
  database: string
  destinations: string[]
  tools: ClientTools
  compression: string
  jobs: number
  server?: ServerFacts
  lastGood?: {label: string; archiveBytes: number; databaseBytes: number}
  label?: string
  /** Label under which the settings of the instance were saved. */
  settings?: string
  status?: 'good' | 'suspect'
  findings: Finding[]
  attempts: number
  rows?: number
  tables?: number
  archiveBytes?: number
  stagingPeakBytes?: number
  proofs?: {destination: string; proof: string}[]
  failures: {destination: string; code: string; message: string}[]
  timings: {phase: string; ms: number}[]
}
