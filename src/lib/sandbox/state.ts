import {randomBytes} from 'node:crypto'
import {existsSync} from 'node:fs'
import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {preflightError} from '../errors.ts'
import type {SamplePasswords} from './database/create.ts'

export type ServiceName = 'postgres' | 's3' | 'rds'

/** A process of the sandbox that goes on when `dr` ends. */
export interface Service {
  name: ServiceName
  pid: number
  port: number
  /** Where its data is. */
  directory: string
}

/** What `state.json` holds (mode 0600): everything to reach the sandbox and to end it. Its secrets are worth nothing elsewhere. */
export interface SandboxState {
  version: 1
  /** Where the cluster is: in the sandbox's folder, or where the server's account can get to. */
  clusterDirectory: string
  services: Service[]
  database: {name: string; rows: number; tenants: number; seed: number; loaded: boolean}
  passwords: SamplePasswords
  encryptionKey: string
  s3: {bucket: string; region: string; accessKeyId: string; secretAccessKey: string}
}

const MARKER = 'made-by-dr-sandbox'
const FILE = 'state.json'
const secret = (bytes: number): string => randomBytes(bytes).toString('base64url')

export function newState(clusterDirectory: string, size: {rows: number; tenants: number; seed: number}): SandboxState {
  return {
    version: 1,
    clusterDirectory,
    services: [],
    database: {name: 'dashboarduz', ...size, loaded: false},
    passwords: {owner: secret(18), app: secret(18), reader: secret(18)},
    encryptionKey: secret(36),
    s3: {bucket: 'dashboarduz-backups', region: 'us-east-1', accessKeyId: `SANDBOX${randomBytes(6).toString('hex').toUpperCase()}`, secretAccessKey: secret(30)},
  }
}

export async function readState(directory: string): Promise<SandboxState | undefined> {
  const text = await readFile(join(directory, FILE), 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : (JSON.parse(text) as SandboxState)
}

/** Complete or not at all: a crash in the middle leaves the former state. */
export async function writeState(directory: string, state: SandboxState): Promise<void> {
  const work = join(directory, `${FILE}.new`)
  await writeFile(work, `${JSON.stringify(state, null, 2)}\n`, {mode: 0o600})
  await rename(work, join(directory, FILE))
}

/** Makes a folder ours. One that holds something we did not put there is refused. */
export async function claim(directory: string): Promise<void> {
  await mkdir(directory, {recursive: true})
  const found = await readdir(directory)
  if (found.includes(MARKER)) return
  if (found.length > 0) throw foreign(directory)
  await writeFile(join(directory, MARKER), 'dr sandbox made this folder; dr sandbox reset deletes it.\n')
}

/** Throws when the folder is there and not ours. */
export function checkClaimed(directory: string): void {
  if (existsSync(directory) && !existsSync(join(directory, MARKER))) throw foreign(directory)
}

/** Deletes a folder that we made, and no other. An absent one is fine. */
export async function removeClaimed(directory: string): Promise<void> {
  checkClaimed(directory)
  await rm(directory, {recursive: true, force: true, maxRetries: 3})
}

const foreign = (directory: string) => preflightError('sandbox.foreign-folder', `${directory} holds files that dr sandbox did not make.`, {hints: ['set DR_DATA_DIR to another folder', `move ${directory} away`]})
