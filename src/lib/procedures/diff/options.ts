import type {LossTable} from '../../checks/loss.ts'
import type {RowLoss} from '../../checks/row-loss.ts'
import type {Config} from '../../config/config.ts'
import type {Target} from '../../postgres/target.ts'
import type {Timing} from '../../system/stopwatch.ts'
import type {RestoreOptions, RestoreState} from '../restore/options.ts'
import type {FoundBackup} from '../restore/source.ts'
import type {RestoreWork} from '../restore/work.ts'

/** The restore of a copy to compare with. */
export interface SideCopy {
  options: RestoreOptions
  work: RestoreWork
  state: RestoreState
  /** Restore it whole, and leave it. */
  keep: boolean
}

/** What a comparison needs from outside. */
export interface DiffOptions {
  config: Config
  /** The live database. */
  target: Target
  backup: FoundBackup
  runId: string
  /** Only these: `leads` or `public.leads`; empty for all. */
  tables: readonly string[]
  tenant?: string | undefined
  /** Compare every row: with a database that was restored before, or with a copy that is restored for it. */
  deep?: {against: string} | {side: SideCopy}
  /** Keys to show of each table. */
  sample: number
  /** Connections that count at once; for rows, half as many tables. */
  jobs: number
}

/** Plain data: it stands in the journal and in --json. */
export interface DiffState {
  environment: string
  label: string
  location: string
  /** The live database. */
  database: string
  tenant?: string
  loss?: LossTable
  rows?: RowLoss
  /** Of the copy that is restored for the comparison. */
  restore?: RestoreState
  timings: Timing[]
}
