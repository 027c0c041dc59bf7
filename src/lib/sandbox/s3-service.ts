import {mkdir, readFile, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as pause} from 'node:timers/promises'
import {DrError} from '../errors.ts'
import {endProcess, processAlive, processCommand, startService} from '../system/service.ts'
import {freePort} from './cluster/launch.ts'
import {s3ServerMain} from './s3/main.ts'
import type {SandboxState, Service} from './state.ts'

const DEADLINE_MS = 15_000
const TRIES = 3

/** Starts the S3 server as a process of its own, with the bucket; a running one is handed out. It keeps its port over a restart when that is free. */
export async function startS3Service(directory: string, {s3, services}: SandboxState): Promise<Service> {
  const former = services.find(({name}) => name === 's3')
  if (former && (await s3Running(former))) return former
  const data = join(directory, 's3')
  await mkdir(data, {recursive: true, mode: 0o700})
  for (let tries = TRIES, port = former?.port ?? (await freePort()); ; tries -= 1, port = await freePort()) {
    const pid = await launch(directory, data, port, s3)
    if (pid !== undefined) return {name: 's3', pid, port, directory: data}
    if (tries <= 1) throw await failure(directory)
  }
}

/** Whether the process is our server on that folder; one started from another installation of `dr` counts too. */
export async function s3Running({pid, directory}: Service): Promise<boolean> {
  if (!processAlive(pid)) return false
  const command = (await processCommand(pid)) ?? ''
  return /sandbox.s3.main\.[jt]s /.test(command) && command.includes(directory)
}

export async function stopS3Service(service: Service): Promise<void> {
  if (await s3Running(service)) await endProcess(service.pid)
}

const logOf = (directory: string): string => join(directory, 's3.log')

async function launch(directory: string, data: string, port: number, s3: SandboxState['s3']): Promise<number | undefined> {
  const logFile = logOf(directory)
  await rm(logFile, {force: true})
  const env = {
    ...process.env,
    DR_SANDBOX_S3_ACCESS_KEY_ID: s3.accessKeyId,
    DR_SANDBOX_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    DR_SANDBOX_S3_REGION: s3.region,
    DR_SANDBOX_S3_BUCKETS: s3.bucket,
  }
  const {pid} = await startService([process.execPath, s3ServerMain, data, String(port)], {env, logFile, cwd: directory})
  return (await ready(pid, logFile)) ? pid : undefined
}

/** The server says its own pid when it listens. */
async function ready(pid: number, logFile: string): Promise<boolean> {
  const end = Date.now() + DEADLINE_MS
  while (Date.now() < end) {
    if ((await readFile(logFile, 'utf8')).includes(`"pid":${pid}`)) return true
    if (!processAlive(pid)) return false
    await pause(20)
  }
  await endProcess(pid)
  return false
}

async function failure(directory: string): Promise<DrError> {
  const said = await readFile(logOf(directory), 'utf8').catch(() => '')
  return new DrError('sandbox.s3', `The sandbox's S3 server did not start: ${said.trim().split('\n').at(-1) ?? 'it said nothing'}`, {hints: [`log: ${logOf(directory)}`]})
}
