import {mkdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {readArchiveFile, type Archive} from '../../postgres/archive.ts'
import {connect, endQuietly, type Client} from '../../postgres/connection.ts'
import {dropMarkedDatabase, endOtherSessions, holdRunLock, type RestoreMark} from '../../postgres/create-database.ts'
import {DrError} from '../../errors.ts'
import {toolAccess, type ToolAccess} from '../../postgres/passfile.ts'
import {listText, restoreLists, type RestoreLists} from '../../postgres/restore-lists.ts'
import {startupOptions, type RestoreSettings} from '../../postgres/restore-settings.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {stopwatch, type Timing} from '../../system/stopwatch.ts'
import type {RunFolder} from '../runs.ts'
import {Flow} from './flow.ts'
import {inFolder, Members} from './members.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {fetchOrder, isLargeObjectMember, loadUnits, type LoadUnit} from './units.ts'

/** One stream does not fill a fast link; many share a slow one, and then all of them arrive late. */
const FETCH_LANES = 2
/** Units that wait, loaded by nobody: small ones, for the most part. */
const MOST_AHEAD = 8
/** Networks forget a connection that says nothing; some after 350 seconds. */
const HEARTBEAT_MS = 30_000

/** What one run of a restore holds while it lasts; none of it is in the journal. */
export class RestoreWork {
  readonly members: Members
  readonly applicationName: string
  readonly mark: RestoreMark
  readonly startedAt = performance.now()
  /** Where the maintenance connection landed. */
  maintenanceDatabase: string
  units: readonly LoadUnit[] = []
  #archive: Archive | undefined
  #lists: RestoreLists | undefined
  #flow: Flow | undefined
  #access: ToolAccess | undefined
  #client: Client | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #beating = false
  #wasConnected = false
  readonly #options: RestoreOptions
  readonly #run: RunFolder

  constructor(options: RestoreOptions, run: RunFolder) {
    this.#options = options
    this.#run = run
    this.members = new Members(options)
    this.applicationName = `dr restore ${run.id}`
    this.mark = {run: run.id, label: options.backup.manifest.label}
    this.maintenanceDatabase = options.config.database.maintenanceDatabase
  }

  /** Makes the folders, proves toc.dat, and reads it. */
  async open(io: StepIo): Promise<Archive> {
    if (this.members.remote) await this.#run.owns(this.#options.stagingDirectory)
    await this.members.open()
    await inFolder(this.#options.runDirectory, () => mkdir(join(this.#options.runDirectory, 'lists'), {recursive: true, mode: 0o700}))
    const {members} = this.#options.backup.manifest
    await this.members.assertComplete(members, io.signal)
    for (const member of members) if (member.name === 'toc.dat') await this.members.prove(member, io.signal)
    this.#archive = await readArchiveFile(join(this.members.directory, 'toc.dat'))
    return this.#archive
  }

  /** Decides what is restored when, for this server. */
  plan(state: RestoreState, serverMajor: number): void {
    this.#lists = restoreLists(this.archive, {serverMajor})
    const {data, builds} = this.#lists
    const {rowsOnly = false, backup} = this.#options
    this.units = loadUnits({data, builds: rowsOnly ? new Map() : builds}, backup.manifest, state.jobs)
  }

  get archive(): Archive {
    return there(this.#archive)
  }

  get lists(): RestoreLists {
    return there(this.#lists)
  }

  /** Fetching begins with the first call. */
  flow(state: RestoreState, signal: AbortSignal): Flow {
    if (this.#flow) return this.#flow
    const others = this.#options.backup.manifest.members.filter(({name}) => isLargeObjectMember(name))
    const flow = new Flow({units: this.members.remote ? fetchOrder(this.units) : this.units, others, fetch: (member, aborted) => this.members.prove(member, aborted), lanes: FETCH_LANES, ahead: Math.max(state.jobs + FETCH_LANES, MOST_AHEAD), signal})
    this.#flow = flow
    if (this.members.remote) void stopwatch(state.timings).time('download', () => flow.start()).catch(() => {})
    else void flow.start()
    return flow
  }

  /** A list file for `pg_restore -L`. */
  async list(name: string, entries: readonly ArchiveEntry[]): Promise<string> {
    const path = join(this.#options.runDirectory, 'lists', `${name}.list`)
    await inFolder(this.#options.runDirectory, () => writeFile(path, listText(entries), {mode: 0o600}))
    return path
  }

  /** Address and password for pg_restore, with the settings of a restore. */
  async access(settings: RestoreSettings): Promise<ToolAccess> {
    this.#access ??= await toolAccess(this.#options.target, this.#options.runDirectory, this.applicationName)
    return {...this.#access, env: {...this.#access.env, PGOPTIONS: startupOptions(settings)}}
  }

  /** The connection that makes, marks and drops databases, and holds the run's lock. Not to the live database unless there is no other. */
  async maintenance(): Promise<Client> {
    this.#client ??= await this.#connect()
    return this.#client
  }

  /** Does what can be done twice over the maintenance connection; over a new one when the first fails. */
  async persistently(work: (client: Client) => Promise<unknown>): Promise<void> {
    const client = await this.maintenance()
    try {
      await work(client)
    } catch {
      this.#client = undefined
      clearInterval(this.#heartbeat)
      await endQuietly(client)
      await work(await this.maintenance())
    }
  }

  /** Drops the new database. */
  async drop(name: string): Promise<void> {
    await this.#flow?.stop()
    await this.persistently((client) => dropMarkedDatabase(client, name, this.mark))
  }

  /** Ends what the run holds, and removes its folders. Never throws: what ended the run is what must be told. */
  async close(): Promise<void> {
    await this.#flow?.stop()
    await this.#access?.close().catch(() => {})
    clearInterval(this.#heartbeat)
    if (this.#client) await endQuietly(this.#client)
    if (this.members.remote) await rm(this.#options.stagingDirectory, {recursive: true, force: true}).catch(() => {})
    await this.#run.remove().catch(() => {})
  }

  time<T>(timings: Timing[], phase: string, work: () => Promise<T>): Promise<T> {
    return stopwatch(timings).time(phase, work)
  }

  async #connect(): Promise<Client> {
    const {target} = this.#options
    const applicationName = `${this.applicationName} maintenance`
    const client = await connect(target, {database: this.maintenanceDatabase, applicationName}).catch((error: unknown) => {
      if (!(error instanceof DrError) || !['postgres.no-database', 'postgres.denied'].includes(error.code)) throw error
      this.maintenanceDatabase = target.database
      return connect(target, {applicationName})
    })
    for (const setting of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) await client.query(`SET ${setting} = 0`)
    await client.query("SELECT set_config('idle_session_timeout', '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'")
    await client.query('SET default_transaction_read_only = off')
    await this.#lock(client, applicationName)
    this.#heartbeat = setInterval(() => { void this.#beat(client) }, HEARTBEAT_MS).unref()
    return client
  }

  /** One at a time: behind a long statement they would pile up. A broken connection is noticed where it is used. */
  async #beat(client: Client): Promise<void> {
    if (this.#beating) return
    this.#beating = true
    await client.query('SELECT 1').catch(() => {})
    this.#beating = false
  }

  /** After a cut the server may still keep the first session of this run, with the lock: it is ended. */
  async #lock(client: Client, applicationName: string): Promise<void> {
    if (this.#wasConnected) await endOtherSessions(client, applicationName)
    await holdRunLock(client, this.mark.run).catch((error: unknown) => {
      // Only this run holds its lock: the session that is about to end.
      if (!this.#wasConnected || !(error instanceof DrError)) throw error
    })
    this.#wasConnected = true
  }
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('The archive has not been looked at.')
  return value
}
