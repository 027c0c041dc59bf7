import {createHash, randomBytes} from 'node:crypto'
import {AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteBucketEncryptionCommand, DeleteBucketLifecycleCommand, DeleteObjectCommand, DeleteObjectTaggingCommand, DeletePublicAccessBlockCommand, GetBucketEncryptionCommand, GetBucketLifecycleConfigurationCommand, GetBucketPolicyCommand, GetBucketReplicationCommand, GetObjectAttributesCommand, GetObjectCommand, GetObjectLegalHoldCommand, GetObjectLockConfigurationCommand, GetObjectRetentionCommand, GetObjectTaggingCommand, GetPublicAccessBlockCommand, HeadObjectCommand, ListBucketsCommand, ListMultipartUploadsCommand, ListObjectsCommand, ListPartsCommand, PutBucketVersioningCommand, PutObjectCommand, PutObjectLockConfigurationCommand, RestoreObjectCommand, UploadPartCommand, UploadPartCopyCommand, type PutObjectCommandInput} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {s3ForTests, type S3ForTests} from '../../../support/s3.ts'
import {bytesOf, digestOf, expectRefusal, mebibyte} from './contract/world.ts'

describe("AWS's rules on the S3 server", () => {
  let s3: S3ForTests
  let Bucket: string
  before(async () => {
    s3 = await s3ForTests()
    Bucket = s3.bucket
  })
  after(() => s3.close())

  const put = (Key: string, more: Partial<PutObjectCommandInput> = {}) => s3.client.send(new PutObjectCommand({Bucket, Key, Body: 'x', ...more}))
  const head = (Key: string) => s3.client.send(new HeadObjectCommand({Bucket, Key}))

  describe('for what a write may say', () => {
    const refused: Record<string, [more: Partial<PutObjectCommandInput>, code: string, status: number]> = {
      'a storage class that there is not': [{StorageClass: 'PAPER' as 'STANDARD'}, 'InvalidStorageClass', 400],
      'an encryption that there is not': [{ServerSideEncryption: 'rot13' as 'AES256'}, 'InvalidArgument', 400],
      'a KMS key beside AES256': [{ServerSideEncryption: 'AES256', SSEKMSKeyId: 'k'}, 'InvalidArgument', 400],
      'more than 2 KB of metadata': [{Metadata: {big: 'x'.repeat(2100)}}, 'MetadataTooLarge', 400],
      'a tag given twice': [{Tagging: 'a=1&a=2'}, 'InvalidTag', 400],
      'eleven tags': [{Tagging: Array.from({length: 11}, (_, index) => `t${index}=1`).join('&')}, 'InvalidTag', 400],
      'a lock in a bucket without locks': [{ObjectLockLegalHoldStatus: 'ON'}, 'InvalidRequest', 400],
      'If-None-Match with an ETag': [{IfNoneMatch: '"abc"'}, 'NotImplemented', 501],
      "another account's bucket": [{ExpectedBucketOwner: '999999999999'}, 'AccessDenied', 403],
      'an MD5 that is none': [{ContentMD5: 'abc'}, 'InvalidDigest', 400],
      'a checksum that is none': [{ChecksumCRC32: 'abc'}, 'InvalidRequest', 400],
      'two checksums': [{ChecksumCRC32: 'AAAAAA==', ChecksumSHA256: Buffer.alloc(32).toString('base64')}, 'InvalidRequest', 400],
    }
    for (const [what, [more, code, status]] of Object.entries(refused)) {
      it(`refuses ${what}`, async () => {
        await expectRefusal(put('rules/refused', more), code, status)
        await expectRefusal(head('rules/refused'), 'NotFound', 404)
      })
    }

    it('refuses a key of more than 1024 bytes', async () => {
      await put('k'.repeat(1024))
      await expectRefusal(put('é'.repeat(513)), 'KeyTooLongError', 400)
    })

    it("takes the bucket owner's own account", async () => {
      await put('rules/owner', {ExpectedBucketOwner: '123456789012'})
    })
  })

  describe('for buckets', () => {
    it('refuses names that are none, and another region', async () => {
      await expectRefusal(s3.client.send(new CreateBucketCommand({Bucket: 'UPPER'})), 'InvalidBucketName', 400)
      const CreateBucketConfiguration = {LocationConstraint: 'us-west-2' as const}
      await expectRefusal(s3.client.send(new CreateBucketCommand({Bucket: 'elsewhere', CreateBucketConfiguration})), 'IllegalLocationConstraintException', 400)
      await expectRefusal(s3.client.send(new CreateBucketCommand({Bucket})), 'BucketAlreadyOwnedByYou', 409)
    })

    it('lists them', async () => {
      expect((await s3.client.send(new ListBucketsCommand({}))).Buckets?.map(({Name}) => Name)).to.include(Bucket)
    })

    it('begins with encryption and with public access blocked; only the latter can go', async () => {
      await s3.client.send(new DeleteBucketEncryptionCommand({Bucket}))
      const {ServerSideEncryptionConfiguration: rules} = await s3.client.send(new GetBucketEncryptionCommand({Bucket}))
      expect(rules?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm).to.equal('AES256')
      expect((await s3.client.send(new GetPublicAccessBlockCommand({Bucket}))).PublicAccessBlockConfiguration?.BlockPublicPolicy).to.equal(true)
      await s3.client.send(new DeletePublicAccessBlockCommand({Bucket}))
      await expectRefusal(s3.client.send(new GetPublicAccessBlockCommand({Bucket})), 'NoSuchPublicAccessBlockConfiguration', 404)
    })

    it('tells what is not configured', async () => {
      await s3.client.send(new DeleteBucketLifecycleCommand({Bucket}))
      await expectRefusal(s3.client.send(new GetBucketLifecycleConfigurationCommand({Bucket})), 'NoSuchLifecycleConfiguration', 404)
      await expectRefusal(s3.client.send(new GetBucketReplicationCommand({Bucket})), 'ReplicationConfigurationNotFoundError', 404)
      await expectRefusal(s3.client.send(new GetBucketPolicyCommand({Bucket})), 'NoSuchBucketPolicy', 404)
      await expectRefusal(s3.client.send(new GetObjectLockConfigurationCommand({Bucket})), 'ObjectLockConfigurationNotFoundError', 404)
    })

    it('locks only versioned buckets, and keeps those versioned', async () => {
      const Locked = 'locked-later'
      await s3.client.send(new CreateBucketCommand({Bucket: Locked}))
      const lock = () => s3.client.send(new PutObjectLockConfigurationCommand({Bucket: Locked, ObjectLockConfiguration: {ObjectLockEnabled: 'Enabled'}}))
      const version = (Status: 'Enabled' | 'Suspended') => s3.client.send(new PutBucketVersioningCommand({Bucket: Locked, VersioningConfiguration: {Status}}))
      await expectRefusal(lock(), 'InvalidBucketState', 409)
      await version('Enabled')
      await lock()
      await expectRefusal(version('Suspended'), 'InvalidBucketState', 409)
      await s3.client.send(new PutObjectCommand({Bucket: Locked, Key: 'free', Body: 'x'}))
      await expectRefusal(s3.client.send(new GetObjectRetentionCommand({Bucket: Locked, Key: 'free'})), 'NoSuchObjectLockConfiguration', 404)
      await expectRefusal(s3.client.send(new GetObjectLegalHoldCommand({Bucket: Locked, Key: 'free'})), 'NoSuchObjectLockConfiguration', 404)
      const past = s3.client.send(new PutObjectCommand({Bucket: Locked, Key: 'past', Body: 'x', ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: new Date(0)}))
      await expectRefusal(past, 'InvalidArgument', 400)
      const bare = s3.clientWith({requestChecksumCalculation: 'WHEN_REQUIRED'})
      const unchecked = bare.send(new PutObjectCommand({Bucket: Locked, Key: 'bare', Body: 'x', ObjectLockLegalHoldStatus: 'ON'}))
      await expectRefusal(unchecked, 'InvalidRequest', 400)
    })

    it('replaces the null version while versioning is suspended', async () => {
      const Suspended = 'suspended'
      await s3.client.send(new CreateBucketCommand({Bucket: Suspended}))
      const version = (Status: 'Enabled' | 'Suspended') => s3.client.send(new PutBucketVersioningCommand({Bucket: Suspended, VersioningConfiguration: {Status}}))
      await version('Enabled')
      const first = await s3.client.send(new PutObjectCommand({Bucket: Suspended, Key: 'x', Body: '1'}))
      await version('Suspended')
      for (const Body of ['2', '3']) await s3.client.send(new PutObjectCommand({Bucket: Suspended, Key: 'x', Body}))
      const text = async (VersionId?: string) => (await bytesOf(await s3.client.send(new GetObjectCommand({Bucket: Suspended, Key: 'x', VersionId})))).toString()
      expect([await text(), await text('null'), await text(first.VersionId)]).to.deep.equal(['3', '3', '1'])
      const gone = await s3.client.send(new DeleteObjectCommand({Bucket: Suspended, Key: 'x'}))
      expect([gone.DeleteMarker, gone.VersionId]).to.deep.equal([true, 'null'])
      await expectRefusal(text('nonsense'), 'NoSuchVersion', 404)
      await expectRefusal(text('null'), 'MethodNotAllowed', 405)
    })
  })

  describe('for copies', () => {
    it('replaces metadata and tags when told, and refuses a copy onto itself that changes nothing', async () => {
      await put('copy/a', {Metadata: {one: '1'}, Tagging: 'a=1', ContentType: 'text/plain'})
      const copy = (Key: string, more: object) => s3.client.send(new CopyObjectCommand({Bucket, Key, CopySource: `${Bucket}/copy/a`, ...more}))
      await copy('copy/b', {MetadataDirective: 'REPLACE', Metadata: {two: '2'}, TaggingDirective: 'REPLACE', Tagging: 'b=2', StorageClass: 'STANDARD_IA'})
      expect(await head('copy/b')).to.deep.include({Metadata: {two: '2'}, ContentType: 'binary/octet-stream', StorageClass: 'STANDARD_IA'})
      expect((await s3.client.send(new GetObjectTaggingCommand({Bucket, Key: 'copy/b'}))).TagSet).to.deep.equal([{Key: 'b', Value: '2'}])
      await expectRefusal(copy('copy/a', {}), 'InvalidRequest', 400)
      await copy('copy/a', {MetadataDirective: 'REPLACE'})
    })

    it('computes a checksum that is asked for, also of an object of parts', async () => {
      const body = randomBytes(5 * mebibyte + 7)
      const {UploadId} = await s3.client.send(new CreateMultipartUploadCommand({Bucket, Key: 'copy/parts', ChecksumAlgorithm: 'SHA256'}))
      const Parts = await Promise.all([body.subarray(0, 5 * mebibyte), body.subarray(5 * mebibyte)].map(async (Body, index) => {
        const {ETag, ChecksumSHA256} = await s3.client.send(new UploadPartCommand({Bucket, Key: 'copy/parts', UploadId, PartNumber: index + 1, Body, ChecksumAlgorithm: 'SHA256'}))
        return {ETag, ChecksumSHA256, PartNumber: index + 1}
      }))
      await s3.client.send(new CompleteMultipartUploadCommand({Bucket, Key: 'copy/parts', UploadId, MultipartUpload: {Parts}}))
      for (const more of [{}, {ChecksumAlgorithm: 'SHA1' as const}]) {
        const {CopyObjectResult: result} = await s3.client.send(new CopyObjectCommand({Bucket, Key: 'copy/whole', CopySource: `${Bucket}/copy/parts`, ...more}))
        expect(result?.ETag).to.match(/^"[\da-f]{32}"$/)
        expect(result?.ChecksumSHA1 ?? result?.ChecksumSHA256).to.be.oneOf([digestOf('sha1', body), digestOf('sha256', body)])
        expect((await bytesOf(await s3.client.send(new GetObjectCommand({Bucket, Key: 'copy/whole'})))).equals(body)).to.be.true
      }
    })

    it("keeps the conditions on a copy's source", async () => {
      const {ETag} = await put('copy/conditional')
      const copy = (more: object) => s3.client.send(new CopyObjectCommand({Bucket, Key: 'copy/target', CopySource: `${Bucket}/copy/conditional`, ...more}))
      await copy({CopySourceIfMatch: ETag})
      await expectRefusal(copy({CopySourceIfNoneMatch: ETag}), 'PreconditionFailed', 412)
      await expectRefusal(copy({CopySource: 'nonsense'}), 'InvalidArgument', 400)
      await expectRefusal(copy({CopySource: `${Bucket}/copy/none`}), 'NoSuchKey', 404)
    })
  })

  describe('for reads', () => {
    it('gives the headers that the reader asks for', async () => {
      await put('read/as', {ContentType: 'text/plain', CacheControl: 'no-store', ContentEncoding: 'gzip'})
      const reply = await s3.client.send(new GetObjectCommand({Bucket, Key: 'read/as', ResponseContentType: 'text/csv'}))
      expect(reply).to.deep.include({ContentType: 'text/csv', CacheControl: 'no-store', ContentEncoding: 'gzip'})
    })

    it('keeps the conditions of time', async () => {
      await put('read/time')
      const get = (more: object) => s3.client.send(new GetObjectCommand({Bucket, Key: 'read/time', ...more}))
      await get({IfUnmodifiedSince: new Date(Date.now() + 60_000), IfModifiedSince: new Date(0)})
      await expectRefusal(get({IfUnmodifiedSince: new Date(0)}), 'PreconditionFailed', 412)
      const since = await get({IfModifiedSince: new Date(Date.now() + 1000)}).catch((error: unknown) => error as {$metadata: {httpStatusCode?: number}})
      expect(since.$metadata.httpStatusCode).to.equal(304)
    })

    it('tells attributes', async () => {
      await put('read/attributes', {ChecksumAlgorithm: 'SHA256'})
      const told = await s3.client.send(new GetObjectAttributesCommand({Bucket, Key: 'read/attributes', ObjectAttributes: ['ETag', 'Checksum', 'ObjectSize', 'StorageClass']}))
      expect(told).to.deep.include({ObjectSize: 1, StorageClass: 'STANDARD'})
      expect(told.Checksum?.ChecksumSHA256).to.equal(digestOf('sha256', 'x'))
    })

    it('gives an archived object after it was restored', async () => {
      await put('read/cold', {StorageClass: 'DEEP_ARCHIVE'})
      await expectRefusal(s3.client.send(new CopyObjectCommand({Bucket, Key: 'read/warm', CopySource: `${Bucket}/read/cold`})), 'InvalidObjectState', 403)
      await s3.client.send(new RestoreObjectCommand({Bucket, Key: 'read/cold', RestoreRequest: {Days: 1}}))
      expect((await head('read/cold')).Restore).to.match(/^ongoing-request="false", expiry-date="/)
      expect((await bytesOf(await s3.client.send(new GetObjectCommand({Bucket, Key: 'read/cold'})))).toString()).to.equal('x')
      await expectRefusal(s3.client.send(new RestoreObjectCommand({Bucket, Key: 'read/time', RestoreRequest: {Days: 1}})), 'InvalidObjectState', 403)
    })

    it('refuses another customer key, and a key for an object that has none', async () => {
      const customer = (key: Buffer) => ({SSECustomerAlgorithm: 'AES256', SSECustomerKey: key.toString('base64'), SSECustomerKeyMD5: createHash('md5').update(key).digest('base64')})
      await put('read/customer', customer(randomBytes(32)))
      await expectRefusal(s3.client.send(new GetObjectCommand({Bucket, Key: 'read/customer', ...customer(randomBytes(32))})), 'AccessDenied', 403)
      await expectRefusal(s3.client.send(new GetObjectCommand({Bucket, Key: 'read/time', ...customer(randomBytes(32))})), 'InvalidRequest', 400)
    })

    it('lists in the first version of the listing too', async () => {
      for (const Key of ['v1/a', 'v1/b/x', 'v1/c']) await put(Key)
      const page = await s3.client.send(new ListObjectsCommand({Bucket, Prefix: 'v1/', Delimiter: '/', MaxKeys: 2}))
      expect([page.Contents?.map(({Key}) => Key), page.CommonPrefixes, page.NextMarker]).to.deep.equal([['v1/a'], [{Prefix: 'v1/b/'}], 'v1/b/'])
      const rest = await s3.client.send(new ListObjectsCommand({Bucket, Prefix: 'v1/', Delimiter: '/', Marker: page.NextMarker}))
      expect([rest.Contents?.map(({Key}) => Key), rest.CommonPrefixes, rest.IsTruncated]).to.deep.equal([['v1/c'], undefined, false])
    })

    it('deletes tags', async () => {
      await put('read/tags', {Tagging: 'a=1'})
      await s3.client.send(new DeleteObjectTaggingCommand({Bucket, Key: 'read/tags'}))
      expect((await s3.client.send(new GetObjectTaggingCommand({Bucket, Key: 'read/tags'}))).TagSet ?? []).to.deep.equal([])
    })

    it('deletes under a condition', async () => {
      const {ETag} = await put('read/delete')
      await expectRefusal(s3.client.send(new DeleteObjectCommand({Bucket, Key: 'read/delete', IfMatch: '"0"'})), 'PreconditionFailed', 412)
      await s3.client.send(new DeleteObjectCommand({Bucket, Key: 'read/delete', IfMatch: ETag}))
    })
  })

  describe('for uploads in parts', () => {
    const begin = async (Key: string, more: object = {}) => (await s3.client.send(new CreateMultipartUploadCommand({Bucket, Key, ...more}))).UploadId
    const part = (Key: string, UploadId: string | undefined, PartNumber: number, more: object = {}) => s3.client.send(new UploadPartCommand({Bucket, Key, UploadId, PartNumber, Body: 'x', ...more}))

    it('refuses checksums that do not fit', async () => {
      await expectRefusal(begin('parts/x', {ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT'}), 'InvalidRequest', 400)
      await expectRefusal(begin('parts/x', {ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'COMPOSITE'}), 'InvalidRequest', 400)
      const id = await begin('parts/x', {ChecksumAlgorithm: 'SHA256'})
      await expectRefusal(part('parts/x', id, 1, {ChecksumAlgorithm: 'CRC32'}), 'InvalidRequest', 400)
      const {ETag} = await part('parts/x', id, 1, {ChecksumAlgorithm: 'SHA256'})
      const finish = (named: object, more: object = {}) => s3.client.send(new CompleteMultipartUploadCommand({Bucket, Key: 'parts/x', UploadId: id, MultipartUpload: {Parts: [{PartNumber: 1, ETag, ...named}]}, ...more}))
      await expectRefusal(finish({}), 'InvalidRequest', 400)
      await expectRefusal(finish({ChecksumSHA256: digestOf('sha256', 'y')}), 'InvalidPart', 400)
      await expectRefusal(finish({ChecksumSHA256: digestOf('sha256', 'x')}, {MpuObjectSize: 2}), 'InvalidRequest', 400)
      await expectRefusal(finish({ChecksumSHA256: digestOf('sha256', 'x')}, {ChecksumSHA256: digestOf('sha256', 'y')}), 'BadDigest', 400)
      await finish({ChecksumSHA256: digestOf('sha256', 'x')}, {MpuObjectSize: 1})
    })

    it('refuses part numbers outside of 1 to 10,000, and a source range that is none', async () => {
      const id = await begin('parts/numbers')
      for (const number of [0, 10_001]) await expectRefusal(part('parts/numbers', id, number), 'InvalidArgument', 400)
      await put('parts/source')
      const copy = (CopySourceRange: string) => s3.client.send(new UploadPartCopyCommand({Bucket, Key: 'parts/numbers', UploadId: id, PartNumber: 1, CopySource: `${Bucket}/parts/source`, CopySourceRange}))
      await expectRefusal(copy('bytes=1-'), 'InvalidArgument', 400)
      await expectRefusal(copy('bytes=5-9'), 'InvalidRange', 416)
    })

    it('lists uploads and parts in pages', async () => {
      const ids = [await begin('paged/a'), await begin('paged/b'), await begin('paged/b')]
      const page = await s3.client.send(new ListMultipartUploadsCommand({Bucket, Prefix: 'paged/', MaxUploads: 2}))
      const rest = await s3.client.send(new ListMultipartUploadsCommand({Bucket, Prefix: 'paged/', KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker}))
      expect([...(page.Uploads ?? []), ...(rest.Uploads ?? [])].map(({UploadId}) => UploadId)).to.have.members(ids)
      for (const number of [1, 2, 3]) await part('paged/a', ids[0], number)
      const parts = await s3.client.send(new ListPartsCommand({Bucket, Key: 'paged/a', UploadId: ids[0], MaxParts: 2}))
      const others = await s3.client.send(new ListPartsCommand({Bucket, Key: 'paged/a', UploadId: ids[0], PartNumberMarker: parts.NextPartNumberMarker}))
      expect([parts.IsTruncated, parts.Parts?.length, others.Parts?.map(({PartNumber}) => PartNumber)]).to.deep.equal([true, 2, [3]])
      await s3.client.send(new AbortMultipartUploadCommand({Bucket, Key: 'paged/a', UploadId: ids[0]}))
      await expectRefusal(s3.client.send(new AbortMultipartUploadCommand({Bucket, Key: 'paged/a', UploadId: ids[0]})), 'NoSuchUpload', 404)
    })
  })
})
