import {CreateMultipartUploadCommand, S3Client, UploadPartCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {createHash, createHmac, randomBytes, type Hash} from 'node:crypto'
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {S3Storage} from '../../../../src/lib/repository/storage/s3.ts'
import {partSize} from '../../../../src/lib/repository/storage/s3-multipart.ts'
import {credentials, MIB, openS3, s3Fixture} from '../../../support/s3-storage.ts'
import {storageContract} from '../../../support/storage-contract.ts'
import {contentOf, keysOf, sha256} from '../../../support/storage-contract-run.ts'
import {temporaryFolder} from '../../../support/temporary.ts'

storageContract('A bucket', async () => {
  const s3 = await openS3()
  return {storage: s3.storage(), close: () => s3.close()}
})

storageContract('A bucket of a store without checksums and conditional writes', async () => {
  const s3 = await openS3()
  s3.server.faults.add({match: {operation: 'PutObject'}, times: 1, action: {status: 501, code: 'NotImplemented', message: 'If-None-Match is not implemented'}})
  const opened = s3.storage({checksums: 'when-required'})
  await opened.put('learns', 'that')
  await opened.remove('learns')
  return {storage: opened, close: () => s3.close()}
}, {races: false})

describe('S3Storage', () => {
  const s3 = s3Fixture()
  const folder = temporaryFolder()
  const file = async (bytes: Buffer) => {
    const path = join(folder.path, randomBytes(6).toString('hex'))
    await writeFile(path, bytes)
    return path
  }
  const sent = (method: string, text = '') => s3.server.requests.filter((request) => request.method === method && request.path.includes(text))

  it('says where it is', () => {
    expect(s3.storage().location).to.equal('s3://backups/team/dr')
    expect(s3.storage({prefix: '/a/b/'}).location).to.equal('s3://backups/a/b')
    expect(s3.storage({prefix: ''}).location).to.equal('s3://backups')
  })

  it('sees only what lies below its prefix', async () => {
    await s3.storage({prefix: ''}).put('team/dr2/x', 'x')
    await s3.storage({prefix: ''}).put('team/dr/y', 'y')
    expect(await keysOf(s3.storage())).to.deep.equal(['y'])
    expect(await s3.storage({prefix: ''}).folders('team/')).to.deep.equal(['dr', 'dr2'])
    expect(await keysOf(s3.storage({prefix: ''}))).to.deep.equal(['team/dr/y', 'team/dr2/x'])
  })

  it("proves by the store's SHA-256, in one request and in parts", async () => {
    const storage = s3.storage()
    expect((await storage.put('small', 'x')).proof).to.equal('store-sha256')
    expect((await storage.stat('small'))?.sha256).to.equal(sha256('x'))
    const bytes = randomBytes(11 * MIB)
    const result = await storage.putFile('large', await file(bytes))
    expect(result).to.deep.equal({bytes: bytes.length, sha256: sha256(bytes), proof: 'store-sha256'})
    expect(sent('PUT', 'partNumber')).to.have.length(3)
    expect(sent('GET', 'large')).to.have.length(0)
    expect((await storage.stat('large'))?.sha256, 'a hash of hashes is none of the object').to.equal(undefined)
  })

  it('reads everything back where the store proves nothing', async () => {
    const storage = s3.storage({checksums: 'when-required'})
    expect((await storage.put('small', 'x')).proof).to.equal('reread')
    expect((await storage.putFile('large', await file(randomBytes(6 * MIB)))).proof).to.equal('reread')
    expect(sent('GET', 'large')).to.have.length(1)
  })

  it('hashes no body a second time to sign it', async () => {
    const counted = {bytes: 0}
    const storage = s3.storage({clientConfig: {credentials, sha256: countingSha256(counted)}})
    await storage.putFile('large', await file(randomBytes(11 * MIB)))
    await storage.put('small', randomBytes(MIB))
    expect(counted.bytes).to.be.greaterThan(0)
    expect(counted.bytes).to.be.lessThan(100_000)
  })

  it('has no more parts in flight than it may, over all uploads', async () => {
    const storage = s3.storage({concurrency: 2})
    const paths = await Promise.all([1, 2, 3].map(async () => file(randomBytes(16 * MIB))))
    s3.server.faults.add({match: {operation: 'UploadPart'}, times: 100, action: {hangMs: 20}})
    let most = 0
    const watch = setInterval(() => {
      const answered = sent('PUT', 'partNumber').length
      most = Math.max(most, 100 - (s3.server.faults.rules[0]?.times ?? 100) - answered)
    }, 2)
    await Promise.all(paths.map(async (path, index) => storage.putFile(`large/${index}`, path)))
    clearInterval(watch)
    expect(most).to.be.within(1, 2)
    expect(sent('PUT', 'partNumber')).to.have.length(12)
  })

  it('makes parts larger for very large files, so that 9,000 are enough', () => {
    expect(partSize(100, 16 * MIB)).to.equal(16 * MIB)
    expect(partSize(9000 * 16 * MIB, 16 * MIB)).to.equal(16 * MIB)
    expect(partSize(9000 * 16 * MIB + 1, 16 * MIB)).to.equal(17 * MIB)
    expect(Math.ceil((5 * 1024 ** 4) / partSize(5 * 1024 ** 4, 16 * MIB))).to.be.at.most(9000)
  })

  it('finds abandoned uploads below its prefix by age, and frees them', async () => {
    const client = new S3Client({region: 'us-east-1', endpoint: s3.server.endpoint, forcePathStyle: true, credentials})
    for (const key of ['team/dr/production/a/1.dat', 'other/2.dat']) {
      const {UploadId} = await client.send(new CreateMultipartUploadCommand({Bucket: 'backups', Key: key}))
      await client.send(new UploadPartCommand({Bucket: 'backups', Key: key, UploadId, PartNumber: 1, Body: 'x'}))
    }
    client.destroy()
    const storage = s3.storage()
    expect(await storage.abandonedUploads(3_600_000)).to.deep.equal([])
    const found = await storage.abandonedUploads(0)
    expect(found.map(({key}) => key)).to.deep.equal(['production/a/1.dat'])
    for (const upload of [...found, ...found]) await storage.abortUpload(upload)
    expect(await storage.abandonedUploads(0)).to.deep.equal([])
    expect(await s3.storage({prefix: ''}).abandonedUploads(0)).to.have.length(1)
  })

  describe('credentials', () => {
    const saved = {...process.env}
    beforeEach(async () => {
      for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
      await mkdir(join(folder.path, 'aws'))
      const profile = (name: string) => `[${name}]\naws_access_key_id = ${credentials.accessKeyId}\naws_secret_access_key = ${credentials.secretAccessKey}\n`
      await writeFile(join(folder.path, 'aws/credentials'), profile('team'))
      await writeFile(join(folder.path, 'aws/config'), '')
      Object.assign(process.env, {AWS_EC2_METADATA_DISABLED: 'true', AWS_SHARED_CREDENTIALS_FILE: join(folder.path, 'aws/credentials'), AWS_CONFIG_FILE: join(folder.path, 'aws/config')})
    })
    afterEach(() => {
      for (const name of Object.keys(process.env)) if (!(name in saved)) Reflect.deleteProperty(process.env, name)
      Object.assign(process.env, saved)
    })

    it('come from the named profile', async () => {
      await s3.storage({profile: 'team', clientConfig: {}}).check()
    })

    it('come from AWS_PROFILE', async () => {
      process.env['AWS_PROFILE'] = 'team'
      await s3.storage({clientConfig: {}}).check()
    })

    it('come from the environment, and the endpoint too', async () => {
      Object.assign(process.env, {AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey, AWS_ENDPOINT_URL_S3: s3.server.endpoint})
      const storage = new S3Storage({bucket: 'backups', region: 'us-east-1'})
      await storage.put('a', 'x')
      expect((await contentOf(storage, 'a')).toString()).to.equal('x')
      await storage.close()
    })
  })
})

/** Counts what the signer hashes by itself. */
function countingSha256(counted: {bytes: number}) {
  return class {
    readonly #hash: Pick<Hash, 'digest'> & {update(data: Uint8Array): unknown}

    constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
      this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', typeof secret === 'string' ? secret : bytesOf(secret))
    }

    update(data: Uint8Array): void {
      counted.bytes += data.length
      this.#hash.update(data)
    }

    digest(): Promise<Uint8Array> {
      return Promise.resolve(this.#hash.digest())
    }

    reset(): void {
      throw new Error('Nobody needs this.')
    }
  }
}

const bytesOf = (data: ArrayBuffer | ArrayBufferView) => (ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data))
