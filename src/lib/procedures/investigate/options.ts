import type {Config} from '../../config/config.ts'
import type {PreservedTable, Released} from '../../postgres/investigate/preserve.ts'
import type {Target} from '../../postgres/target.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {Investigation} from '../../report/investigation.ts'
import type {Timing} from '../../system/stopwatch.ts'

/** What an investigation needs from outside. */
export interface InvestigateOptions {
  config: Config
  target: Target
  /** The repositories of the environment. */
  storages: readonly Storage[]
  runId: string
  /** Only these: `leads` or `public.leads`; empty for all. */
  tables: readonly string[]
  tenant?: string | undefined
  /** ISO. */
  since?: string | undefined
  actor?: string | undefined
  /** Switch autovacuum off for the tables first. */
  preserve: boolean
  /** So many of the newest backups are compared. */
  backups: number
  /** The folder of the journals: they tell what was taken back from here. */
  journals?: string | undefined
  /** Connections that count at once. */
  jobs: number
  /** A table that takes more than this on disk is read only when it is named; else 16 GB. */
  largeBytes?: number
}

/** Plain data: it stands in the journal and in --json. */
export interface InvestigateState {
  environment: string
  database: string
  /** With --preserve: what the tables had before; complete before anything is changed. */
  former?: PreservedTable[]
  /** Autovacuum is off for them. */
  preserved?: boolean
  /** With --release: what was given back, and of which runs. */
  released?: (Released & {run: string; oid: number})[]
  investigation?: Investigation
  timings: Timing[]
}
