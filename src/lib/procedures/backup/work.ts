import {mkdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as wait} from 'node:timers/promises'
import {DrError, lockedError, messageOf, preflightError, verificationError} from '../../errors.ts'
import {toolAccess, type ToolAccess} from '../../postgres/passfile.ts'
import {newLabel} from '../../repository/label.ts'
import {isAbandoned, LEASE, type Lease} from '../../repository/lease.ts'
import type {Manifest} from '../../repository/manifest.ts'
import {Repository} from '../../repository/repository.ts'
import {alreadyExists} from '../../repository/storage/failures.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {ownIdentity} from '../../system/process-identity.ts'
import type {RunFolder} from '../runs.ts'
import {applicationNameOf, attempt, Yielded, type Copied} from './attempt.ts'
import type {BackupOptions, BackupState} from './options.ts'
import {allOf, removeAbandoned, removeMembers} from './removal.ts'
import {lastFailure, type Destination, type Member} from './shipper.ts'

const LABELS_TRIED = 5

/** What one run of a backup holds while it lasts; none of it is in the journal. */
export class BackupWork {
  readonly destinations: Destination[]
  copied: Copied | undefined
  /** Read in preflight; a destination that is lost later does not matter to the comparison. */
  lastGood: Manifest | undefined
  #stagingRoot: string
  readonly #options: BackupOptions
  readonly #run: RunFolder
  /** Of the current label. A destination without one holds nothing of ours. */
  readonly #leases = new Map<Destination, Lease>()
  #access: ToolAccess | undefined

  constructor(options: BackupOptions, run: RunFolder) {
    this.#options = options
    this.#run = run
    this.#stagingRoot = options.stagingRoot
    this.destinations = options.storages.map((storage) => ({storage, proofs: new Set()}))
  }

  /** A destination that cannot be reached is given up, and the backup goes to the others; with none left it fails. */
  async reach(io: StepIo): Promise<void> {
    for (const destination of this.destinations) await giveUpOnFailure(destination, io, () => destination.storage.check({signal: io.signal}))
    this.assertSomewhere()
  }

  /** Finds the last backup that nothing speaks against, wherever it lies: what a fresh one is compared with. */
  async findLastGood(io: StepIo): Promise<void> {
    const found: Manifest[] = []
    for (const destination of this.#healthy()) {
      await giveUpOnFailure(destination, io, async () => {
        const entry = await this.#repository(destination.storage).latest({excludeSuspect: true, signal: io.signal})
        if (entry?.manifest) found.push(entry.manifest)
      })
    }
    this.assertSomewhere()
    this.lastGood = found.toSorted((a, b) => (a.label < b.label ? 1 : -1))[0]
  }

  /**
   * Makes the folder where members wait, once it is known which destinations are there: on a disk that is not mounted nothing is
   * made, so only the last part of the path is, save in our own data folder.
   */
  async makeStaging(): Promise<string> {
    const {stagingRoot, config: {dataDirectory}} = this.#options
    const lost = this.destinations.some(({storage, failure}) => failure !== undefined && storage.kind === 'local' && stagingRoot.startsWith(`${storage.location}/`))
    this.#stagingRoot = lost ? join(dataDirectory, 'staging') : stagingRoot
    const ours = this.#stagingRoot.startsWith(`${dataDirectory}/`)
    await mkdir(this.#stagingRoot, {recursive: ours, mode: 0o700}).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
      throw preflightError('backup.staging', `The staging folder ${this.#stagingRoot} cannot be made: ${messageOf(error)}.`, {cause: error, hints: ['Mount its disk, or set backup.stagingDirectory to another folder.']})
    })
    return this.#stagingRoot
  }

  /** Removes what killed backups began and nobody goes on with. What may be of a living run, or cannot be removed, is left to prune. */
  async sweep(io: StepIo): Promise<void> {
    const {signal} = io
    for (const repository of this.#healthy().map(({storage}) => this.#repository(storage))) {
      try {
        const {unfinished, leases} = await repository.leftBehind({signal})
        for (const {label, lease} of unfinished) {
          if (lease === undefined || !isAbandoned(lease, new Date())) continue
          await removeAbandoned(repository, label, {signal})
          io.notice(`Removed the unfinished backup ${label} at ${repository.storage.location}: its run was killed.`)
        }
        for (const {label, lease} of leases) {
          if (isAbandoned(lease, new Date())) await repository.storage.remove(`${repository.folder(label)}${LEASE}`, {signal})
        }
      } catch (error) {
        signal.throwIfAborted()
        io.notice(`What killed backups left at ${repository.storage.location} could not be removed: ${messageOf(error)}`)
      }
    }
  }

  /** Tries as often as is configured; each attempt has a label of its own, because keys are never written twice. */
  async copy(state: BackupState, io: StepIo): Promise<void> {
    const {backup} = this.#options.config
    for (let round = 1; ; round++) {
      state.attempts = round
      try {
        this.copied = await this.#once(state, io)
        return
      } catch (error) {
        // Everything else the undo of this step removes.
        if (!(error instanceof Yielded)) throw error
        if (round >= backup.attempts) throw error.toError(round)
        await this.#removeAttempt(state, io)
        io.notice(`Gave way to ${error.session.application || 'another session'} (process ${error.session.pid}); attempt ${round + 1} of ${backup.attempts} follows.`)
        await wait(1000 * round, undefined, {signal: io.signal})
      }
    }
  }

  async #removeAttempt(state: BackupState, io: StepIo): Promise<void> {
    try {
      await this.removeEverything(state)
    } catch (error) {
      io.notice(`What the attempt ${state.label ?? ''} stored could not be removed: ${messageOf(error)}`)
      await this.#abandonLeases()
    }
  }

  async #once(state: BackupState, io: StepIo): Promise<Copied> {
    const label = await this.#claim(io)
    state.label = label
    const staging = join(this.#stagingRoot, label)
    await this.#run.owns(staging)
    this.#access ??= await toolAccess(this.#options.target, this.#run.directory, applicationNameOf(label))
    const access: ToolAccess = {...this.#access, env: {...this.#access.env, PGAPPNAME: applicationNameOf(label)}}
    return attempt({options: this.#options, state, label, access, destinations: this.destinations, staging, io})
  }

  /** A label that nobody has, held by a lease at every destination. */
  async #claim(io: StepIo): Promise<string> {
    for (let tried = 1; ; tried++) {
      const label = this.#options.newLabel?.() ?? newLabel(new Date())
      try {
        for (const destination of this.#healthy()) await giveUpOnFailure(destination, io, () => this.#takeLease(destination, label), ['storage.exists'])
        this.assertSomewhere()
        return label
      } catch (error) {
        await this.#releaseLeases()
        if (!(error instanceof DrError) || error.code !== 'storage.exists' || tried === LABELS_TRIED) throw error
      }
    }
  }

  /** A finished backup has no lease any more: the folder must hold nothing else. */
  async #takeLease(destination: Destination, label: string): Promise<void> {
    const {storage} = destination
    const repository = this.#repository(storage)
    this.#leases.set(destination, await repository.takeLease(label, {run: this.#run.id, ...ownIdentity()}))
    const folder = repository.folder(label)
    for await (const {key} of storage.list(folder)) if (key !== `${folder}${LEASE}`) throw alreadyExists(`${storage.location}/${key}`)
  }

  /** Another run may have taken ours for dead. What the manifest is about to name must be there, in full, under a lease that holds. */
  async assertStored(state: BackupState, members: readonly Member[], io: StepIo): Promise<void> {
    for (const destination of this.#healthy()) await giveUpOnFailure(destination, io, () => this.#assertStoredAt(destination, state, members, io.signal))
    this.assertSomewhere()
  }

  async #assertStoredAt(destination: Destination, state: BackupState, members: readonly Member[], signal: AbortSignal): Promise<void> {
    const {storage} = destination
    const prefix = this.prefix(state)
    if (this.#leases.get(destination)?.held !== true) throw lockedError('backup.lease-lost', `The lease at ${storage.location}/${prefix} could not be renewed in time.`, {hints: ['Run the backup again when the destination can be reached.']})
    const sizes = new Map<string, number>()
    for await (const {key, bytes} of storage.list(prefix, {signal})) sizes.set(key, bytes)
    const missing = members.filter(({name, bytes}) => sizes.get(`${prefix}${name}`) !== bytes)
    if (missing.length > 0) throw verificationError('backup.members', `${missing.length} of ${members.length} members are not at ${storage.location}/${prefix} any more: ${missing.slice(0, 3).map(({name}) => name).join(', ')}.`, {hints: ['Run the backup again, and find out who removes files there.']})
  }

  /** Everything under the label, the lease last. What cannot be removed is thrown, after all the rest is. */
  async removeEverything(state: BackupState): Promise<void> {
    const {label} = state
    if (label === undefined) return
    await allOf([
      ...[...this.#leases.keys()].map((destination) => () => this.#removeAt(destination, label)),
      () => rm(join(this.#stagingRoot, label), {recursive: true, force: true}),
    ])
    delete state.label
  }

  async #removeAt(destination: Destination, label: string): Promise<void> {
    await removeMembers(this.#repository(destination.storage), label)
    await this.#leases.get(destination)?.release()
    this.#leases.delete(destination)
  }

  /** Ends the leases and the run's own folder. What failed destinations hold of this label is removed. */
  async finish({label}: BackupState, io: StepIo): Promise<void> {
    for (const destination of this.destinations.filter(({failure}) => failure !== undefined)) {
      if (label === undefined || !this.#leases.has(destination)) continue
      await this.#removeAt(destination, label).catch((error: unknown) => {
        io.notice(`What was stored at ${destination.storage.location} could not be removed: ${messageOf(error)}`)
      })
      await this.#leases.get(destination)?.abandon()
      this.#leases.delete(destination)
    }
    await this.#releaseLeases()
    await this.close()
  }

  /** A lease that is left stands for members that are left, and stays. */
  async close(): Promise<void> {
    await this.#abandonLeases()
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

  #repository(storage: Storage): Repository {
    return new Repository(storage, this.#options.config.environment)
  }

  async #releaseLeases(): Promise<void> {
    for (const lease of this.#leases.values()) await lease.release().catch(() => {})
    this.#leases.clear()
  }

  async #abandonLeases(): Promise<void> {
    for (const lease of this.#leases.values()) await lease.abandon()
    this.#leases.clear()
  }
}

async function giveUpOnFailure(destination: Destination, io: StepIo, work: () => Promise<void>, fatal: readonly string[] = []): Promise<void> {
  try {
    await work()
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError) || fatal.includes(error.code)) throw error
    destination.failure = error
    io.notice(`${destination.storage.location} is given up: ${error.message}`)
  }
}
