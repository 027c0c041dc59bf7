import {randomBytes} from 'node:crypto'
import {CreateBucketCommand, S3Client} from '@aws-sdk/client-s3'
import {S3Storage, type S3StorageOptions} from '../../src/lib/repository/storage/s3.ts'
import {realNetwork, s3ServerContract} from '../support/s3.ts'
import {storageContract, type OpenStorage} from '../support/storage-contract.ts'
import {startCeph, type Ceph} from './ceph.ts'

/** Where RGW 20 differs from AWS, and from the sandbox's server. None of it is something that dr relies on. */
const exceptions = {
  'a wrong checksum is refused even when no algorithm is named': 'RGW looks at a checksum header only beside x-amz-sdk-checksum-algorithm, which the SDK sends with its own checksums',
  'parts in the wrong order are refused': 'RGW puts the parts in order itself',
  'encryption aws:kms takes any key': 'RGW knows its keys, and there is no such one',
  "the bucket's region is told": 'RGW tells the name of its zone group, which is called default',
  'an archived object is not readable': 'this RGW has no storage class GLACIER',
}

let ceph: Ceph
let restore: () => void

async function openStorage(options: Partial<S3StorageOptions> = {}): Promise<OpenStorage> {
  const {endpoint, region, accessKeyId, secretAccessKey} = ceph
  const credentials = {accessKeyId, secretAccessKey}
  const bucket = `storage-${randomBytes(6).toString('hex')}`
  const client = new S3Client({endpoint, region, credentials, forcePathStyle: true})
  await client.send(new CreateBucketCommand({Bucket: bucket}))
  client.destroy()
  const storage = new S3Storage({bucket, prefix: 'team/dr', region, endpoint, partBytes: 5 * 1024 ** 2, clientConfig: {credentials}, ...options})
  return {storage, close: () => Promise.resolve()}
}

describe('Ceph RGW', () => {
  before(async function () {
    this.timeout(600_000)
    restore = realNetwork()
    ceph = await startCeph()
  })
  after(async () => {
    await ceph.stop()
    restore()
  })

  s3ServerContract('as an S3 server', () => Promise.resolve(ceph), {exceptions})

  describe('under the S3 storage', () => {
    storageContract('with SHA-256', () => openStorage())
    storageContract('with the SDK’s own checksums too', () => openStorage({checksums: 'when-supported'}))
    storageContract('without checksums, so that all is read back', () => openStorage({checksums: 'when-required'}))
  })
})
