import type {Value} from '../document.ts'
import type {Form} from '../form.ts'
import type {Instance} from '../instance.ts'
import {invalidCombination, invalidValue, RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import type {Action} from './action.ts'

const PAGE = 100
const HOUR_MINUTES = 60

export const describeDbInstances: Action = ({region, form}) => {
  const id = form.text('DBInstanceIdentifier')
  const wanted = filtersOf(form)
  if (id !== undefined) return {DBInstances: [region.shown(region.find(nameOf(id)))]}
  const found = [...region.instances.values()].filter((one) => (wanted.get('db-instance-id')?.includes(one.id) ?? true) && (wanted.get('dbi-resource-id')?.includes(one.resourceId) ?? true))
  return paged(form, 'DBInstances', found.map((one) => region.shown(one)))
}

/** `active` ones of living instances, `retained` ones of deleted ones, `creating` before the first backup. */
export const describeDbInstanceAutomatedBackups: Action = ({region, form}) => {
  const [id, resource, arn, wanted] = [form.text('DBInstanceIdentifier'), form.text('DbiResourceId'), form.text('DBInstanceAutomatedBackupsArn'), filtersOf(form)]
  const all: ShownBackup[] = [
    ...[...region.instances.values()].filter(({settings}) => settings.BackupRetentionPeriod > 0).map((instance) => shownBackup(region, instance, instance.restorableFrom ? 'active' : 'creating')),
    ...region.retained.map(({instance, arn: own}) => shownBackup(region, instance, 'retained', {arn: own})),
    ...region.replicas.map((replica) => shownBackup(region, replica.instance, 'replicating', replica)),
  ]
  const found = all.filter((one) => (id === undefined || one.DBInstanceIdentifier === id.toLowerCase()) && (resource === undefined || one.DbiResourceId === resource) && (arn === undefined || one.DBInstanceAutomatedBackupsArn === arn)
    && (wanted.get('status')?.includes(one.Status) ?? true) && (wanted.get('db-instance-id')?.includes(one.DBInstanceIdentifier) ?? true) && (wanted.get('dbi-resource-id')?.includes(one.DbiResourceId) ?? true))
  if (found.length === 0 && (resource ?? arn) !== undefined) throw new RdsError('DBInstanceAutomatedBackupNotFound', `No automated backup was found for ${resource ?? arn ?? ''}.`, 404)
  return paged(form, 'DBInstanceAutomatedBackups', found)
}

type ShownBackup = Record<string, Value> & {Status: string; DBInstanceIdentifier: string; DbiResourceId: string}

/** `kept`: what is not in the instance's own region, or has outlived it. */
export function shownBackup(region: Region, instance: Instance, Status: string, kept?: {arn: string; sourceRegion?: string}): ShownBackup {
  const {settings, restorableFrom, restorableTo, id, resourceId} = instance
  return {
    DBInstanceArn: region.arnOf(id).replace(region.name, kept?.sourceRegion ?? region.name), DbiResourceId: resourceId, DBInstanceIdentifier: id, Region: kept?.sourceRegion ?? region.name, Status,
    RestoreWindow: restorableFrom && {EarliestTime: restorableFrom, LatestTime: restorableTo}, AllocatedStorage: settings.AllocatedStorage, Engine: settings.Engine, EngineVersion: settings.EngineVersion,
    MasterUsername: settings.MasterUsername, InstanceCreateTime: instance.createdAt, Encrypted: settings.StorageEncrypted, KmsKeyId: settings.KmsKeyId, StorageType: settings.StorageType,
    BackupRetentionPeriod: settings.BackupRetentionPeriod, IAMDatabaseAuthenticationEnabled: settings.IAMDatabaseAuthenticationEnabled,
    ...(kept && {DBInstanceAutomatedBackupsArn: kept.arn}), TagList: settings.TagList,
  }
}

/** Of the last hour unless another time is given. */
export const describeEvents: Action = ({region, form}) => {
  const [id, type, minutes, from, to] = [form.text('SourceIdentifier'), form.text('SourceType'), form.integer('Duration'), form.date('StartTime'), form.date('EndTime')]
  if (id !== undefined && type === undefined) throw invalidCombination('SourceType must be given with SourceIdentifier.')
  const since = from ?? new Date(Date.now() - (minutes ?? HOUR_MINUTES) * 60_000)
  return paged(form, 'Events', region.events.filter((event) => (id === undefined || event.SourceIdentifier === id.toLowerCase()) && event.Date >= since && (to === undefined || event.Date <= to)).map((event) => ({...event})))
}

export const describeDbParameterGroups: Action = ({region, form}) => {
  const name = form.text('DBParameterGroupName')
  const found = [...region.parameterGroups.keys()].filter((one) => name === undefined || one === name)
  if (name !== undefined && found.length === 0) throw new RdsError('DBParameterGroupNotFound', `DBParameterGroup not found: ${name}`, 404)
  return paged(form, 'DBParameterGroups', found.map((one) => ({DBParameterGroupName: one, DBParameterGroupFamily: 'postgres17', Description: one})))
}

/** Values that were set (`Source=user`), or none. */
export const describeDbParameters: Action = ({region, form}) => {
  const name = form.required('DBParameterGroupName')
  const source = form.text('Source')
  const group = region.parameterGroups.get(name)
  if (!group) throw new RdsError('DBParameterGroupNotFound', `DBParameterGroup not found: ${name}`, 404)
  const own = source === undefined || source === 'user' ? Object.entries(group) : []
  return paged(form, 'Parameters', own.map(([ParameterName, ParameterValue]) => ({ParameterName, ParameterValue, Source: 'user', ApplyMethod: 'pending-reboot', IsModifiable: true})))
}

export const describeDbSubnetGroups: Action = ({region, form}) => {
  const name = form.text('DBSubnetGroupName')
  const found = [...region.subnetGroups].filter((one) => name === undefined || one === name)
  if (name !== undefined && found.length === 0) throw new RdsError('DBSubnetGroupNotFoundFault', `DB subnet group '${name}' does not exist.`, 404)
  return paged(form, 'DBSubnetGroups', found.map((DBSubnetGroupName) => ({DBSubnetGroupName, VpcId: 'vpc-sandbox', SubnetGroupStatus: 'Complete'})))
}

/** An ARN stands for its last part. */
const nameOf = (id: string): string => (id.startsWith('arn:') ? (id.split(':').at(-1) ?? '') : id)

export function filtersOf(form: Form): ReadonlyMap<string, readonly string[]> {
  return new Map((form.objects('Filters', 'Filter') ?? []).map((one) => [one.required('Name'), one.texts('Values', 'Value') ?? []]))
}

export function paged(form: Form, name: string, all: readonly Value[]): Record<string, Value> {
  const [marker, most = PAGE] = [form.text('Marker'), form.integer('MaxRecords')]
  if (most < 20 || most > PAGE) throw invalidValue(`MaxRecords must be from 20 to ${PAGE}.`)
  const from = marker === undefined ? 0 : Number(marker)
  if (!Number.isInteger(from) || from < 0 || from > all.length) throw invalidValue('The marker is not valid.')
  return {[name]: all.slice(from, from + most), ...(from + most < all.length && {Marker: String(from + most)})}
}
