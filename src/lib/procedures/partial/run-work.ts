import {endQuietly, endWithClient, withClient, type Client} from '../../postgres/connection.ts'
import {incomparable} from '../../postgres/newer-rows.ts'
import {readCatalog} from '../../postgres/partial/catalog.ts'
import type {Catalog, MergeMode, MergeRequest, RowsSince} from '../../postgres/partial/contract.ts'
import {ownSession} from '../../postgres/partial/session.ts'
import {mergeCommitted} from '../../postgres/partial/undo-schema.ts'
import type {Resumption} from '../../runbook/resume.ts'
import {takeOver} from '../restore/resume.ts'
import type {RunFolder} from '../runs.ts'
import {needed, type PartialOptions, type PartialState} from './run-options.ts'
import {StageWork} from './work.ts'

/** So many rows of each table that were changed since the backup are listed: their keys have at most some KB each. */
export const LISTED = 1000

/** What a run holds while it lasts: what stages, and sessions in the live database as the role has them. */
export class PartialWork extends StageWork {
  /** Rows that were changed since the backup, by the last comparison of this process: the journal has only how many. */
  since: RowsSince[] | undefined
  readonly #options: PartialOptions
  #read = false

  constructor(options: PartialOptions, run: RunFolder) {
    super(options, run)
    this.#options = options
  }

  /** A session of its own in the live database. An abort ends it, in the middle of a statement too. */
  inLive<T>(work: (client: Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#inside(this.#options.target.database, work, signal)
  }

  /** The same where the rows of the backup are compared with the live ones. */
  whereCompared<T>(work: (client: Client) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#inside(this.isBeside ? this.stageDatabase : this.#options.target.database, work, signal)
  }

  #inside<T>(database: string, work: (client: Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return withClient(this.#options.target, {database, applicationName: `dr partial ${this.run}`}, async (client) => {
      signal?.throwIfAborted()
      await endWithClient(client)
      await ownSession(client)
      const end = () => { void endQuietly(client) }
      signal?.addEventListener('abort', end, {once: true})
      return work(client).catch((error: unknown) => {
        signal?.throwIfAborted()
        throw error
      }).finally(() => { signal?.removeEventListener('abort', end) })
    })
  }

  /** Both sides' catalogs are in this process: another one may have put the rows back. */
  get knowsBoth(): boolean {
    return this.#read
  }

  override set catalogs(catalogs: {live: Catalog; backup: Catalog}) {
    super.catalogs = catalogs
    this.#read = true
  }

  override get catalogs(): {live: Catalog; backup: Catalog} {
    return super.catalogs
  }

  async liveCatalog(): Promise<Catalog> {
    return this.#read ? this.catalogs.live : this.inLive((client) => readCatalog(client, this.#options.config.database))
  }

  request(state: PartialState, mode: MergeMode): MergeRequest {
    const {config, sample} = this.#options
    const snapshot = sinceUnknown(state) === undefined ? state.source.snapshot : undefined
    return {
      ...this.catalogs, staged: needed(state.brought ?? state.staged, 'staging'), selection: needed(state.selection, 'selection'), mode,
      undoSchema: needed(state.undoSchema, 'undo schema'), lockTimeoutMs: config.partial.lockTimeoutMs, sample, timestampColumns: config.investigate.timestampColumns, ...(snapshot !== undefined && {backupSnapshot: snapshot.current}), ...(state.source.at !== undefined && {backupAt: state.source.at}), ...(state.meanings && {meanings: state.meanings}),
    }
  }

  /** The request for where the rows are compared. */
  comparing(state: PartialState, mode: MergeMode): MergeRequest {
    const request = this.request(state, mode)
    return this.isBeside ? {...request, staged: needed(state.staged, 'staging'), live: needed(this.mirrored, 'copy of the live rows').live, mirror: true} : request
  }

  /** Takes over a run whose process is gone. What it had staged is made again; a merge that is committed stands. */
  async takeOver(earlier: Resumption<PartialState>): Promise<'committed' | 'open'> {
    await takeOver(this.#options.target, this.session, earlier)
    const {undoSchema} = earlier.state
    return undoSchema !== undefined && (await this.inLive((client) => mergeCommitted(client, undoSchema))) ? 'committed' : 'open'
  }
}

/** Why the numbers of transactions do not tell which rows were written after the backup; undefined where they do. */
export function sinceUnknown({source: {snapshot}, place}: PartialState): string | undefined {
  return snapshot === undefined || place === undefined ? 'the source does not say which transactions it saw' : incomparable(snapshot, place)
}
