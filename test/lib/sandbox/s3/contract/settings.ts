import {createHash, randomBytes} from 'node:crypto'
import {DeleteBucketCommand, GetBucketEncryptionCommand, GetBucketLifecycleConfigurationCommand, GetBucketLocationCommand, GetObjectCommand, GetPublicAccessBlockCommand, HeadBucketCommand, HeadObjectCommand, PutBucketEncryptionCommand, PutBucketLifecycleConfigurationCommand, PutObjectCommand, PutPublicAccessBlockCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {bytesOf, expectRefusal, type Check, type World} from './world.ts'

const unknownKey = 'arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555'

async function kmsRoundTrip({client, bucket: Bucket}: World, SSEKMSKeyId: string): Promise<void> {
  const Key = `settings/kms-${SSEKMSKeyId.length}`
  await client.send(new PutObjectCommand({Bucket, Key, Body: 'x', ServerSideEncryption: 'aws:kms', SSEKMSKeyId}))
  const head = await client.send(new HeadObjectCommand({Bucket, Key}))
  expect([head.ServerSideEncryption, head.SSEKMSKeyId]).to.deep.equal(['aws:kms', SSEKMSKeyId])
}

export const settings: readonly Check[] = [
  {
    name: 'encryption AES256 is told',
    async run({client, bucket: Bucket}) {
      await client.send(new PutObjectCommand({Bucket, Key: 'settings/sse', Body: 'x', ServerSideEncryption: 'AES256'}))
      expect((await client.send(new HeadObjectCommand({Bucket, Key: 'settings/sse'}))).ServerSideEncryption).to.equal('AES256')
    },
  },
  {
    name: 'encryption aws:kms is told, with its key',
    run: (world) => kmsRoundTrip(world, world.connection.kmsKeyId ?? unknownKey),
  },
  {
    name: 'encryption aws:kms takes any key',
    run: (world) => kmsRoundTrip(world, unknownKey),
  },
  {
    name: 'an object under a customer key is read with that key only',
    async run({client, bucket: Bucket}) {
      const customer = (key: Buffer) => ({SSECustomerAlgorithm: 'AES256', SSECustomerKey: key.toString('base64'), SSECustomerKeyMD5: createHash('md5').update(key).digest('base64')})
      const key = customer(randomBytes(32))
      await client.send(new PutObjectCommand({Bucket, Key: 'settings/ssec', Body: 'x', ...key}))
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key: 'settings/ssec', ...key})))).toString()).to.equal('x')
      await expectRefusal(client.send(new GetObjectCommand({Bucket, Key: 'settings/ssec'})), ['InvalidRequest', 'InvalidArgument'], 400)
    },
  },
  {
    name: "a bucket's default encryption is given back and applied",
    async run({client, newBucket}) {
      const Bucket = await newBucket()
      const configuration = {Rules: [{ApplyServerSideEncryptionByDefault: {SSEAlgorithm: 'AES256' as const}}]}
      await client.send(new PutBucketEncryptionCommand({Bucket, ServerSideEncryptionConfiguration: configuration}))
      const told = await client.send(new GetBucketEncryptionCommand({Bucket}))
      expect(told.ServerSideEncryptionConfiguration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm).to.equal('AES256')
      await client.send(new PutObjectCommand({Bucket, Key: 'x', Body: 'x'}))
      expect((await client.send(new HeadObjectCommand({Bucket, Key: 'x'}))).ServerSideEncryption).to.equal('AES256')
    },
  },
  {
    name: 'a lifecycle is given back; without one there is an error',
    async run({client, newBucket}) {
      const Bucket = await newBucket()
      await expectRefusal(client.send(new GetBucketLifecycleConfigurationCommand({Bucket})), 'NoSuchLifecycleConfiguration', 404)
      const rule = {ID: 'r1', Status: 'Enabled' as const, Filter: {Prefix: 'a/'}, Expiration: {Days: 30}, AbortIncompleteMultipartUpload: {DaysAfterInitiation: 3}}
      await client.send(new PutBucketLifecycleConfigurationCommand({Bucket, LifecycleConfiguration: {Rules: [rule]}}))
      const [told] = (await client.send(new GetBucketLifecycleConfigurationCommand({Bucket}))).Rules ?? []
      expect([told?.ID, told?.Filter?.Prefix, told?.Expiration?.Days, told?.AbortIncompleteMultipartUpload?.DaysAfterInitiation]).to.deep.equal(['r1', 'a/', 30, 3])
    },
  },
  {
    name: 'the public access block is given back',
    async run({client, newBucket}) {
      const Bucket = await newBucket()
      const block = {BlockPublicAcls: true, BlockPublicPolicy: false, IgnorePublicAcls: true, RestrictPublicBuckets: true}
      await client.send(new PutPublicAccessBlockCommand({Bucket, PublicAccessBlockConfiguration: block}))
      expect((await client.send(new GetPublicAccessBlockCommand({Bucket}))).PublicAccessBlockConfiguration).to.deep.include(block)
    },
  },
  {
    name: "the bucket's region is told",
    async run({client, connection, bucket: Bucket}) {
      const {LocationConstraint} = await client.send(new GetBucketLocationCommand({Bucket}))
      expect(LocationConstraint ?? 'us-east-1').to.equal(connection.region)
    },
  },
  {
    name: 'an archived object is not readable',
    async run({client, bucket: Bucket}) {
      await client.send(new PutObjectCommand({Bucket, Key: 'settings/glacier', Body: 'x', StorageClass: 'GLACIER'}))
      expect((await client.send(new HeadObjectCommand({Bucket, Key: 'settings/glacier'}))).StorageClass).to.equal('GLACIER')
      await expectRefusal(client.send(new GetObjectCommand({Bucket, Key: 'settings/glacier'})), 'InvalidObjectState', 403)
    },
  },
  {
    name: 'a bucket with an object is not deleted, an empty one is',
    async run({client, newBucket, bucket}) {
      const Bucket = await newBucket()
      await client.send(new DeleteBucketCommand({Bucket}))
      await expectRefusal(client.send(new HeadBucketCommand({Bucket})), 'NotFound', 404)
      await client.send(new PutObjectCommand({Bucket: bucket, Key: 'settings/keeper', Body: 'x'}))
      await expectRefusal(client.send(new DeleteBucketCommand({Bucket: bucket})), 'BucketNotEmpty', 409)
    },
  },
]
