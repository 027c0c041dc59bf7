import type {Finding} from '../../checks/finding.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {Timing} from '../../system/stopwatch.ts'
import type {RunFolder} from '../runs.ts'

/** `quick` compares what the storage says and reads the table of contents; `full` reads and checks every byte. */
export type VerifyLevel = 'quick' | 'full'

/** What is to be verified. */
export type Wanted =
  | {kind: 'latest'}
  | {kind: 'all'}
  | {kind: 'label'; label: string}
  /** A folder or a file, or an object of a bucket, wherever it lies: `key` is relative to `storage`, without a slash at its end. */
  | {kind: 'place'; storage: Storage; key: string}

export interface VerifyOptions {
  wanted: Wanted
  /** As it was asked for. */
  what: string
  level: VerifyLevel
  environment: string
  /** Where `latest`, `all` and labels are looked for. */
  storages: readonly Storage[]
  /** Newest first; undefined when none was found, `toolsMissing` then says so. */
  tools: readonly ClientTools[] | undefined
  toolsMissing?: string
  run: RunFolder
  /** For dumps that must lie in a file to be read. */
  spoolDirectory: string
  /** User, host and version: stands in the evidence. */
  by: string
}

/** One place that was verified. */
export interface Verified {
  kind: 'backup' | 'foreign'
  /** The label, or the name of a dump of others. */
  label: string
  storage: Storage['kind']
  location: string
  level: VerifyLevel
  /** False as soon as one finding is an error; null until it is over. */
  ok: boolean | null
  /** How far it went, for people. */
  extent: string
  findings: Finding[]
  members: number
  /** That were read. */
  bytes: number
  timings: Timing[]
  /** Key of the evidence below the location; null when none could be written. */
  evidence: string | null
}

/** Plain data: it stands in the journal and in --json. */
export interface VerifyState {
  what: string
  level: VerifyLevel
  environment: string
  verified: Verified[]
  /** Storages that could not be asked for the backup, and places that could not be read to their end. */
  unreachable: {location: string; code: string; message: string; hints: readonly string[]}[]
}
