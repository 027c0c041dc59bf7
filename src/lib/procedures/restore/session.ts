import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import {connect, endQuietly, type Client} from '../../postgres/connection.ts'
import {dropMarkedDatabase, endOtherSessions, holdRunLock, type RestoreMark} from '../../postgres/create-database.ts'
import {DrError} from '../../errors.ts'
import {toolAccess, type ToolAccess} from '../../postgres/passfile.ts'
import {listText} from '../../postgres/restore-lists.ts'
import {startupOptions, type RestoreSettings} from '../../postgres/restore-settings.ts'
import type {Target} from '../../postgres/target.ts'
import {stopwatch, type Timing} from '../../system/stopwatch.ts'
import {inFolder} from './members.ts'

/** Networks forget a connection that says nothing; some after 350 seconds. */
const HEARTBEAT_MS = 30_000

export interface SessionOptions {
  /** The live database: only the address is used. */
  target: Target
  maintenanceDatabase: string
  /** The private folder of this run. */
  runDirectory: string
  mark: RestoreMark
}

/** What every restore holds of the server while it lasts: the connection that makes, marks and drops databases, with the run's lock, and the tools' way in. */
export class RestoreSession {
  readonly applicationName: string
  readonly mark: RestoreMark
  readonly startedAt = performance.now()
  /** Where the maintenance connection landed. */
  maintenanceDatabase: string
  #access: ToolAccess | undefined
  #client: Client | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #beating = false
  #wasConnected = false
  readonly #target: Target
  readonly #directory: string

  constructor({target, maintenanceDatabase, runDirectory, mark}: SessionOptions) {
    this.#target = target
    this.#directory = runDirectory
    this.applicationName = `dr restore ${mark.run}`
    this.mark = mark
    this.maintenanceDatabase = maintenanceDatabase
  }

  /** Address and password for PostgreSQL's tools, with the settings of a restore. */
  async access(settings: RestoreSettings): Promise<ToolAccess> {
    this.#access ??= await toolAccess(this.#target, this.#directory, this.applicationName)
    return {...this.#access, env: {...this.#access.env, PGOPTIONS: startupOptions(settings)}}
  }

  /** A list file for `pg_restore -L`. */
  async list(name: string, entries: readonly ArchiveEntry[]): Promise<string> {
    const folder = join(this.#directory, 'lists')
    const path = join(folder, `${name}.list`)
    await inFolder(this.#directory, async () => {
      await mkdir(folder, {recursive: true, mode: 0o700})
      await writeFile(path, listText(entries), {mode: 0o600})
    })
    return path
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
    await this.persistently((client) => dropMarkedDatabase(client, name, this.mark))
  }

  /** Ends what the run holds of the server. Never throws: what ended the run is what must be told. */
  async close(): Promise<void> {
    await this.#access?.close().catch(() => {})
    clearInterval(this.#heartbeat)
    if (this.#client) await endQuietly(this.#client)
  }

  time<T>(timings: Timing[], phase: string, work: () => Promise<T>): Promise<T> {
    return stopwatch(timings).time(phase, work)
  }

  async #connect(): Promise<Client> {
    const applicationName = `${this.applicationName} maintenance`
    const client = await connect(this.#target, {database: this.maintenanceDatabase, applicationName}).catch((error: unknown) => {
      if (!(error instanceof DrError) || !['postgres.no-database', 'postgres.denied'].includes(error.code)) throw error
      this.maintenanceDatabase = this.#target.database
      return connect(this.#target, {applicationName})
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
