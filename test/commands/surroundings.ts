import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {credentials, openS3} from '../support/s3-storage.ts'

export interface Surroundings {
  /** The working directory; the data folder is `data` in it. */
  readonly path: string
  /** The bucket's variables are set, or taken away again. */
  withBucket(on: boolean): void
  readonly s3: Awaited<ReturnType<typeof openS3>>
}

/** A working directory, a data folder and an S3 server for the commands of a suite, and nothing of this machine's settings. */
export function surroundings(): Surroundings {
  const kept = {...process.env}
  const home = process.cwd()
  let path = ''
  let s3: Awaited<ReturnType<typeof openS3>> | undefined
  const current = () => {
    if (s3 === undefined) throw new Error('Only inside a test.')
    return s3
  }
  before(async () => {
    path = await mkdtemp(join(tmpdir(), 'dr-command-'))
    s3 = await openS3()
    process.chdir(path)
    for (const name of Object.keys(process.env)) if (/^(DR_|AWS_|DATABASE_URL)/.test(name)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, {DR_CONFIG_DIR: join(path, 'config'), DR_DATA_DIR: join(path, 'data')})
  })
  after(async () => {
    process.chdir(home)
    for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, kept)
    await s3?.close()
    await rm(path, {recursive: true, force: true})
  })
  return {
    get path() { return path },
    get s3() { return current() },
    withBucket(on) {
      const bucket = {AWS_S3_BUCKET: 'backups', AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL_S3: current().server.endpoint, AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey}
      if (on) Object.assign(process.env, bucket)
      else for (const name of Object.keys(bucket)) Reflect.deleteProperty(process.env, name)
    },
  }
}
