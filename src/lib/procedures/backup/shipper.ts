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

const AT_ONCE = 2

/** Sends members to every destination while the dump goes on, and removes them from staging when they are proven there. */
export class Shipper {
  readonly members = new Map<string, Member>()
  #shippedBytes = 0
  readonly #options: ShipperOptions
  readonly #queue: string[] = []
  readonly #taken = new Set<string>()
  #running = 0
  #error: Error | undefined
  #idle = Promise.withResolvers<undefined>()

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#idle.promise.catch(() => {})
  }

  /** Bytes that have arrived at the slowest destination. */
  get shippedBytes(): number {
    return this.#shippedBytes
  }

  /** The files of one finished item of pg_dump are final: ship them. */
  async finished(item: {dumpId: number; kind: string}): Promise<void> {
    if (item.kind !== 'BLOBS') {
      this.ship([`${item.dumpId}.dat${this.#options.suffix}`])
      return
    }
    const present = await readdir(this.#options.directory)
    const toc = [`blobs_${item.dumpId}.toc`, 'blobs.toc'].find((name) => present.includes(name))
    if (toc === undefined) return
    this.ship([...(await largeObjectFiles(join(this.#options.directory, toc), this.#options.suffix)), toc])
  }

  ship(names: readonly string[]): void {
    for (const name of names) {
      if (this.#taken.has(name)) continue
      this.#taken.add(name)
      this.#queue.push(name)
    }
    this.#pump()
  }

  /** Ships what no line of pg_dump's named, and waits until everything is proven at its destination. */
  async drain(): Promise<void> {
    this.ship((await readdir(this.#options.directory)).toSorted())
    while (this.#running > 0 || this.#queue.length > 0) await this.#idle.promise
    if (this.#error !== undefined) throw this.#error
  }

  /** What is wrong now, so that a dump need not run to its end for nothing. */
  get error(): Error | undefined {
    return this.#error
  }

  #pump(): void {
    while (this.#running < AT_ONCE && this.#error === undefined) {
      const name = this.#queue.shift()
      if (name === undefined) break
      this.#running++
      void this.#one(name).catch((error: unknown) => { this.#fail(error) }).finally(() => {
        this.#running--
        this.#pump()
        if (this.#running === 0) {
          this.#idle.resolve(undefined)
          this.#idle = Promise.withResolvers()
        }
      })
    }
  }

  #fail(error: unknown): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error))
    this.#queue.length = 0
  }

  async #one(name: string): Promise<void> {
    const {directory, prefix, destinations, signal} = this.#options
    const path = join(directory, name)
    const {size} = await stat(path)
    const hashes = new Set<string>()
    for (const destination of destinations) {
      if (destination.failure) continue
      const sha256 = await putAt(destination, `${prefix}${name}`, path, signal)
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
