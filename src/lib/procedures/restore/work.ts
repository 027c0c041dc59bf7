import {rm} from 'node:fs/promises'
import {join} from 'node:path'
import {readArchiveFile, type Archive, type ArchiveEntry} from '../../postgres/archive.ts'
import {restoreLists, type RestoreLists} from '../../postgres/restore-lists.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import type {RunFolder} from '../runs.ts'
import {Flow} from './flow.ts'
import {Members} from './members.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {prepareArchive, schemasFirst} from './prepare.ts'
import {RestoreSession} from './session.ts'
import {fetchOrder, isLargeObjectMember, loadUnits, type LoadUnit} from './units.ts'

/** Several at once share a slow link, and then all of them arrive late; and one is faster than the server loads. */
const FETCH_LANES = 1
/** Units that wait, loaded by nobody: small ones, for the most part. */
const MOST_AHEAD = 8

/** What one run of a restore holds while it lasts; none of it is in the journal. */
export class RestoreWork extends RestoreSession {
  readonly members: Members
  units: readonly LoadUnit[] = []
  /** Restored before all others: see `schemasFirst`. */
  schemas: readonly ArchiveEntry[] = []
  #archive: Archive | undefined
  #archiveDirectory: string | undefined
  #lists: RestoreLists | undefined
  #flow: Flow | undefined
  readonly #options: RestoreOptions
  readonly #run: RunFolder

  constructor(options: RestoreOptions, run: RunFolder) {
    super({target: options.target, maintenanceDatabase: options.config.database.maintenanceDatabase, runDirectory: options.runDirectory, mark: {run: run.id, label: options.backup.manifest.label}})
    this.#options = options
    this.#run = run
    this.members = new Members(options)
  }

  /** Makes the folders, proves toc.dat, and reads it. */
  async open(io: StepIo): Promise<Archive> {
    if (this.members.remote) await this.#run.owns(this.#options.stagingDirectory)
    await this.members.open()
    const {members} = this.#options.backup.manifest
    await this.members.assertComplete(members, io.signal)
    for (const member of members) if (member.name === 'toc.dat') await this.members.prove(member, io.signal)
    this.#archive = await readArchiveFile(join(this.members.directory, 'toc.dat'))
    return this.#archive
  }

  /** Decides what is restored when, for this server. */
  async plan(state: RestoreState, serverMajor: number): Promise<void> {
    const plainRole = state.server?.superuser === false
    const prepared = await prepareArchive(this.archive, this.members.directory, this.#options, {plainRole})
    this.#archive = prepared.archive
    this.#archiveDirectory = prepared.directory
    state.skipped = prepared.skipped
    const {lists, schemas} = schemasFirst(restoreLists(this.archive, {serverMajor}), plainRole)
    this.#lists = lists
    this.schemas = schemas
    const {data, builds} = lists
    const {rowsOnly = false, backup} = this.#options
    this.units = loadUnits({data, builds: rowsOnly ? new Map() : builds}, backup.manifest, state.jobs)
  }

  /** Where pg_restore finds toc.dat, with other roles where they are mapped, and the members. */
  get archiveDirectory(): string {
    return this.#archiveDirectory ?? this.members.directory
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

  /** Drops the new database. */
  override async drop(name: string): Promise<void> {
    await this.#flow?.stop()
    await super.drop(name)
  }

  /** Ends what the run holds, and removes its folders. Never throws: what ended the run is what must be told. */
  override async close(): Promise<void> {
    await this.#flow?.stop()
    await super.close()
    if (this.members.remote) await rm(this.#options.stagingDirectory, {recursive: true, force: true}).catch(() => {})
    await this.#run.remove().catch(() => {})
  }
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('The archive has not been looked at.')
  return value
}
