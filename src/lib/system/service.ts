import {spawn, type StdioOptions} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {open} from 'node:fs/promises'
import {setTimeout as pause} from 'node:timers/promises'
import {DrError, messageOf} from '../errors.ts'

export interface Account {
  uid: number
  gid: number
}

export interface ServiceOptions {
  /** Who runs it; this process's own user when absent. */
  account?: Account | undefined
  /** The whole environment of the child; this process's own when absent. */
  env?: NodeJS.ProcessEnv
  cwd?: string
}

export interface ServiceRun {
  /** The exit code, or null when a signal ended it. */
  code: number | null
  stdout: string
  stderr: string
}

type Argv = readonly [string, ...string[]]

const childOptions = ({account, env, cwd}: ServiceOptions) => ({...account, ...(env && {env}), ...(cwd !== undefined && {cwd})})

/** Runs a short command of a service to its end and collects what it says. Never throws for an exit code. */
export async function runService([program, ...args]: Argv, options: ServiceOptions = {}): Promise<ServiceRun> {
  const child = spawn(program, args, {...childOptions(options), stdio: ['ignore', 'pipe', 'pipe']})
  const said = {stdout: '', stderr: ''}
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => { said[name] += text })
  return new Promise((resolve, reject) => {
    child.on('error', (error) => { reject(cannotStart(program, error)) })
    child.on('close', (code) => { resolve({code, ...said}) })
  })
}

/** Starts a process that outlives this one, its output appended to `logFile` (mode 0600). */
export async function startService([program, ...args]: Argv, options: ServiceOptions & {logFile: string}): Promise<{pid: number}> {
  const log = await open(options.logFile, 'a', 0o600)
  try {
    const stdio: StdioOptions = ['ignore', log.fd, log.fd]
    const child = spawn(program, args, {...childOptions(options), detached: true, stdio})
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => { reject(cannotStart(program, error)) })
    })
    child.unref()
    return {pid: child.pid ?? 0}
  } finally {
    await log.close()
  }
}

const cannotStart = (program: string, error: Error) => new DrError('service.start', `Cannot start ${program}: ${messageOf(error)}`, {cause: error})

/** True while the process runs; a zombie that nobody has collected does not. */
export function processAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return !isZombie(pid)
}

function isZombie(pid: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return true
  }
}

/** The command line of a process, or undefined when there is none. Tells a recycled pid from the process that was meant. */
export async function processCommand(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return commandFromProc(pid)
  const {code, stdout} = await runService(['ps', '-ww', '-o', 'command=', '-p', String(pid)])
  return code === 0 ? stdout.trim() : undefined
}

/** Slim container images have no ps. */
function commandFromProc(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return undefined
  }
}

/** Signals the process and waits until it is gone; after `timeoutMs` kills it. A process that is already gone is fine. */
export async function endProcess(pid: number, {signal = 'SIGTERM', timeoutMs = 15_000}: {signal?: NodeJS.Signals; timeoutMs?: number} = {}): Promise<void> {
  signalProcess(pid, signal)
  if (await gone(pid, timeoutMs)) return
  signalProcess(pid, 'SIGKILL')
  if (!(await gone(pid, 5000))) throw new DrError('service.end', `Process ${pid} does not end.`)
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function gone(pid: number, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs
  while (processAlive(pid)) {
    if (Date.now() > end) return false
    await pause(20)
  }
  return true
}
