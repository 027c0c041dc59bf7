import {mkdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {handOver, serverAccount} from '../cluster/account.ts'
import type {ServerBinaries} from '../cluster/binaries.ts'
import type {Settings as ServerSettings} from '../cluster/launch.ts'
import {ArchivedCluster} from './archived-cluster.ts'
import type {Value} from './document.ts'
import {Endpoints} from './endpoints.ts'
import {Instance} from './instance.ts'
import {instanceNotFound} from './rds-error.ts'
import {DEFAULTS, type Settings} from './settings.ts'

export interface RegionOptions {
  /** Holds the clusters. */
  directory: string
  region?: string
  account?: string
  /** How long a second of the service takes here; 1000 is its own pace. 10 when absent: what takes ten minutes there takes six seconds. */
  millisecondsPerSecond?: number
  binaries?: ServerBinaries
  serverSettings?: ServerSettings
}

export interface ServiceEvent {
  SourceIdentifier: string
  SourceType: 'db-instance'
  Message: string
  EventCategories: readonly string[]
  Date: Date
  SourceArn: string
}

/** Automated backups that outlived their instance. */
export interface Retained {
  instance: Instance
  arn: string
}

export interface Snapshot {
  id: string
  source: string
  resourceId: string
  at: Date
  status: string
  type: 'manual'
  settings: Settings
}

/** All that the service keeps of one region. */
export class Region {
  readonly name: string
  readonly account: string
  readonly directory: string
  readonly millisecondsPerSecond: number
  readonly instances = new Map<string, Instance>()
  readonly retained: Retained[] = []
  readonly snapshots = new Map<string, Snapshot>()
  readonly events: ServiceEvent[] = []
  readonly parameterGroups = new Map<string, Readonly<Record<string, string>>>()
  readonly subnetGroups = new Set<string>(['default'])
  readonly endpoints = new Endpoints()
  readonly #options: RegionOptions

  constructor(options: RegionOptions) {
    this.#options = options
    this.directory = options.directory
    this.name = options.region ?? 'us-east-1'
    this.account = options.account ?? '123456789012'
    this.millisecondsPerSecond = options.millisecondsPerSecond ?? 10
    for (const major of [15, 16, 17, 18]) this.parameterGroups.set(`default.postgres${major}`, {})
  }

  /** Makes an instance with an empty cluster, ready and backed up: what the service takes ten minutes for. */
  async create(id: string, settings: Partial<Settings> = {}): Promise<Instance> {
    await mkdir(this.directory, {recursive: true})
    await handOver(await serverAccount(), this.directory)
    const instance = this.instance(id, {...DEFAULTS, ...settings}, 'creating')
    instance.cluster = await ArchivedCluster.start({directory: instance.directory, ...this.#server()})
    instance.port = await this.endpoints.lead(id, instance.cluster.cluster.port)
    await instance.backUp()
    instance.timeline.set('available')
    return instance
  }

  /** One that has no cluster yet. */
  instance(id: string, settings: Settings, status: string): Instance {
    const directory = join(this.directory, `instance-${this.instances.size + this.retained.length}-${Date.now().toString(36)}`)
    const instance = new Instance({id, directory, settings, status, millisecondsPerSecond: this.millisecondsPerSecond})
    this.instances.set(id, instance)
    return instance
  }

  find(id: string): Instance {
    const found = this.instances.get(id.toLowerCase())
    if (!found) throw instanceNotFound(id)
    return found
  }

  /** As DescribeDBInstances shows it. */
  shown(instance: Instance): Record<string, Value> {
    return {...instance.shown(), DBInstanceArn: this.arnOf(instance.id), AvailabilityZone: `${this.name}a`}
  }

  arnOf(id: string): string {
    return `arn:aws:rds:${this.name}:${this.account}:db:${id}`
  }

  note(id: string, Message: string, ...EventCategories: string[]): void {
    this.events.push({SourceIdentifier: id, SourceType: 'db-instance', Message, EventCategories, Date: new Date(), SourceArn: this.arnOf(id)})
  }

  /** Gives the instance another name; its former one leads nowhere at once. */
  async rename(instance: Instance, to: string): Promise<void> {
    const from = instance.id
    this.endpoints.cut(from)
    this.instances.delete(from)
    this.instances.set(to, instance)
    instance.id = to
    instance.port = undefined
    if (instance.cluster) instance.port = await this.endpoints.lead(to, instance.cluster.cluster.port)
    this.note(to, `DB instance renamed from ${from} to ${to}`, 'configuration change')
  }

  /** Every connection is cut, as at a reboot. */
  async restart(instance: Instance): Promise<void> {
    this.endpoints.cut(instance.id)
    if (instance.cluster) instance.port = await this.endpoints.lead(instance.id, instance.cluster.cluster.port)
  }

  /** Ends every server; the folders are removed. */
  async close(): Promise<void> {
    const all = [...this.instances.values(), ...this.retained.map(({instance}) => instance)]
    await Promise.all(all.map(({timeline}) => timeline.close()))
    await this.endpoints.close()
    for (const {cluster} of this.instances.values()) await cluster?.stop()
    await rm(this.directory, {recursive: true, force: true})
  }

  #server(): {binaries?: ServerBinaries; settings: ServerSettings} {
    return {...(this.#options.binaries && {binaries: this.#options.binaries}), settings: this.#options.serverSettings ?? {}}
  }
}
