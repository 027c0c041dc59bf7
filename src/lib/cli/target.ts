import type {Config} from '../config/config.ts'
import type {Target} from '../postgres/target.ts'

/** The database that the configuration names; its password is masked from here on. */
export async function targetOf({database}: Config): Promise<Target> {
  const [{parseTarget}, {registerSecret}, {preflightError}] = await Promise.all([import('../postgres/target.ts'), import('../system/redact.ts'), import('../errors.ts')])
  if (database.url === undefined) {
    throw preflightError('config.database-url', 'No database is configured.', {hints: ['Set DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/DATABASE', 'dr sandbox start, then: eval "$(dr sandbox env)"']})
  }
  const target = parseTarget(database.url)
  registerSecret(target.password)
  return target
}
