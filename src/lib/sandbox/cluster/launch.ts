import {once} from 'node:events'
import {appendFile, chown, readFile, rm, writeFile} from 'node:fs/promises'
import {createServer} from 'node:net'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {setTimeout as pause} from 'node:timers/promises'
import {DrError, messageOf, unreachableError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {codeOf} from '../../postgres/errors.ts'
import {runService, type Account} from '../../system/service.ts'
import {toolEnvironment} from '../../system/tool.ts'
import type {ServerBinaries} from './binaries.ts'

export type Settings = Readonly<Record<string, string>>

interface Place {
  directory: string
  binaries: ServerBinaries
  account: Account | undefined
}

const TRIES = 5
const START_DEADLINE_MS = 60_000

/** Nothing in a sandbox is worth an fsync. */
const BASE_SETTINGS: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** Makes an empty data folder `data` whose superuser is `postgres`. What an interrupted try left is removed first. */
export async function initialise({directory, binaries, account, password, settings}: Place & {password: string; settings: Settings}): Promise<void> {
  const [data, passwordFile] = [join(directory, 'data'), join(directory, 'password.initdb')]
  await rm(data, {recursive: true, force: true})
  await rm(passwordFile, {force: true})
  await writeFile(passwordFile, password, {mode: 0o600})
  try {
    if (account) await chown(passwordFile, account.uid, account.gid)
    const locale = process.platform === 'darwin' ? 'C' : 'C.UTF-8'
    await server({binaries, account, directory}, 'initdb', ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', `--locale=${locale}`, '--no-sync'])
  } finally {
    await rm(passwordFile, {force: true})
  }
  const lines = Object.entries({...BASE_SETTINGS, ...settings}).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await appendFile(join(data, 'postgresql.conf'), lines.join(''))
}

/** Starts the server. Without a given port a taken one is answered with another try. */
export async function launch({port, ...place}: Place & {port: number | undefined}): Promise<void> {
  const data = join(place.directory, 'data')
  for (let tries = port === undefined ? TRIES : 1; ; tries -= 1) {
    const chosen = port ?? (await freePort())
    try {
      await server(place, 'pg_ctl', ['-D', data, '-w', '-t', '60', '-l', join(place.directory, 'server.log'), '-o', `-p ${chosen}`, 'start'])
      return
    } catch (error) {
      if (tries <= 1 || !(await portTaken(place.directory))) throw error
    }
  }
}

const portTaken = async (directory: string): Promise<boolean> => /could not bind|Address already in use/.test((await readFile(join(directory, 'server.log'), 'utf8')).slice(-2000))

async function server({binaries, account, directory}: Place, program: string, args: readonly string[]): Promise<void> {
  const {code, stdout, stderr} = await runService([join(binaries.bin, program), ...args], {account, cwd: directory, env: toolEnvironment()})
  if (code === 0) return
  const log = await readFile(join(directory, 'server.log'), 'utf8').catch(() => '')
  const reason = (/(?:FATAL|error): .*/.exec(log.slice(-2000)) ?? /(?:FATAL|error): .*/.exec(stderr))?.[0] ?? (stderr || stdout).trim()
  throw new DrError('sandbox.cluster', `${program} of PostgreSQL ${binaries.version} failed: ${reason}`, {hints: [`log: ${join(directory, 'server.log')}`]})
}

/** Waits until a query is answered; gives up when the server is gone (`alive` says false) or the deadline passes. */
export async function accepts(url: string, alive: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + START_DEADLINE_MS
  for (;;) {
    const failure = await answer(url)
    if (failure === undefined) return
    // 57P03: the server is starting up, or shutting down.
    const starting = ['57P03', 'ECONNREFUSED'].includes(codeOf((failure as Error).cause) ?? '')
    if (!starting || Date.now() > end || !(await alive())) throw unreachableError('sandbox.cluster', `The sandbox server does not answer: ${messageOf(failure)}`, {cause: failure})
    await pause(50)
  }
}

/** Whether a query is answered now. */
export const answers = async (url: string): Promise<boolean> => (await answer(url)) === undefined

const answer = (url: string): Promise<unknown> => withClient(url, {}, (client) => client.query('SELECT 1')).then(() => undefined, (error: unknown) => error)

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const probe = createServer()
  await once(probe.listen(0, '127.0.0.1'), 'listening')
  const {port} = probe.address() as AddressInfo
  await once(probe.close(), 'close')
  return port
}
