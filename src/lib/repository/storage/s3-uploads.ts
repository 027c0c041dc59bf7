import {AbortMultipartUploadCommand, ListMultipartUploadsCommand, type ListMultipartUploadsCommandOutput} from '@aws-sdk/client-s3'
import {storeCode} from './s3-errors.ts'
import {pathOf, request, type S3Context} from './s3-context.ts'

type Signal = AbortSignal | undefined

export async function* uploadPages(context: S3Context, signal: Signal): AsyncGenerator<ListMultipartUploadsCommandOutput> {
  let marker: {KeyMarker?: string; UploadIdMarker?: string} | undefined = {}
  while (marker !== undefined) {
    const from: typeof marker = marker
    const answer = await request(context, {action: 's3:ListBucketMultipartUploads', signal}, async (client, abort) =>
      client.send(new ListMultipartUploadsCommand({Bucket: context.place.bucket, Prefix: context.root, ...from}), abort),
    )
    yield answer
    marker = nextMarker(answer)
  }
}

function nextMarker({IsTruncated: more, NextKeyMarker: key, NextUploadIdMarker: id}: ListMultipartUploadsCommandOutput) {
  if (more !== true || key === undefined) return undefined
  return {KeyMarker: key, ...(id !== undefined && {UploadIdMarker: id})}
}

/** An upload that is gone is no error. */
export async function abortUpload(context: S3Context, key: string, id: string, signal: Signal): Promise<void> {
  try {
    await request(context, {action: 's3:AbortMultipartUpload', key, signal}, async (client, abort) => client.send(new AbortMultipartUploadCommand({...pathOf(context, key), UploadId: id}), abort))
  } catch (error) {
    if (storeCode(error) !== 'NoSuchUpload') throw error
  }
}
