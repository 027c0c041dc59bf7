import {appendFile, chown, copyFile, mkdir, readdir, rename, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as pause} from 'node:timers/promises'
import {DrError} from '../../errors.ts'
import {rowOf, withClient} from '../../postgres/connection.ts'
import {handOver, serverAccount} from '../cluster/account.ts'
import {requireServerBinaries, type ServerBinaries} from '../cluster/binaries.ts'
import {clusterMajor, startCluster, type Cluster} from '../cluster/cluster.ts'
import type {Settings} from '../cluster/launch.ts'
import {copyData} from './copy-data.ts'

export interface ArchivedOptions {
  /** The cluster's own folder: data, log, password, `archive` of its WAL, `bases`. Made when absent. */
  directory: string
  binaries?: ServerBinaries
  major?: number
  /** A free one when absent. */
  port?: number
  settings?: Settings
}

export interface BaseBackup {
  /** It is of use for every instant from here on. */
  at: Date
  directory: string
}

export interface RecoveryOptions {
  /** Everything that was committed at this instant or before; with nothing given, all that is archived. */
  to?: Date
  /** Of the new cluster; must not be there. */
  directory: string
  port?: number
}

const DEADLINE_MS = 120_000
const LOOK_MS = 20

/** A running cluster whose WAL is archived, so that it can be recovered as it was at any instant since its first base backup. */
export class ArchivedCluster {
  readonly cluster: Cluster
  readonly #binaries: ServerBinaries

  private constructor(cluster: Cluster, binaries: ServerBinaries) {
    this.cluster = cluster
    this.#binaries = binaries
  }

  /** Starts the cluster of a folder, made first when there is none; a running one is handed out. */
  static async start({directory, port, settings = {}, ...options}: ArchivedOptions): Promise<ArchivedCluster> {
    const major = (await clusterMajor(directory)) ?? options.major
    const binaries = options.binaries ?? (await requireServerBinaries({major}))
    await prepareFolders(directory)
    const cluster = await startCluster({directory, binaries, port, settings: {...settings, wal_level: 'replica', archive_mode: 'on', archive_command: archiveCommand(directory)}})
    return new ArchivedCluster(cluster, binaries)
  }

  get directory(): string {
    return this.cluster.directory
  }

  /** Takes a base backup; an interrupted one counts for nothing. */
  async takeBase(): Promise<BaseBackup> {
    const folder = join(this.directory, 'bases')
    const partial = join(folder, 'partial')
    await rm(partial, {recursive: true, force: true})
    const account = await serverAccount()
    await withClient(this.cluster.url(), {}, async (client) => {
      await client.query("SELECT pg_backup_start('dr sandbox', true)")
      await copyData(join(this.directory, 'data'), partial, account)
      const {label} = await rowOf<{label: string}>(client, 'SELECT labelfile AS label FROM pg_backup_stop(false)')
      await this.#write(join(partial, 'backup_label'), label)
    })
    // Its last WAL must be archived too, or nothing can be recovered from it.
    const at = await this.flush()
    await rename(partial, join(folder, String(at.getTime())))
    return {at, directory: join(folder, String(at.getTime()))}
  }

  /** Oldest first. */
  async bases(): Promise<BaseBackup[]> {
    const folder = join(this.directory, 'bases')
    const names = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).toSorted((a, b) => Number(a) - Number(b))
    return names.map((name) => ({at: new Date(Number(name)), directory: join(folder, name)}))
  }

  /** Archives what is committed by now, and returns the instant up to which the cluster can be recovered. */
  async flush(): Promise<Date> {
    return withClient(this.cluster.url(), {}, async (client) => {
      const at = new Date()
      // A commit after the instant: recovery to an instant after the last one in the WAL would fail.
      await client.query("SELECT pg_logical_emit_message(true, 'dr', 'restorable')")
      const {file} = await rowOf<{file: string}>(client, 'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS file')
      await client.query('SELECT pg_switch_wal()')
      await untilDone(this.directory, async () => {
        const {done, failed} = await rowOf<{done: boolean; failed: string}>(client, 'SELECT coalesce(last_archived_wal COLLATE "C" >= $1, false) AS done, failed_count AS failed FROM pg_stat_archiver', [file])
        return done ? undefined : `The WAL of ${this.directory} is not archived: ${failed} tries failed.`
      })
      return at
    })
  }

  /** Recovers the cluster into a new one of its own, which runs and takes writes. The instant must lie in what is archived. */
  async recover({to, directory, port}: RecoveryOptions): Promise<ArchivedCluster> {
    const base = (await this.bases()).findLast(({at}) => to === undefined || at <= to)
    if (base === undefined) throw new DrError('sandbox.cluster', `There is no base backup of ${this.directory} from before ${to?.toISOString() ?? 'now'}.`)
    await prepareFolders(directory)
    await copyData(base.directory, join(directory, 'data'), await serverAccount())
    await copyFile(join(this.directory, 'password'), join(directory, 'password'))
    await this.#configure(directory, to)
    await writeFile(join(directory, 'initialised'), `${new Date().toISOString()}\n`)
    const cluster = await startCluster({directory, binaries: this.#binaries, port})
    await untilPromoted(cluster)
    return new ArchivedCluster(cluster, this.#binaries)
  }

  /** Ends the server; the folder stays. */
  stop(): Promise<void> {
    return this.cluster.stop()
  }

  async #configure(directory: string, to: Date | undefined): Promise<void> {
    const data = join(directory, 'data')
    const settings: Settings = {
      archive_command: archiveCommand(directory),
      restore_command: `cp ${shellWord(join(this.directory, 'archive'))}/%f %p`,
      recovery_target_action: 'promote',
      // With a number for its zone: names of zones are not known yet when the server reads this, and Z is one.
      ...(to && {recovery_target_time: to.toISOString().replace('Z', '+00')}),
    }
    await appendFile(join(data, 'postgresql.conf'), Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`).join(''))
    await this.#write(join(data, 'recovery.signal'), '')
  }

  /** For the server to read and remove. */
  async #write(path: string, text: string): Promise<void> {
    await writeFile(path, text, {mode: 0o600})
    const account = await serverAccount()
    if (account) await chown(path, account.uid, account.gid)
  }
}

async function prepareFolders(directory: string): Promise<void> {
  const account = await serverAccount()
  for (const folder of [directory, join(directory, 'archive'), join(directory, 'bases')]) {
    await mkdir(folder, {recursive: true})
    await handOver(account, folder)
  }
}

/** Never over a file that is there: PostgreSQL's own advice. */
function archiveCommand(directory: string): string {
  const archive = shellWord(join(directory, 'archive'))
  return `test ! -f ${archive}/%f && cp %p ${archive}/%f.partial && mv ${archive}/%f.partial ${archive}/%f`
}

/** `%` begins a placeholder of PostgreSQL's. */
const shellWord = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`).replaceAll('%', '%%')}'`

async function untilPromoted({directory, ...cluster}: Cluster): Promise<void> {
  await withClient(cluster.url(), {}, (client) => untilDone(directory, async () => {
    const {recovering} = await rowOf<{recovering: boolean}>(client, 'SELECT pg_is_in_recovery() AS recovering')
    return recovering ? `The server in ${directory} does not end its recovery.` : undefined
  }))
}

/** Looks until nothing is left to wait for; what is says the error when it takes too long. */
async function untilDone(directory: string, look: () => Promise<string | undefined>): Promise<void> {
  const end = Date.now() + DEADLINE_MS
  for (let left = await look(); left !== undefined; left = await look()) {
    if (Date.now() > end) throw new DrError('sandbox.cluster', left, {hints: [`log: ${join(directory, 'server.log')}`]})
    await pause(LOOK_MS)
  }
}
