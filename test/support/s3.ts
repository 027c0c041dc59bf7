import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {S3Client, type S3ClientConfig} from '@aws-sdk/client-s3'
import {startS3Server, type S3Server, type S3ServerOptions} from '../../src/lib/sandbox/s3/server.ts'
import {realNetwork} from '../lib/sandbox/s3/contract/real-network.ts'
import type {Credentials} from '../../src/lib/sandbox/s3/signature.ts'

export {realNetwork}
export {s3ServerContract, type ContractOptions, type S3Connection} from '../lib/sandbox/s3/contract/suite.ts'

export interface S3ForTests {
  server: S3Server
  endpoint: string
  /** Where the server keeps its objects. */
  directory: string
  region: string
  credentials: Credentials
  /** Made already. */
  bucket: string
  /** One try for each request, so that a test sees the first answer. */
  client: S3Client
  clientWith: (config: Partial<S3ClientConfig>) => S3Client
  /** Ends the server and the clients, and removes the folder unless it was given. */
  close: () => Promise<void>
}

const region = 'eu-central-1'
const bucket = 'backups'

/** The sandbox's S3 server on a folder of its own. */
export async function s3ForTests(options: Partial<S3ServerOptions> = {}): Promise<S3ForTests> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'dr-s3-')))
  const credentials = {accessKeyId: 'AKIASANDBOXSANDBOX00', secretAccessKey: 'a-secret-that-only-tests-know/0123456789'}
  const server = await startS3Server({credentials, region, buckets: [bucket], ...options, directory})
  const blocked = realNetwork()
  const clients: S3Client[] = []
  const clientWith = (config: Partial<S3ClientConfig>) => {
    const client = new S3Client({endpoint: server.endpoint, region: options.region ?? region, credentials: options.credentials ?? credentials, forcePathStyle: true, maxAttempts: 1, ...config})
    clients.push(client)
    return client
  }
  return {
    server,
    endpoint: server.endpoint,
    directory,
    region: options.region ?? region,
    credentials: options.credentials ?? credentials,
    bucket,
    client: clientWith({}),
    clientWith,
    async close() {
      for (const client of clients) client.destroy()
      await server.close()
      blocked()
      if (options.directory === undefined) await rm(directory, {recursive: true, force: true})
    },
  }
}
