import {randomBytes} from 'node:crypto'
import type {ArchivedCluster} from './archived-cluster.ts'
import type {Value} from './document.ts'
import {shownSettings, type Settings} from './settings.ts'
import {Timeline, type Course, type TimelineOptions} from './timeline.ts'
import type {Work} from './work.ts'

/** What is kept of an instance, as plain JSON. Times are milliseconds since 1970. */
export interface SavedInstance {
  /** Changes with a rename; always in lower case. */
  id: string
  /** Never changes. */
  resourceId: string
  /** Of the cluster and its backups. */
  directory: string
  createdAt: number
  status: string
  courses: readonly Course<Work>[]
  settings: Settings
  /** Whether there is a server that runs, or has to be started. */
  runs: boolean
  restorableFrom?: number | undefined
  restorableTo?: number | undefined
  initializingSince?: number | undefined
}

/** How long a volume that was made of a snapshot is slow, in the service's time. */
const INITIALIZING_SECONDS = 1800

export const newInstance = (id: string, directory: string, settings: Settings, status: string): SavedInstance =>
  ({id, directory, settings, status, resourceId: `db-${randomBytes(13).toString('hex').toUpperCase()}`, createdAt: Date.now(), courses: [], runs: false})

/** An instance: a local PostgreSQL cluster with what the service knows of it. */
export class Instance {
  id: string
  readonly resourceId: string
  readonly directory: string
  readonly createdAt: Date
  readonly timeline: Timeline<Work>
  settings: Settings
  /** Until it is made there is none, and none while it is stopped. */
  cluster: ArchivedCluster | undefined
  /** Where clients reach it; none while it is made. */
  port: number | undefined
  /** PITR is possible from here: the end of its oldest base backup. */
  restorableFrom: Date | undefined
  restorableTo: Date | undefined
  /** Set for a restored one. */
  initializingSince: Date | undefined
  readonly #millisecondsPerSecond: number

  constructor(saved: SavedInstance, timeline: Omit<TimelineOptions<Work>, 'status' | 'courses'>) {
    this.id = saved.id
    this.resourceId = saved.resourceId
    this.directory = saved.directory
    this.createdAt = new Date(saved.createdAt)
    this.settings = saved.settings
    this.restorableFrom = dateOf(saved.restorableFrom)
    this.restorableTo = dateOf(saved.restorableTo)
    this.initializingSince = dateOf(saved.initializingSince)
    this.timeline = new Timeline({...timeline, status: saved.status, courses: saved.courses})
    this.#millisecondsPerSecond = timeline.millisecondsPerSecond
  }

  get status(): string {
    return this.timeline.status
  }

  get saved(): SavedInstance {
    const {id, resourceId, directory, settings, status, timeline, cluster} = this
    return {
      id, resourceId, directory, createdAt: this.createdAt.getTime(), status, courses: timeline.courses, settings, runs: cluster !== undefined,
      restorableFrom: this.restorableFrom?.getTime(), restorableTo: this.restorableTo?.getTime(), initializingSince: this.initializingSince?.getTime(),
    }
  }

  /** Takes a backup; from the first one on PITR is possible, and many reach back no further than the service keeps them. */
  async backUp(): Promise<void> {
    if (this.settings.BackupRetentionPeriod === 0 || !this.cluster) return
    const {at} = await this.cluster.takeBase()
    const [oldest] = await this.cluster.bases()
    this.restorableFrom = oldest?.at
    this.restorableTo = at
  }

  /** Archives what is committed, as the service does every five minutes. */
  async archive(): Promise<void> {
    if (this.restorableFrom === undefined || !this.cluster) return
    this.restorableTo = await this.cluster.flush()
    if (await this.cluster.baseIsDue()) await this.backUp()
  }

  /** Archives the last of it, for good: its server ends now. */
  async archiveLast(): Promise<void> {
    if (this.restorableFrom !== undefined && this.cluster) this.restorableTo = await this.cluster.mark()
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
    return Math.min(100, Math.floor(((Date.now() - this.initializingSince.getTime()) / this.#millisecondsPerSecond / INITIALIZING_SECONDS) * 100))
  }
}

const dateOf = (ms: number | undefined): Date | undefined => (ms === undefined ? undefined : new Date(ms))
