import {randomBytes} from 'node:crypto'
import type {ArchivedCluster} from './archived-cluster.ts'
import type {Value} from './document.ts'
import {shownSettings, type Settings} from './settings.ts'
import {Timeline} from './timeline.ts'

export interface InstanceOptions {
  id: string
  /** Of the cluster and its backups. */
  directory: string
  settings: Settings
  status: string
  millisecondsPerSecond: number
}

/** How long a volume that was made of a snapshot is slow, in the service's time. */
const INITIALIZING_SECONDS = 1800

/** An instance: a local PostgreSQL cluster with what the service knows of it. */
export class Instance {
  /** Changes with a rename; always in lower case. */
  id: string
  /** Never changes. */
  readonly resourceId = `db-${randomBytes(13).toString('hex').toUpperCase()}`
  readonly directory: string
  readonly createdAt = new Date()
  readonly timeline: Timeline
  settings: Settings
  /** Until it is made there is none. */
  cluster: ArchivedCluster | undefined
  /** Where clients reach it; none while it is made. */
  port: number | undefined
  /** PITR is possible from here: the end of its first base backup. */
  restorableFrom: Date | undefined
  restorableTo: Date | undefined
  /** Set for a restored one. */
  initializingSince: number | undefined
  readonly #millisecondsPerSecond: number

  constructor({id, directory, settings, status, millisecondsPerSecond}: InstanceOptions) {
    this.id = id
    this.directory = directory
    this.settings = settings
    this.timeline = new Timeline(status, millisecondsPerSecond)
    this.#millisecondsPerSecond = millisecondsPerSecond
  }

  get status(): string {
    return this.timeline.status
  }

  /** Takes the first backup, from which on PITR is possible. */
  async backUp(): Promise<void> {
    if (this.settings.BackupRetentionPeriod === 0) return
    const base = await this.cluster?.takeBase()
    this.restorableFrom ??= base?.at
    this.restorableTo = base?.at
  }

  /** Archives what is committed, as the service does every five minutes. */
  async archive(): Promise<void> {
    if (this.restorableFrom !== undefined) this.restorableTo = await this.cluster?.flush()
  }

  /** As DescribeDBInstances shows it, but for what its region gives it. */
  shown(): Record<string, Value> {
    const percent = this.#initializedPercent()
    return {
      DBInstanceIdentifier: this.id, DBInstanceStatus: this.status, DbiResourceId: this.resourceId, InstanceCreateTime: this.createdAt,
      ...(this.port !== undefined && {Endpoint: {Address: '127.0.0.1', Port: this.port, HostedZoneId: 'ZSANDBOX'}}),
      ...(this.settings.BackupRetentionPeriod > 0 && {LatestRestorableTime: this.restorableTo}),
      PendingModifiedValues: {}, DbInstancePort: 0,
      ...(percent !== undefined && percent < 100 && {StorageOperationStatus: 'Initializing', StorageOperationPercentProgress: percent}),
      ...shownSettings(this.settings),
    }
  }

  #initializedPercent(): number | undefined {
    if (this.initializingSince === undefined) return undefined
    return Math.min(100, Math.floor(((performance.now() - this.initializingSince) / this.#millisecondsPerSecond / INITIALIZING_SECONDS) * 100))
  }
}
