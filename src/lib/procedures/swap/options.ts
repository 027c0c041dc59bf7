import type {Finding} from '../../checks/finding.ts'
import type {Config} from '../../config/config.ts'
import type {DatabaseTraits} from '../../postgres/database-traits.ts'
import type {BackupInstant} from '../../postgres/newer-rows.ts'
import type {LiveTable} from '../../postgres/live.ts'
import type {StatementHook} from '../../postgres/swap.ts'
import type {Target} from '../../postgres/target.ts'
import type {Loss, SwapTarget} from '../../report/swap-lines.ts'
import type {Procedure} from '../../runbook/procedure.ts'
import type {BackupState} from '../backup/options.ts'

export type Safety = 'backup' | 'none'

/** Plain data: it stands in the journal and in --json, as `swap` of the run's state. */
export interface SwapState {
  safety: Safety
  /** How the safety backup went; its label is in it. */
  safetyBackup?: BackupState
  /** It is finished, and stays whatever happens afterwards. */
  safetyComplete?: boolean
  /** The live database as it was found; undefined when there is none. */
  target?: SwapTarget
  /** What it held, against what takes its place. */
  loss?: Loss[]
  /** The live database itself was overwritten. */
  inPlaceDone?: boolean
  /** There is no live database. */
  missing?: boolean
  /** Why it cannot be read. */
  unreadable?: string
  /** Single tables that cannot be counted, and why. */
  troubles?: string[]
  /** The database that had the name, and the one that gets it. */
  liveOid?: number
  sideOid?: number
  /** What the old one was called afterwards. */
  kept?: string
  swapped?: boolean
  /** Milliseconds from the beginning of the transaction to the answer to COMMIT. */
  outageMs?: number
  attempts?: number
  /** Sessions that were ended. */
  ended?: number
  /** What of the live database itself the server refused to give to the other one. */
  refused?: string[]
}

/** What the phases of a swap need of the state of the procedure that they belong to. */
export interface SwapSubject {
  environment: string
  /** What takes the place, in one word: a backup's label, or a database. */
  label: string
  live: string
  /** Has, or will have, what is to be live. */
  database: string
  /** Of that database, since the restore has made it. */
  databaseOid?: number
  findings: Finding[]
  /** Handed over by the restore. */
  finished?: boolean
  swap?: SwapState
}

/** Where the database comes from, as far as it is known: what the loss is counted against. */
export interface SwapSource {
  /** `backup 20261122T020000Z-7f3a of crm (production)`. */
  title: string
  /** Of its data. */
  at?: string | undefined
  environment?: string | undefined
  database?: string | undefined
  /** The server and database that it was taken from, and the first transaction that it does not hold: to count what was written since. */
  snapshot?: (BackupInstant & {xmax: string}) | undefined
  /** Bytes that it will take on the server. */
  bytes?: number | undefined
  tables?: readonly {schema: string; name: string; rows: number | null}[] | undefined
  /** The database is there already, and is looked at beforehand. */
  standing?: boolean
  /** Of the source's database: they serve where there is no live one to take them from. */
  traits?: DatabaseTraits | undefined
}

export interface SwapOptions {
  config: Config
  /** The live database. */
  target: Target
  /** Of our sessions. */
  applicationName: string
  source: SwapSource
  /** `environment/database` of the source, when it is meant that it is another's. */
  from?: string | undefined
  safety: Safety
  /** Asked for by name: then it must be possible. */
  safetyWanted: boolean
  /** Takes the safety backup. */
  backup?: {procedure: Procedure<BackupState>; state: BackupState} | undefined
  /** Count what was written since the swap that put the coming one aside. */
  countWritten?: boolean
  /** What the old database is called. */
  keepAs: 'kept' | 'undone'
  /** The command that swaps the finished database in another time. */
  again: (state: SwapSubject) => string
  /** Go on although not everything is as it should be. */
  accept?: boolean
  /** Tests only. */
  hook?: StatementHook | undefined
  /** Of the swap's own waiting; tests shorten it. */
  patienceMs?: number | undefined
}

export const swapOf = ({swap}: SwapSubject): SwapState => {
  if (swap === undefined) throw new Error('This procedure was not begun as a swap.')
  return swap
}

export const tableName = ({schema, name}: Pick<LiveTable, 'schema' | 'name'>): string => `${schema}.${name}`
