import {rm} from 'node:fs/promises'
import {join} from 'node:path'
import {connect, endQuietly, endWithClient, withClient, type Client} from '../../postgres/connection.ts'
import type {Archive} from '../../postgres/archive.ts'
import {scratchName, stageDatabaseName} from '../../postgres/create-database.ts'
import type {Catalog, TableName} from '../../postgres/partial/contract.ts'
import type {Mirror} from '../../postgres/partial/mirror.ts'
import {STAGING_SETTINGS} from '../../postgres/partial/stage-rows.ts'
import {targetName} from '../../postgres/target.ts'
import type {ForeignOptions, ForeignState} from '../restore/foreign/options.ts'
import {utcSecond} from '../../report/instant.ts'
import {foreignState} from '../restore/foreign/index.ts'
import {ForeignWork, markLabel} from '../restore/foreign/work.ts'
import {restoreState} from '../restore/index.ts'
import {Members} from '../restore/members.ts'
import type {RestoreOptions, RestoreState} from '../restore/options.ts'
import {RestoreSession} from '../restore/session.ts'
import {instantOf} from '../backup-instant.ts'
import type {RunFolder} from '../runs.ts'
import {HeldClient} from './held-client.ts'
import type {SchemaArchive} from './recreate-archive.ts'
import {sourceName} from '../pitr/recover-options.ts'
import type {SideCopy, SourceFacts, StageOptions, StageState} from './options.ts'

/** The restore of a source's schema into a scratch database, as the restore procedures know it. */
export type Side =
  | {kind: 'backup'; options: RestoreOptions; state: RestoreState; members: Members}
  | {kind: 'dump'; options: ForeignOptions; state: ForeignState; work: ForeignWork}

/** What one run holds of the source, the scratch database and the live one while it lasts; none of it is in the journal. */
export class StageWork {
  readonly session: RestoreSession
  /** Undefined of a source that is a database itself. */
  readonly side: Side | undefined
  readonly scratch: string
  archive: Archive | undefined
  /** Whose entries make lost tables anew. */
  schema: SchemaArchive | undefined
  /** In the database beside: the copies of live tables, and the catalog that they were made by; when the rows are there, the snapshot that they are of. */
  mirrored: {mirrors: readonly Mirror[]; live: Catalog; snapshot?: string} | undefined
  /** Staged columns whose type is not live: it may come back with a lost table. */
  stagedAsText: {stage: TableName; name: string; type: string}[] = []
  readonly #options: StageOptions
  readonly #run: RunFolder
  readonly #live: HeldClient
  readonly #beside: HeldClient
  #source: Client | undefined
  #catalogs: {live: Catalog; backup: Catalog} | undefined

  constructor(options: StageOptions, run: RunFolder) {
    this.#options = options
    this.#run = run
    this.scratch = scratchName(run.id)
    this.side = sideOf(options, run, this.scratch)
    const {target, config, runDirectory} = options
    this.#live = new HeldClient(() => this.#connect(target.database))
    this.#beside = new HeldClient(() => this.#connect(this.stageDatabase))
    this.session = this.side?.kind === 'dump' ? this.side.work : new RestoreSession({target, maintenanceDatabase: config.database.maintenanceDatabase, runDirectory, mark: {run: run.id, label: markLabel(sourceFacts(options).label)}})
  }

  /** Of the run's folder; its name goes into the marks. */
  get run(): string {
    return this.#run.id
  }

  get applicationName(): string {
    return this.session.applicationName
  }

  /** Both are read in the step `partial.catalogs`. */
  get catalogs(): {live: Catalog; backup: Catalog} {
    return there(this.#catalogs, 'The catalogs have not been read.')
  }

  /** They were read in this process. */
  get hasCatalogs(): boolean {
    return this.#catalogs !== undefined
  }

  set catalogs(catalogs: {live: Catalog; backup: Catalog}) {
    this.#catalogs = catalogs
  }

  async openMembers(): Promise<Members> {
    if (this.side?.kind !== 'backup') throw new Error('The source is no backup.')
    if (this.side.members.remote) await this.#run.owns(this.#options.stagingDirectory)
    await this.side.members.open()
    return this.side.members
  }

  /** The connection that stages. An abort ends it, in the middle of a statement too. */
  live<T>(signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    return this.#live.use(signal, work)
  }

  /** The connection to where the rows are staged: the live database, or the one beside it. */
  beside<T>(signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    return this.isBeside ? this.#beside.use(signal, work) : this.live(signal, work)
  }

  /** Before the database beside is dropped. */
  leaveBeside(): Promise<void> {
    return this.#beside.end()
  }

  /** The rows are staged in a database of their own. */
  get isBeside(): boolean {
    return this.#options.stage === 'database'
  }

  /** The name of that database. */
  get stageDatabase(): string {
    return stageDatabaseName(this.#options.target.database, this.run)
  }

  /** Where the rows are read in a database: the source itself, in one instant for as long as the run lasts, or the scratch database. */
  async source<T>(signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    if (this.#options.from.kind === 'database') return work(there(this.#source, 'The source has not been opened.'))
    return withClient(this.#options.target, {database: this.scratch, applicationName: this.applicationName}, async (client) => {
      const end = () => { void endQuietly(client) }
      signal.addEventListener('abort', end, {once: true})
      for (const setting of STAGING_SETTINGS) await client.query(setting)
      return work(client).catch((error: unknown) => {
        signal.throwIfAborted()
        throw error
      }).finally(() => { signal.removeEventListener('abort', end) })
    })
  }

  set opened(client: Client) {
    this.#source = client
  }

  /** Ends what the run holds, and removes its folders. Never throws: what ended the run is what must be told. */
  async close(): Promise<void> {
    await this.#live.end()
    await this.#beside.end()
    if (this.#source) await endQuietly(this.#source)
    await this.session.close()
    if (this.side?.kind === 'backup' && this.side.members.remote) await rm(this.#options.stagingDirectory, {recursive: true, force: true}).catch(() => {})
    await this.#run.remove().catch(() => {})
  }

  async #connect(database: string): Promise<Client> {
    // The lock of the run comes first: by it others know that what is made is not abandoned.
    await this.session.maintenance()
    const client = await connect(this.#options.target, {database, applicationName: this.applicationName})
    await endWithClient(client)
    for (const setting of STAGING_SETTINGS) await client.query(setting)
    return client
  }
}

function sideOf(options: StageOptions, run: RunFolder, into: string): Side | undefined {
  const {from, config, target, tools, runDirectory, runId, jobs} = options
  const common = {config, target, tools, runDirectory, runId, jobs, into}
  if (from.kind === 'backup') {
    const sideOptions: RestoreOptions = {...common, backup: from.backup, stagingDirectory: options.stagingDirectory}
    return {kind: 'backup', options: sideOptions, state: restoreState(sideOptions, new Date(0)), members: new Members(sideOptions)}
  }
  if (from.kind === 'dump') {
    const sideOptions: ForeignOptions = {...common, dump: from.dump, stagingDirectory: options.stagingDirectory}
    return {kind: 'dump', options: sideOptions, state: foreignState(sideOptions, new Date(0)), work: new ForeignWork(sideOptions, run)}
  }
  return undefined
}

function sourceFacts({from}: StageOptions): SourceFacts {
  if (from.kind === 'database') return {kind: 'database', label: from.copy ? copyLabel(from.copy.recovery.wish) : targetName(from.target), location: targetName(from.target), database: from.target.database}
  if (from.kind === 'dump') return {kind: 'dump', label: from.dump.name, location: from.dump.location}
  const {manifest, location} = from.backup
  return {
    kind: 'backup', label: manifest.label, location, at: manifest.snapshot.at, snapshot: instantOf(manifest),
  }
}

/** Its address is not known beforehand. */
const copyLabel = ({source, to}: SideCopy['recovery']['wish']): string => `copy of ${sourceName(source)} at ${to === null ? 'the latest restorable time' : utcSecond(new Date(to))}`

/** The part of the first state that staging needs: what can be known without a connection. */
export const stageState = (options: StageOptions): StageState => ({live: options.target.database, source: sourceFacts(options), timings: []})

/** Where a database's own password file lies: beside that of the live one. */
export const sourceFolder = ({runDirectory}: StageOptions): string => join(runDirectory, 'source')

export function there<T>(value: T | undefined, message: string): T {
  if (value === undefined) throw new Error(message)
  return value
}
