import {DeleteObjectCommand, GetBucketVersioningCommand, GetObjectCommand, GetObjectLockConfigurationCommand, GetObjectRetentionCommand, HeadObjectCommand, ListObjectsV2Command, ListObjectVersionsCommand, PutBucketVersioningCommand, PutObjectCommand, PutObjectLegalHoldCommand, PutObjectLockConfigurationCommand, PutObjectRetentionCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {bytesOf, expectRefusal, type Check, type World} from './world.ts'

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000)

async function versioned({client, newBucket}: World): Promise<string> {
  const Bucket = await newBucket()
  await client.send(new PutBucketVersioningCommand({Bucket, VersioningConfiguration: {Status: 'Enabled'}}))
  return Bucket
}

async function locked({client, newBucket}: World, mode: 'COMPLIANCE' | 'GOVERNANCE') {
  const Bucket = await newBucket({ObjectLockEnabledForBucket: true})
  const {VersionId} = await client.send(new PutObjectCommand({Bucket, Key: 'k', Body: 'x', ObjectLockMode: mode, ObjectLockRetainUntilDate: inHours(2)}))
  return {Bucket, Key: 'k', VersionId}
}

export const versions: readonly Check[] = [
  {
    name: 'a versioned bucket keeps what is overwritten and deleted',
    async run(world) {
      const {client} = world
      const Bucket = await versioned(world)
      expect((await client.send(new GetBucketVersioningCommand({Bucket}))).Status).to.equal('Enabled')
      const first = await client.send(new PutObjectCommand({Bucket, Key: 'x', Body: '1'}))
      await client.send(new PutObjectCommand({Bucket, Key: 'x', Body: '2'}))
      expect((await client.send(new DeleteObjectCommand({Bucket, Key: 'x'}))).DeleteMarker).to.equal(true)
      await expectRefusal(client.send(new GetObjectCommand({Bucket, Key: 'x'})), 'NoSuchKey', 404)
      expect((await client.send(new ListObjectsV2Command({Bucket}))).KeyCount).to.equal(0)
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'x', VersionId: first.VersionId}))
      expect((await bytesOf(reply)).toString()).to.equal('1')
    },
  },
  {
    name: 'versions and delete markers are listed, newest first, in pages',
    async run(world) {
      const {client} = world
      const Bucket = await versioned(world)
      const ids: (string | undefined)[] = []
      for (const body of ['1', '2', '3']) ids.push((await client.send(new PutObjectCommand({Bucket, Key: 'x', Body: body}))).VersionId)
      const marker = await client.send(new DeleteObjectCommand({Bucket, Key: 'x'}))
      const all = await client.send(new ListObjectVersionsCommand({Bucket}))
      expect(all.Versions?.map(({VersionId}) => VersionId)).to.deep.equal([...ids].reverse())
      expect(all.DeleteMarkers?.map(({VersionId, IsLatest}) => [VersionId, IsLatest])).to.deep.equal([[marker.VersionId, true]])
      const page = await client.send(new ListObjectVersionsCommand({Bucket, MaxKeys: 2}))
      const rest = await client.send(new ListObjectVersionsCommand({Bucket, KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker}))
      expect([page.IsTruncated, rest.Versions?.map(({VersionId}) => VersionId)]).to.deep.equal([true, [ids[1], ids[0]]])
    },
  },
  {
    name: 'a deleted delete marker brings the object back',
    async run(world) {
      const {client} = world
      const Bucket = await versioned(world)
      await client.send(new PutObjectCommand({Bucket, Key: 'x', Body: '1'}))
      const {VersionId} = await client.send(new DeleteObjectCommand({Bucket, Key: 'x'}))
      await client.send(new DeleteObjectCommand({Bucket, Key: 'x', VersionId}))
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key: 'x'})))).toString()).to.equal('1')
    },
  },
  {
    name: 'a version under COMPLIANCE is not deleted, and its retention not shortened',
    async run(world) {
      const {client} = world
      const object = await locked(world, 'COMPLIANCE')
      expect((await client.send(new HeadObjectCommand(object))).ObjectLockMode).to.equal('COMPLIANCE')
      await expectRefusal(client.send(new DeleteObjectCommand({...object, BypassGovernanceRetention: true})), 'AccessDenied', 403)
      const retain = (hours: number) => client.send(new PutObjectRetentionCommand({...object, Retention: {Mode: 'COMPLIANCE', RetainUntilDate: inHours(hours)}}))
      await expectRefusal(retain(1), 'AccessDenied', 403)
      await retain(3)
      const {Retention} = await client.send(new GetObjectRetentionCommand(object))
      expect(Retention?.RetainUntilDate?.getTime()).to.be.greaterThan(inHours(2.9).getTime())
    },
  },
  {
    name: 'a version under GOVERNANCE is deleted only by who bypasses it',
    async run(world) {
      const {client} = world
      const object = await locked(world, 'GOVERNANCE')
      await expectRefusal(client.send(new DeleteObjectCommand(object)), 'AccessDenied', 403)
      await client.send(new DeleteObjectCommand({...object, BypassGovernanceRetention: true}))
    },
  },
  {
    name: 'a legal hold keeps a version until it is lifted',
    async run(world) {
      const {client} = world
      const Bucket = await world.newBucket({ObjectLockEnabledForBucket: true})
      const {VersionId} = await client.send(new PutObjectCommand({Bucket, Key: 'h', Body: 'x', ObjectLockLegalHoldStatus: 'ON'}))
      await expectRefusal(client.send(new DeleteObjectCommand({Bucket, Key: 'h', VersionId})), 'AccessDenied', 403)
      await client.send(new PutObjectLegalHoldCommand({Bucket, Key: 'h', VersionId, LegalHold: {Status: 'OFF'}}))
      await client.send(new DeleteObjectCommand({Bucket, Key: 'h', VersionId}))
    },
  },
  {
    name: "a bucket's default retention holds new objects",
    async run(world) {
      const {client} = world
      const Bucket = await world.newBucket({ObjectLockEnabledForBucket: true})
      const configuration = {ObjectLockEnabled: 'Enabled' as const, Rule: {DefaultRetention: {Mode: 'GOVERNANCE' as const, Days: 2}}}
      await client.send(new PutObjectLockConfigurationCommand({Bucket, ObjectLockConfiguration: configuration}))
      expect((await client.send(new GetObjectLockConfigurationCommand({Bucket}))).ObjectLockConfiguration).to.deep.include(configuration)
      const {VersionId} = await client.send(new PutObjectCommand({Bucket, Key: 'd', Body: 'x'}))
      expect((await client.send(new HeadObjectCommand({Bucket, Key: 'd'}))).ObjectLockMode).to.equal('GOVERNANCE')
      await expectRefusal(client.send(new DeleteObjectCommand({Bucket, Key: 'd', VersionId})), 'AccessDenied', 403)
    },
  },
  {
    name: 'a locked version does not keep a newer one from being written',
    async run(world) {
      const {client} = world
      const {Bucket, Key} = await locked(world, 'COMPLIANCE')
      await client.send(new PutObjectCommand({Bucket, Key, Body: 'newer'}))
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key})))).toString()).to.equal('newer')
    },
  },
]
