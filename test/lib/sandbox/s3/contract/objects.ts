import {randomBytes} from 'node:crypto'
import {PassThrough, Readable} from 'node:stream'
import {CopyObjectCommand, DeleteObjectCommand, GetObjectCommand, GetObjectTaggingCommand, HeadBucketCommand, HeadObjectCommand, PutObjectCommand, PutObjectTaggingCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {bytesOf, expectRefusal, mebibyte, type Check} from './world.ts'

export const objects: readonly Check[] = [
  {
    name: 'a new bucket answers HEAD; one that is not there answers 404',
    async run({client, newBucket}) {
      const Bucket = await newBucket()
      await client.send(new HeadBucketCommand({Bucket}))
      await expectRefusal(client.send(new HeadBucketCommand({Bucket: `${Bucket}-none`})), 'NotFound', 404)
    },
  },
  {
    name: 'an object comes back with its bytes, type and metadata',
    async run({client, bucket: Bucket}) {
      const body = randomBytes(100_000)
      await client.send(new PutObjectCommand({Bucket, Key: 'objects/one', Body: body, ContentType: 'text/plain', Metadata: {foo: 'bar', when: '2026'}}))
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'objects/one'}))
      expect((await bytesOf(reply)).equals(body)).to.be.true
      expect(reply).to.deep.include({ContentType: 'text/plain', ContentLength: body.length, Metadata: {foo: 'bar', when: '2026'}})
    },
  },
  {
    name: 'an empty object is an object',
    async run({client, bucket: Bucket}) {
      await client.send(new PutObjectCommand({Bucket, Key: 'objects/empty', Body: ''}))
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'objects/empty'}))
      expect((await bytesOf(reply)).length).to.equal(0)
      expect(reply.ContentLength).to.equal(0)
    },
  },
  {
    name: 'a body streamed in chunks with a trailing checksum is stored without its framing',
    async run({client, bucket: Bucket}) {
      const body = randomBytes(3 * mebibyte + 1)
      const source = Readable.from([body.subarray(0, 70_000), body.subarray(70_000)]).pipe(new PassThrough())
      const put = await client.send(new PutObjectCommand({Bucket, Key: 'objects/stream', Body: source, ContentLength: body.length}))
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'objects/stream'}))
      expect((await bytesOf(reply)).equals(body)).to.be.true
      expect(put.ChecksumCRC32).to.be.a('string')
      expect(reply.ContentEncoding ?? '').to.equal('')
    },
  },
  {
    name: 'ranges: from the middle, to the end, the last bytes',
    async run({client, bucket: Bucket}) {
      const body = randomBytes(10_000)
      await client.send(new PutObjectCommand({Bucket, Key: 'objects/range', Body: body}))
      const get = (Range: string) => client.send(new GetObjectCommand({Bucket, Key: 'objects/range', Range}))
      const middle = await get('bytes=100-199')
      expect([middle.$metadata.httpStatusCode, middle.ContentRange]).to.deep.equal([206, 'bytes 100-199/10000'])
      expect((await bytesOf(middle)).equals(body.subarray(100, 200))).to.be.true
      expect((await bytesOf(await get('bytes=9990-'))).equals(body.subarray(9990))).to.be.true
      expect((await bytesOf(await get('bytes=-10'))).equals(body.subarray(-10))).to.be.true
      expect((await bytesOf(await get('bytes=9990-20000'))).equals(body.subarray(9990))).to.be.true
    },
  },
  {
    name: 'a range beyond the end is refused',
    async run({client, bucket: Bucket}) {
      await client.send(new PutObjectCommand({Bucket, Key: 'objects/short', Body: 'hello'}))
      await expectRefusal(client.send(new GetObjectCommand({Bucket, Key: 'objects/short', Range: 'bytes=100-200'})), 'InvalidRange', 416)
    },
  },
  {
    name: 'a copy has the bytes and the metadata of its source',
    async run({client, bucket: Bucket}) {
      const body = randomBytes(50_000)
      await client.send(new PutObjectCommand({Bucket, Key: 'objects/source ü', Body: body, Metadata: {foo: 'bar'}}))
      const copy = await client.send(new CopyObjectCommand({Bucket, Key: 'objects/copy', CopySource: `${Bucket}/${encodeURIComponent('objects/source ü')}`}))
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'objects/copy'}))
      expect(copy.CopyObjectResult?.ETag).to.equal(reply.ETag)
      expect(reply.Metadata).to.deep.equal({foo: 'bar'})
      expect((await bytesOf(reply)).equals(body)).to.be.true
    },
  },
  {
    name: 'a copy outlives its source',
    async run({client, bucket: Bucket}) {
      await client.send(new PutObjectCommand({Bucket, Key: 'objects/gone', Body: 'stays'}))
      await client.send(new CopyObjectCommand({Bucket, Key: 'objects/kept', CopySource: `${Bucket}/objects/gone`}))
      await client.send(new DeleteObjectCommand({Bucket, Key: 'objects/gone'}))
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key: 'objects/kept'})))).toString()).to.equal('stays')
    },
  },
  {
    name: 'deleting what is not there is no error',
    async run({client, bucket: Bucket}) {
      await client.send(new DeleteObjectCommand({Bucket, Key: 'objects/never'}))
    },
  },
  {
    name: 'tags are kept and replaced',
    async run({client, bucket: Bucket}) {
      const Key = 'objects/tagged'
      await client.send(new PutObjectCommand({Bucket, Key, Body: 'x', Tagging: 'a=1&b=two%20words'}))
      const first = await client.send(new GetObjectTaggingCommand({Bucket, Key}))
      expect(first.TagSet).to.have.deep.members([{Key: 'a', Value: '1'}, {Key: 'b', Value: 'two words'}])
      await client.send(new PutObjectTaggingCommand({Bucket, Key, Tagging: {TagSet: [{Key: 'c', Value: '3'}]}}))
      expect((await client.send(new GetObjectTaggingCommand({Bucket, Key}))).TagSet).to.deep.equal([{Key: 'c', Value: '3'}])
    },
  },
  {
    name: 'a missing key, a missing key by HEAD and a missing bucket are told apart',
    async run({client, bucket: Bucket}) {
      await expectRefusal(client.send(new GetObjectCommand({Bucket, Key: 'objects/nope'})), 'NoSuchKey', 404)
      await expectRefusal(client.send(new HeadObjectCommand({Bucket, Key: 'objects/nope'})), 'NotFound', 404)
      await expectRefusal(client.send(new GetObjectCommand({Bucket: `${Bucket}-none`, Key: 'objects/nope'})), 'NoSuchBucket', 404)
    },
  },
]
