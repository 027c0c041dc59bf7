import {readFile, readlink, realpath, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {processAlive, processCommand} from '../../system/service.ts'

/** A running server, as its own lock file tells. */
export interface Postmaster {
  pid: number
  port: number
}

/** Reads the lock file of a data folder. Undefined when no server runs there: no file, a dead pid, or a pid that is another program or another server now. */
export async function runningPostmaster(data: string): Promise<Postmaster | undefined> {
  const [pid, port] = await lockFile(data)
  return pid > 0 && port > 0 && (await isServerOf(data, pid)) ? {pid, port} : undefined
}

/** PostgreSQL takes a dead server's pid for alive when another process of its account has it now. */
export async function removeStaleLock(data: string): Promise<void> {
  const [pid] = await lockFile(data)
  if (pid > 0 && !(await isServerOf(data, pid))) await rm(join(data, 'postmaster.pid'), {force: true})
}

async function lockFile(data: string): Promise<[pid: number, port: number]> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  return [Number(lines[0]), Number(lines[3])]
}

/** A server works in its data folder, and was started with its name. What cannot be seen at all is taken for the server. */
async function isServerOf(data: string, pid: number): Promise<boolean> {
  if (!processAlive(pid)) return false
  const command = await processCommand(pid)
  if (command === undefined) return true
  if (!command.includes('postgres')) return false
  const real = await realpath(data).catch(() => data)
  return command.includes(data) || command.includes(real) || (await readlink(`/proc/${pid}/cwd`).catch(() => undefined)) === real
}
