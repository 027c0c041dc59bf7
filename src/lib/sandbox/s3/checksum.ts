import {createHash, type Hash} from 'node:crypto'
import {combineCrc, createCrc, type RunningDigest} from './crc.ts'
import {s3Error} from './s3-error.ts'

export const checksumAlgorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT'
export type DigestName = ChecksumAlgorithm | 'MD5'

/** `value` is base64, and ends with `-N` for the composite of N parts. */
export interface Checksum {
  algorithm: ChecksumAlgorithm
  type: ChecksumType
  value: string
}

const lengths: Readonly<Record<ChecksumAlgorithm, number>> = {CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32}

export const checksumHeader = (algorithm: ChecksumAlgorithm) => `x-amz-checksum-${algorithm.toLowerCase()}`

export const isCrc = (algorithm: ChecksumAlgorithm) => algorithm === 'CRC32' || algorithm === 'CRC32C' || algorithm === 'CRC64NVME'

export function toAlgorithm(name: string): ChecksumAlgorithm {
  const found = checksumAlgorithms.find((algorithm) => algorithm === name.toUpperCase())
  if (!found) throw s3Error('InvalidRequest', 'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]')
  return found
}

/** The value, when it is base64 of the right length. */
export function validChecksum(algorithm: ChecksumAlgorithm, value: string): string {
  if (Buffer.from(value, 'base64').length !== lengths[algorithm] || !/^[A-Za-z\d+/]+={0,2}$/.test(value)) {
    throw s3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`)
  }
  return value
}

/** Several digests over one pass of the same bytes. */
export class Digests {
  readonly #running = new Map<DigestName, RunningDigest | Hash>()
  readonly #results = new Map<DigestName, Buffer>()

  constructor(names: Iterable<DigestName>) {
    for (const name of names) this.#running.set(name, create(name))
  }

  update(chunk: Uint8Array): void {
    for (const digest of this.#running.values()) digest.update(chunk)
  }

  /** The final value, or undefined when it was not asked for. No update may follow. */
  get(name: DigestName): Buffer | undefined {
    const known = this.#results.get(name)
    if (known) return known
    const result = this.#running.get(name)?.digest()
    if (result) this.#results.set(name, result)
    return result
  }
}

function create(name: DigestName): RunningDigest | Hash {
  if (name === 'MD5' || name === 'SHA1' || name === 'SHA256') return createHash(name.toLowerCase())
  return createCrc(name)
}

/** The checksum of a multipart object, from those of its parts (base64). */
export function checksumOfParts(algorithm: ChecksumAlgorithm, type: ChecksumType, parts: readonly {checksum: string; bytes: number}[]): Checksum {
  const values = parts.map(({checksum}) => Buffer.from(checksum, 'base64'))
  if (type === 'COMPOSITE') {
    const digests = new Digests([algorithm])
    for (const value of values) digests.update(value)
    return {algorithm, type, value: `${digests.get(algorithm)?.toString('base64') ?? ''}-${parts.length}`}
  }
  return {algorithm, type, value: fullObject(algorithm, values, parts).toString('base64')}
}

function fullObject(algorithm: ChecksumAlgorithm, values: readonly Buffer[], parts: readonly {bytes: number}[]): Buffer {
  if (algorithm === 'SHA1' || algorithm === 'SHA256') throw new Error(`${algorithm} has no checksum of the full object from its parts`)
  return values.reduce((before, value, index) => combineCrc(algorithm, before, value, parts[index]?.bytes ?? 0))
}
