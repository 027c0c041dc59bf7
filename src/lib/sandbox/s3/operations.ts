import {receiveText} from './body.ts'
import * as bucket from './bucket-operations.ts'
import {completeUpload} from './complete-upload.ts'
import {copyObject} from './copy-object.ts'
import {deleteObject, deleteObjects} from './delete-object.ts'
import type {Operation} from './exchange.ts'
import {getAttributes, getObject, headObject, restoreObject} from './get-object.ts'
import {listObjects, listObjectsV1} from './list-objects.ts'
import {listParts, listUploads} from './list-uploads.ts'
import {listVersions} from './list-versions.ts'
import * as multipart from './multipart.ts'
import * as lock from './object-lock.ts'
import {putObject} from './put-object.ts'
import * as tagging from './tagging.ts'
import {parseXml, textOf} from './xml.ts'

export interface Route {
  /** S3's own name. */
  name: string
  run: Operation
}

/** Query parameters that choose an operation, in the order in which they are looked for. */
const selectors = ['uploadId', 'uploads', 'delete', 'versions', 'versioning', 'location', 'lifecycle', 'encryption', 'publicAccessBlock', 'object-lock', 'policy', 'replication', 'attributes', 'retention', 'legal-hold', 'tagging', 'restore', 'acl', 'cors', 'website', 'logging', 'notification'] as const

const service: Readonly<Record<string, Route>> = {
  GET: {name: 'ListBuckets', run: bucket.listBuckets},
}

const documents = (parameter: bucket.DocumentName, name: string): Record<string, Route> => ({
  [`PUT ${parameter}`]: {name: `Put${name}`, run: bucket.putDocument(parameter)},
  [`GET ${parameter}`]: {name: `Get${name}`, run: bucket.getDocument(parameter)},
  [`DELETE ${parameter}`]: {name: `Delete${name}`, run: bucket.deleteDocument(parameter)},
})

const ofBucket: Readonly<Record<string, Route>> = {
  PUT: {name: 'CreateBucket', run: bucket.createBucket},
  HEAD: {name: 'HeadBucket', run: bucket.headBucket},
  DELETE: {name: 'DeleteBucket', run: bucket.deleteBucket},
  'GET location': {name: 'GetBucketLocation', run: bucket.getLocation},
  'PUT versioning': {name: 'PutBucketVersioning', run: bucket.putVersioning},
  'GET versioning': {name: 'GetBucketVersioning', run: bucket.getVersioning},
  'PUT object-lock': {name: 'PutObjectLockConfiguration', run: lock.putLockConfiguration},
  'GET object-lock': {name: 'GetObjectLockConfiguration', run: lock.getLockConfiguration},
  'GET policy': {name: 'GetBucketPolicy', run: bucket.getPolicy},
  ...documents('lifecycle', 'BucketLifecycleConfiguration'),
  ...documents('encryption', 'BucketEncryption'),
  ...documents('publicAccessBlock', 'PublicAccessBlock'),
  ...documents('tagging', 'BucketTagging'),
  ...documents('replication', 'BucketReplication'),
  GET: {name: 'ListObjects', run: listObjectsV1},
  'GET list-type': {name: 'ListObjectsV2', run: listObjects},
  'GET versions': {name: 'ListObjectVersions', run: listVersions},
  'GET uploads': {name: 'ListMultipartUploads', run: listUploads},
  'POST delete': {name: 'DeleteObjects', run: deleteObjects},
}

const ofObject: Readonly<Record<string, Route>> = {
  PUT: {name: 'PutObject', run: putObject},
  'PUT copy': {name: 'CopyObject', run: copyObject},
  GET: {name: 'GetObject', run: getObject},
  HEAD: {name: 'HeadObject', run: headObject},
  DELETE: {name: 'DeleteObject', run: deleteObject},
  'GET attributes': {name: 'GetObjectAttributes', run: getAttributes},
  'GET tagging': {name: 'GetObjectTagging', run: tagging.getTagging},
  'PUT tagging': {name: 'PutObjectTagging', run: tagging.putTagging},
  'DELETE tagging': {name: 'DeleteObjectTagging', run: tagging.deleteTagging},
  'GET retention': {name: 'GetObjectRetention', run: lock.getRetention},
  'PUT retention': {name: 'PutObjectRetention', run: lock.putRetention},
  'GET legal-hold': {name: 'GetObjectLegalHold', run: lock.getLegalHold},
  'PUT legal-hold': {name: 'PutObjectLegalHold', run: lock.putLegalHold},
  'POST uploads': {name: 'CreateMultipartUpload', run: multipart.createUpload},
  'PUT uploadId': {name: 'UploadPart', run: multipart.uploadPart},
  'PUT uploadId copy': {name: 'UploadPartCopy', run: multipart.uploadPartCopy},
  'GET uploadId': {name: 'ListParts', run: listParts},
  'POST uploadId': {name: 'CompleteMultipartUpload', run: completeUpload},
  'DELETE uploadId': {name: 'AbortMultipartUpload', run: multipart.abortUpload},
  'POST restore': {
    name: 'RestoreObject',
    run: async (exchange) => restoreObject(exchange, Number(textOf(parseXml(await receiveText(exchange), 'RestoreRequest'), 'Days') ?? 1)),
  },
}

export interface RouteSubject {
  method: string
  bucket: string
  key: string
  query: ReadonlyMap<string, string>
  copySource: boolean
}

/** The operation that a request means; undefined when there is none. */
export function findRoute({method, bucket: name, key, query, copySource}: RouteSubject): Route | undefined {
  if (name === '') return service[method]
  const selector = selectors.find((parameter) => query.has(parameter)) ?? (query.get('list-type') === '2' ? 'list-type' : undefined)
  const words = [method, selector, key !== '' && method === 'PUT' && copySource ? 'copy' : undefined].filter((word) => word !== undefined)
  return (key === '' ? ofBucket : ofObject)[words.join(' ')]
}
