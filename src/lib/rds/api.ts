import {
  AddRoleToDBInstanceCommand, AddTagsToResourceCommand, CreateDBSnapshotCommand, DeleteDBInstanceCommand, DeregisterDBProxyTargetsCommand, DescribeDBInstanceAutomatedBackupsCommand, DescribeDBInstancesCommand, DescribeDBParameterGroupsCommand,
  DescribeDBParametersCommand, DescribeDBProxiesCommand, DescribeDBProxyTargetsCommand, DescribeDBSnapshotsCommand, DescribeDBSubnetGroupsCommand, DescribeEventsCommand, ModifyDBInstanceCommand, RDSClient, RebootDBInstanceCommand, RegisterDBProxyTargetsCommand, RemoveTagsFromResourceCommand, RestoreDBInstanceToPointInTimeCommand,
  type DBInstance, type DBInstanceAutomatedBackup, type DBParameterGroup, type DBProxyTarget, type DBSnapshot, type DescribeDBInstanceAutomatedBackupsCommandInput, type Event, type ModifyDBInstanceCommandInput, type Parameter, type RestoreDBInstanceToPointInTimeCommandInput, type Tag,
} from '@aws-sdk/client-rds'
import {createRdsClient, type RdsPlace} from './client.ts'
import {rdsError, type Asked} from './faults.ts'

export type {DBInstance, DBInstanceAutomatedBackup, DBSnapshot, Event, Tag} from '@aws-sdk/client-rds'

/** How an instance is deleted. Its automated backups are kept, always: the API's own default deletes them. */
export interface Removal {
  instance: string
  /** Identifier of the snapshot that is taken first; null: none is. */
  finalSnapshot: string | null
}

/**
 * What `dr` asks of RDS, and nothing else does: one method for one action of the API. A refusal is thrown as `DrError`, with what
 * to do about it (`faults.ts`). All lists are whole: pages are followed.
 */
export class RdsApi {
  readonly #client: RDSClient
  readonly #place: RdsPlace

  constructor(place: RdsPlace, client = createRdsClient(place)) {
    this.#place = place
    this.#client = client
  }

  close(): void {
    this.#client.destroy()
  }

  /** Undefined when there is none of this name. */
  async instance(id: string, signal: AbortSignal): Promise<DBInstance | undefined> {
    const found = await this.#ask({action: 'DescribeDBInstances', instance: id}, () => this.#client.send(new DescribeDBInstancesCommand({DBInstanceIdentifier: id}), {abortSignal: signal}), 'DBInstanceNotFoundFault')
    return found?.DBInstances?.[0]
  }

  instances(signal: AbortSignal): Promise<DBInstance[]> {
    return this.#pages({action: 'DescribeDBInstances'}, async (Marker) => {
      const {DBInstances, Marker: next} = await this.#client.send(new DescribeDBInstancesCommand({Marker}), {abortSignal: signal})
      return [DBInstances, next]
    })
  }

  /** Of a live instance, of a deleted one by its resource id, or by the ARN of a replicated one. Empty when there are none. */
  automatedBackups(of: Pick<DescribeDBInstanceAutomatedBackupsCommandInput, 'DBInstanceIdentifier' | 'DbiResourceId' | 'DBInstanceAutomatedBackupsArn'>, signal: AbortSignal): Promise<DBInstanceAutomatedBackup[]> {
    const asked = {action: 'DescribeDBInstanceAutomatedBackups', instance: of.DBInstanceIdentifier ?? of.DbiResourceId ?? of.DBInstanceAutomatedBackupsArn}
    return this.#pages(asked, async (Marker) => {
      const {DBInstanceAutomatedBackups, Marker: next} = await this.#client.send(new DescribeDBInstanceAutomatedBackupsCommand({...of, Marker}), {abortSignal: signal})
      return [DBInstanceAutomatedBackups, next]
    }, 'DBInstanceAutomatedBackupNotFoundFault')
  }

  async restore(input: RestoreDBInstanceToPointInTimeCommandInput, signal: AbortSignal): Promise<DBInstance> {
    const {DBInstance: made = {}} = await this.#must({action: 'RestoreDBInstanceToPointInTime', instance: input.SourceDBInstanceIdentifier ?? input.SourceDbiResourceId, sent: input}, () => this.#client.send(new RestoreDBInstanceToPointInTimeCommand(input), {abortSignal: signal}))
    return made
  }

  /** At once: without `ApplyImmediately` the API waits for the maintenance window. */
  async modify(input: Omit<ModifyDBInstanceCommandInput, 'ApplyImmediately'>, signal: AbortSignal): Promise<DBInstance> {
    const {DBInstance: changed = {}} = await this.#must({action: 'ModifyDBInstance', instance: input.DBInstanceIdentifier, sent: input}, () => this.#client.send(new ModifyDBInstanceCommand({...input, ApplyImmediately: true}), {abortSignal: signal}))
    return changed
  }

  async reboot(instance: string, signal: AbortSignal): Promise<void> {
    await this.#must({action: 'RebootDBInstance', instance}, () => this.#client.send(new RebootDBInstanceCommand({DBInstanceIdentifier: instance}), {abortSignal: signal}))
  }

  async snapshot(instance: string, id: string, tags: Tag[], signal: AbortSignal): Promise<DBSnapshot> {
    const {DBSnapshot: made = {}} = await this.#must({action: 'CreateDBSnapshot', instance}, () => this.#client.send(new CreateDBSnapshotCommand({DBInstanceIdentifier: instance, DBSnapshotIdentifier: id, Tags: tags}), {abortSignal: signal}))
    return made
  }

  /** Undefined when there is none of this name. */
  async snapshotNamed(id: string, signal: AbortSignal): Promise<DBSnapshot | undefined> {
    const found = await this.#ask({action: 'DescribeDBSnapshots', instance: id}, () => this.#client.send(new DescribeDBSnapshotsCommand({DBSnapshotIdentifier: id}), {abortSignal: signal}), 'DBSnapshotNotFoundFault')
    return found?.DBSnapshots?.[0]
  }

  async remove({instance, finalSnapshot}: Removal, signal: AbortSignal): Promise<void> {
    const end = finalSnapshot === null ? {SkipFinalSnapshot: true} : {SkipFinalSnapshot: false, FinalDBSnapshotIdentifier: finalSnapshot}
    await this.#must({action: 'DeleteDBInstance', instance}, () => this.#client.send(new DeleteDBInstanceCommand({DBInstanceIdentifier: instance, DeleteAutomatedBackups: false, ...end}), {abortSignal: signal}))
  }

  async addRole(instance: string, role: {RoleArn: string; FeatureName: string}, signal: AbortSignal): Promise<void> {
    await this.#ask({action: 'AddRoleToDBInstance', instance, sent: role}, () => this.#client.send(new AddRoleToDBInstanceCommand({DBInstanceIdentifier: instance, ...role}), {abortSignal: signal}), 'DBInstanceRoleAlreadyExistsFault')
  }

  async addTags(arn: string, tags: Tag[], signal: AbortSignal): Promise<void> {
    await this.#must({action: 'AddTagsToResource', instance: arn}, () => this.#client.send(new AddTagsToResourceCommand({ResourceName: arn, Tags: tags}), {abortSignal: signal}))
  }

  /** Those that are not there are no failure. */
  async removeTags(arn: string, keys: string[], signal: AbortSignal): Promise<void> {
    await this.#must({action: 'RemoveTagsFromResource', instance: arn}, () => this.#client.send(new RemoveTagsFromResourceCommand({ResourceName: arn, TagKeys: keys}), {abortSignal: signal}))
  }

  /** Of the last `minutes`, oldest first. */
  events(instance: string, minutes: number, signal: AbortSignal): Promise<Event[]> {
    return this.#pages({action: 'DescribeEvents', instance}, async (Marker) => {
      const {Events, Marker: next} = await this.#client.send(new DescribeEventsCommand({SourceType: 'db-instance', SourceIdentifier: instance, Duration: minutes, Marker}), {abortSignal: signal})
      return [Events, next]
    })
  }

  async hasParameterGroup(name: string, signal: AbortSignal): Promise<boolean> {
    return (await this.parameterGroup(name, signal)) !== undefined
  }

  /** Undefined when there is none of this name. */
  async parameterGroup(name: string, signal: AbortSignal): Promise<DBParameterGroup | undefined> {
    const found = await this.#ask({action: 'DescribeDBParameterGroups', instance: name}, () => this.#client.send(new DescribeDBParameterGroupsCommand({DBParameterGroupName: name}), {abortSignal: signal}), 'DBParameterGroupNotFoundFault')
    return found?.DBParameterGroups?.[0]
  }

  /** What was set by a person, not by the engine. */
  parametersSet(group: string, signal: AbortSignal): Promise<Parameter[]> {
    return this.#pages({action: 'DescribeDBParameters', instance: group}, async (Marker) => {
      const {Parameters, Marker: next} = await this.#client.send(new DescribeDBParametersCommand({DBParameterGroupName: group, Source: 'user', Marker}), {abortSignal: signal})
      return [Parameters, next]
    }, 'DBParameterGroupNotFoundFault')
  }

  async hasSubnetGroup(name: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#ask({action: 'DescribeDBSubnetGroups', instance: name}, () => this.#client.send(new DescribeDBSubnetGroupsCommand({DBSubnetGroupName: name}), {abortSignal: signal}), 'DBSubnetGroupNotFoundFault')) !== undefined
  }

  /** Names of all proxies. */
  async proxies(signal: AbortSignal): Promise<string[]> {
    const all = await this.#pages({action: 'DescribeDBProxies'}, async (Marker) => {
      const {DBProxies, Marker: next} = await this.#client.send(new DescribeDBProxiesCommand({Marker}), {abortSignal: signal})
      return [DBProxies, next]
    })
    return all.flatMap(({DBProxyName}) => DBProxyName ?? [])
  }

  proxyTargets(proxy: string, signal: AbortSignal): Promise<DBProxyTarget[]> {
    return this.#pages({action: 'DescribeDBProxyTargets', instance: proxy}, async (Marker) => {
      const {Targets, Marker: next} = await this.#client.send(new DescribeDBProxyTargetsCommand({DBProxyName: proxy, Marker}), {abortSignal: signal})
      return [Targets, next]
    })
  }

  async addProxyTarget(proxy: string, instance: string, signal: AbortSignal): Promise<void> {
    await this.#ask({action: 'RegisterDBProxyTargets', instance}, () => this.#client.send(new RegisterDBProxyTargetsCommand({DBProxyName: proxy, DBInstanceIdentifiers: [instance]}), {abortSignal: signal}), 'DBProxyTargetAlreadyRegisteredFault')
  }

  async removeProxyTarget(proxy: string, instance: string, signal: AbortSignal): Promise<void> {
    await this.#ask({action: 'DeregisterDBProxyTargets', instance}, () => this.#client.send(new DeregisterDBProxyTargetsCommand({DBProxyName: proxy, DBInstanceIdentifiers: [instance]}), {abortSignal: signal}), 'DBProxyTargetNotFoundFault')
  }

  async #must<T>(asked: Asked, send: () => Promise<T>): Promise<T> {
    try {
      return await send()
    } catch (error) {
      throw rdsError(error, asked, this.#place)
    }
  }

  /** `absent`: name of the fault that is an answer, not a failure. */
  async #ask<T>(asked: Asked, send: () => Promise<T>, absent: string): Promise<T | undefined> {
    try {
      return await send()
    } catch (error) {
      if (error instanceof Error && error.name === absent) return undefined
      throw rdsError(error, asked, this.#place)
    }
  }

  async #pages<T>(asked: Asked, page: (marker: string | undefined) => Promise<[T[] | undefined, string | undefined]>, absent = ''): Promise<T[]> {
    const all: T[] = []
    for (let marker: string | undefined; ;) {
      const found = await this.#ask(asked, () => page(marker), absent)
      all.push(...(found?.[0] ?? []))
      marker = found?.[1]
      if (!marker) return all
    }
  }
}
