import type {Purpose} from '../rds/tags.ts'

/** What `dr pitr list` shows. Times are ISO, UTC. */
export interface RecoveryList {
  /** Instances that dr did not make. */
  sources: {instance: string; status: string; retentionDays: number; earliest: string | null; latest: string | null}[]
  /** Automated backups of instances that are deleted. */
  retained: KeptBackup[]
  /** Those that come from another region. */
  replicated: KeptBackup[]
  /** What dr made; `live`: it has taken its source's place. */
  copies: {instance: string; status: string; purpose: Purpose; source: string | null; restoredTo: string | null; run: string; createdAt: string | null; host: string | null; live: boolean}[]
  /** Renamed out of the way by a cut-over. */
  replaced: {instance: string; status: string; was: string; createdAt: string | null}[]
}

export interface KeptBackup {
  instance: string
  resourceId: string
  arn: string | null
  region: string
  earliest: string | null
  latest: string | null
}
