import {expect} from 'chai'
import {randomBytes} from 'node:crypto'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {inspect} from 'node:util'
import {sha256OfStream} from '../../../../src/lib/repository/checksum.ts'
import type {S3Storage} from '../../../../src/lib/repository/storage/s3.ts'
import type {FaultAction} from '../../../../src/lib/sandbox/s3/faults.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {credentials, MIB, s3Fixture} from '../../../support/s3-storage.ts'
import {contentOf, keysOf, sha256} from '../../../support/storage-contract-run.ts'
import {temporaryFolder} from '../../../support/temporary.ts'

const slowDown: FaultAction = {status: 503, code: 'SlowDown', message: 'Please reduce your request rate.'}
const EVER = 1000

describe('S3Storage meets faults', () => {
  const s3 = s3Fixture()
  const folder = temporaryFolder()
  const large = randomBytes(11 * MIB + 77)
  const largeFile = async () => {
    const path = join(folder.path, 'large')
    await writeFile(path, large)
    return path
  }
  const fault = (operation: string, action: FaultAction, times = 1) => {
    s3.server.faults.add({match: {operation}, times, action})
  }
  const used = () => s3.server.faults.rules.every(({times}) => times === 0)

  async function expectNothingLeft(storage: S3Storage): Promise<void> {
    s3.server.faults.clear()
    expect(await keysOf(storage)).to.deep.equal([])
    expect(await storage.abandonedUploads(0)).to.deep.equal([])
  }

  describe('that pass', () => {
    it('rides out throttling at every request', async () => {
      const storage = s3.storage()
      for (const operation of ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'GetObject', 'HeadObject', 'ListObjectsV2', 'DeleteObject']) fault(operation, slowDown, 2)
      await storage.put('small', 'x')
      expect((await storage.putFile('large', await largeFile())).sha256).to.equal(sha256(large))
      expect(sha256(await contentOf(storage, 'large'))).to.equal(sha256(large))
      expect(await keysOf(storage)).to.deep.equal(['large', 'small'])
      await storage.remove('small')
      expect(await storage.stat('small')).to.equal(undefined)
      expect(used()).to.equal(true)
    })

    for (const code of ['InternalError', 'BadDigest', 'XAmzContentSHA256Mismatch', 'ConditionalRequestConflict', 'RequestTimeout']) {
      it(`tries again after ${code}`, async () => {
        const storage = s3.storage()
        const status = {InternalError: 500, ConditionalRequestConflict: 409}[code] ?? 400
        fault('PutObject', {status, code}, 2)
        fault('UploadPart', {status, code}, 2)
        await storage.put('small', 'x')
        expect((await storage.putFile('large', await largeFile())).sha256).to.equal(sha256(large))
        expect(used()).to.equal(true)
      })
    }

    it('sends a part again when its connection was cut in the middle', async () => {
      const storage = s3.storage()
      fault('UploadPart', {cutAfterBytes: 1_000_000}, 3)
      const result = await storage.putFile('large', await largeFile())
      expect(result.sha256).to.equal(sha256(large))
      expect(sha256(await contentOf(storage, 'large'))).to.equal(sha256(large))
      expect(used()).to.equal(true)
    })

    it('knows its own object again when the answer to a put was lost', async () => {
      const storage = s3.storage()
      fault('PutObject', {cutAfterBytes: 1000})
      const result = await storage.put('small', 'arrived')
      expect(result).to.deep.equal({bytes: 7, sha256: sha256('arrived'), proof: 'store-sha256'})
      const puts = s3.server.requests.filter(({method}) => method === 'PUT')
      expect(puts.map(({status}) => status).slice(1)).to.deep.equal([412])
    })

    it('knows its own object again when the answer to the last request of an upload was lost', async () => {
      const storage = s3.storage()
      fault('CompleteMultipartUpload', {cutAfterBytes: 100_000})
      expect((await storage.putFile('large', await largeFile())).sha256).to.equal(sha256(large))
      expect(await storage.abandonedUploads(0)).to.deep.equal([])
      expect(used()).to.equal(true)
    })

    it("does not take another writer's object for its own", async () => {
      const storage = s3.storage()
      await storage.put('small', 'theirs')
      fault('HeadObject', {status: 404, code: 'NoSuchKey'}, 1)
      fault('PutObject', slowDown, 1)
      expect((await drErrorOf(storage.put('small', 'theirs'))).code).to.equal('storage.exists')
      s3.server.faults.clear()
      expect((await contentOf(storage, 'small')).toString()).to.equal('theirs')
    })

    it('takes a cut download up again where it broke', async () => {
      const storage = s3.storage()
      await storage.putFile('large', await largeFile())
      fault('GetObject', {truncate: 2 * MIB}, 3)
      expect(await sha256OfStream(await storage.read('large'))).to.deep.equal({sha256: sha256(large), bytes: large.length})
      expect(used()).to.equal(true)
      fault('GetObject', {truncate: 10}, 3)
      expect((await contentOf(storage, 'large', 6 * MIB)).equals(large.subarray(6 * MIB))).to.equal(true)
      expect(used()).to.equal(true)
    })

    it('cuts a connection on which nothing moves, and tries again', async () => {
      const storage = s3.storage({idleTimeoutMs: 150})
      fault('PutObject', {hangMs: 60_000})
      fault('GetObject', {hangMs: 60_000})
      await storage.put('small', 'x')
      expect((await contentOf(storage, 'small')).toString()).to.equal('x')
      expect(used()).to.equal(true)
    })

    it('does without checksums and conditional writes where the store has none', async () => {
      const storage = s3.storage()
      fault('PutObject', {status: 501, code: 'NotImplemented'}, 2)
      expect((await storage.put('small', 'x')).proof).to.equal('reread')
      expect(used()).to.equal(true)
      expect((await drErrorOf(storage.put('small', 'y'))).code).to.equal('storage.exists')
      expect((await storage.putFile('large', await largeFile())).proof).to.equal('reread')
      const parts = s3.storage()
      fault('CreateMultipartUpload', {status: 501, code: 'NotImplemented', message: 'x-amz-checksum-algorithm'})
      expect((await parts.putFile('large2', await largeFile())).proof).to.equal('reread')
    })
  })

  describe('that do not pass', () => {
    const unreachable: [string, FaultAction][] = [['throttling', slowDown], ['a cut connection', {cutAfterBytes: 10}], ['errors', {status: 500, code: 'InternalError'}]]
    for (const [what, action] of unreachable) {
      it(`ends an upload in an error under ${what}, and leaves nothing`, async () => {
        const storage = s3.storage({maxAttempts: 3})
        await storage.check()
        for (const operation of ['UploadPart', 'CompleteMultipartUpload']) {
          fault(operation, action, EVER)
          const error = await drErrorOf(storage.putFile('large', await largeFile()))
          expect(error.code).to.equal('storage.unreachable')
          expect(error.exitCode).to.equal(5)
          expect(error.message).to.contain('3 attempts')
          await expectNothingLeft(storage)
        }
      })
    }

    it('removes an object that had arrived when all its answers were lost', async () => {
      const storage = s3.storage({maxAttempts: 1})
      await storage.check()
      fault('PutObject', {cutAfterBytes: 1000})
      expect((await drErrorOf(storage.put('small', 'x'))).code).to.equal('storage.unreachable')
      await expectNothingLeft(storage)
    })

    it('ends a read in an error when it breaks again and again at the same place', async () => {
      const storage = s3.storage()
      await storage.putFile('large', await largeFile())
      fault('GetObject', {truncate: 0}, EVER)
      expect((await drErrorOf(contentOf(storage, 'large'))).code).to.equal('storage.unreachable')
    })

    it('ends a read in an error when the object was replaced meanwhile', async () => {
      const storage = s3.storage()
      await storage.putFile('large', await largeFile())
      fault('GetObject', {truncate: 3 * MIB})
      const stream = await storage.read('large')
      const other = s3.storage()
      await other.remove('large')
      await other.put('large', 'something else')
      const error = await drErrorOf(sha256OfStream(stream))
      expect(error.code).to.equal('storage.corrupt')
      await storage.remove('large')
    })

    it('finds a byte that the store flipped, where it reads back', async () => {
      const storage = s3.storage({checksums: 'when-required'})
      for (const operation of ['PutObject', 'UploadPart']) {
        fault(operation, {corrupt: 'flip-byte'})
        const error = await drErrorOf(operation === 'PutObject' ? storage.put('bad', 'some bytes') : storage.putFile('bad', await largeFile()))
        expect(error.code).to.equal('storage.corrupt')
        expect(error.exitCode).to.equal(4)
        await expectNothingLeft(storage)
      }
    })

    it('lets a byte that was flipped at rest or on the way show in the hash of what is read', async () => {
      const storage = s3.storage()
      fault('PutObject', {corrupt: 'flip-byte'})
      const {sha256: put} = await storage.put('at-rest', randomBytes(100_000))
      expect((await sha256OfStream(await storage.read('at-rest'))).sha256).to.not.equal(put)
      await storage.put('whole', 'whole')
      fault('GetObject', {corrupt: 'flip-byte'})
      expect((await sha256OfStream(await storage.read('whole'))).sha256).to.not.equal(sha256('whole'))
    })

    it('notices that a file changes while it is sent', async () => {
      const path = await largeFile()
      const storage = s3.storage({concurrency: 1})
      const work = storage.putFile('large', path, {
        progress: (bytes) => {
          if (bytes < large.length) void writeFile(path, 'shorter')
        },
      })
      expect((await drErrorOf(work)).code).to.equal('storage.corrupt')
      await expectNothingLeft(storage)
    })
  })

  describe('in its access', () => {
    const uses = (storage: S3Storage): Record<string, () => Promise<unknown>> => ({
      check: () => storage.check(), list: () => keysOf(storage), folders: () => storage.folders(''), stat: () => storage.stat('a'), read: () => storage.read('a'),
      put: () => storage.put('a', 'x'), remove: () => storage.remove('a'), putFile: async () => storage.putFile('a', await largeFile()),
    })

    async function expectEach(open: () => S3Storage, code: string, message: RegExp, hint?: RegExp): Promise<void> {
      for (const [name, use] of Object.entries(uses(open()))) {
        const error = await drErrorOf(use())
        expect(error.code, name).to.equal(code)
        expect(error.exitCode, name).to.equal(5)
        expect(error.message, name).to.match(message)
        if (hint) expect(error.hints.join(' '), name).to.match(hint)
        expect(JSON.stringify(error) + inspect(error, {depth: 10}) + (error.stack ?? ''), name).to.not.contain(credentials.secretAccessKey).and.not.contain('Signature=')
      }
    }

    it('says that the secret is wrong', async () => {
      await expectEach(() => s3.storage({clientConfig: {credentials: {...credentials, secretAccessKey: 'wrong'}}}), 'storage.denied', /secret access key does not fit/, /AWS_SECRET_ACCESS_KEY/)
    })

    it('says that the key id is unknown', async () => {
      await expectEach(() => s3.storage({clientConfig: {credentials: {...credentials, accessKeyId: 'AKIDUNKNOWN'}}}), 'storage.denied', /does not know the access key id/)
    })

    it('says that the bucket does not exist', async () => {
      await expectEach(() => s3.storage({bucket: 'no-such-bucket'}), 'storage.no-bucket', /no-such-bucket does not exist/, /AWS_S3_BUCKET/)
    })

    it('says that the region is another', async () => {
      await expectEach(() => s3.storage({region: 'eu-west-1'}), 'storage.wrong-region', /is in us-east-1, not in eu-west-1/, /us-east-1/)
    })

    it('says that nobody listens', async () => {
      await expectEach(() => s3.storage({endpoint: 'http://127.0.0.1:9'}), 'storage.unreachable', /127\.0\.0\.1:9 refused the connection \(5 attempts\)/, /AWS_ENDPOINT_URL_S3/)
    })

    const answers: [string, number, string, RegExp][] = [
      ['ExpiredToken', 400, 'storage.denied', /session token .* expired/], ['RequestTimeTooSkewed', 403, 'storage.denied', /clock/],
      ['AccessDenied', 403, 'storage.denied', /Access denied|missing or not permitted/], ['MethodNotAllowed', 405, 'storage.unreachable', /MethodNotAllowed/],
    ]
    for (const [code, status, expected, message] of answers) {
      it(`translates ${code}`, async () => {
        s3.server.faults.add({match: {}, times: EVER, action: {status, code}})
        await expectEach(() => s3.storage({maxAttempts: 2}), expected, message)
      })
    }

    it('says that a key is missing or not permitted when listing is not permitted', async () => {
      const storage = s3.storage()
      fault('GetObject', {status: 403, code: 'AccessDenied'})
      const error = await drErrorOf(storage.read('a'))
      expect(error.message).to.equal('s3://backups/team/dr/a is missing or not permitted (s3:GetObject).')
      expect(error.hints.join()).to.contain('s3:ListBucket')
    })

    it('puts with a role that may only put', async () => {
      for (const operation of ['HeadObject', 'GetObject', 'ListObjectsV2']) fault(operation, {status: 403, code: 'AccessDenied'}, EVER)
      const storage = s3.storage()
      expect((await storage.put('small', 'x')).proof).to.equal('store-sha256')
      expect((await storage.putFile('large', await largeFile())).proof).to.equal('store-sha256')
      expect((await drErrorOf(storage.put('small', 'x'))).code).to.equal('storage.exists')
    })
  })

  it('never takes an error for an empty list', async () => {
    const storage = s3.storage({maxAttempts: 2})
    fault('ListObjectsV2', {status: 500, code: 'InternalError'}, EVER)
    for (const use of [() => keysOf(storage), () => storage.folders('')]) expect((await drErrorOf(use())).code).to.equal('storage.unreachable')
  })
})

