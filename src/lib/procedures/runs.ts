import {mkdir, readdir, readFile, rm, stat, utimes, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {randomBytes} from 'node:crypto'
import {compactUtc} from '../system/clock.ts'
import {ownIdentity, stillRuns, surelyEnded, type ProcessIdentity} from '../system/process-identity.ts'

/** A run's private folder: password file, and the record of who owns it, by which a later run knows that it is dead. */
export interface RunFolder {
  readonly id: string
  readonly directory: string
  /** Notes a folder that is to go with the run. */
  owns(directory: string): Promise<void>
  remove(): Promise<void>
}

interface Owner extends ProcessIdentity {
  folders: string[]
}

const OWNER = 'owner.json'
/** A run touches its record this often; of a process that cannot be looked at, this is the only sign of life. */
const HEARTBEAT = 5 * 60_000
const SILENT = 60 * 60_000

export const runsDirectory = (dataDirectory: string) => join(dataDirectory, 'run')

/** With the `id` of an earlier process when the run is gone on with. */
export async function createRun(dataDirectory: string, id = `${compactUtc(new Date())}-${randomBytes(3).toString('hex')}`): Promise<RunFolder> {
  await sweepDeadRuns(dataDirectory)
  const directory = join(runsDirectory(dataDirectory), id)
  const owner: Owner = {...ownIdentity(), folders: []}
  const path = join(directory, OWNER)
  const record = () => writeFile(path, JSON.stringify(owner), {mode: 0o600})
  await mkdir(directory, {recursive: true, mode: 0o700})
  await record()
  const heartbeat = setInterval(() => { utimes(path, new Date(), new Date()).catch(() => {}) }, HEARTBEAT).unref()
  return {
    id,
    directory,
    async owns(folder) {
      owner.folders.push(folder)
      await record()
    },
    async remove() {
      clearInterval(heartbeat)
      for (const folder of owner.folders) await rm(folder, {recursive: true, force: true})
      await rm(directory, {recursive: true, force: true})
    },
  }
}

/**
 * Removes what killed runs left: password files and staged members. Nothing that may be alive is touched: a process must be
 * proven to have ended, or have given no sign for an hour. What cannot be removed stays for the next time.
 */
export async function sweepDeadRuns(dataDirectory: string): Promise<void> {
  const root = runsDirectory(dataDirectory)
  for (const id of await readdir(root).catch(() => [])) await sweepRun(join(root, id)).catch(() => {})
}

async function sweepRun(directory: string): Promise<void> {
  const owner = await readOwner(directory)
  if (owner === undefined || !(await isAbandoned(directory, owner))) return
  // Before the record of them.
  for (const folder of owner.folders) await rm(folder, {recursive: true, force: true})
  await rm(directory, {recursive: true, force: true})
}

async function isAbandoned(directory: string, owner: Owner): Promise<boolean> {
  if (surelyEnded(owner)) return true
  const {pid, host, ticks} = owner
  if (stillRuns({pid, host, ticks})) return false
  return Date.now() - (await stat(join(directory, OWNER))).mtimeMs > SILENT
}

async function readOwner(directory: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, OWNER), 'utf8')) as Owner
  } catch {
    return undefined
  }
}

/** For --plan: a run that never begins and leaves nothing. */
export const unstartedRun = (): RunFolder => ({id: 'plan', directory: '', owns: () => Promise.resolve(), remove: () => Promise.resolve()})
