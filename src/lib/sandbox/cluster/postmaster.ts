import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {processAlive, processCommand} from '../../system/service.ts'

/** A running server, as its own lock file tells. */
export interface Postmaster {
  pid: number
  port: number
}

/** Reads the lock file of a data folder. Undefined when no server runs there: no file, a dead pid, or a pid that is another program now. */
export async function runningPostmaster(data: string): Promise<Postmaster | undefined> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const [pid, port] = [Number(lines[0]), Number(lines[3])]
  if (!(pid > 0) || !(port > 0) || !processAlive(pid)) return undefined
  const command = await processCommand(pid)
  return command === undefined || command.includes('postgres') ? {pid, port} : undefined
}
