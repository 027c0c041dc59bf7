import {spawn, type ChildProcess} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, readFileSync} from 'node:fs'
import {mkdtemp, readdir, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {Readable} from 'node:stream'
import {AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, ListObjectVersionsCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client, UploadPartCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {optionsFrom, s3ServerMain} from '../../../../src/lib/sandbox/s3/main.ts'
import {realNetwork, s3ForTests} from '../../../support/s3.ts'
import {bytesOf, mebibyte} from './contract/world.ts'

const credentials = {accessKeyId: 'AKIASANDBOXSANDBOX00', secretAccessKey: 'not-in-any-output/0123456789'}

describe('the S3 server', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dr-s3-server-'))
  })
  afterEach(() => rm(directory, {recursive: true, force: true}))

  it('has the same objects, versions and unfinished uploads after a restart', async () => {
    const Bucket = 'backups'
    const body = randomBytes(100_000)
    const first = await s3ForTests({directory})
    await first.client.send(new PutObjectCommand({Bucket, Key: 'once', Body: 'plain'}))
    await first.client.send(new PutBucketVersioningCommand({Bucket, VersioningConfiguration: {Status: 'Enabled'}}))
    const old = await first.client.send(new PutObjectCommand({Bucket, Key: 'a b/ü', Body: body, Metadata: {note: 'kept'}}))
    await first.client.send(new PutObjectCommand({Bucket, Key: 'a b/ü', Body: 'newer'}))
    await first.client.send(new DeleteObjectCommand({Bucket, Key: 'once'}))
    const {UploadId} = await first.client.send(new CreateMultipartUploadCommand({Bucket, Key: 'big'}))
    const part = await first.client.send(new UploadPartCommand({Bucket, Key: 'big', UploadId, PartNumber: 1, Body: body}))
    await first.close()

    const second = await s3ForTests({directory})
    const reply = await second.client.send(new GetObjectCommand({Bucket, Key: 'a b/ü', VersionId: old.VersionId}))
    expect((await bytesOf(reply)).equals(body)).to.be.true
    expect(reply.Metadata).to.deep.equal({note: 'kept'})
    const versions = await second.client.send(new ListObjectVersionsCommand({Bucket}))
    expect([versions.Versions?.length, versions.DeleteMarkers?.length]).to.deep.equal([3, 1])
    await second.client.send(new CompleteMultipartUploadCommand({Bucket, Key: 'big', UploadId, MultipartUpload: {Parts: [{PartNumber: 1, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}]}}))
    expect((await second.client.send(new ListObjectsV2Command({Bucket}))).Contents?.map(({Key}) => Key)).to.deep.equal(['a b/ü', 'big'])
    await second.close()
  })

  it('leaves no files behind for what is gone', async () => {
    const s3 = await s3ForTests({directory})
    const {client, bucket: Bucket} = s3
    for (const Body of ['1', '2']) await client.send(new PutObjectCommand({Bucket, Key: 'x', Body}))
    await client.send(new DeleteObjectCommand({Bucket, Key: 'x'}))
    const {UploadId} = await client.send(new CreateMultipartUploadCommand({Bucket, Key: 'big'}))
    await client.send(new UploadPartCommand({Bucket, Key: 'big', UploadId, PartNumber: 1, Body: 'x'}))
    await client.send(new AbortMultipartUploadCommand({Bucket, Key: 'big', UploadId}))
    await client.send(new PutObjectCommand({Bucket, Key: 'bad', Body: 'x', ChecksumCRC32: 'AAAAAA=='})).catch(() => undefined)
    await s3.close()
    await (await s3ForTests({directory})).close()
    const left = (await Promise.all(['objects', 'uploads', 'incoming'].map((folder) => readdir(join(directory, Bucket, folder))))).flat()
    expect(left).to.deep.equal([])
  })

  it('reads to the end what is deleted or overwritten meanwhile', async () => {
    const s3 = await s3ForTests({directory})
    const body = randomBytes(8 * mebibyte)
    await s3.client.send(new PutObjectCommand({Bucket: s3.bucket, Key: 'x', Body: body}))
    const reply = await s3.client.send(new GetObjectCommand({Bucket: s3.bucket, Key: 'x'}))
    await s3.client.send(new DeleteObjectCommand({Bucket: s3.bucket, Key: 'x'}))
    expect((await bytesOf(reply)).equals(body)).to.be.true
    await s3.close()
  })

  it('keeps the rate of its link, for all connections together', async () => {
    const s3 = await s3ForTests({directory, bytesPerSecond: 4 * mebibyte})
    const body = randomBytes(mebibyte)
    const timed = async (work: () => Promise<unknown>) => {
      const began = performance.now()
      await work()
      return (performance.now() - began) / 1000
    }
    const up = await timed(() => Promise.all(['a', 'b'].map((Key) => s3.client.send(new PutObjectCommand({Bucket: s3.bucket, Key, Body: body})))))
    const down = await timed(() => Promise.all(['a', 'b'].map(async (Key) => bytesOf(await s3.client.send(new GetObjectCommand({Bucket: s3.bucket, Key}))))))
    s3.server.setRate(undefined)
    const free = await timed(async () => bytesOf(await s3.client.send(new GetObjectCommand({Bucket: s3.bucket, Key: 'a'}))))
    await s3.close()
    expect(up).to.be.within(0.45, 10)
    expect(down).to.be.within(0.45, 10)
    expect(free).to.be.lessThan(down)
  })

  it('takes its settings from arguments and environment', () => {
    const environment = {DR_SANDBOX_S3_ACCESS_KEY_ID: 'a', DR_SANDBOX_S3_SECRET_ACCESS_KEY: 'b', DR_SANDBOX_S3_BUCKETS: 'one,two', DR_SANDBOX_S3_REGION: 'eu-west-1', DR_SANDBOX_S3_BYTES_PER_SECOND: '1000'}
    expect(optionsFrom(['/d', '9000'], environment)).to.deep.equal({directory: '/d', port: 9000, credentials: {accessKeyId: 'a', secretAccessKey: 'b'}, buckets: ['one', 'two'], region: 'eu-west-1', bytesPerSecond: 1000})
    expect(() => optionsFrom([], environment)).to.throw('Usage')
    expect(() => optionsFrom(['/d'], {})).to.throw('DR_SANDBOX_S3_SECRET_ACCESS_KEY')
  })

  describe('as a process', () => {
    let server: ChildProcess | undefined
    let restore: () => void
    beforeEach(() => {
      restore = realNetwork()
    })
    afterEach(async () => {
      if (server?.exitCode === null && server.signalCode === null) {
        server.kill('SIGKILL')
        await once(server, 'exit')
      }
      restore()
    })

    async function start(): Promise<{client: S3Client; pid: number}> {
      const env = {...process.env, DR_SANDBOX_S3_ACCESS_KEY_ID: credentials.accessKeyId, DR_SANDBOX_S3_SECRET_ACCESS_KEY: credentials.secretAccessKey, DR_SANDBOX_S3_BUCKETS: 'backups'}
      const child = spawn(process.execPath, [s3ServerMain, directory, '0'], {env, stdio: ['ignore', 'pipe', 'inherit']})
      server = child
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
      const {endpoint} = JSON.parse(line) as {endpoint: string}
      return {client: new S3Client({endpoint, region: 'us-east-1', forcePathStyle: true, credentials}), pid: child.pid ?? 0}
    }

    it('ends cleanly on SIGTERM, and loses nothing when it is killed', async () => {
      const first = await start()
      await first.client.send(new PutObjectCommand({Bucket: 'backups', Key: 'x', Body: 'kept'}))
      server?.kill('SIGKILL')
      if (server) await once(server, 'exit')
      const second = await start()
      expect((await bytesOf(await second.client.send(new GetObjectCommand({Bucket: 'backups', Key: 'x'})))).toString()).to.equal('kept')
      second.client.destroy()
      first.client.destroy()
      server?.kill('SIGTERM')
      const [code] = server ? ((await once(server, 'exit')) as [number | null]) : [undefined]
      expect(code).to.equal(0)
    })

    it('streams: its memory does not grow with the object', async function () {
      if (!existsSync('/proc/self/status')) throw new Error('This test reads the memory of a process from /proc.')
      this.timeout(60_000)
      const {client, pid} = await start()
      const most = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
      const chunk = randomBytes(mebibyte)
      const bodyOf = (mebibytes: number) => Readable.from((function* () {
        for (let index = 0; index < mebibytes; index++) yield chunk
      })())
      const roundTrip = async (mebibytes: number) => {
        await client.send(new PutObjectCommand({Bucket: 'backups', Key: 'large', Body: bodyOf(mebibytes), ContentLength: mebibytes * mebibyte}))
        const reply = await client.send(new GetObjectCommand({Bucket: 'backups', Key: 'large'}))
        let bytes = 0
        for await (const piece of reply.Body as AsyncIterable<Buffer>) bytes += piece.length
        expect(bytes).to.equal(mebibytes * mebibyte)
      }
      await roundTrip(256)
      expect(most()).to.be.lessThan(256)
      client.destroy()
    })
  })
})
