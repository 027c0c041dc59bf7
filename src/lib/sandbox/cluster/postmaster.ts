import {readFile, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {processAlive, processCommand} from '../../system/service.ts'

/** A running server, as its own lock file tells. */
export interface Postmaster {
  pid: number
  port: number
}

/** Reads the lock file of a data folder. Undefined when no server runs there: no file, a dead pid, or a pid that is another program now. */
export async function runningPostmaster(data: string): Promise<Postmaster | undefined> {
  const [pid, port] = await lockFile(data)
  return pid > 0 && port > 0 && (await isServer(pid)) ? {pid, port} : undefined
}

/** PostgreSQL takes a dead server's pid for alive when another process of its account has it now. */
export async function removeStaleLock(data: string): Promise<void> {
  const [pid] = await lockFile(data)
  if (pid > 0 && !(await isServer(pid))) await rm(join(data, 'postmaster.pid'), {force: true})
}

async function lockFile(data: string): Promise<[pid: number, port: number]> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  return [Number(lines[0]), Number(lines[3])]
}

async function isServer(pid: number): Promise<boolean> {
  if (!processAlive(pid)) return false
  const command = await processCommand(pid)
  return command === undefined || command.includes('postgres')
}
