import {createHash, randomBytes} from 'node:crypto'
import {CreateBucketCommand, S3Client, type CreateBucketCommandInput, type S3ClientConfig} from '@aws-sdk/client-s3'
import {expect} from 'chai'

/** How to reach a server that passes the contract. */
export interface S3Connection {
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
  /** A key that aws:kms may use there. */
  kmsKeyId?: string
  close?: () => Promise<void>
}

/** What every check gets: a client, a bucket that all share, and ways to more of both. */
export interface World {
  connection: S3Connection
  client: S3Client
  bucket: string
  clientWith: (config: Partial<S3ClientConfig>) => S3Client
  newBucket: (input?: Partial<CreateBucketCommandInput>) => Promise<string>
}

export interface Check {
  name: string
  run: (world: World) => Promise<void>
}

export const mebibyte = 1024 ** 2

export async function makeWorld(connection: S3Connection): Promise<World & {close: () => Promise<void>}> {
  const clients: S3Client[] = []
  const clientWith = (config: Partial<S3ClientConfig>) => {
    const {endpoint, region, accessKeyId, secretAccessKey} = connection
    const client = new S3Client({endpoint, region, forcePathStyle: true, maxAttempts: 1, credentials: {accessKeyId, secretAccessKey}, ...config})
    clients.push(client)
    return client
  }
  const client = clientWith({})
  const newBucket = async (input: Partial<CreateBucketCommandInput> = {}) => {
    const name = `contract-${randomBytes(6).toString('hex')}`
    await client.send(new CreateBucketCommand({Bucket: name, ...input}))
    return name
  }
  const close = async () => {
    for (const each of clients) each.destroy()
    await connection.close?.()
  }
  return {connection, client, clientWith, newBucket, bucket: await newBucket(), close}
}

/** Asserts that the server refused, with one of the codes (the SDK's error name) and the status. */
export async function expectRefusal(attempt: Promise<unknown>, codes: string | readonly string[], status: number): Promise<void> {
  const refusal = await attempt.then(
    () => 'accepted',
    (error: unknown) => {
      const {name, $metadata} = error as {name: string; $metadata?: {httpStatusCode?: number}}
      return `${name} ${$metadata?.httpStatusCode ?? 'without a status'}`
    },
  )
  expect([codes].flat().map((code) => `${code} ${status}`)).to.include(refusal)
}

export const digestOf = (algorithm: string, data: string | Buffer) => createHash(algorithm).update(data).digest('base64')

export async function bytesOf({Body}: {Body?: {transformToByteArray(): Promise<Uint8Array>} | undefined}): Promise<Buffer> {
  if (!Body) throw new Error('The reply has no body.')
  return Buffer.from(await Body.transformToByteArray())
}
