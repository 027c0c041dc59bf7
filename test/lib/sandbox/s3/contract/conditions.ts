import {GetObjectCommand, HeadObjectCommand, PutObjectCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {bytesOf, expectRefusal, type Check} from './world.ts'

export const conditions: readonly Check[] = [
  {
    name: 'If-None-Match keeps what is there',
    async run({client, bucket: Bucket}) {
      const Key = 'conditions/once'
      await client.send(new PutObjectCommand({Bucket, Key, Body: 'first', IfNoneMatch: '*'}))
      await expectRefusal(client.send(new PutObjectCommand({Bucket, Key, Body: 'second', IfNoneMatch: '*'})), 'PreconditionFailed', 412)
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key})))).toString()).to.equal('first')
    },
  },
  {
    name: 'of writers that race under If-None-Match one wins',
    async run({client, bucket: Bucket}) {
      const puts = Array.from({length: 8}, (_, index) => client.send(new PutObjectCommand({Bucket, Key: 'conditions/race', Body: `writer ${index}`, IfNoneMatch: '*'})))
      const results = await Promise.allSettled(puts)
      expect(results.filter(({status}) => status === 'fulfilled')).to.have.length(1)
      const lost = results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).name] : []))
      expect(['PreconditionFailed', 'ConditionalRequestConflict']).to.include.members([...new Set(lost)])
    },
  },
  {
    name: 'If-Match replaces only what was seen',
    async run({client, bucket: Bucket}) {
      const Key = 'conditions/match'
      const {ETag} = await client.send(new PutObjectCommand({Bucket, Key, Body: '1'}))
      await client.send(new PutObjectCommand({Bucket, Key, Body: '2', IfMatch: ETag}))
      await expectRefusal(client.send(new PutObjectCommand({Bucket, Key, Body: '3', IfMatch: ETag})), 'PreconditionFailed', 412)
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key})))).toString()).to.equal('2')
    },
  },
  {
    name: 'If-Match on what is not there is refused',
    async run({client, bucket: Bucket}) {
      await expectRefusal(client.send(new PutObjectCommand({Bucket, Key: 'conditions/none', Body: '1', IfMatch: '"00000000000000000000000000000000"'})), 'NoSuchKey', 404)
    },
  },
  {
    name: 'reads: If-Match and If-None-Match',
    async run({client, bucket: Bucket}) {
      const Key = 'conditions/read'
      const {ETag} = await client.send(new PutObjectCommand({Bucket, Key, Body: '1'}))
      const reply = await client.send(new GetObjectCommand({Bucket, Key, IfMatch: ETag}))
      expect((await bytesOf(reply)).toString()).to.equal('1')
      await expectRefusal(client.send(new GetObjectCommand({Bucket, Key, IfMatch: '"00000000000000000000000000000000"'})), 'PreconditionFailed', 412)
      const unchanged = await client.send(new HeadObjectCommand({Bucket, Key, IfNoneMatch: ETag})).catch((error: unknown) => error as {$metadata: {httpStatusCode?: number}})
      expect(unchanged.$metadata.httpStatusCode).to.equal(304)
    },
  },
]
