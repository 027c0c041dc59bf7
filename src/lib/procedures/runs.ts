import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {randomBytes} from 'node:crypto'
import {compactUtc} from '../system/clock.ts'

/** A run's private folder: password file, and the record of who owns it, by which a later run knows that it is dead. */
export interface RunFolder {
  readonly id: string
  readonly directory: string
  /** Notes a folder that is to go with the run. */
  owns(directory: string): Promise<void>
  remove(): Promise<void>
}

interface Owner {
  pid: number
  host: string
  folders: string[]
}

export const runsDirectory = (dataDirectory: string) => join(dataDirectory, 'run')

export async function createRun(dataDirectory: string): Promise<RunFolder> {
  await sweepDeadRuns(dataDirectory)
  const id = `${compactUtc(new Date())}-${randomBytes(3).toString('hex')}`
  const directory = join(runsDirectory(dataDirectory), id)
  const owner: Owner = {pid: process.pid, host: hostname(), folders: []}
  const record = () => writeFile(join(directory, 'owner.json'), JSON.stringify(owner), {mode: 0o600})
  await mkdir(directory, {recursive: true, mode: 0o700})
  await record()
  return {
    id,
    directory,
    async owns(folder) {
      owner.folders.push(folder)
      await record()
    },
    async remove() {
      for (const folder of owner.folders) await rm(folder, {recursive: true, force: true})
      await rm(directory, {recursive: true, force: true})
    },
  }
}

/** Removes what killed runs of this host left: password files and staged members. Nothing that looks alive is touched. */
export async function sweepDeadRuns(dataDirectory: string): Promise<void> {
  const root = runsDirectory(dataDirectory)
  for (const id of await readdir(root).catch(() => [])) {
    const directory = join(root, id)
    const owner = await readOwner(directory)
    if (owner?.host !== hostname() || isAlive(owner.pid)) continue
    for (const folder of owner.folders) await rm(folder, {recursive: true, force: true})
    await rm(directory, {recursive: true, force: true})
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function readOwner(directory: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8')) as Owner
  } catch {
    return undefined
  }
}

/** For --plan: a run that never begins and leaves nothing. */
export const unstartedRun = (): RunFolder => ({id: 'plan', directory: '', owns: () => Promise.resolve(), remove: () => Promise.resolve()})
