import {createWriteStream} from 'node:fs'
import {mkdir} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import type {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {GetObjectCommand, ListObjectsV2Command, S3Client} from '@aws-sdk/client-s3'

/*
 * node bench/download.ts PREFIX FOLDER: what one does by hand before a stock pg_restore, one object after the other.
 * The link is the limit, so that several at once would not be faster.
 */
const [prefix = '', folder = ''] = process.argv.slice(2)
const Bucket = process.env.AWS_S3_BUCKET ?? ''
const client = new S3Client({forcePathStyle: true, region: process.env.AWS_REGION ?? ''})
const {Contents = [], IsTruncated} = await client.send(new ListObjectsV2Command({Bucket, Prefix: prefix}))
if (IsTruncated || Contents.length === 0) throw new Error(`${Contents.length} objects under ${prefix}: expected one page of them.`)
for (const {Key = ''} of Contents) {
  const path = join(folder, Key.slice(prefix.length))
  await mkdir(dirname(path), {recursive: true})
  const {Body} = await client.send(new GetObjectCommand({Bucket, Key}))
  await pipeline(Body as Readable, createWriteStream(path))
}
client.destroy()
