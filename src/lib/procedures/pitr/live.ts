import {preflightError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {marksOf, TAG, tagOf} from '../../rds/tags.ts'
import {liveReason} from './cleanup-judge.ts'
import {cutoverMarkOf} from './cutover-marks.ts'
import type {RecoveryOptions} from './recover-options.ts'

/** What AWS shows of an instance that has never answered yet. */
const UNBORN = 'creating'

/**
 * A recovery sets what is missing and restarts, and asks nobody: throws `pitr.live` (exit 3) for an instance that clients may be at
 * work on. `asked`: it was asked for in this run, under the name that it has.
 */
export function assertNotLive(instance: DBInstance, {config, proof: {database}}: Pick<RecoveryOptions, 'config' | 'proof'>, asked = false): void {
  const {DBInstanceIdentifier: id = '', DBInstanceStatus = ''} = instance
  const replaced = tagOf(instance, TAG.replaced)
  // Restored under the name of a source that is gone, it is called as production from the beginning.
  const heir = replaced === undefined && cutoverMarkOf(instance) === undefined && marksOf(instance)?.source === id
  if (heir && (asked || DBInstanceStatus === UNBORN)) return
  const address = database && `${database.host.toLowerCase()}:${database.port}`
  const why = replaced === undefined ? liveReason(instance, {live: config.rds.instance?.toLowerCase(), address}) : `it was live as ${replaced} before a cut-over`
  if (why === undefined) return
  throw preflightError('pitr.live', `${id} may have clients: ${why}. A recovery would change its settings and restart it, so nothing was done.`, {hints: [
    'dr pitr list shows what is called what, and the cut-overs.',
    `When it may restart is yours to say: aws rds modify-db-instance --db-instance-identifier ${id} sets, aws rds reboot-db-instance --db-instance-identifier ${id} restarts.`,
  ]})
}
