import type {Purpose} from '../rds/tags.ts'
import type {RunStatus} from '../runbook/runs.ts'

/** What `dr pitr list` shows. Times are ISO, UTC. */
export interface RecoveryList {
  /** Cut-overs that have begun and are not at their end. */
  cutovers: ListedCutover[]
  /** Instances whose writes dr has stopped, but for those in such a cut-over. */
  frozen: FrozenInstance[]
  /** Instances that dr did not make, and those that have taken the place of one. */
  sources: {instance: string; status: string; retentionDays: number; earliest: string | null; latest: string | null}[]
  /** Automated backups of instances that are deleted. */
  retained: KeptBackup[]
  /** Those that come from another region. */
  replicated: KeptBackup[]
  /** What dr made; `live`: it has taken a place; `hydrated`: when dr pitr warm had read the whole of it. */
  copies: {instance: string; status: string; purpose: Purpose; source: string | null; restoredTo: string | null; run: string; createdAt: string | null; host: string | null; live: boolean; hydrated: string | null}[]
  /** What a cut-over has put another one in the place of; `by`: that one, while it is there. */
  replaced: {instance: string; status: string; was: string; by: string | null; createdAt: string | null}[]
}

export interface ListedCutover {
  /** The production instance. */
  name: string
  mode: 'rename' | 'url' | 'proxy'
  run: string
  /** By its journal; null: that is not here, so that it may be at work elsewhere. */
  status: RunStatus | null
  /** The run that has begun to take it back. */
  rollback: string | null
  old: CutoverSide
  new: CutoverSide
  /** Whose the name is; null: nobody's, so that clients reach nothing. */
  holder: 'old' | 'new' | 'other' | null
  /** Databases of the old one whose writes are stopped; `all`: every one that is read-only; null: none. */
  stopped: string[] | 'all' | null
  /** What goes on with it; null where nothing can. `here`: by the journal that is here. */
  resume: {command: string; here: boolean} | null
  /** What takes it back, from anywhere. */
  back: string
}

export interface CutoverSide {
  instance: string
  resourceId: string
  status: string
}

export interface FrozenInstance extends CutoverSide {
  databases: string[] | 'all'
  /** That has stopped the writes. */
  run: string | null
  /** By its journal; null: that is not here. */
  runStatus: RunStatus | null
  /** Commands and statements, each with what it does. */
  remedies: {command: string; does: string}[]
}

export interface KeptBackup {
  instance: string
  resourceId: string
  arn: string | null
  region: string
  earliest: string | null
  latest: string | null
}
