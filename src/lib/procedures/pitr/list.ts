import type {DBInstance, DBInstanceAutomatedBackup} from '../../rds/api.ts'
import {marksOf, TAG, tagOf} from '../../rds/tags.ts'
import type {RecoveryList} from '../../report/recovery-list.ts'
import {listCutovers, listFrozen} from './list-cutovers.ts'
import type {RdsOptions} from './options.ts'
import {finishedMarkOf, replacementOf} from './replaced.ts'

/** What can be restored from, and what dr made of it. `source`: only what is about this instance. */
export async function listRecovery({api, config, journals}: RdsOptions & {journals: string}, source: string | undefined, signal: AbortSignal): Promise<RecoveryList> {
  const [instances, backups] = await Promise.all([api.instances(signal), api.automatedBackups({}, signal)])
  const ofSource = (name: string | undefined) => source === undefined || name === source
  const place = {journals, live: config.rds.instance}
  const cutovers = await listCutovers(instances, place)
  const frozen = await listFrozen(instances, cutovers, place)
  return {
    cutovers: cutovers.filter(({name}) => ofSource(name)), frozen: frozen.filter(({instance, resourceId}) => ofSource(instance) || ofSource(replacedName(instances, resourceId))),
    sources: instances.filter((one) => isSource(instances, one) && (ofSource(one.DBInstanceIdentifier) || ofSource(finishedMarkOf(instances, one)?.name))).map((one) => shownSource(one, backups)),
    retained: backups.filter(({Status, DBInstanceIdentifier}) => Status === 'retained' && ofSource(DBInstanceIdentifier)).map(shownBackup),
    replicated: backups.filter(({Status, DBInstanceAutomatedBackupsArn, DBInstanceIdentifier}) => Status === 'replicating' && DBInstanceAutomatedBackupsArn !== undefined && ofSource(DBInstanceIdentifier)).map(shownBackup),
    copies: instances.flatMap((one) => shownCopy(instances, one)).filter((one) => ofSource(one.source ?? undefined)),
    replaced: instances.flatMap((one) => {
      const name = tagOf(one, TAG.replaced)
      return name === undefined || !ofSource(name) ? [] : [{instance: one.DBInstanceIdentifier ?? '', status: one.DBInstanceStatus ?? '', was: name, by: replacementOf(instances, one)?.copy.DBInstanceIdentifier ?? null, createdAt: time(one.InstanceCreateTime)}]
    }),
  }
}

/** What dr did not make, and what has taken a place for good. */
const isSource = (all: readonly DBInstance[], one: DBInstance): boolean => finishedMarkOf(all, one) !== undefined || (marksOf(one) === undefined && tagOf(one, TAG.replaced) === undefined)

const replacedName = (all: readonly DBInstance[], resourceId: string): string | undefined => tagOf(all.find(({DbiResourceId}) => DbiResourceId === resourceId) ?? {}, TAG.replaced)

const time = (at: Date | undefined): string | null => at?.toISOString() ?? null

function shownSource({DBInstanceIdentifier: instance = '', DBInstanceStatus: status = '', DbiResourceId, LatestRestorableTime, BackupRetentionPeriod = 0}: DBInstance, backups: readonly DBInstanceAutomatedBackup[]): RecoveryList['sources'][number] {
  const earliest = backups.find((one) => one.DbiResourceId === DbiResourceId)?.RestoreWindow?.EarliestTime
  return {instance, status, retentionDays: BackupRetentionPeriod, earliest: time(earliest), latest: time(LatestRestorableTime)}
}

const shownBackup = ({DBInstanceIdentifier: instance = '', DbiResourceId: resourceId = '', DBInstanceAutomatedBackupsArn: arn, RestoreWindow, Region = ''}: DBInstanceAutomatedBackup): RecoveryList['retained'][number] =>
  ({instance, resourceId, arn: arn ?? null, region: Region, earliest: time(RestoreWindow?.EarliestTime), latest: time(RestoreWindow?.LatestTime)})

function shownCopy(all: readonly DBInstance[], instance: DBInstance): RecoveryList['copies'] {
  const marks = marksOf(instance)
  if (!marks) return []
  const {DBInstanceIdentifier = '', DBInstanceStatus = '', InstanceCreateTime, Endpoint} = instance
  const {run, purpose, source = null, restoredTo = null} = marks
  return [{instance: DBInstanceIdentifier, status: DBInstanceStatus, purpose, source, restoredTo, run, createdAt: time(InstanceCreateTime), host: Endpoint?.Address ?? null, live: source === DBInstanceIdentifier || finishedMarkOf(all, instance) !== undefined, hydrated: tagOf(instance, TAG.hydrated) ?? null}]
}
