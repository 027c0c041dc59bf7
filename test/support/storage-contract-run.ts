import {createHash} from 'node:crypto'
import {buffer} from 'node:stream/consumers'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'

/** What the parts of the contract suite share; the storage is another one in each test. */
export interface ContractRun {
  readonly storage: Storage
  /** Larger than what the driver sends in one request. */
  readonly large: Buffer
  /** False for a store that cannot keep two writers of one key apart. */
  readonly races: boolean
  /** A file of these bytes, of which the test is the owner. */
  file(bytes: Buffer): Promise<string>
}

export const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')

export async function keysOf(storage: Storage, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const {key} of storage.list(prefix)) keys.push(key)
  return keys
}

export const contentOf = async (storage: Storage, key: string, offset?: number): Promise<Buffer> =>
  buffer(await storage.read(key, offset === undefined ? {} : {offset}))
