import {createHash} from 'node:crypto'
import type {Bucket, CustomerKey, ObjectVersion} from './bucket.ts'
import {owner, type Exchange, type Headers} from './exchange.ts'
import {s3Error} from './s3-error.ts'
import {hmac, sameText} from './signature.ts'
import {parseXml, textOf, xmlDocument, group, tag} from './xml.ts'

const algorithmHeader = 'x-amz-server-side-encryption'
const keyHeader = `${algorithmHeader}-aws-kms-key-id`
const bucketKeyHeader = `${algorithmHeader}-bucket-key-enabled`
const customerHeader = `${algorithmHeader}-customer-algorithm`

/** What AWS gives every new bucket. */
export const defaultEncryption = xmlDocument(
  'ServerSideEncryptionConfiguration',
  group('Rule', group('ApplyServerSideEncryptionByDefault', tag('SSEAlgorithm', 'AES256')), tag('BucketKeyEnabled', false)),
)

/** The encryption headers of a new object: its own, or the bucket's default. Nothing is really encrypted here. */
export function encryptionHeaders(exchange: Exchange): Record<string, string> {
  if (exchange.header(customerHeader) !== undefined) return {}
  const own = exchange.header(algorithmHeader)
  const {algorithm, key} = own === undefined ? bucketDefault(exchange.bucket) : {algorithm: own, key: exchange.header(keyHeader)}
  if (!['AES256', 'aws:kms', 'aws:kms:dsse'].includes(algorithm)) throw s3Error('InvalidArgument', 'The encryption method specified is not supported')
  if (algorithm === 'AES256') {
    if (key !== undefined) throw s3Error('InvalidArgument', 'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms')
    return {[algorithmHeader]: algorithm}
  }
  const bucketKey = exchange.header(bucketKeyHeader)
  return {
    [algorithmHeader]: algorithm,
    [keyHeader]: key ?? `arn:aws:kms:${exchange.region}:${owner.account}:alias/aws/s3`,
    ...(bucketKey === undefined ? {} : {[bucketKeyHeader]: bucketKey}),
  }
}

function bucketDefault(bucket: Bucket): {algorithm: string; key: string | undefined} {
  const root = parseXml(bucket.settings.documents.encryption ?? defaultEncryption, 'ServerSideEncryptionConfiguration')
  const path = ['Rule', 'ApplyServerSideEncryptionByDefault']
  return {algorithm: textOf(root, ...path, 'SSEAlgorithm') ?? 'AES256', key: textOf(root, ...path, 'KMSMasterKeyID')}
}

/** SSE-C: the key that the request carries, `prefix` being that of a copy's source or empty. */
export function customerKey(exchange: Exchange, prefix = ''): CustomerKey | undefined {
  const header = (name: string) => exchange.header(`x-amz-${prefix}server-side-encryption-customer-${name}`)
  const [algorithm, text, md5] = [header('algorithm'), header('key'), header('key-md5')]
  if (algorithm === undefined && text === undefined && md5 === undefined) return undefined
  const key = Buffer.from(text ?? '', 'base64')
  if (algorithm !== 'AES256' || key.length !== 32) throw s3Error('InvalidArgument', 'The secret key was invalid for the specified algorithm.')
  if (createHash('md5').update(key).digest('base64') !== md5) throw s3Error('InvalidArgument', 'The calculated MD5 hash of the key did not match the hash that was provided.')
  return {md5, proof: hmac(key, 'sandbox SSE-C').toString('hex')}
}

/** A reader of an SSE-C object must bring its key, and no other may. */
export function checkCustomerKey(exchange: Exchange, version: Pick<ObjectVersion, 'customerKey'>, prefix = ''): void {
  const given = customerKey(exchange, prefix)
  if (!version.customerKey) {
    if (given) throw s3Error('InvalidRequest', 'The encryption parameters are not applicable to this object.')
    return
  }
  if (!given) throw s3Error('InvalidRequest', 'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.')
  if (!sameText(given.proof, version.customerKey.proof)) throw s3Error('AccessDenied', 'Access Denied')
}

export function customerKeyHeaders(key: CustomerKey | undefined): Headers {
  return key ? {[customerHeader]: 'AES256', 'x-amz-server-side-encryption-customer-key-md5': key.md5} : {}
}
