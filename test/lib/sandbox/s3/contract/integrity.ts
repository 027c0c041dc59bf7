import {createHash, randomBytes} from 'node:crypto'
import {crc32} from 'node:zlib'
import {Readable} from 'node:stream'
import {GetObjectCommand, HeadObjectCommand, PutObjectCommand, type ChecksumAlgorithm} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {bytesOf, digestOf, expectRefusal, type Check, type World} from './world.ts'

const absent = ({client, bucket: Bucket}: World, Key: string) => expectRefusal(client.send(new HeadObjectCommand({Bucket, Key})), 'NotFound', 404)

function crc32Of(data: Buffer): string {
  const value = Buffer.alloc(4)
  value.writeUInt32BE(crc32(data))
  return value.toString('base64')
}

export const integrity: readonly Check[] = [
  {
    name: 'the CRC32 that the SDK sends is stored and told',
    async run({client, bucket: Bucket}) {
      const body = randomBytes(1000)
      const put = await client.send(new PutObjectCommand({Bucket, Key: 'integrity/crc32', Body: body}))
      const head = await client.send(new HeadObjectCommand({Bucket, Key: 'integrity/crc32', ChecksumMode: 'ENABLED'}))
      expect([put.ChecksumCRC32, head.ChecksumCRC32]).to.deep.equal([crc32Of(body), crc32Of(body)])
    },
  },
  {
    name: 'SHA-1 and SHA-256 checksums are stored and told',
    async run({client, bucket: Bucket}) {
      for (const [ChecksumAlgorithm, name] of [['SHA256', 'sha256'], ['SHA1', 'sha1']] as const) {
        await client.send(new PutObjectCommand({Bucket, Key: `integrity/${name}`, Body: 'hello', ChecksumAlgorithm}))
        const head = await client.send(new HeadObjectCommand({Bucket, Key: `integrity/${name}`, ChecksumMode: 'ENABLED'}))
        expect(head[`Checksum${ChecksumAlgorithm}`]).to.equal(digestOf(name, 'hello'))
      }
    },
  },
  {
    name: 'CRC32C and CRC64NVME are told as their standards define them',
    async run({client, bucket: Bucket}) {
      const expected = {CRC32C: 'e3069283', CRC64NVME: 'ae8b14860a799888'} as const
      for (const name of ['CRC32C', 'CRC64NVME'] as const) {
        const value = Buffer.from(expected[name], 'hex').toString('base64')
        await client.send(new PutObjectCommand({Bucket, Key: `integrity/${name}`, Body: '123456789', ChecksumAlgorithm: name, [`Checksum${name}`]: value}))
        const head = await client.send(new HeadObjectCommand({Bucket, Key: `integrity/${name}`, ChecksumMode: 'ENABLED'}))
        expect(head[`Checksum${name}`]).to.equal(value)
      }
    },
  },
  {
    name: 'a wrong checksum is refused even when no algorithm is named',
    async run(world) {
      const {client, bucket: Bucket} = world
      await expectRefusal(client.send(new PutObjectCommand({Bucket, Key: 'integrity/bare', Body: 'hello', ChecksumCRC32: 'AAAAAA=='})), 'BadDigest', 400)
      await absent(world, 'integrity/bare')
    },
  },
  {
    name: 'a wrong checksum is refused, and nothing is stored',
    async run(world) {
      const {client, bucket: Bucket} = world
      const wrong: Partial<Record<ChecksumAlgorithm, string>> = {CRC32: 'AAAAAA==', SHA1: Buffer.alloc(20).toString('base64'), SHA256: Buffer.alloc(32).toString('base64')}
      for (const [name, value] of Object.entries(wrong)) {
        const Key = `integrity/wrong-${name}`
        const put = new PutObjectCommand({Bucket, Key, Body: 'hello', ChecksumAlgorithm: name as ChecksumAlgorithm, [`Checksum${name}`]: value})
        await expectRefusal(client.send(put), ['BadDigest', 'XAmzContentChecksumMismatch'], 400)
        await absent(world, Key)
      }
    },
  },
  {
    name: 'a wrong Content-MD5 is refused, a right one accepted',
    async run(world) {
      const {client, bucket: Bucket} = world
      await expectRefusal(client.send(new PutObjectCommand({Bucket, Key: 'integrity/md5', Body: 'hello', ContentMD5: Buffer.alloc(16).toString('base64')})), 'BadDigest', 400)
      await absent(world, 'integrity/md5')
      await client.send(new PutObjectCommand({Bucket, Key: 'integrity/md5', Body: 'hello', ContentMD5: digestOf('md5', 'hello')}))
    },
  },
  {
    name: 'a body that is not the signed one is refused',
    async run(world) {
      const {clientWith, bucket: Bucket} = world
      const client = clientWith({})
      client.middlewareStack.add((next) => (args) => next({...args, request: Object.assign(args.request as object, {body: Buffer.from('jello')})}), {step: 'deserialize', name: 'tamperAfterSigning'})
      const put = new PutObjectCommand({Bucket, Key: 'integrity/tampered', Body: 'hello'})
      await expectRefusal(client.send(put), ['XAmzContentSHA256Mismatch', 'BadDigest'], 400)
      await absent(world, 'integrity/tampered')
    },
  },
  {
    name: 'a stream that ends early stores nothing',
    async run(world) {
      const {client, bucket: Bucket} = world
      const put = new PutObjectCommand({Bucket, Key: 'integrity/early', Body: Readable.from([Buffer.alloc(1000)]), ContentLength: 2000})
      const failed = await client.send(put, {abortSignal: AbortSignal.timeout(3000)}).then(() => false, () => true)
      expect(failed).to.be.true
      await absent(world, 'integrity/early')
    },
  },
  {
    name: 'a checksum comes back on GET, and the bytes agree with it',
    async run({client, bucket: Bucket}) {
      const body = randomBytes(4000)
      await client.send(new PutObjectCommand({Bucket, Key: 'integrity/get', Body: body, ChecksumAlgorithm: 'SHA256'}))
      const reply = await client.send(new GetObjectCommand({Bucket, Key: 'integrity/get', ChecksumMode: 'ENABLED'}))
      expect(createHash('sha256').update(await bytesOf(reply)).digest('base64')).to.equal(reply.ChecksumSHA256)
    },
  },
]
