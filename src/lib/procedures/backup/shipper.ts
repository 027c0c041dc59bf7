import {statSync} from 'node:fs'
import {readdir, readFile, stat, unlink} from 'node:fs/promises'
import {join} from 'node:path'
import {DrError, messageOf, verificationError} from '../../errors.ts'
import type {Proof, Storage} from '../../repository/storage/storage.ts'

/** One place where the backup goes; `failure` is set when it is given up while others go on. */
export interface Destination {
  readonly storage: Storage
  proofs: Set<Proof>
  failure?: DrError
}

export interface Member {
  name: string
  bytes: number
  sha256: string
}

export interface ShipperOptions {
  destinations: readonly Destination[]
  /** `production/20261122T020000Z-7f3a/`, with the slash. */
  prefix: string
  /** Where pg_dump writes. */
  directory: string
  /** What pg_dump appends to a member: `.zst`, `.gz` or nothing. */
  suffix: string
  signal: AbortSignal
}

/** Two large members at once, or eight small ones, whose time goes into round trips and not into bytes. */
const CAPACITY = 8
const LARGE_BYTES = 1024 * 1024
const WEIGHT_OF_LARGE = CAPACITY / 2

/** Sends members to every destination while the dump goes on, and removes them from staging when they are proven there. */
export class Shipper {
  readonly members = new Map<string, Member>()
  #shippedBytes = 0
  readonly #options: ShipperOptions
  readonly #queue: string[] = []
  readonly #taken = new Set<string>()
  readonly #working = new Set<Promise<void>>()
  readonly #failure = new AbortController()
  readonly #signal: AbortSignal
  #load = 0

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#signal = AbortSignal.any([options.signal, this.#failure.signal])
  }

  /** Bytes that have arrived at the slowest destination. */
  get shippedBytes(): number {
    return this.#shippedBytes
  }

  /** Aborted with what went wrong, so that a dump need not run to its end for nothing. */
  get failed(): AbortSignal {
    return this.#failure.signal
  }

  /** The files of one finished item of pg_dump are final: ship them. What goes wrong is told by `failed` and `drain`. */
  finished(item: {dumpId: number; kind: string}): void {
    this.#track(this.#shipItem(item))
  }

  ship(names: readonly string[]): void {
    if (this.#failure.signal.aborted) return
    for (const name of names) {
      if (this.#taken.has(name)) continue
      this.#taken.add(name)
      this.#queue.push(name)
    }
    this.#pump()
  }

  /** Ships what no line of pg_dump's named, and waits until everything is proven at its destination. */
  async drain(): Promise<void> {
    await this.#settled()
    this.#failure.signal.throwIfAborted()
    this.ship((await readdir(this.#options.directory)).toSorted())
    await this.#settled()
    this.#failure.signal.throwIfAborted()
  }

  /** Aborts what is being sent and waits until nothing of it is: only then may what was stored be removed. */
  async stop(): Promise<void> {
    this.#fail(new Error('The backup is given up.'))
    await this.#settled()
  }

  async #settled(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working)
  }

  /** Never rejects: a failure stops everything. */
  #track(work: Promise<void>, then: () => void = () => {}): void {
    const fail = (error: unknown) => { this.#fail(error) }
    const tracked = work.catch(fail).then(then).catch(fail).finally(() => { this.#working.delete(tracked) })
    this.#working.add(tracked)
  }

  async #shipItem(item: {dumpId: number; kind: string}): Promise<void> {
    if (item.kind !== 'BLOBS') {
      this.ship([`${item.dumpId}.dat${this.#options.suffix}`])
      return
    }
    const present = await readdir(this.#options.directory)
    const toc = [`blobs_${item.dumpId}.toc`, 'blobs.toc'].find((name) => present.includes(name))
    if (toc === undefined) return
    this.ship([...(await largeObjectFiles(join(this.#options.directory, toc), this.#options.suffix)), toc])
  }

  #pump(): void {
    for (let [name] = this.#queue; name !== undefined; [name] = this.#queue) {
      const weight = this.#weightOf(name)
      if (this.#load + weight > CAPACITY) return
      this.#queue.shift()
      this.#load += weight
      this.#track(this.#one(name), () => {
        this.#load -= weight
        this.#pump()
      })
    }
  }

  /** A file that is not there fails when it is sent. */
  #weightOf(name: string): number {
    const size = statSync(join(this.#options.directory, name), {throwIfNoEntry: false})?.size ?? 0
    return size < LARGE_BYTES ? 1 : WEIGHT_OF_LARGE
  }

  #fail(error: unknown): void {
    this.#queue.length = 0
    this.#failure.abort(error)
  }

  async #one(name: string): Promise<void> {
    const {directory, prefix, destinations} = this.#options
    const path = join(directory, name)
    const {size} = await stat(path)
    const hashes = new Set<string>()
    for (const destination of destinations) {
      if (destination.failure) continue
      const sha256 = await putAt(destination, `${prefix}${name}`, path, this.#signal)
      if (sha256 !== undefined) hashes.add(sha256)
    }
    const [sha256] = hashes
    if (sha256 === undefined) throw lastFailure(destinations)
    if (hashes.size > 1) throw verificationError('backup.member-changed', `${name} changed between two reads.`, {hints: ['Check the disk of the staging directory.']})
    this.members.set(name, {name, bytes: size, sha256})
    this.#shippedBytes += size
    if (name !== 'toc.dat') await unlink(path)
  }
}

/** A destination that fails is given up; the others go on. */
export async function putAt(destination: Destination, key: string, source: string | Buffer, signal: AbortSignal): Promise<string | undefined> {
  try {
    const result = typeof source === 'string' ? await destination.storage.putFile(key, source, {signal}) : await destination.storage.put(key, source, {signal})
    destination.proofs.add(result.proof)
    return result.sha256
  } catch (error) {
    signal.throwIfAborted()
    destination.failure = error instanceof DrError ? error : new DrError('backup.destination', `${destination.storage.location}: ${messageOf(error)}`, {cause: error})
    return undefined
  }
}

export function lastFailure(destinations: readonly Destination[]): DrError {
  return destinations.findLast(({failure}) => failure !== undefined)?.failure ?? new DrError('backup.destination', 'There is no destination.')
}

/** A table of large objects names one file a line: `OID FILE`, the file without the suffix of its compression. */
async function largeObjectFiles(toc: string, suffix: string): Promise<string[]> {
  const lines = (await readFile(toc, 'utf8')).split('\n').filter((line) => line !== '')
  return lines.map((line) => `${line.slice(line.indexOf(' ') + 1)}${suffix}`)
}
