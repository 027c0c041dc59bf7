import {preflightError} from '../errors.ts'
import {withClient} from '../postgres/connection.ts'
import {localUrl, presentCluster, type Cluster} from './cluster/cluster.ts'
import {answers} from './cluster/launch.ts'
import {ROLES} from './database/create.ts'
import {programRuns} from './node-service.ts'
import {proxyAddress} from './rds/saved-region.ts'
import {INSTANCE, mainCluster, regionOf} from './rds-service.ts'
import {readState, type SandboxState, type Service, type ServiceName} from './state.ts'

export interface SandboxStatus {
  directory: string
  /** Every service runs and the database is there. */
  running: boolean
  services: {name: ServiceName; running: boolean; pid?: number; port?: number; directory: string}[]
  /** Of the RDS server; the port is that of the instance's name, for clients. */
  instances?: {id: string; status: string; port?: number}[]
  /** RDS proxies, each with the instance that it leads to. */
  proxies?: {name: string; target?: string; port?: number}[]
  database?: {name: string; present: boolean; rows: number; tenants: number}
  bucket?: string
  postgres?: number
}

export async function sandboxStatus(directory: string): Promise<SandboxStatus> {
  const state = await readState(directory)
  return state ? statusOf(directory, state) : {directory, running: false, services: []}
}

/** What a shell needs to work on the running sandbox. Holds the sandbox's passwords and keys, on purpose. */
export async function sandboxEnvironment(directory: string): Promise<Record<string, string>> {
  const state = await readState(directory)
  const [s3, rds] = (['s3', 'rds'] as const).map((name) => state?.services.find((service) => service.name === name))
  const url = state && (await databaseUrl(directory, state, rds))
  if (!state || url === undefined || !s3 || !(await programRuns(s3))) throw preflightError('sandbox.stopped', 'The sandbox does not run.', {hints: ['dr sandbox start']})
  return {
    DATABASE_URL: url,
    AWS_S3_BUCKET: state.s3.bucket,
    AWS_REGION: state.s3.region,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
    ...(rds && {AWS_ENDPOINT_URL_RDS: `http://127.0.0.1:${rds.port}`}),
    AWS_ACCESS_KEY_ID: state.s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: state.s3.secretAccessKey,
    DR_ENVIRONMENT: 'development',
    ...(rds && {DR_RDS_INSTANCE: INSTANCE, DR_RDS_POLL_SECONDS: '0.2'}),
    ENCRYPTION_KEY: state.encryptionKey,
  }
}

/** By the address that belongs to the instance's name, whichever cluster is behind it; without an RDS server, by the cluster's own. */
async function databaseUrl(directory: string, state: SandboxState, rds: Service | undefined): Promise<string | undefined> {
  const owner = {name: ROLES.owner, password: state.passwords.owner}
  if (!rds) return (await answeringCluster(directory, state))?.url(state.database.name, owner)
  const port = regionOf(directory)?.ports[INSTANCE]
  return port !== undefined && (await programRuns(rds)) ? localUrl(port, state.database.name, owner) : undefined
}

/** One that is still starting up, or hangs, does not count: only `dr sandbox start` waits for it. */
async function answeringCluster(directory: string, state: SandboxState): Promise<Cluster | undefined> {
  const cluster = await presentCluster(mainCluster(directory, state))
  return cluster && (await answers(cluster.url())) ? cluster : undefined
}

export async function statusOf(directory: string, state: SandboxState): Promise<SandboxStatus> {
  const cluster = await answeringCluster(directory, state)
  const services = await Promise.all(state.services.map((service) => serviceStatus(service, cluster)))
  const {name, rows, tenants} = state.database
  const present = cluster !== undefined && (await holds(cluster, name))
  const rdsRuns = services.some((one) => one.name === 'rds' && one.running)
  return {
    directory,
    running: present && services.length > 0 && services.every((service) => service.running),
    services,
    ...regionStatus(directory, rdsRuns),
    database: {name, present, rows, tenants},
    bucket: state.s3.bucket,
    ...(cluster && {postgres: cluster.major}),
  }
}

function regionStatus(directory: string, running: boolean): Pick<SandboxStatus, 'instances' | 'proxies'> {
  const region = regionOf(directory)
  if (!region) return {}
  const at = (name: string, leads: boolean) => (running && leads ? {port: region.ports[name] ?? 0} : {})
  return {
    instances: region.instances.map(({id, status, runs}) => ({id, status: running ? status : 'stopped', ...at(id, runs)})),
    proxies: region.proxies.map(({name, target}) => {
      const instance = region.instances.find(({resourceId}) => resourceId === target?.resourceId)
      return {name, ...(instance && {target: instance.id}), ...at(proxyAddress(name), true)}
    }),
  }
}

async function serviceStatus(service: Service, cluster: Cluster | undefined): Promise<SandboxStatus['services'][number]> {
  const {name} = service
  const found = name === 'postgres' ? cluster : (await programRuns(service)) ? service : undefined
  return {name, directory: (found ?? service).directory, running: found !== undefined, ...(found && {pid: found.pid, port: found.port})}
}

const holds = (cluster: Cluster, database: string): Promise<boolean> =>
  withClient(cluster.url(), {}, async (client) => (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])).rowCount === 1)
