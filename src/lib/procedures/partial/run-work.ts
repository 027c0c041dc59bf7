import {endQuietly, endWithClient, withClient, type Client} from '../../postgres/connection.ts'
import {readCatalog} from '../../postgres/partial/catalog.ts'
import type {Catalog, MergeMode, MergeRequest} from '../../postgres/partial/contract.ts'
import {ownSession} from '../../postgres/partial/session.ts'
import {mergeCommitted} from '../../postgres/partial/undo-schema.ts'
import type {Resumption} from '../../runbook/resume.ts'
import {takeOver} from '../restore/resume.ts'
import type {RunFolder} from '../runs.ts'
import {needed, type PartialOptions, type PartialState} from './run-options.ts'
import {StageWork} from './work.ts'

/** What a run holds while it lasts: what stages, and sessions in the live database as the role has them. */
export class PartialWork extends StageWork {
  readonly #options: PartialOptions
  #read = false

  constructor(options: PartialOptions, run: RunFolder) {
    super(options, run)
    this.#options = options
  }

  /** A session of its own in the live database. An abort ends it, in the middle of a statement too. */
  inLive<T>(work: (client: Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return withClient(this.#options.target, {applicationName: `dr partial ${this.run}`}, async (client) => {
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
    const snapshot = comparableSnapshot(state)
    return {
      ...this.catalogs, staged: needed(state.staged, 'staging'), selection: needed(state.selection, 'selection'), mode,
      undoSchema: needed(state.undoSchema, 'undo schema'), lockTimeoutMs: config.partial.lockTimeoutMs, sample, timestampColumns: config.investigate.timestampColumns, ...(snapshot !== undefined && {backupSnapshot: snapshot}),
    }
  }

  /** Takes over a run whose process is gone. What it had staged is made again; a merge that is committed stands. */
  async takeOver(earlier: Resumption<PartialState>): Promise<'committed' | 'open'> {
    await takeOver(this.#options.target, this.session, earlier)
    const {undoSchema} = earlier.state
    return undoSchema !== undefined && (await this.inLive((client) => mergeCommitted(client, undoSchema))) ? 'committed' : 'open'
  }
}

/** Transaction numbers tell something only in the database that they are of. */
function comparableSnapshot({source: {snapshot}, target, databaseOid}: PartialState): string | undefined {
  const same = snapshot?.systemIdentifier !== undefined && snapshot.systemIdentifier === target?.systemIdentifier && snapshot.databaseOid === databaseOid
  return same ? snapshot.current : undefined
}
