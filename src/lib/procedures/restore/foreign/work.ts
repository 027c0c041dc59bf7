import {rm} from 'node:fs/promises'
import {preflightError} from '../../../errors.ts'
import type {Archive} from '../../../postgres/archive.ts'
import {restoreLists, type RestoreLists} from '../../../postgres/restore-lists.ts'
import {skipEntries} from '../../../postgres/restore-skip.ts'
import type {Psql} from '../../../postgres/psql.ts'
import type {StepIo} from '../../../runbook/procedure.ts'
import type {RunFolder} from '../../runs.ts'
import {RestoreSession} from '../session.ts'
import type {ForeignOptions, ForeignState} from './options.ts'
import {prove, type ProvenDump} from './prove.ts'
import {receive} from './receive.ts'

/** Without blanks: it stands in the mark of the database. */
export const markLabel = (name: string): string => name.replaceAll(/[^\w.-]+/g, '_').slice(0, 80) || 'dump'

/** What one restore of a dump that dr did not make holds while it lasts; none of it is in the journal. */
export class ForeignWork extends RestoreSession {
  /** Chosen for this server. */
  psql: Psql | undefined
  /** Known once the dump is read. */
  serverMajor = 0
  #proven: ProvenDump | undefined
  #lists: RestoreLists | undefined
  readonly #options: ForeignOptions
  readonly #run: RunFolder

  constructor(options: ForeignOptions, run: RunFolder) {
    super({target: options.target, maintenanceDatabase: options.config.database.maintenanceDatabase, runDirectory: options.runDirectory, mark: {run: run.id, label: markLabel(options.dump.name)}})
    this.#options = options
    this.#run = run
  }

  /** Brings the dump onto the disk where that is needed, and reads it to its end. */
  async open(state: ForeignState, serverMajor: number, io: StepIo): Promise<ProvenDump> {
    const {dump, stagingDirectory, tools, skip = []} = this.#options
    await this.#run.owns(stagingDirectory)
    const ready = await receive(dump, stagingDirectory, io)
    this.serverMajor = serverMajor
    const proven = await prove(ready, {location: dump.location, tools, serverMajor}, io)
    if (skip.length > 0 && !proven.archive) throw preflightError('restore.skip', `${dump.location} is plain SQL, of which nothing can be left out with --skip.`, {hints: ['Leave the flag out.']})
    const {archive, skipped} = proven.archive ? skipEntries(proven.archive, skip) : {archive: undefined, skipped: []}
    state.skipped = skipped
    this.#proven = {...proven, ...(archive && {archive})}
    if (archive) this.#lists = restoreLists(archive, {serverMajor})
    return this.#proven
  }

  get proven(): ProvenDump {
    if (this.#proven === undefined) throw new Error('The dump has not been read.')
    return this.#proven
  }

  /** Of an archive. */
  get lists(): RestoreLists {
    if (this.#lists === undefined) throw new Error('There is no archive.')
    return this.#lists
  }

  get archive(): Archive {
    if (this.#proven?.archive === undefined) throw new Error('There is no archive.')
    return this.#proven.archive
  }

  get hasArchive(): boolean {
    return this.#proven?.archive !== undefined
  }

  override async close(): Promise<void> {
    await super.close()
    await rm(this.#options.stagingDirectory, {recursive: true, force: true}).catch(() => {})
    await this.#run.remove().catch(() => {})
  }
}
