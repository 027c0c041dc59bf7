import {receiveText} from './body.ts'
import {defaultEncryption} from './encryption.ts'
import type {Exchange, Operation, Reply} from './exchange.ts'
import {ownerTag} from './list-objects.ts'
import {s3Error, type S3ErrorCode} from './s3-error.ts'
import {group, parseXml, tag, textOf, xmlDocument} from './xml.ts'

const defaultRegion = 'us-east-1'

export function listBuckets({store}: Exchange): Reply {
  const buckets = [...store.buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  return {xml: xmlDocument('ListAllMyBucketsResult', ownerTag(), group('Buckets', ...buckets.map(({name, settings}) => group('Bucket', tag('Name', name), tag('CreationDate', settings.created)))))}
}

export function checkBucketName(name: string): void {
  const valid = /^[a-z\d][a-z\d.-]{1,61}[a-z\d]$/.test(name) && !name.includes('..') && !/^\d+\.\d+\.\d+\.\d+$/.test(name)
  if (!valid) throw s3Error('InvalidBucketName', 'The specified bucket is not valid.')
}

export async function createBucket(exchange: Exchange): Promise<Reply> {
  const {store, region} = exchange
  const name = exchange.target.bucket
  checkBucketName(name)
  const text = exchange.header('content-length') === undefined ? '' : await receiveText(exchange)
  const constraint = text.trim() === '' ? undefined : textOf(parseXml(text, 'CreateBucketConfiguration'), 'LocationConstraint')
  if ((constraint ?? defaultRegion) !== region) throw s3Error('IllegalLocationConstraintException', `The ${constraint ?? 'unspecified'} location constraint is incompatible for the region specific endpoint this request was sent to.`)
  if (!store.buckets.has(name)) store.create(name, exchange.header('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true')
  else if (region !== defaultRegion) throw s3Error('BucketAlreadyOwnedByYou', 'Your previous request to create the named bucket succeeded and you already own it.')
  return {headers: {location: `/${name}`}}
}

export function headBucket({bucket, region}: Exchange): Reply {
  return {headers: {'x-amz-bucket-region': region, 'content-type': bucket.name === '' ? undefined : 'application/xml'}}
}

export function deleteBucket({bucket, store}: Exchange): Reply {
  store.remove(bucket)
  return {status: 204}
}

export function getLocation({bucket, region}: Exchange): Reply {
  return {xml: xmlDocument('LocationConstraint', bucket.name !== '' && region === defaultRegion ? '' : region)}
}

export async function putVersioning(exchange: Exchange): Promise<Reply> {
  const {bucket} = exchange
  const status = textOf(parseXml(await receiveText(exchange), 'VersioningConfiguration'), 'Status')
  if (status !== 'Enabled' && status !== 'Suspended') throw s3Error('MalformedXML', 'The versioning status must be Enabled or Suspended')
  if (status === 'Suspended' && bucket.settings.objectLock) throw s3Error('InvalidBucketState', 'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.')
  bucket.settings.versioning = status
  bucket.saveSettings()
  return {}
}

export function getVersioning({bucket}: Exchange): Reply {
  return {xml: xmlDocument('VersioningConfiguration', tag('Status', bucket.settings.versioning))}
}

interface DocumentKind {
  root: string
  missing: [code: S3ErrorCode, message: string]
  /** What a new bucket has; its deletion is then kept as an empty text. */
  initial?: string
  /** Encryption cannot be deleted: it becomes the initial one again. */
  keepsInitial?: boolean
}

const everythingBlocked = xmlDocument('PublicAccessBlockConfiguration', ...['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'].map((name) => tag(name, true)))

/** Settings that are kept and given back as the documents that they are, by the name of their query parameter. */
const documentKinds = {
  lifecycle: {root: 'LifecycleConfiguration', missing: ['NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist']},
  encryption: {root: 'ServerSideEncryptionConfiguration', missing: ['NotImplemented', 'Encryption is always on'], initial: defaultEncryption, keepsInitial: true},
  publicAccessBlock: {root: 'PublicAccessBlockConfiguration', missing: ['NoSuchPublicAccessBlockConfiguration', 'The public access block configuration was not found'], initial: everythingBlocked},
  tagging: {root: 'Tagging', missing: ['NoSuchTagSet', 'The TagSet does not exist']},
  replication: {root: 'ReplicationConfiguration', missing: ['ReplicationConfigurationNotFoundError', 'The replication configuration was not found']},
} as const satisfies Record<string, DocumentKind>

export type DocumentName = keyof typeof documentKinds
const kindOf = (name: DocumentName): DocumentKind => documentKinds[name]

export function putDocument(name: DocumentName): Operation {
  return async (exchange) => {
    const {bucket} = exchange
    const text = await receiveText(exchange)
    if (parseXml(text, kindOf(name).root).children.length === 0) throw s3Error('MalformedXML', `${kindOf(name).root} is empty`)
    bucket.settings.documents[name] = text
    bucket.saveSettings()
    return {}
  }
}

export function getDocument(name: DocumentName): Operation {
  return ({bucket}) => {
    const {initial, missing} = kindOf(name)
    const text = bucket.settings.documents[name] ?? initial ?? ''
    if (text === '') throw s3Error(...missing)
    return {xml: text}
  }
}

export function deleteDocument(name: DocumentName): Operation {
  return ({bucket}) => {
    const {initial, keepsInitial} = kindOf(name)
    bucket.settings.documents[name] = keepsInitial === true && initial !== undefined ? initial : ''
    bucket.saveSettings()
    return {status: 204}
  }
}

export function getPolicy({bucket}: Exchange): Reply {
  throw s3Error('NoSuchBucketPolicy', `The bucket policy of ${bucket.name} does not exist`)
}
