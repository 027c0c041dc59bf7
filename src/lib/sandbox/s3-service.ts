import {join} from 'node:path'
import type {Program} from './node-service.ts'
import {s3ServerMain} from './s3/main.ts'
import type {SandboxState} from './state.ts'

/** The sandbox's S3 server, with the bucket. */
export const s3Program = (directory: string, {s3}: SandboxState): Program => ({
  name: 's3',
  main: s3ServerMain,
  directory: join(directory, 's3'),
  logFile: join(directory, 's3.log'),
  deadlineMs: 15_000,
  code: 'sandbox.s3',
  env: {
    DR_SANDBOX_S3_ACCESS_KEY_ID: s3.accessKeyId,
    DR_SANDBOX_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    DR_SANDBOX_S3_REGION: s3.region,
    DR_SANDBOX_S3_BUCKETS: s3.bucket,
  },
})
