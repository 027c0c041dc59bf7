import type {Environment} from './config.ts'
import type {SettingPath} from './schema.ts'

type Profile = Readonly<Partial<Record<SettingPath, unknown>>>

/** What the runbook asks of each environment, unless configured otherwise. */
export const profiles: Readonly<Record<Environment, Profile>> = {
  production: {protected: true, 'objectives.rto': '1h', 'objectives.rpo': '1h', 'retention.days': 30, 'schedule.cron': '0 2 * * *'},
  staging: {protected: false, 'objectives.rto': '4h', 'objectives.rpo': '24h', 'retention.days': 7, 'schedule.cron': '0 3 * * *'},
  development: {protected: false, 'objectives.rto': '8h', 'objectives.rpo': '7d', 'retention.days': 7},
}
