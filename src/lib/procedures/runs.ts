import {mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'
import {randomBytes} from 'node:crypto'
import {hostname} from 'node:os'
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
  const record = async (folder: string) => {
    const half = join(folder, `${OWNER}.new`)
    await writeFile(half, JSON.stringify(owner), {mode: 0o600})
    await rename(half, join(folder, OWNER))
  }
  const passing = passingPath(runsDirectory(dataDirectory))
  await mkdir(passing, {recursive: true, mode: 0o700})
  await record(passing)
  await settle(passing, directory)
  const heartbeat = setInterval(() => { utimes(path, new Date(), new Date()).catch(() => {}) }, HEARTBEAT).unref()
  return {
    id,
    directory,
    async owns(folder) {
      owner.folders.push(folder)
      await record(directory)
    },
    async remove() {
      clearInterval(heartbeat)
      for (const folder of owner.folders) await rm(folder, {recursive: true, force: true})
      await discard(directory)
    },
  }
}

/** Under its name a folder always has a whole record: whatever a kill leaves can be told to be dead. */
async function settle(passing: string, directory: string): Promise<void> {
  try {
    await rename(passing, directory)
  } catch (error) {
    // Of the earlier process of a run that is gone on with.
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await rename(join(passing, OWNER), join(directory, OWNER))
    await rm(passing, {recursive: true, force: true})
  }
}

/** The record must not go before the rest: so all goes together, under a name that says whose it is. */
async function discard(directory: string): Promise<void> {
  const passing = passingPath(dirname(directory))
  try {
    await rename(directory, passing)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await rm(passing, {recursive: true, force: true})
}

const PASSING = '.of'

/** A folder that comes or goes: what it is told by while it has no whole record stands in its name. */
function passingPath(root: string): string {
  const {pid, ticks = '', boot = '', pidNamespace = ''} = ownIdentity()
  return join(root, [PASSING, pid, ticks, boot.replaceAll('-', ''), /\d+/.exec(pidNamespace)?.[0] ?? '', randomBytes(3).toString('hex')].join('-'))
}

function ownerOfPassing(name: string): Pick<Owner, 'pid' | 'ticks' | 'boot' | 'pidNamespace'> | undefined {
  const [prefix, pid, ticks, boot = '', namespace] = name.split('-')
  if (prefix !== PASSING || pid === undefined || !/^\d+$/.test(pid)) return undefined
  return {
    pid: Number(pid), ...(ticks && {ticks}), ...(namespace && {pidNamespace: `pid:[${namespace}]`}),
    ...(boot && {boot: boot.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')}),
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
  const passing = ownerOfPassing(basename(directory))
  if (passing) {
    if (await isAbandoned(directory, {host: hostname(), ...passing})) await rm(directory, {recursive: true, force: true})
    return
  }
  const owner = await readOwner(directory)
  if (owner === undefined || !(await isAbandoned(join(directory, OWNER), owner))) return
  // Before the record of them.
  for (const folder of owner.folders) await rm(folder, {recursive: true, force: true})
  await discard(directory)
}

/** `path`: what the process touches while it lives. */
async function isAbandoned(path: string, owner: ProcessIdentity): Promise<boolean> {
  if (surelyEnded(owner)) return true
  const {pid, host, ticks} = owner
  if (stillRuns({pid, host, ticks})) return false
  return Date.now() - (await stat(path)).mtimeMs > SILENT
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
