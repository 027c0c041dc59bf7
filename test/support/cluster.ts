import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {withClient} from '../../src/lib/postgres/connection.ts'
import {quoteIdent} from '../../src/lib/postgres/quote.ts'
import {requireServerBinaries} from '../../src/lib/sandbox/cluster/binaries.ts'
import {startCluster, type Cluster} from '../../src/lib/sandbox/cluster/cluster.ts'
import {guard} from './guard.ts'
import {systemTools} from './tools.ts'

export type ServerMajor = 15 | 16 | 17 | 18
export const serverMajors: readonly ServerMajor[] = [15, 16, 17, 18]

export interface TestCluster {
  readonly major: ServerMajor
  readonly port: number
  /** The process id of the postmaster. */
  readonly pid: number
  readonly directory: string
  /** Superuser, database `postgres`. */
  readonly adminUrl: string
  /** A connection string; the superuser unless a role is given. */
  url(database?: string, role?: {name: string; password: string}): string
  /** Makes an empty database, dropped first when it is there, and returns the superuser's connection string for it. */
  createDatabase(name: string): Promise<string>
  /** Drops databases that are there, sessions in them or not. */
  drop(...names: string[]): Promise<void>
  /** Crashes the server (immediate shutdown) and starts it again on the same port, after what is done `between`. Only for a private one. */
  crash(between?: () => Promise<void>): Promise<void>
  /** Ends the server and deletes it. The cluster is shared by the whole run: only a test that breaks it needs this. */
  stop(): Promise<void>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const running = new Map<ServerMajor, Promise<TestCluster>>()

/**
 * The cluster of this major that all tests of the process share, started when first asked for. Without a major: that of
 * the system's client tools. Settings fit every test: logical WAL, prepared transactions, 100 connections.
 */
export async function testCluster({major}: {major?: ServerMajor} = {}): Promise<TestCluster> {
  const wanted = major ?? (await defaultMajor())
  const cluster = running.get(wanted) ?? launch(wanted, () => { running.delete(wanted) })
  running.set(wanted, cluster)
  return cluster
}

/** A cluster of its own, for a test that stops, crashes or fills it. */
export async function privateCluster(major: ServerMajor): Promise<TestCluster> {
  return launch(major, () => {})
}

async function launch(major: ServerMajor, onStop: () => void): Promise<TestCluster> {
  const binaries = await requireServerBinaries({directory: `${root}/node_modules/postgres-${major}/native/bin`, major})
  const directory = await mkdtemp(join(tmpdir(), `dr-test-postgres-${major}-`))
  const release = guard(END, directory)
  const start = (port?: number) => startCluster({
    directory,
    port,
    binaries: {...binaries, source: 'package'},
    settings: {max_connections: '100', max_prepared_transactions: '10', wal_level: 'logical', shared_buffers: '64MB', autovacuum: 'off'},
  })
  return shape(await start(), major, {release, onStop, start})
}

async function defaultMajor(): Promise<ServerMajor> {
  const {major} = await systemTools()
  return serverMajors.find((one) => one === major) ?? 17
}

interface Ends {
  release: () => void
  onStop: () => void
  start: (port: number) => Promise<Cluster>
}

function shape(first: Cluster, major: ServerMajor, {release, onStop, start}: Ends): TestCluster {
  let cluster = first
  const {directory, port} = cluster
  return {
    major, port, directory,
    get pid() { return cluster.pid },
    adminUrl: cluster.url(),
    url: (database, role) => cluster.url(database, role),
    async createDatabase(name) {
      await withClient(cluster.url(), {}, async (client) => {
        await client.query(dropping(name))
        await client.query(`CREATE DATABASE ${quoteIdent(name)} TEMPLATE template0`)
      })
      return cluster.url(name)
    },
    async drop(...names) {
      await withClient(cluster.url(), {}, async (client) => {
        for (const name of names) await client.query(dropping(name))
      })
    },
    async crash(between) {
      await cluster.stop('immediate')
      await between?.()
      cluster = await start(port)
    },
    async stop() {
      onStop()
      await cluster.stop('immediate')
      await rm(directory, {recursive: true, force: true})
      release()
    },
  }
}

const dropping = (name: string): string => `DROP DATABASE IF EXISTS ${quoteIdent(name)} WITH (FORCE)`

const END = 'lock=$1/data/postmaster.pid; if [ -e "$lock" ]; then kill -QUIT "$(head -n 1 "$lock")"; for _ in $(seq 100); do [ -e "$lock" ] && sleep 0.1; done; fi; rm -rf "$1"'

/** Ends all clusters of this process. Runs by itself after the last test. */
export async function stopTestClusters(): Promise<void> {
  for (const starting of running.values()) {
    const cluster = await starting.catch(() => undefined)
    await cluster?.stop()
  }
}

if (typeof after === 'function') after(stopTestClusters)
