import {randomBytes} from 'node:crypto'
import {DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {s3ForTests, type S3ForTests} from '../../../support/s3.ts'
import {bytesOf, expectRefusal} from './contract/world.ts'

describe('faults of the S3 server', () => {
  let s3: S3ForTests
  const body = randomBytes(300_000)
  before(async () => {
    s3 = await s3ForTests()
    await s3.client.send(new PutObjectCommand({Bucket: s3.bucket, Key: 'whole', Body: body}))
  })
  after(() => s3.close())
  afterEach(() => {
    s3.server.faults.clear()
  })

  const put = (Key: string, client = s3.client) => client.send(new PutObjectCommand({Bucket: s3.bucket, Key, Body: body}))
  const get = (Key = 'whole', client = s3.client) => client.send(new GetObjectCommand({Bucket: s3.bucket, Key})).then(bytesOf)
  const exists = (Key: string) => s3.client.send(new HeadObjectCommand({Bucket: s3.bucket, Key})).then(() => true, () => false)
  const fails = (attempt: Promise<unknown>) => attempt.then(() => false, () => true)

  it('answers with an error so many times, then as usual', async () => {
    s3.server.faults.add({match: {operation: 'PutObject'}, times: 2, action: {status: 503, code: 'SlowDown'}})
    await expectRefusal(put('slow'), 'SlowDown', 503)
    await expectRefusal(put('slow'), 'SlowDown', 503)
    expect(await exists('slow')).to.be.false
    await put('slow')
    expect(s3.server.faults.rules.map(({times}) => times)).to.deep.equal([0])
  })

  it('lets a client that retries succeed', async () => {
    s3.server.faults.add({match: {operation: 'PutObject'}, times: 2, action: {status: 503, code: 'SlowDown'}})
    const client = s3.clientWith({maxAttempts: 3})
    expect((await put('retried', client)).$metadata.attempts).to.equal(3)
  })

  it('meets only what the rule names', async () => {
    s3.server.faults.add({match: {method: 'GET', keyContains: 'secret', operation: 'GetObject'}, times: 9, action: {status: 500, code: 'InternalError'}})
    expect((await get()).length).to.equal(body.length)
    await put('a-secret')
    await expectRefusal(get('a-secret'), 'InternalError', 500)
  })

  it('cuts a body on its way in, and stores nothing', async () => {
    s3.server.faults.add({match: {operation: 'PutObject'}, times: 1, action: {cutAfterBytes: 100_000}})
    expect(await fails(put('cut'))).to.be.true
    expect(await exists('cut')).to.be.false
    await put('cut')
  })

  it('carries a shorter request out, and cuts in place of the reply', async () => {
    s3.server.faults.add({match: {operation: 'PutObject'}, times: 1, action: {cutAfterBytes: 10_000_000}})
    expect(await fails(put('unanswered'))).to.be.true
    expect(await exists('unanswered')).to.be.true
    s3.server.faults.add({match: {operation: 'DeleteObject'}, times: 1, action: {cutAfterBytes: 0}})
    expect(await fails(s3.client.send(new DeleteObjectCommand({Bucket: s3.bucket, Key: 'unanswered'})))).to.be.true
    expect(await exists('unanswered')).to.be.false
  })

  it('cuts a body on its way out', async () => {
    for (const action of [{cutAfterBytes: 100_000}, {truncate: 100_000}]) {
      s3.server.faults.add({match: {operation: 'GetObject'}, times: 1, action})
      const reply = await s3.client.send(new GetObjectCommand({Bucket: s3.bucket, Key: 'whole'}))
      expect(reply.ContentLength).to.equal(body.length)
      let bytes = 0
      const read = async () => {
        for await (const chunk of reply.Body as AsyncIterable<Buffer>) bytes += chunk.length
      }
      expect(await fails(read())).to.be.true
      expect(bytes).to.equal(100_000)
    }
  })

  it('flips a byte on its way out', async () => {
    s3.server.faults.add({match: {operation: 'GetObject'}, times: 1, action: {corrupt: 'flip-byte'}})
    const trusting = s3.clientWith({responseChecksumValidation: 'WHEN_REQUIRED'})
    const read = await get('whole', trusting)
    expect(differences(read, body)).to.equal(1)
    expect((await get()).equals(body)).to.be.true
  })

  it('flips a byte of what is stored, after its checksums were found right', async () => {
    s3.server.faults.add({match: {operation: 'PutObject'}, times: 1, action: {corrupt: 'flip-byte'}})
    await put('rotten')
    const trusting = s3.clientWith({responseChecksumValidation: 'WHEN_REQUIRED'})
    expect(differences(await get('rotten', trusting), body)).to.equal(1)
    expect(await fails(get('rotten'))).to.be.true
  })

  it('hangs, and goes on', async () => {
    s3.server.faults.add({match: {operation: 'GetObject'}, times: 1, action: {hangMs: 150}})
    const began = performance.now()
    expect((await get()).length).to.equal(body.length)
    expect(performance.now() - began).to.be.greaterThan(149)
  })

  it('hangs until the client gives up', async () => {
    s3.server.faults.add({match: {operation: 'ListObjectsV2'}, times: 1, action: {hangMs: 3_600_000}})
    const list = s3.client.send(new ListObjectsV2Command({Bucket: s3.bucket}), {abortSignal: AbortSignal.timeout(50)})
    expect(await fails(list)).to.be.true
  })

  describe('by HTTP', () => {
    const call = (method: string, secret: string, content?: string) => fetch(`${s3.endpoint}/__faults`, {method, headers: {'x-sandbox-secret': secret}, ...(content === undefined ? {} : {body: content})})
    const rules = [{match: {operation: 'PutObject'}, times: 1, action: {status: 503, code: 'SlowDown'}}]

    it('are set, told and cleared by who has the secret', async () => {
      const secret = s3.credentials.secretAccessKey
      expect(await (await call('POST', secret, JSON.stringify(rules))).json()).to.deep.equal(rules)
      await expectRefusal(put('http'), 'SlowDown', 503)
      expect(await (await call('GET', secret)).json()).to.deep.equal([{...rules[0], times: 0}])
      expect(await (await call('DELETE', secret)).json()).to.deep.equal([])
    })

    it('are refused from anyone else, and when they are none', async () => {
      expect((await call('POST', 'guess', JSON.stringify(rules))).status).to.equal(403)
      for (const content of ['nonsense', '{}', '[{"match":{}}]', '[{"match":{},"times":1,"action":{"boil":1}}]']) expect((await call('POST', s3.credentials.secretAccessKey, content)).status).to.equal(400)
      expect(s3.server.faults.rules).to.deep.equal([])
    })
  })
})

function differences(a: Buffer, b: Buffer): number {
  expect(a.length).to.equal(b.length)
  return a.reduce((count, byte, index) => count + (byte === b[index] ? 0 : 1), 0)
}
