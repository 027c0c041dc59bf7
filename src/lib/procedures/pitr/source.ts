import {DrError, preflightError} from '../../errors.ts'
import type {DBInstance, DBInstanceAutomatedBackup} from '../../rds/api.ts'
import {refusalOf} from '../../rds/faults.ts'
import {assertInstance} from '../../rds/restore-plan.ts'
import type {RestoreChoice} from '../../rds/restore-inputs.ts'
import {backupWarning, sourceOfBackup} from '../../rds/retained.ts'
import {TAG, tagOf} from '../../rds/tags.ts'
import type {RestoreWindow} from '../../rds/window.ts'
import {latestInstanceSettings} from '../instance-settings/latest.ts'
import type {RdsOptions} from './options.ts'
import {sourceName, type RecoveryChoice, type RecoveryOptions, type RecoverySource} from './recover-options.ts'
import {assertNotReplaced, replacementOf} from './replaced.ts'

/** What a recovery starts from. */
export interface FoundSource {
  /** Its settings, as far as they are known. */
  source: DBInstance
  by?: RestoreChoice['by']
  window: RestoreWindow
  warnings: string[]
}

type FindOptions = RdsOptions & Pick<RecoveryOptions, 'wish' | 'proof'>

/** Finds the source and its restore window. Throws `rds.no-instance`, `rds.no-backup`, `rds.no-pitr`, `pitr.window`, `pitr.replaced` (exit 3). */
export async function findSource(options: FindOptions, signal: AbortSignal): Promise<FoundSource> {
  const {wish: {source}} = options
  return 'instance' in source ? liveSource(options, source, signal) : backedUpSource(options, source, signal)
}

async function liveSource({api, config}: FindOptions, {instance, named}: Extract<RecoverySource, {instance: string}>, signal: AbortSignal): Promise<FoundSource> {
  const source = await api.instance(instance, signal)
  const asked = {action: 'RestoreDBInstanceToPointInTime', instance}
  if (source === undefined) throw refusalOf('DBInstanceNotFoundFault', asked, config.rds)
  // A cluster's instance has no backups of its own.
  assertInstance(source)
  const warnings = await aboutReplaced(api, source, named === true, signal)
  if (source.BackupRetentionPeriod === 0) throw refusalOf('PointInTimeRestoreNotEnabledFault', asked, config.rds)
  const backups = await api.automatedBackups({DBInstanceIdentifier: instance}, signal)
  return {source, window: windowOf(backups.find(({DbiResourceId}) => DbiResourceId === source.DbiResourceId), instance, source.LatestRestorableTime), warnings}
}

/** What was written since is in the backups of the one that has its place. */
async function aboutReplaced(api: FindOptions['api'], source: DBInstance, named: boolean, signal: AbortSignal): Promise<string[]> {
  if (tagOf(source, TAG.replaced) === undefined) return []
  const all = await api.instances(signal)
  const {DBInstanceIdentifier: id = ''} = source
  if (!named) assertNotReplaced(all, source, () => `--source ${id} restores it all the same, as it was before.`)
  const by = replacementOf(all, source)?.copy.DBInstanceIdentifier
  return by === undefined ? [] : [`${id} is not the production instance any more: ${by} has taken its place, and what was written there since is not in these backups.`]
}

/** Of a deleted instance, or of another region: there may be no instance to ask for the settings. */
async function backedUpSource(options: FindOptions, source: Exclude<RecoverySource, {instance: string}>, signal: AbortSignal): Promise<FoundSource> {
  const {api, config, wish} = options
  const backups = await api.automatedBackups('resourceId' in source ? {DbiResourceId: source.resourceId} : {DBInstanceAutomatedBackupsArn: source.backupArn}, signal)
  const [backup] = backups
  if (backup === undefined) throw refusalOf('DBInstanceAutomatedBackupNotFoundFault', {action: 'RestoreDBInstanceToPointInTime', instance: sourceName(source)}, config.rds)
  const window = windowOf(backup, sourceName(source))
  const live = await instanceOf(options, backup, signal)
  if (live) return {source: live, by: source, window, warnings: []}
  const {settings, warnings} = await savedOf(options, backup, signal)
  // The backup is of the last moment, what was saved is of some day before.
  return {source: {...settings, ...definedOf(sourceOfBackup(backup))}, by: source, window, warnings: settings ? warnings : [...warnings, backupWarning(givenFlags(wish.choice))]}
}

/** What `dr config snapshot` has saved of it, while it was there. */
async function savedOf({proof: {storages}}: FindOptions, {DBInstanceIdentifier, DbiResourceId}: DBInstanceAutomatedBackup, signal: AbortSignal): Promise<{settings?: DBInstance; warnings: string[]}> {
  if (DBInstanceIdentifier === undefined) return {warnings: []}
  try {
    const saved = await latestInstanceSettings(storages, DBInstanceIdentifier, {signal})
    if (saved === undefined) return {warnings: ['No configuration of it was saved (dr config snapshot).']}
    const other = saved.settings.DbiResourceId === DbiResourceId ? '' : ', of another instance of that name'
    return {settings: saved.settings, warnings: [`The instance is gone: its settings are those that were saved as ${saved.label}${other} (${saved.location}).`]}
  } catch (error) {
    if (!(error instanceof DrError)) throw error
    return {warnings: [`A saved configuration was not to be had: ${error.message}`]}
  }
}

/** Without what is undefined: that would hide what is known otherwise. */
const definedOf = (instance: DBInstance): DBInstance => Object.fromEntries(Object.entries(instance).filter(([, value]) => value !== undefined))

/** The instance that the backup is of, when it is still there and still the same. */
async function instanceOf({api}: FindOptions, {DBInstanceIdentifier, DbiResourceId}: DBInstanceAutomatedBackup, signal: AbortSignal): Promise<DBInstance | undefined> {
  const found = DBInstanceIdentifier === undefined ? undefined : await api.instance(DBInstanceIdentifier, signal)
  return found?.DbiResourceId === DbiResourceId ? found : undefined
}

const givenFlags = ({instanceClass, securityGroups = [], parameterGroup, subnetGroup, multiAz}: RecoveryChoice): ReadonlySet<string> => new Set([
  ...(instanceClass === undefined ? [] : ['--class']), ...(securityGroups.length === 0 ? [] : ['--security-group']), ...(parameterGroup === undefined ? [] : ['--parameter-group']),
  ...(subnetGroup === undefined ? [] : ['--subnet-group']), ...(multiAz === undefined ? [] : ['--multi-az']),
])

function windowOf(backup: DBInstanceAutomatedBackup | undefined, name: string, latest = backup?.RestoreWindow?.LatestTime): RestoreWindow {
  const earliest = backup?.RestoreWindow?.EarliestTime
  if (earliest && latest) return {earliest: earliest.toISOString(), latest: latest.toISOString()}
  throw preflightError('pitr.window', `${name} cannot be restored to any time yet: its first automated backup is not finished.`, {hints: ['dr pitr list shows when it is.', 'dr restore takes the newest logical backup.']})
}
