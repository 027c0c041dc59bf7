import {mkdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {messageOf} from '../../errors.ts'
import {handOver, serverAccount} from '../cluster/account.ts'
import {requireServerBinaries, type ServerBinaries} from '../cluster/binaries.ts'
import {clusterMajor, presentCluster} from '../cluster/cluster.ts'
import type {Settings as ServerSettings} from '../cluster/launch.ts'
import {ArchivedCluster} from './archived-cluster.ts'
import type {Value} from './document.ts'
import {Endpoints} from './endpoints.ts'
import {Instance, newInstance, type SavedInstance} from './instance.ts'
import {instanceNotFound} from './rds-error.ts'
import {proxyAddress, readRegion, writeRegion, type Proxy, type Replica, type Retained, type SavedRegion, type ServiceEvent, type Snapshot} from './saved-region.ts'
import {DEFAULTS, type Settings} from './settings.ts'
import {perform} from './work.ts'

export interface RegionOptions {
  /** Holds the clusters of instances. */
  directory: string
  /** Where everything else is kept, to go on with after the process has ended in whatever way. Nothing is kept when absent. */
  file?: string
  region?: string
  account?: string
  /** How long a second of the service takes here; 1000 is its own pace. 10 when absent: what takes ten minutes there takes six seconds. */
  millisecondsPerSecond?: number
  /** How many instances there may be; 40 when absent. */
  instanceQuota?: number
  binaries?: ServerBinaries
  serverSettings?: ServerSettings
}

const EVENTS_KEPT = 1000
/** Statuses other than `available` in which a request of its own ends. */
const ASKED_FOR = ['deleting', 'stopped']

/** All that the service keeps of one region. */
export class Region {
  readonly name: string
  readonly account: string
  readonly directory: string
  readonly millisecondsPerSecond: number
  readonly instances = new Map<string, Instance>()
  readonly retained: Retained[] = []
  readonly replicas: Replica[] = []
  readonly proxies = new Map<string, Proxy>()
  readonly instanceQuota: number
  readonly snapshots = new Map<string, Snapshot>()
  readonly events: ServiceEvent[] = []
  readonly parameterGroups = new Map<string, Readonly<Record<string, string>>>()
  readonly subnetGroups = new Set<string>(['default'])
  readonly endpoints: Endpoints
  readonly #options: RegionOptions
  #isKept = false

  private constructor(options: RegionOptions, saved: SavedRegion | undefined) {
    this.#options = options
    this.directory = options.directory
    this.name = options.region ?? 'us-east-1'
    this.account = options.account ?? '123456789012'
    this.millisecondsPerSecond = options.millisecondsPerSecond ?? 10
    this.instanceQuota = options.instanceQuota ?? 40
    this.endpoints = new Endpoints(saved?.ports)
    for (const major of [15, 16, 17, 18]) this.parameterGroups.set(`default.postgres${major}`, {})
    if (saved) this.#take(saved)
  }

  /** A new region, or the one of the file: servers that do not run are started, and what was under way goes on. */
  static async open(options: RegionOptions): Promise<Region> {
    const saved = options.file === undefined ? undefined : readRegion(options.file)
    const region = new Region(options, saved)
    for (const {name} of region.proxies.values()) await region.endpoints.lead(proxyAddress(name), undefined)
    await Promise.all((saved?.instances ?? []).filter(({runs}) => runs).map(({id}) => region.#bringUp(region.find(id))))
    for (const {timeline} of region.instances.values()) timeline.goOn()
    return region
  }

  /** Whether it ever had an instance. */
  get isKept(): boolean {
    return this.#isKept
  }

  /** Makes an instance with an empty cluster, ready and backed up: what the service takes ten minutes for. Or one of the cluster that is in the folder. */
  async create(id: string, settings: Partial<Settings> = {}, directory?: string): Promise<Instance> {
    await this.#makeFolder()
    const instance = this.instance(id, {...DEFAULTS, ...settings}, 'creating', directory)
    instance.cluster = await ArchivedCluster.start({directory: instance.directory, ...(await this.serverOptions(instance.directory))})
    await this.lead(instance)
    await instance.backUp()
    this.#isKept = true
    instance.timeline.set('available')
    return instance
  }

  /** One that has no cluster yet. */
  instance(id: string, settings: Settings, status: string, directory = this.#newFolder()): Instance {
    const instance = this.#make(newInstance(id, directory, settings, status))
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
    const replicas = this.replicas.filter((one) => one.instance === instance).map(({arn}) => ({DBInstanceAutomatedBackupsArn: arn}))
    return {...instance.shown(), DBInstanceArn: this.arnOf(instance.id), AvailabilityZone: `${this.name}a`, ...(replicas.length > 0 && {DBInstanceAutomatedBackupsReplications: replicas})}
  }

  arnOf(id: string): string {
    return `arn:aws:rds:${this.name}:${this.account}:db:${id}`
  }

  /** Of automated backups that outlived their instance, or are in another region. */
  backupArnOf({resourceId}: Instance): string {
    return `arn:aws:rds:${this.name}:${this.account}:auto-backup:ab-${resourceId.slice(3).toLowerCase()}`
  }

  note(id: string, Message: string, ...EventCategories: string[]): void {
    this.events.push({SourceIdentifier: id, SourceType: 'db-instance', Message, EventCategories, Date: new Date(), SourceArn: this.arnOf(id)})
    if (this.events.length > EVENTS_KEPT) this.events.shift()
  }

  /** Gives the instance another name; its former one leads nowhere at once. */
  async rename(instance: Instance, to: string): Promise<void> {
    const from = instance.id
    instance.pending = {...instance.pending, id: undefined}
    if (from === to) return
    this.cut(instance)
    this.instances.delete(from)
    this.instances.set(to, instance)
    instance.id = to
    instance.port = undefined
    await this.lead(instance)
    this.note(to, `DB instance renamed from ${from} to ${to}`, 'configuration change')
  }

  /** Every connection is cut, as at a reboot. */
  async restart(instance: Instance): Promise<void> {
    this.cut(instance)
    instance.parameterStatus = 'in-sync'
    await this.lead(instance)
  }

  /** Its name leads to its server, when it has one; and so does the proxy whose target it is. */
  async lead(instance: Instance): Promise<void> {
    const port = instance.cluster?.cluster.port
    if (port === undefined) return
    instance.port = await this.endpoints.lead(instance.id, port)
    for (const {name} of this.#proxiesTo(instance)) await this.endpoints.lead(proxyAddress(name), port)
  }

  /** Its name leads nowhere. */
  cut(instance: Instance): void {
    this.endpoints.cut(instance.id)
    for (const {name} of this.#proxiesTo(instance)) this.endpoints.cut(proxyAddress(name))
  }

  /** A proxy without a target, at an address of its own. */
  async createProxy(name: string): Promise<Proxy> {
    const proxy: Proxy = {name}
    this.proxies.set(name, proxy)
    await this.endpoints.lead(proxyAddress(name), undefined)
    return proxy
  }

  /** Where clients reach the proxy. */
  proxyPort({name}: Proxy): number {
    return this.endpoints.portOf(proxyAddress(name)) ?? 0
  }

  /** The proxy leads to this instance, or nowhere. Connections to another one are cut. */
  async aim(proxy: Proxy, instance: Instance | undefined): Promise<void> {
    proxy.target = instance && {resourceId: instance.resourceId, since: Date.now()}
    await this.endpoints.lead(proxyAddress(proxy.name), instance?.cluster?.cluster.port)
  }

  /** A server that has died is started anew, as the service does. True when it had. */
  async revive(instance: Instance): Promise<boolean> {
    if (!instance.cluster || (await presentCluster(instance.directory))) return false
    await this.#bringUp(instance)
    this.note(instance.id, 'DB instance restarted', 'recovery')
    return true
  }

  /** There is no such instance any more; its backups stay when they are kept. */
  remove(instance: Instance, backups: boolean): void {
    this.cut(instance)
    this.instances.delete(instance.id)
    if (backups) this.retained.push({instance, arn: this.backupArnOf(instance)})
  }

  /** What a cluster is started with; one that exists needs the server of its own major. */
  async serverOptions(directory: string): Promise<{binaries: ServerBinaries; settings: ServerSettings}> {
    const binaries = this.#options.binaries ?? (await requireServerBinaries({major: await clusterMajor(directory)}))
    return {binaries, settings: this.#options.serverSettings ?? {}}
  }

  /** Keeps everything as it is now. Not before there is an instance: a first one that was not finished is made anew. */
  save(): void {
    if (this.#options.file === undefined || !this.#isKept) return
    writeRegion(this.#options.file, {
      version: 1,
      instances: [...this.instances.values()].map(({saved}) => saved),
      retained: this.retained.map(({instance, arn}) => ({instance: instance.saved, arn})),
      replicas: this.replicas.map((one) => ({...one, instance: one.instance.saved})),
      proxies: [...this.proxies.values()],
      snapshots: [...this.snapshots.values()].map((one) => ({...one, at: one.at.getTime()})),
      events: this.events.map((one) => ({...one, Date: one.Date.getTime()})),
      ports: this.endpoints.ports,
      parameterGroups: Object.fromEntries(this.parameterGroups),
      subnetGroups: [...this.subnetGroups],
    })
  }

  /** Ends nothing but this process's part: servers and what is under way are for the next one. */
  async leave(): Promise<void> {
    this.save()
    this.#isKept = false
    for (const {timeline} of this.instances.values()) void timeline.close()
    await this.endpoints.close()
  }

  /** Ends every server; the folders are removed. */
  async close(): Promise<void> {
    const all = [...this.instances.values(), ...this.retained.map(({instance}) => instance)]
    await Promise.all(all.map(({timeline}) => timeline.close()))
    await this.endpoints.close()
    for (const {cluster} of this.instances.values()) await cluster?.stop()
    await rm(this.directory, {recursive: true, force: true})
  }

  #take(saved: SavedRegion): void {
    this.#isKept = true
    for (const one of saved.instances) this.instances.set(one.id, this.#make(one))
    this.retained.push(...saved.retained.map(({instance, arn}) => ({instance: this.#make(instance), arn})))
    const known = new Map([...this.instances.values(), ...this.retained.map(({instance}) => instance)].map((one) => [one.resourceId, one]))
    this.replicas.push(...saved.replicas.map((one) => ({...one, instance: known.get(one.instance.resourceId) ?? this.#make(one.instance)})))
    for (const one of saved.proxies) this.proxies.set(one.name, one)
    for (const one of saved.snapshots) this.snapshots.set(one.id, {...one, at: new Date(one.at)})
    this.events.push(...saved.events.map((one) => ({...one, Date: new Date(one.Date)})))
    for (const [name, values] of Object.entries(saved.parameterGroups)) this.parameterGroups.set(name, values)
    for (const name of saved.subnetGroups) this.subnetGroups.add(name)
  }

  #proxiesTo({resourceId}: Instance): Proxy[] {
    return [...this.proxies.values()].filter(({target}) => target?.resourceId === resourceId)
  }

  #make(saved: SavedInstance): Instance {
    const instance: Instance = new Instance(saved, {
      millisecondsPerSecond: this.millisecondsPerSecond,
      perform: (work) => perform(this, instance, work),
      changed: () => { this.save() },
      ended: (status, reason) => {
        if (!ASKED_FOR.includes(status)) this.note(instance.id, `DB instance is in the status ${status}${reason === undefined ? '.' : `: ${messageOf(reason)}`}`, 'failure')
      },
    })
    return instance
  }

  /** A cluster that cannot be started takes only its own instance down. */
  async #bringUp(instance: Instance): Promise<void> {
    try {
      if ((await clusterMajor(instance.directory)) === undefined) throw new Error(`There is no cluster in ${instance.directory}.`)
      instance.cluster = await ArchivedCluster.start({directory: instance.directory, ...(await this.serverOptions(instance.directory))})
      await this.lead(instance)
    } catch (error) {
      instance.timeline.set('failed')
      this.note(instance.id, messageOf(error), 'failure')
    }
  }

  async #makeFolder(): Promise<void> {
    await mkdir(this.directory, {recursive: true})
    await handOver(await serverAccount(), this.directory)
  }

  #newFolder(): string {
    return join(this.directory, `instance-${this.instances.size + this.retained.length}-${Date.now().toString(36)}`)
  }
}
