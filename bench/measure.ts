import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {closeSync, openSync} from 'node:fs'
import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {serverMs} from './processes.ts'

export interface Command {
  argv: readonly [string, ...string[]]
  env: Readonly<Record<string, string>>
  cwd?: string
}

export interface Measured {
  wallMs: number
  /** Processor time of the process and everything that it started and waited for. */
  clientMs: number
  /** Processor time of the PostgreSQL server meanwhile. */
  serverMs: number
  stdout: string
}

/** bash reports what the kernel tells when it has waited for the command; nothing is sampled. */
const TIMED = 'TIMEFORMAT="%3R %3U %3S"; exec 3>&2; { time "$@" 2>&3 3>&-; } 2>"$0"'

/** Runs a command to its end and measures it as a whole. A failure is an error with the end of what it said. */
export async function measure({argv, env, cwd}: Command, place: {folder: string; postmaster: number}): Promise<Measured> {
  const file = (name: string): string => join(place.folder, `measured.${name}`)
  const before = serverMs(place.postmaster)
  const [out, err] = [openSync(file('out'), 'w'), openSync(file('err'), 'w')]
  const child = spawn('bash', ['-c', TIMED, file('time'), ...argv], {env, cwd: cwd ?? place.folder, stdio: ['ignore', out, err]})
  const [code] = (await once(child, 'close').finally(() => { [out, err].forEach(closeSync) })) as [number | null]
  const after = serverMs(place.postmaster)
  const stdout = await readFile(file('out'), 'utf8')
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code ?? 'a signal'}:\n${tail(await readFile(file('err'), 'utf8'))}\n${tail(stdout)}`)
  return {...parseTime(await readFile(file('time'), 'utf8')), serverMs: after - before, stdout}
}

const tail = (text: string): string => text.trim().split('\n').slice(-15).join('\n')

/** Reads the line that bash wrote: seconds of wall, user and system time. */
export function parseTime(text: string): Pick<Measured, 'wallMs' | 'clientMs'> {
  const [wall = NaN, user = NaN, system = NaN] = text.trim().split(' ').map((part) => Number(part.replace(',', '.')) * 1000)
  if (!Number.isFinite(wall + user + system)) throw new Error(`Not a time: ${text}`)
  return {wallMs: wall, clientMs: user + system}
}
