import {existsSync, readdirSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {Bucket, timestamp, type BucketSettings, type ObjectVersion, type Part, type Upload} from './bucket.ts'
import {makeFolders, readJson, removeFolder} from './disk.ts'
import {s3Error} from './s3-error.ts'

/** All buckets of one directory. What an earlier process left half-written is cleared away on opening. */
export class Store {
  readonly buckets = new Map<string, Bucket>()
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    makeFolders(directory)
    for (const entry of readdirSync(directory, {withFileTypes: true})) {
      if (entry.isDirectory() && existsSync(join(directory, entry.name, 'bucket.json'))) this.buckets.set(entry.name, openBucket(entry.name, join(directory, entry.name)))
    }
  }

  bucket(name: string): Bucket {
    const bucket = this.buckets.get(name)
    if (!bucket) throw s3Error('NoSuchBucket', 'The specified bucket does not exist')
    return bucket
  }

  create(name: string, objectLock = false): Bucket {
    const settings: BucketSettings = {created: timestamp(), objectLock, documents: {}}
    const bucket = new Bucket(name, join(this.#directory, name), objectLock ? {...settings, versioning: 'Enabled'} : settings)
    bucket.create()
    this.buckets.set(name, bucket)
    return bucket
  }

  remove(bucket: Bucket): void {
    if (!bucket.isEmpty) throw s3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty')
    this.buckets.delete(bucket.name)
    removeFolder(bucket.folder)
  }
}

function openBucket(name: string, folder: string): Bucket {
  const bucket = new Bucket(name, folder, readJson(join(folder, 'bucket.json')) as BucketSettings)
  removeFolder(join(folder, 'incoming'))
  makeFolders(join(folder, 'incoming'))
  loadObjects(bucket)
  for (const id of readdirSync(join(folder, 'uploads'))) loadUpload(bucket, id)
  return bucket
}

function loadObjects(bucket: Bucket): void {
  const files = new Set(readdirSync(join(bucket.folder, 'objects')))
  const found = [...files].filter((file) => file.endsWith('.json')).map((file) => readJson(bucket.dataPath(file)) as ObjectVersion)
  found.sort((a, b) => a.order - b.order)
  for (const version of found) {
    const replaced = bucket.versions(version.key).find(({versionId}) => versionId === version.versionId)
    if (replaced) bucket.remove(replaced)
    bucket.admit(version)
  }
  const wanted = new Set(found.flatMap(({id, segments}) => [`${id}.json`, ...segments.map(({file}) => file)]))
  for (const file of files) if (!wanted.has(file)) rmSync(bucket.dataPath(file), {force: true})
}

function loadUpload(bucket: Bucket, id: string): void {
  const path = bucket.uploadPath(id, 'upload.json')
  if (!existsSync(path)) {
    removeFolder(bucket.uploadPath(id))
    return
  }
  const records = readdirSync(bucket.uploadPath(id)).filter((file) => /^\d+\.json$/.test(file))
  const parts = records.map((file) => readJson(bucket.uploadPath(id, file)) as Part).filter(({file}) => existsSync(bucket.uploadPath(id, file)))
  bucket.uploads.set(id, {...(readJson(path) as Upload), parts: new Map(parts.map((part) => [part.number, part]))})
}
