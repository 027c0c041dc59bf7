import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {S3Storage, type S3StorageOptions} from '../../src/lib/repository/storage/s3.ts'
import {startS3Server, type S3Server} from '../../src/lib/sandbox/s3/server.ts'
import {realNetwork} from './s3.ts'

export const MIB = 1024 * 1024
export const credentials = {accessKeyId: 'AKIDOFTHETEST', secretAccessKey: 'secret/of+the+test'}

export interface S3Fixture {
  readonly server: S3Server
  /** On the bucket `backups` unless said otherwise; closed after the test. */
  storage(options?: Partial<S3StorageOptions>): S3Storage
}

/** A server with an empty bucket. Attempts follow each other at once, and parts are as small as S3 allows. */
export async function openS3(): Promise<S3Fixture & {close(): Promise<void>}> {
  const blocked = realNetwork()
  const directory = await mkdtemp(join(tmpdir(), 'dr-s3-'))
  const server = await startS3Server({directory, credentials, buckets: ['backups']})
  const storages: S3Storage[] = []
  return {
    server,
    storage(options = {}) {
      const storage = new S3Storage({bucket: 'backups', prefix: 'team/dr', region: 'us-east-1', endpoint: server.endpoint, partBytes: 5 * MIB, retryDelayMs: 2, clientConfig: {credentials}, ...options})
      storages.push(storage)
      return storage
    },
    async close() {
      for (const storage of storages) await storage.close()
      await server.close()
      await rm(directory, {recursive: true})
      blocked()
    },
  }
}

/** The same for each test of a suite. Call it inside `describe`. */
export function s3Fixture(): S3Fixture {
  let opened: Awaited<ReturnType<typeof openS3>> | undefined
  const current = () => {
    if (opened === undefined) throw new Error('Only inside a test.')
    return opened
  }
  beforeEach(async () => {
    opened = await openS3()
  })
  afterEach(async () => current().close())
  return {
    get server() {
      return current().server
    },
    storage: (options) => current().storage(options),
  }
}
