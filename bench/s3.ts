import {randomBytes} from 'node:crypto'
import {readFile, rm} from 'node:fs/promises'
import {setTimeout as pause} from 'node:timers/promises'
import {freePort} from '../src/lib/sandbox/cluster/launch.ts'
import {s3ServerMain} from '../src/lib/sandbox/s3/main.ts'
import {startS3Server} from '../src/lib/sandbox/s3/server.ts'
import {endProcess, processAlive, startService} from '../src/lib/system/service.ts'
import {processMs} from './processes.ts'

const REGION = 'us-east-1'
const BUCKET = 'bench'
/** Of the keys of `dr`. */
export const S3_PREFIX = 'dr'
const DEADLINE_MS = 15_000

const s3Environment = (port: number, {id, secret}: {id: string; secret: string}): Record<string, string> => ({
  AWS_S3_BUCKET: BUCKET, AWS_REGION: REGION, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`, AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, DR_S3_PREFIX: S3_PREFIX,
})

/** The sandbox's S3 server in this process, which counts what it sends. */
export interface CountedS3 {
  environment: Readonly<Record<string, string>>
  /** Of all replies so far, headers included. */
  sentBytes: () => number
  stop: () => Promise<void>
}

export async function startCountedS3(directory: string, bytesPerSecond?: number): Promise<CountedS3> {
  const keys = newKeys()
  const server = await startS3Server({directory, credentials: {accessKeyId: keys.id, secretAccessKey: keys.secret}, region: REGION, buckets: [BUCKET], ...(bytesPerSecond !== undefined && {bytesPerSecond})})
  return {environment: s3Environment(server.port, keys), sentBytes: () => server.requests.reduce((sum, {bytes}) => sum + bytes, 0), stop: () => server.close()}
}

const newKeys = (): {id: string; secret: string} => ({id: `BENCH${randomBytes(6).toString('hex').toUpperCase()}`, secret: randomBytes(20).toString('hex')})

/** The sandbox's S3 server as a process of its own. */
export class S3Process {
  readonly pid: number
  readonly #port: number
  readonly #keys: {id: string; secret: string}

  constructor(pid: number, port: number, keys: {id: string; secret: string}) {
    this.pid = pid
    this.#port = port
    this.#keys = keys
  }

  /** Processor time so far. */
  get usedMs(): number {
    return processMs(this.pid)
  }

  /** What `dr` and the AWS SDK need to reach it. */
  environment(): Record<string, string> {
    return s3Environment(this.#port, this.#keys)
  }

  stop(): Promise<void> {
    return endProcess(this.pid)
  }
}

/** Serves a folder, at a limited rate when one is given. */
export async function startS3(folder: string, bytesPerSecond?: number): Promise<S3Process> {
  const keys = newKeys()
  const port = await freePort()
  const logFile = `${folder}.log`
  await rm(logFile, {force: true})
  const env = {
    PATH: process.env.PATH, NODE_ENV: 'production', DR_SANDBOX_S3_ACCESS_KEY_ID: keys.id, DR_SANDBOX_S3_SECRET_ACCESS_KEY: keys.secret, DR_SANDBOX_S3_REGION: REGION, DR_SANDBOX_S3_BUCKETS: BUCKET,
    ...(bytesPerSecond !== undefined && {DR_SANDBOX_S3_BYTES_PER_SECOND: String(bytesPerSecond)}),
  }
  const {pid} = await startService([process.execPath, s3ServerMain, folder, String(port)], {env, logFile})
  await listening(pid, logFile)
  return new S3Process(pid, port, keys)
}

/** It writes its pid when it listens. */
async function listening(pid: number, logFile: string): Promise<void> {
  const end = Date.now() + DEADLINE_MS
  for (;;) {
    const said = await readFile(logFile, 'utf8')
    if (said.includes(`"pid":${pid}`)) return
    if (!processAlive(pid) || Date.now() > end) {
      await endProcess(pid)
      throw new Error(`The S3 server did not start: ${said}`)
    }
    await pause(20)
  }
}
