import type {Instance} from '../instance.ts'
import {instanceNotFound, RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import {shownBackup} from './describe.ts'
import type {Action} from './action.ts'

/**
 * Automated backups of an instance of another region, kept in this one. There is only one region here: the ARN may name another one,
 * and stands for the instance that has its name.
 */
export const startReplication: Action = ({region, form}) => {
  const arn = form.required('SourceDBInstanceArn')
  const instance = sourceOf(region, arn)
  const [retention, key] = [form.integer('BackupRetentionPeriod'), form.text('KmsKeyId')]
  // The SDK adds it by itself: with it one region asks the other.
  form.text('PreSignedUrl')
  form.assertAllRead()
  if (instance.settings.StorageEncrypted && key === undefined) throw new RdsError('InvalidParameterValue', 'KmsKeyId must be given: the source is encrypted.')
  if (region.replicas.some((one) => one.instance === instance)) throw new RdsError('InvalidDBInstanceState', `Automated backups of ${instance.id} are replicated already.`)
  const replica = {instance, arn: region.backupArnOf(instance), sourceRegion: arn.split(':')[3] ?? region.name, ...(retention !== undefined && {retention})}
  region.replicas.push(replica)
  return {DBInstanceAutomatedBackup: shownBackup(region, instance, 'replicating', replica)}
}

/** What was replicated goes with it. */
export const stopReplication: Action = ({region, form}) => {
  const instance = sourceOf(region, form.required('SourceDBInstanceArn'))
  form.assertAllRead()
  const index = region.replicas.findIndex((one) => one.instance === instance)
  const [replica] = index === -1 ? [] : region.replicas.splice(index, 1)
  if (!replica) throw new RdsError('DBInstanceAutomatedBackupNotFound', `Automated backups of ${instance.id} are not replicated.`, 404)
  return {DBInstanceAutomatedBackup: shownBackup(region, instance, 'retained', replica)}
}

function sourceOf(region: Region, arn: string): Instance {
  const name = arn.split(':').at(-1) ?? ''
  const found = region.instances.get(name) ?? region.replicas.find(({instance}) => instance.id === name)?.instance
  if (!found) throw instanceNotFound(arn)
  return found
}
