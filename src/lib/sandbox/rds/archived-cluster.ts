import {rename, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {rowOf, rowsOf, withClient, type Client} from '../../postgres/connection.ts'
import {serverAccount} from '../cluster/account.ts'
import {requireServerBinaries, type ServerBinaries} from '../cluster/binaries.ts'
import {clusterMajor, startCluster, type Cluster} from '../cluster/cluster.ts'
import type {Settings} from '../cluster/launch.ts'
import {archiveCommand, baseDirectoryOf, basesIn, bytesSinceBase, partialBaseOf, prepareArchive, pruneArchive, type BaseBackup} from './archive.ts'
import {copyData} from './copy-data.ts'
import {configureServer, recoverCluster, untilDone, writeForServer, type RecoveryOptions} from './recovery.ts'

export interface ArchivedOptions {
  /** The cluster's own folder: data, log, password, `archive` of its WAL, `bases`. Made when absent. */
  directory: string
  binaries?: ServerBinaries
  major?: number
  /** A free one when absent. */
  port?: number
  settings?: Settings
}

const BASES_KEPT = 3
/** A base backup pays when it is smaller than the WAL that recovery does without then. */
const LEAST_WAL_BYTES = 512 * 1024 ** 2

/** A running cluster whose WAL is archived, so that it can be recovered as it was at any instant since its oldest base backup. */
export class ArchivedCluster {
  readonly cluster: Cluster
  readonly #binaries: ServerBinaries
  /** Recovery to an instant before this one finds a commit after the instant. */
  #marked: Date | undefined
  /** Which transactions had ended when all that was committed had been archived. */
  #archived = ''
  /** Base backups are not taken or removed while something is recovered from them. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(cluster: Cluster, binaries: ServerBinaries) {
    this.cluster = cluster
    this.#binaries = binaries
  }

  /** Starts the cluster of a folder, made first when there is none; a running one is taken over, and started anew when its WAL is not archived. */
  static async start({directory, port, settings = {}, ...options}: ArchivedOptions): Promise<ArchivedCluster> {
    const major = (await clusterMajor(directory)) ?? options.major
    const binaries = options.binaries ?? (await requireServerBinaries({major}))
    await prepareArchive(directory)
    const archiving = {wal_level: 'replica', archive_mode: 'on', archive_command: archiveCommand(directory)}
    const cluster = await startCluster({directory, binaries, port, settings: {...settings, ...archiving}})
    return new ArchivedCluster(await archived(cluster, binaries, archiving), binaries)
  }

  get directory(): string {
    return this.cluster.directory
  }

  /** Takes a base backup; an interrupted one counts for nothing. The oldest of many are removed, with the WAL that only they needed. */
  takeBase(): Promise<BaseBackup> {
    return this.#alone(async () => {
      const partial = partialBaseOf(this.directory)
      await rm(partial, {recursive: true, force: true})
      const account = await serverAccount()
      await withClient(this.cluster.url(), {}, async (client) => {
        await client.query("SELECT pg_backup_start('dr sandbox', true)")
        await copyData(join(this.directory, 'data'), partial, account)
        const {label} = await rowOf<{label: string}>(client, 'SELECT labelfile AS label FROM pg_backup_stop(false)')
        await writeForServer(join(partial, 'backup_label'), label)
      })
      // Its last WAL must be archived too, or nothing can be recovered from it.
      const at = await this.mark()
      await rename(partial, baseDirectoryOf(this.directory, at))
      await pruneArchive(this.directory, BASES_KEPT)
      return {at, directory: baseDirectoryOf(this.directory, at)}
    })
  }

  /** Oldest first. */
  bases(): Promise<BaseBackup[]> {
    return basesIn(this.directory)
  }

  /** Whether so much WAL has come since the newest base backup that another one is worth its room. */
  async baseIsDue(): Promise<boolean> {
    const since = await bytesSinceBase(this.directory)
    if (since < LEAST_WAL_BYTES) return false
    const {size} = await withClient(this.cluster.url(), {}, (client) => rowOf<{size: string}>(client, 'SELECT sum(pg_database_size(oid)) AS size FROM pg_database'))
    return since > Number(size)
  }

  /** Archives what is committed by now, and returns the instant up to which the cluster can be recovered. Costs nothing when nothing was written. */
  async flush(): Promise<Date> {
    const now = new Date()
    if (this.#archived !== '' && this.#archived === (await withClient(this.cluster.url(), {}, endedIn))) return now
    return this.mark()
  }

  /** Archives what is committed by now, and a commit after it: recovery to an instant after the last one in the WAL would fail. */
  async mark(): Promise<Date> {
    return withClient(this.cluster.url(), {}, async (client) => {
      const at = new Date()
      await client.query("SELECT pg_logical_emit_message(true, 'dr', 'restorable')")
      const ended = await endedIn(client)
      const {file} = await rowOf<{file: string}>(client, 'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS file')
      await client.query('SELECT pg_switch_wal()')
      await untilDone(this.directory, async () => {
        const {done, failed} = await rowOf<{done: boolean; failed: string}>(client, 'SELECT coalesce(last_archived_wal COLLATE "C" >= $1, false) AS done, failed_count AS failed FROM pg_stat_archiver', [file])
        return done ? undefined : `The WAL of ${this.directory} is not archived: ${failed} tries failed.`
      })
      this.#marked = at
      this.#archived = ended
      return at
    })
  }

  /** Removes every base backup, and the WAL that is archived. */
  dropBackups(): Promise<void> {
    return this.#alone(() => pruneArchive(this.directory, 0))
  }

  /** Recovers the cluster into a new one of its own, which runs and takes writes. The instant must lie in what is archived. */
  recover(options: RecoveryOptions): Promise<ArchivedCluster> {
    const {to} = options
    return this.#alone(async () => {
      if (to !== undefined && (this.#marked === undefined || to >= this.#marked)) await this.mark()
      return new ArchivedCluster(await recoverCluster(this.directory, options, this.#binaries), this.#binaries)
    })
  }

  /** Ends the server; the folder stays. */
  stop(): Promise<void> {
    return this.cluster.stop()
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }
}

/** Changes when a transaction that wrote something ends, and at nothing else. */
const endedIn = async (client: Client): Promise<string> => (await rowOf<{ended: string}>(client, 'SELECT pg_current_snapshot()::text AS ended')).ended

/** A server that was started without these settings is told them; most need another start, on the same port. */
async function archived(cluster: Cluster, binaries: ServerBinaries, settings: Settings): Promise<Cluster> {
  const wrong = await withClient(cluster.url(), {}, async (client) => {
    const rows = await rowsOf<{name: string; setting: string}>(client, 'SELECT name, setting FROM pg_settings WHERE name = ANY($1)', [Object.keys(settings)])
    return rows.filter(({name, setting}) => setting !== settings[name] && !(name === 'wal_level' && setting === 'logical')).map(({name}) => name)
  })
  if (wrong.length === 0) return cluster
  await configureServer(cluster.directory, Object.fromEntries(wrong.map((name) => [name, settings[name] ?? ''])))
  await cluster.stop()
  return startCluster({directory: cluster.directory, binaries, port: cluster.port})
}
