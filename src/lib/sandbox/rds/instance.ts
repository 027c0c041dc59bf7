import {randomBytes} from 'node:crypto'
import {withClient} from '../../postgres/connection.ts'
import {quoteIdent, quoteLiteral} from '../../postgres/quote.ts'
import type {ArchivedCluster} from './archived-cluster.ts'
import type {Value} from './document.ts'
import {instanceState, RdsError} from './rds-error.ts'
import {shownSettings, waitingOf, type Settings} from './settings.ts'
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
  pending?: Pending
  parameterStatus?: string
}

/** What was asked for and is not so yet. */
export interface Pending {
  settings: Partial<Settings>
  id?: string | undefined
  /** Whether the master password is being set. */
  password?: boolean
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
  pending: Pending
  /** `in-sync`, or `pending-reboot` while the server still runs with the former parameter group. */
  parameterStatus: string
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
    this.pending = saved.pending ?? {settings: {}}
    this.parameterStatus = saved.parameterStatus ?? 'in-sync'
    this.timeline = new Timeline({...timeline, status: saved.status, courses: saved.courses})
    this.#millisecondsPerSecond = timeline.millisecondsPerSecond
  }

  get status(): string {
    return this.timeline.status
  }

  get saved(): SavedInstance {
    const {id, resourceId, directory, settings, status, timeline, cluster, pending, parameterStatus} = this
    return {
      id, resourceId, directory, createdAt: this.createdAt.getTime(), status, courses: timeline.courses, settings, runs: cluster !== undefined,
      pending, parameterStatus, restorableFrom: this.restorableFrom?.getTime(), restorableTo: this.restorableTo?.getTime(), initializingSince: this.initializingSince?.getTime(),
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

  /** The password of the master user, in the cluster itself. */
  async setMasterPassword(password: string): Promise<void> {
    if (!this.cluster) throw instanceState(this.id, this.status)
    const {MasterUsername: role} = this.settings
    // Everything here works as this one, with the password that it was made with.
    if (role === 'postgres') throw new RdsError('NotImplemented', 'The sandbox does not set the password of its own superuser: give the instance another MasterUsername.', 501)
    await withClient(this.cluster.cluster.url(), {}, (client) => client.query(`ALTER ROLE ${quoteIdent(role)} PASSWORD ${quoteLiteral(password)}`))
  }

  /** Settings that were asked for are so from now on. Without retention there are no automated backups; with it again, a first one is taken. */
  async apply(changes: Partial<Settings>): Promise<void> {
    const {BackupRetentionPeriod: before, DBParameterGroupName} = this.settings
    this.settings = {...this.settings, ...changes}
    this.pending = {...this.pending, settings: Object.fromEntries(Object.entries(this.pending.settings).filter(([name]) => !(name in changes)))}
    if (this.settings.DBParameterGroupName !== DBParameterGroupName) this.parameterStatus = 'pending-reboot'
    if (this.settings.BackupRetentionPeriod === 0 && before > 0) {
      this.restorableFrom = this.restorableTo = undefined
      await this.cluster?.dropBackups()
    } else if (before === 0) await this.backUp()
  }

  /** Archives what is committed, as the service does every five minutes. */
  async archive(): Promise<void> {
    if (!this.cluster) return
    if (this.restorableFrom === undefined) {
      await this.cluster.dropBackups()
      return
    }
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
      PendingModifiedValues: this.#pendingShown(), DbInstancePort: 0,
      ...(percent !== undefined && percent < 100 && {StorageOperationStatus: 'Initializing', StorageOperationPercentProgress: percent}),
      ...shownSettings(this.settings, this.parameterStatus),
      ...(this.pending.settings.MasterUserSecret && {MasterUserSecret: {...this.pending.settings.MasterUserSecret, SecretStatus: 'creating'}}),
    }
  }

  #pendingShown(): Record<string, Value> {
    const {settings, id, password} = this.pending
    const now = this.settings.EnabledCloudwatchLogsExports
    const logs = settings.EnabledCloudwatchLogsExports
    return {
      ...waitingOf(settings), ...(id !== undefined && {DBInstanceIdentifier: id}), ...(password === true && {MasterUserPassword: '****'}),
      ...(logs && {PendingCloudwatchLogsExports: {LogTypesToEnable: logs.filter((one) => !now.includes(one)), LogTypesToDisable: now.filter((one) => !logs.includes(one))}}),
    }
  }

  #initializedPercent(): number | undefined {
    if (this.initializingSince === undefined) return undefined
    return Math.min(100, Math.floor(((Date.now() - this.initializingSince.getTime()) / this.#millisecondsPerSecond / INITIALIZING_SECONDS) * 100))
  }
}

const dateOf = (ms: number | undefined): Date | undefined => (ms === undefined ? undefined : new Date(ms))
