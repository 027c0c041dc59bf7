import {preflightError, type DrError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {isLost} from '../../rds/status.ts'
import {marksOf} from '../../rds/tags.ts'
import {openCutovers} from './cutover-claim.ts'

/** Whether no instance has this name, and none is about to: between the two renames of a cut-over nobody has it either. */
export const isVacant = (all: readonly DBInstance[], name: string): boolean =>
  name !== '' && all.every(({DBInstanceIdentifier}) => DBInstanceIdentifier !== name) && openCutovers(all, name).length === 0

/** What gives a copy the name of an instance that is gone, and with it the address. */
export const takeName = (copy: string, name: string): string => `aws rds modify-db-instance --db-instance-identifier ${copy} --new-db-instance-identifier ${name} --apply-immediately`

/** `rds.no-instance` (exit 3), with what can be done where an instance was deleted: there is nothing to cut over from. */
export function noInstance(all: readonly DBInstance[], name: string): DrError {
  const copies = all.filter((one) => marksOf(one)?.purpose === 'primary' && marksOf(one)?.source === name && !isLost(one.DBInstanceStatus ?? ''))
  const deleted = copies.length === 0 ? ['If it was deleted: dr pitr list shows the backups that AWS retained, dr pitr --source-resource-id makes a copy from one, and says how that takes the name.'] : copies.map(({DBInstanceIdentifier: id = ''}) => `If it was deleted, ${id} takes its name and its address by: ${takeName(id, name)}`)
  const begun = openCutovers(all, name).map(({mark}) => `A cut-over was cut short: dr pitr rollback ${mark.run}`)
  return preflightError('rds.no-instance', `There is no instance ${name}.`, {hints: begun.length > 0 ? begun : ['Check rds.instance, rds.region and the profile.', ...deleted]})
}
