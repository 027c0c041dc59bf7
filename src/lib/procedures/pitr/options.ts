import type {Config} from '../../config/config.ts'
import type {RdsApi} from '../../rds/api.ts'
import type {Clock} from '../../rds/poller.ts'

/** What every procedure around point-in-time recovery needs. */
export interface RdsOptions {
  config: Config
  api: RdsApi
  /** Tests bring their own. */
  clock?: Clock
}
