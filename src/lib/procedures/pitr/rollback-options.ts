import type {FrozenDatabase} from '../../postgres/freeze.ts'
import type {Target} from '../../postgres/target.ts'
import type {Loss} from '../../report/swap-lines.ts'
import {compactUtc} from '../../system/clock.ts'
import type {CutoverMode, Party} from './cutover-options.ts'
import type {RdsOptions} from './options.ts'

export const ROLLBACK = 'dr pitr rollback'

/** Of the name that the new instance gets. */
export const backSuffix = (now: Date): string => `-pitr-back-${compactUtc(now).replaceAll(/\D/g, '')}`

export interface RollbackOptions extends RdsOptions {
  /** The live database, by the address that clients use. */
  target: Target
  /** Identifier of the production instance. */
  name: string
  /** Of the cut-over; undefined: the one that is in place. */
  run?: string | undefined
  /** The application is pointed at the old one by somebody, though the cut-over had a command for it. */
  byHand?: boolean | undefined
  /** Folder of the journals. */
  journals: string
}

/** Plain data: it stands in the journal and in --json. */
export interface RollbackState {
  environment: string
  name: string
  /** What the new instance is called afterwards (rename). */
  backName: string
  mode?: CutoverMode
  cutoverRun?: string
  /** Whether the journal of that run is here: only then is it known that it is not at work. */
  cutoverHere?: boolean
  /** A run that has begun to take it back before. */
  earlier?: string
  old?: Party
  copy?: Party
  sinceXid?: string
  frozen?: FrozenDatabase[] | 'all'
  /** Proxies that lead to the new instance and are not led back. */
  staying?: string[]
  /** What the new instance holds and the old one does not, by table. */
  loss?: Loss[]
  /** The other databases of the new instance: what they hold is not in it. */
  uncountedDatabases?: string[]
  /** Nothing has led clients to the old one: there is no rds.switchCommand, and somebody must do it. */
  byHand?: boolean
  rolledBack?: boolean
}
