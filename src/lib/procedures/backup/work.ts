import {rm} from 'node:fs/promises'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {setTimeout as wait} from 'node:timers/promises'
import {DrError} from '../../errors.ts'
import {toolAccess, type ToolAccess} from '../../postgres/passfile.ts'
import {newLabel} from '../../repository/label.ts'
import type {Lease} from '../../repository/lease.ts'
import type {Manifest} from '../../repository/manifest.ts'
import {Repository} from '../../repository/repository.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {isAlive, type RunFolder} from '../runs.ts'
import {applicationNameOf, attempt, Yielded, type Copied} from './attempt.ts'
import type {BackupOptions, BackupState} from './options.ts'
import {lastFailure, type Destination} from './shipper.ts'

/** What one run of a backup holds while it lasts; none of it is in the journal. */
export class BackupWork {
  readonly destinations: Destination[]
  copied: Copied | undefined
  readonly #options: BackupOptions
  readonly #run: RunFolder
  #leases: Lease[] = []
  #access: ToolAccess | undefined

  constructor(options: BackupOptions, run: RunFolder) {
    this.#options = options
    this.#run = run
    this.destinations = options.storages.map((storage) => ({storage, proofs: new Set()}))
  }

  /** A destination that cannot be reached is given up, and the backup goes to the others; with none left it fails. */
  async reach(io: StepIo): Promise<void> {
    for (const destination of this.destinations) await giveUpOnFailure(destination, io, () => destination.storage.check({signal: io.signal}))
    this.assertSomewhere()
  }

  /** The last backup that nothing speaks against, wherever it lies: what a fresh one is compared with. */
  async lastGood(signal: AbortSignal): Promise<Manifest | undefined> {
    const found = await Promise.all(this.#repositories().map((repository) => repository.latest({excludeSuspect: true, signal})))
    return found.map((entry) => entry?.manifest).filter((manifest) => manifest !== undefined).toSorted((a, b) => (a.label < b.label ? 1 : -1))[0]
  }

  /** Removes what killed backups of this host began and nobody goes on with. Others' unfinished folders are left to prune. */
  async sweep(io: StepIo): Promise<void> {
    for (const repository of this.#repositories()) {
      for (const {label, lease} of await repository.unfinished({signal: io.signal})) {
        if (lease?.host !== hostname() || isAlive(lease.pid)) continue
        await repository.remove(label, {signal: io.signal})
        await abortUploads(repository.storage, repository.folder(label), io.signal)
        io.notice(`Removed the unfinished backup ${label} at ${repository.storage.location}: its run was killed.`)
      }
    }
  }

  /** Tries as often as is configured; each attempt has a label of its own, because keys are never written twice. */
  async copy(state: BackupState, io: StepIo): Promise<void> {
    const {backup} = this.#options.config
    for (let round = 1; ; round++) {
      state.attempts = round
      const label = newLabel(new Date())
      state.label = label
      try {
        this.copied = await this.#once(label, state, io)
        return
      } catch (error) {
        await this.removeEverything(state)
        if (!(error instanceof Yielded)) throw error
        if (round >= backup.attempts) throw error.toError(round)
        io.notice(`Gave way to ${error.session.application || 'another session'} (process ${error.session.pid}); attempt ${round + 1} of ${backup.attempts} follows.`)
        await wait(1000 * round, undefined, {signal: io.signal})
      }
    }
  }

  async #once(label: string, state: BackupState, io: StepIo): Promise<Copied> {
    await this.#run.owns(join(this.#options.stagingRoot, label))
    this.#access ??= await toolAccess(this.#options.target, this.#run.directory, applicationNameOf(label))
    const access: ToolAccess = {...this.#access, env: {...this.#access.env, PGAPPNAME: applicationNameOf(label)}}
    for (const destination of this.#healthy()) {
      await giveUpOnFailure(destination, io, async () => {
        this.#leases.push(await this.#repository(destination.storage).takeLease(label, {run: this.#run.id, host: hostname(), pid: process.pid}))
      })
    }
    this.assertSomewhere()
    return attempt({options: this.#options, state, label, access, destinations: this.destinations, io})
  }

  /** Everything under the label, the manifest first, so that nothing looks like a backup while it goes. */
  async removeEverything(state: BackupState): Promise<void> {
    await this.#releaseLeases()
    const {label} = state
    if (label === undefined) return
    for (const {storage} of this.destinations) await this.#repository(storage).remove(label).catch(() => {})
    await rm(join(this.#options.stagingRoot, label), {recursive: true, force: true})
    delete state.label
  }

  /** Ends the leases and the run's own folder. What failed destinations hold of this label is removed. */
  async finish(state: BackupState): Promise<void> {
    await this.#releaseLeases()
    const {label} = state
    for (const {storage, failure} of this.destinations) if (failure && label !== undefined) await this.#repository(storage).remove(label).catch(() => {})
    await this.close()
  }

  async close(): Promise<void> {
    await this.#releaseLeases()
    await this.#access?.close()
    await this.#run.remove()
  }

  prefix(state: BackupState): string {
    return `${state.environment}/${state.label ?? ''}/`
  }

  assertSomewhere(): void {
    if (this.#healthy().length === 0) throw lastFailure(this.destinations)
  }

  #healthy(): Destination[] {
    return this.destinations.filter(({failure}) => failure === undefined)
  }

  #repositories(): Repository[] {
    return this.#healthy().map(({storage}) => this.#repository(storage))
  }

  #repository(storage: Storage): Repository {
    return new Repository(storage, this.#options.config.environment)
  }

  async #releaseLeases(): Promise<void> {
    for (const lease of this.#leases) await lease.release().catch(() => {})
    this.#leases = []
  }
}

async function giveUpOnFailure(destination: Destination, io: StepIo, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    destination.failure = error
    io.notice(`${destination.storage.location} is given up: ${error.message}`)
  }
}

/** Parts that a killed upload left: no listing shows them, and they are paid for. */
async function abortUploads(storage: Storage, folder: string, signal: AbortSignal): Promise<void> {
  for (const upload of await storage.abandonedUploads(0, {signal})) {
    if (upload.key.startsWith(folder)) await storage.abortUpload(upload, {signal})
  }
}
