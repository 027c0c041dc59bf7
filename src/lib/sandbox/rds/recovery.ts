import {appendFile, chown, copyFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as pause} from 'node:timers/promises'
import {DrError} from '../../errors.ts'
import {rowOf, withClient} from '../../postgres/connection.ts'
import {serverAccount} from '../cluster/account.ts'
import type {ServerBinaries} from '../cluster/binaries.ts'
import {presentCluster, startCluster, type Cluster} from '../cluster/cluster.ts'
import type {Settings} from '../cluster/launch.ts'
import {archiveCommand, basesIn, prepareArchive, restoreCommand} from './archive.ts'
import {copyData} from './copy-data.ts'

export interface RecoveryOptions {
  /** Everything that was committed at this instant or before; with nothing given, all that is archived. */
  to?: Date
  /** Of the new cluster. What an interrupted recovery left there is removed. */
  directory: string
  port?: number
}

const DEADLINE_MS = 120_000
const LOOK_MS = 20

/** Recovers a cluster from its base backups and archived WAL into a new one, which runs and takes writes. Its own server need not run. */
export async function recoverCluster(from: string, {to, directory, port}: RecoveryOptions, binaries: ServerBinaries): Promise<Cluster> {
  const base = (await basesIn(from)).findLast(({at}) => to === undefined || at <= to)
  if (base === undefined) throw new DrError('sandbox.cluster', `There is no base backup of ${from} from before ${to?.toISOString() ?? 'now'}.`)
  await removeCluster(directory)
  await prepareArchive(directory)
  await copyData(base.directory, join(directory, 'data'), await serverAccount())
  await copyFile(join(from, 'password'), join(directory, 'password'))
  await configureServer(directory, {
    archive_mode: 'on',
    archive_command: archiveCommand(directory),
    restore_command: restoreCommand(from),
    recovery_target_action: 'promote',
    // With a number for its zone: names of zones are not known yet when the server reads this, and Z is one. What the source itself was recovered to must not count.
    recovery_target_time: to?.toISOString().replace('Z', '+00') ?? '',
  })
  await writeForServer(join(directory, 'data', 'recovery.signal'), '')
  await writeFile(join(directory, 'initialised'), `${new Date().toISOString()}\n`)
  const cluster = await startCluster({directory, binaries, port})
  await untilPromoted(cluster)
  return cluster
}

/** Ends the server of a cluster's folder, and removes what makes the cluster up; whatever else lies in the folder stays. */
export async function removeCluster(directory: string, {backups = true}: {backups?: boolean} = {}): Promise<void> {
  await (await presentCluster(directory))?.stop('immediate')
  for (const name of ['initialised', 'data', 'server.log', ...(backups ? ['password', 'archive', 'bases'] : [])]) await rm(join(directory, name), {recursive: true, force: true, maxRetries: 3})
}

/** Settings of the server that win over all that are there; it has to be told to read them. */
export async function configureServer(directory: string, settings: Settings): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await appendFile(join(directory, 'data', 'postgresql.auto.conf'), lines.join(''))
}

/** For the server to read and remove. */
export async function writeForServer(path: string, text: string): Promise<void> {
  await writeFile(path, text, {mode: 0o600})
  const account = await serverAccount()
  if (account) await chown(path, account.uid, account.gid)
}

async function untilPromoted({directory, ...cluster}: Cluster): Promise<void> {
  await withClient(cluster.url(), {}, (client) => untilDone(directory, async () => {
    const {recovering} = await rowOf<{recovering: boolean}>(client, 'SELECT pg_is_in_recovery() AS recovering')
    return recovering ? `The server in ${directory} does not end its recovery.` : undefined
  }))
}

/** Looks until nothing is left to wait for; what is says the error when it takes too long. */
export async function untilDone(directory: string, look: () => Promise<string | undefined>): Promise<void> {
  const end = Date.now() + DEADLINE_MS
  for (let left = await look(); left !== undefined; left = await look()) {
    if (Date.now() > end) throw new DrError('sandbox.cluster', left, {hints: [`log: ${join(directory, 'server.log')}`]})
    await pause(LOOK_MS)
  }
}
