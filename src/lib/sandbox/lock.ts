import {open, readFile, rm} from 'node:fs/promises'
import {lockedError} from '../errors.ts'
import {processAlive} from '../system/service.ts'

/** Does the work while no other process holds the lock file. A lock whose process is gone does not count. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  if (!(await take(path))) {
    const holder = Number(await readFile(path, 'utf8').catch(() => ''))
    if (holder > 0 && processAlive(holder)) throw lockedError('sandbox.locked', `Another dr sandbox command is at work (process ${holder}).`, {hints: ['wait until it ends', `delete ${path} when process ${holder} is not dr`]})
    await rm(path, {force: true})
    if (!(await take(path))) throw lockedError('sandbox.locked', 'Another dr sandbox command has just begun.', {hints: ['wait until it ends']})
  }
  try {
    return await work()
  } finally {
    await rm(path, {force: true})
  }
}

async function take(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600)
    await file.writeFile(String(process.pid))
    await file.close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
