import {mkdir, readFile, rm} from 'node:fs/promises'
import {setTimeout as pause} from 'node:timers/promises'
import {DrError} from '../errors.ts'
import {endProcess, processAlive, processCommand, startService} from '../system/service.ts'
import {freePort} from './cluster/launch.ts'
import type {Service, ServiceName} from './state.ts'

/** A server of ours that runs as a process of its own. */
export interface Program {
  name: Exclude<ServiceName, 'postgres'>
  /** What `node` runs: `…/sandbox/<name>/main.ts`. */
  main: string
  /** Its folder; made when missing. It tells the process from that of another sandbox. */
  directory: string
  /** Secrets go here: `ps` does not show it. */
  env: Readonly<Record<string, string>>
  logFile: string
  deadlineMs: number
  /** Of the error when it does not start. */
  code: string
}

const TRIES = 3

/** Starts the server; a running one is handed out. It keeps its port over a restart when that is free. `launched` is told of the process at once: it may take long until it listens. */
export async function startProgram(program: Program, former: Service | undefined, launched: (service: Service) => Promise<void>): Promise<Service> {
  if (former && (await programRuns(former)) && (await ready(former.pid, program))) return former
  await mkdir(program.directory, {recursive: true, mode: 0o700})
  for (let tries = TRIES, port = former?.port ?? (await freePort()); ; tries -= 1, port = await freePort()) {
    await rm(program.logFile, {force: true})
    const {pid} = await startService([process.execPath, program.main, program.directory, String(port)], {env: {...process.env, ...program.env}, logFile: program.logFile, cwd: program.directory})
    const service = {name: program.name, pid, port, directory: program.directory}
    await launched(service)
    if (await ready(pid, program)) return service
    if (tries <= 1) throw await failure(program)
  }
}

/** Whether the process is our server on that folder; one started from another installation of `dr` counts too. */
export async function programRuns({name, pid, directory}: Service): Promise<boolean> {
  if (!processAlive(pid)) return false
  const command = (await processCommand(pid)) ?? ''
  return new RegExp(String.raw`sandbox.${name}.main\.[jt]s `).test(command) && command.includes(directory)
}

export async function stopProgram(service: Service): Promise<void> {
  if (await programRuns(service)) await endProcess(service.pid)
}

/** The server says its own pid when it listens. */
async function ready(pid: number, {logFile, deadlineMs}: Program): Promise<boolean> {
  const end = Date.now() + deadlineMs
  while (Date.now() < end) {
    if ((await readFile(logFile, 'utf8').catch(() => '')).includes(`"pid":${pid}`)) return true
    if (!processAlive(pid)) return false
    await pause(20)
  }
  await endProcess(pid)
  return false
}

async function failure({name, code, logFile}: Program): Promise<DrError> {
  const said = (await readFile(logFile, 'utf8').catch(() => '')).trim().split('\n').at(-1)
  return new DrError(code, `The sandbox's ${name.toUpperCase()} server did not start: ${said === undefined || said === '' ? 'it said nothing' : said}`, {hints: [`log: ${logFile}`]})
}
