import {createHash, randomBytes} from 'node:crypto'
import {AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListPartsCommand, PutObjectCommand, UploadPartCommand, UploadPartCopyCommand, type CompletedPart, type CreateMultipartUploadCommandInput} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {createCrc, type CrcName} from '../../../../../src/lib/sandbox/s3/crc.ts'
import {bytesOf, expectRefusal, mebibyte, type Check, type World} from './world.ts'

const partBytes = 5 * mebibyte

async function begin({client, bucket: Bucket}: World, Key: string, input: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> {
  const {UploadId = ''} = await client.send(new CreateMultipartUploadCommand({Bucket, Key, ...input}))
  return UploadId
}

async function sendPart({client, bucket: Bucket}: World, Key: string, UploadId: string, PartNumber: number, Body: Buffer | string, algorithm: 'CRC32' | 'SHA256' | 'CRC64NVME' = 'CRC32'): Promise<CompletedPart> {
  const reply = await client.send(new UploadPartCommand({Bucket, Key, UploadId, PartNumber, Body, ChecksumAlgorithm: algorithm}))
  return {PartNumber, ETag: reply.ETag, [`Checksum${algorithm}`]: reply[`Checksum${algorithm}`]}
}

const finish = ({client, bucket: Bucket}: World, Key: string, UploadId: string, Parts: CompletedPart[], more: object = {}) =>
  client.send(new CompleteMultipartUploadCommand({Bucket, Key, UploadId, MultipartUpload: {Parts}, ...more}))

const split = (body: Buffer) => Array.from({length: Math.ceil(body.length / partBytes)}, (_, index) => body.subarray(index * partBytes, (index + 1) * partBytes))

async function uploadAll(world: World, Key: string, body: Buffer, algorithm: 'CRC32' | 'SHA256' | 'CRC64NVME', type: 'COMPOSITE' | 'FULL_OBJECT') {
  const id = await begin(world, Key, {ChecksumAlgorithm: algorithm, ChecksumType: type})
  const parts = await Promise.all(split(body).map((part, index) => sendPart(world, Key, id, index + 1, part, algorithm)))
  return finish(world, Key, id, parts)
}

const wholeCrc = (name: CrcName, body: Buffer) => {
  const crc = createCrc(name)
  crc.update(body)
  return crc.digest().toString('base64')
}

export const multipart: readonly Check[] = [
  {
    name: 'parts become one object, with the composite of their checksums',
    async run(world) {
      const {client, bucket: Bucket} = world
      const body = randomBytes(2 * partBytes + 12_345)
      await uploadAll(world, 'multipart/composite', body, 'SHA256', 'COMPOSITE')
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'multipart/composite', ChecksumMode: 'ENABLED'}))
      expect((await bytesOf(reply)).equals(body)).to.be.true
      const composite = createHash('sha256')
      for (const part of split(body)) composite.update(createHash('sha256').update(part).digest())
      expect(reply.ChecksumSHA256).to.equal(`${composite.digest('base64')}-3`)
      expect(reply.ETag).to.match(/-3"$/)
    },
  },
  {
    name: 'a full-object checksum is the one of the whole',
    async run(world) {
      const {client, bucket: Bucket} = world
      const body = randomBytes(2 * partBytes + 12_345)
      for (const name of ['CRC32', 'CRC64NVME'] as const) {
        await uploadAll(world, `multipart/full-${name}`, body, name, 'FULL_OBJECT')
        const head = await client.send(new HeadObjectCommand({Bucket, Key: `multipart/full-${name}`, ChecksumMode: 'ENABLED'}))
        expect([head[`Checksum${name}`], head.ChecksumType]).to.deep.equal([wholeCrc(name, body), 'FULL_OBJECT'])
      }
    },
  },
  {
    name: 'ranges cross the parts, and a part comes by its number',
    async run(world) {
      const {client, bucket: Bucket} = world
      const body = randomBytes(2 * partBytes + 12_345)
      await uploadAll(world, 'multipart/ranges', body, 'CRC32', 'COMPOSITE')
      const range = await client.send(new GetObjectCommand({Bucket, Key: 'multipart/ranges', Range: `bytes=${partBytes - 50}-${partBytes + 49}`}))
      expect((await bytesOf(range)).equals(body.subarray(partBytes - 50, partBytes + 50))).to.be.true
      const part = await client.send(new GetObjectCommand({Bucket, Key: 'multipart/ranges', PartNumber: 2}))
      expect((await bytesOf(part)).equals(body.subarray(partBytes, 2 * partBytes))).to.be.true
      expect(part.PartsCount).to.equal(3)
    },
  },
  {
    name: 'a part can be sent again: the last one counts',
    async run(world) {
      const {client, bucket: Bucket} = world
      const id = await begin(world, 'multipart/again')
      await sendPart(world, 'multipart/again', id, 1, 'first')
      await finish(world, 'multipart/again', id, [await sendPart(world, 'multipart/again', id, 1, 'second')])
      expect((await bytesOf(await client.send(new GetObjectCommand({Bucket, Key: 'multipart/again'})))).toString()).to.equal('second')
    },
  },
  {
    name: 'a small part that is not the last is refused',
    async run(world) {
      const id = await begin(world, 'multipart/small')
      const parts = [await sendPart(world, 'multipart/small', id, 1, 'x'.repeat(1000)), await sendPart(world, 'multipart/small', id, 2, 'y')]
      await expectRefusal(finish(world, 'multipart/small', id, parts), 'EntityTooSmall', 400)
    },
  },
  {
    name: 'a part with another ETag, or that is missing, is refused',
    async run(world) {
      const id = await begin(world, 'multipart/wrong')
      const part = await sendPart(world, 'multipart/wrong', id, 1, 'x')
      await expectRefusal(finish(world, 'multipart/wrong', id, [{...part, ETag: '"00000000000000000000000000000000"'}]), 'InvalidPart', 400)
      await expectRefusal(finish(world, 'multipart/wrong', id, [{...part, PartNumber: 2}]), 'InvalidPart', 400)
    },
  },
  {
    name: 'parts in the wrong order are refused',
    async run(world) {
      const id = await begin(world, 'multipart/order')
      const parts = [await sendPart(world, 'multipart/order', id, 1, randomBytes(partBytes)), await sendPart(world, 'multipart/order', id, 2, randomBytes(partBytes))]
      await expectRefusal(finish(world, 'multipart/order', id, parts.reverse()), 'InvalidPartOrder', 400)
    },
  },
  {
    name: 'a part with a wrong checksum is refused',
    async run(world) {
      const {client, bucket: Bucket} = world
      const UploadId = await begin(world, 'multipart/bad')
      const part = new UploadPartCommand({Bucket, Key: 'multipart/bad', UploadId, PartNumber: 1, Body: 'hello', ChecksumAlgorithm: 'CRC32', ChecksumCRC32: 'AAAAAA=='})
      await expectRefusal(client.send(part), ['BadDigest', 'XAmzContentChecksumMismatch'], 400)
      expect((await client.send(new ListPartsCommand({Bucket, Key: 'multipart/bad', UploadId}))).Parts ?? []).to.deep.equal([])
    },
  },
  {
    name: 'uploads and their parts are listed, until they are aborted; a late part is refused',
    async run(world) {
      const {client, bucket: Bucket} = world
      const Key = 'multipart-abort/x'
      const UploadId = await begin(world, Key)
      await sendPart(world, Key, UploadId, 1, randomBytes(1000))
      const uploads = () => client.send(new ListMultipartUploadsCommand({Bucket, Prefix: 'multipart-abort/'}))
      const [listed] = (await uploads()).Uploads ?? []
      expect(listed).to.deep.include({Key, UploadId})
      expect(listed?.Initiated).to.be.instanceOf(Date)
      const {Parts} = await client.send(new ListPartsCommand({Bucket, Key, UploadId}))
      expect(Parts?.map(({PartNumber, Size}) => [PartNumber, Size])).to.deep.equal([[1, 1000]])
      await client.send(new AbortMultipartUploadCommand({Bucket, Key, UploadId}))
      expect((await uploads()).Uploads ?? []).to.deep.equal([])
      await expectRefusal(sendPart(world, Key, UploadId, 2, 'late'), 'NoSuchUpload', 404)
    },
  },
  {
    name: 'no reader sees an upload before it is complete',
    async run(world) {
      const {client, bucket: Bucket} = world
      const id = await begin(world, 'multipart/unseen')
      const part = await sendPart(world, 'multipart/unseen', id, 1, 'x')
      await expectRefusal(client.send(new HeadObjectCommand({Bucket, Key: 'multipart/unseen'})), 'NotFound', 404)
      await finish(world, 'multipart/unseen', id, [part])
      await client.send(new HeadObjectCommand({Bucket, Key: 'multipart/unseen'}))
    },
  },
  {
    name: 'a part can be a range of another object',
    async run(world) {
      const {client, bucket: Bucket} = world
      const body = randomBytes(30_000)
      await client.send(new PutObjectCommand({Bucket, Key: 'multipart/source', Body: body}))
      const UploadId = await begin(world, 'multipart/copied')
      const copy = await client.send(new UploadPartCopyCommand({Bucket, Key: 'multipart/copied', UploadId, PartNumber: 1, CopySource: `${Bucket}/multipart/source`, CopySourceRange: 'bytes=1000-20999'}))
      await finish(world, 'multipart/copied', UploadId, [{PartNumber: 1, ETag: copy.CopyPartResult?.ETag}])
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'multipart/copied'}))
      expect((await bytesOf(reply)).equals(body.subarray(1000, 21_000))).to.be.true
    },
  },
  {
    name: 'completing onto a key that is there is refused when If-None-Match says so',
    async run(world) {
      const {client, bucket: Bucket} = world
      await client.send(new PutObjectCommand({Bucket, Key: 'multipart/taken', Body: 'x'}))
      const id = await begin(world, 'multipart/taken')
      const part = await sendPart(world, 'multipart/taken', id, 1, 'y')
      await expectRefusal(finish(world, 'multipart/taken', id, [part], {IfNoneMatch: '*'}), 'PreconditionFailed', 412)
    },
  },
]
