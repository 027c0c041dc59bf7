import {randomBytes} from 'node:crypto'
import {existsSync} from 'node:fs'
import {mkdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {endProcess, type Account} from '../../system/service.ts'
import {handOver, reachableBinaries, serverAccount} from './account.ts'
import {requireServerBinaries, type ServerBinaries} from './binaries.ts'
import {accepts, initialise, launch, type Settings} from './launch.ts'
import {removeStaleLock, runningPostmaster, type Postmaster} from './postmaster.ts'

export interface ClusterOptions {
  /** The cluster's own folder: data, log, password. Made when absent. */
  directory: string
  binaries?: ServerBinaries
  major?: number | undefined
  /** A free one when absent. */
  port?: number | undefined
  /** Server settings, written when the cluster is made: `{max_connections: '50'}`. */
  settings?: Settings
  /** Of the superuser; a random one when absent. A cluster that exists keeps its own. */
  password?: string
}

export type StopMode = 'smart' | 'fast' | 'immediate'

/** A running PostgreSQL server on 127.0.0.1 whose superuser is `postgres`. */
export interface Cluster extends Postmaster {
  readonly directory: string
  readonly major: number
  /** A connection string; database `postgres` as the superuser unless told otherwise. It holds the password. */
  url(database?: string, role?: {name: string; password: string}): string
  /** Ends the server (`fast`: open transactions roll back) and waits until it is gone. */
  stop(mode?: StopMode): Promise<void>
}

const SIGNALS = {smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT'} as const
const INITIALISED = 'initialised'

/** Starts the cluster of a folder, made first when there is none. Starting a running one hands out that one. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const directory = options.directory
  await mkdir(directory, {recursive: true})
  const existing = await runningCluster(directory)
  if (existing) return existing
  const account = await serverAccount()
  await handOver(account, directory)
  const binaries = await reachableBinaries(account, options.binaries ?? (await binariesFor(options)), directory)
  await prepare(options, binaries, account)
  await removeStaleLock(join(directory, 'data'))
  await launch({directory, binaries, account, port: options.port})
  return (await runningCluster(directory)) ?? Promise.reject(new Error(`The server in ${directory} ended at once.`))
}

/** The running cluster of a folder, once it accepts connections; undefined when none runs there. */
export async function runningCluster(directory: string): Promise<Cluster | undefined> {
  const cluster = await presentCluster(directory)
  if (cluster) await accepts(cluster.url(), () => runningPostmaster(join(directory, 'data')).then((found) => found !== undefined))
  return cluster
}

/** The cluster of a folder whose server process is there, whether it accepts connections or not. Waits for nothing. */
export async function presentCluster(directory: string): Promise<Cluster | undefined> {
  const running = await runningPostmaster(join(directory, 'data'))
  if (!running) return undefined
  const password = (await readFile(join(directory, 'password'), 'utf8')).trim()
  return {
    ...running,
    directory,
    major: (await clusterMajor(directory)) ?? 0,
    url: (database, role = {name: 'postgres', password}) => localUrl(running.port, database, role),
    stop: (mode = 'fast') => endProcess(running.pid, {signal: SIGNALS[mode], timeoutMs: 60_000}),
  }
}

/** The major of the cluster that a folder holds; undefined when there is none. */
export async function clusterMajor(directory: string): Promise<number | undefined> {
  const text = await readFile(join(directory, 'data', 'PG_VERSION'), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : Number.parseInt(text, 10)
}

/** An existing cluster needs the server of its own major. */
async function binariesFor({directory, major}: ClusterOptions): Promise<ServerBinaries> {
  return requireServerBinaries({major: (await clusterMajor(directory)) ?? major})
}

/** Makes password and data folder unless complete ones are there. */
async function prepare(options: ClusterOptions, binaries: ServerBinaries, account: Account | undefined): Promise<void> {
  const [mark, file] = [join(options.directory, INITIALISED), join(options.directory, 'password')]
  if (existsSync(mark)) return
  const password = options.password ?? randomBytes(18).toString('base64url')
  await writeFile(file, `${password}\n`, {mode: 0o600})
  await initialise({directory: options.directory, binaries, account, password, settings: options.settings ?? {}})
  await writeFile(mark, `${new Date().toISOString()}\n`)
}

/** A connection string to a server of this machine. It holds the password. */
export function localUrl(port: number, database = 'postgres', role: {name: string; password: string}): string {
  const part = encodeURIComponent
  return `postgresql://${part(role.name)}:${part(role.password)}@127.0.0.1:${port}/${part(database)}`
}
