import {randomBytes} from 'node:crypto'
import {chmod, mkdir, mkdtemp, rm} from 'node:fs/promises'
import {totalmem, tmpdir} from 'node:os'
import {join} from 'node:path'
import {withClient} from '../src/lib/postgres/connection.ts'
import {quoteIdent} from '../src/lib/postgres/quote.ts'
import {requireServerBinaries} from '../src/lib/sandbox/cluster/binaries.ts'
import {startCluster, type Cluster} from '../src/lib/sandbox/cluster/cluster.ts'
import {createSampleDatabase, ROLES} from '../src/lib/sandbox/database/create.ts'
import {DEFAULT_SIZE} from '../src/lib/sandbox/database/load.ts'
import {runService} from '../src/lib/system/service.ts'
import {clientTools} from '../test/support/tools.ts'
import {projectRoot} from './dr-script.ts'
import {measure, type Command, type Measured} from './measure.ts'

const MAJOR = 18
export const DATABASE = 'dashboarduz'
const GIB = 1024 ** 3

/** As the sandbox has them, with the memory of a small server of its own. Autovacuum would work at its own times. */
export const SERVER_SETTINGS = {
  shared_buffers: totalmem() >= 8 * GIB ? '1GB' : '256MB', max_wal_size: '8GB', max_connections: '100', autovacuum: 'off',
}

export interface LabOptions {
  rows: number
  /** As many as the sandbox has unless said otherwise. */
  tenants?: number
  jobs: number
  directory: string | undefined
  say: (line: string) => void
  signal: AbortSignal
}

/** A server with the sample database, the client tools, and a folder for everything; all of it made for one benchmark. */
export class Lab {
  readonly folder: string
  readonly cluster: Cluster
  readonly tools: string
  readonly jobs: number
  readonly #password: string

  constructor({folder, cluster, tools, jobs, password}: {folder: string; cluster: Cluster; tools: string; jobs: number; password: string}) {
    this.folder = folder
    this.cluster = cluster
    this.tools = tools
    this.jobs = jobs
    this.#password = password
  }

  /** As the owner of the database, as an application would be backed up. */
  url(database = DATABASE): string {
    return this.cluster.url(database, {name: ROLES.owner, password: this.#password})
  }

  adminUrl(database = 'postgres'): string {
    return this.cluster.url(database)
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts)
  }

  tool(name: string): string {
    return join(this.tools, name)
  }

  /** What a program of PostgreSQL needs to reach the sample database. */
  toolEnvironment(): Record<string, string> {
    return {PATH: process.env.PATH ?? '', LC_ALL: 'C', PGHOST: '127.0.0.1', PGPORT: String(this.cluster.port), PGUSER: ROLES.owner, PGPASSWORD: this.#password, PGDATABASE: DATABASE}
  }

  /** Measures after everything that earlier runs left to do has been done. */
  async measure(command: Command): Promise<Measured> {
    await withClient(this.adminUrl(), {}, (client) => client.query('CHECKPOINT'))
    await runService(['sync'])
    return measure(command, {folder: this.folder, postmaster: this.cluster.pid})
  }

  async createEmpty(name: string): Promise<void> {
    await this.drop(name)
    await withClient(this.url('postgres'), {}, (client) => client.query(`CREATE DATABASE ${quoteIdent(name)} TEMPLATE template0`))
  }

  /** One more sample database, vacuumed; says how many rows it has. */
  async createSample(name: string, {rows, tenants = DEFAULT_SIZE.tenants, signal}: Pick<LabOptions, 'rows' | 'tenants' | 'signal'>): Promise<number> {
    const [owner, encryptionKey] = [this.#password, randomBytes(24).toString('hex')]
    const sample = await createSampleDatabase(this.cluster, {rows, tenants, signal, name, passwords: {owner, app: owner, reader: owner}, encryptionKey})
    await withClient(this.adminUrl(name), {}, (client) => client.query('VACUUM ANALYZE'))
    return [...sample.rows.values()].reduce((sum, count) => sum + count, 0)
  }

  async drop(name: string): Promise<void> {
    await withClient(this.adminUrl(), {}, (client) => client.query(`DROP DATABASE IF EXISTS ${quoteIdent(name)} WITH (FORCE)`))
  }

  /** A new empty folder in place of what was there. */
  async fresh(name: string): Promise<string> {
    const folder = this.path(name)
    await rm(folder, {recursive: true, force: true})
    await mkdir(folder, {recursive: true})
    return folder
  }

  async close(): Promise<void> {
    await this.cluster.stop('immediate')
    await rm(this.folder, {recursive: true, force: true})
  }
}

export async function openLab({rows, tenants, jobs, directory, say, signal}: LabOptions): Promise<Lab> {
  const tools = await clientTools(MAJOR)
  const folder = await mkdtemp(join(directory ?? tmpdir(), 'dr-bench-'))
  await chmod(folder, 0o711)
  say(`Starting PostgreSQL ${MAJOR}.`)
  const cluster = await launch(join(folder, 'cluster')).catch(async (error: unknown) => {
    await rm(folder, {recursive: true, force: true})
    throw error
  })
  const password = randomBytes(12).toString('hex')
  const lab = new Lab({folder, cluster, tools, jobs, password})
  try {
    say(`Loading ${rows} rows.`)
    await lab.createSample(DATABASE, {rows, signal, ...(tenants !== undefined && {tenants})})
    return lab
  } catch (error) {
    await lab.close()
    throw error
  }
}

async function launch(directory: string): Promise<Cluster> {
  const binaries = await requireServerBinaries({directory: join(projectRoot, `node_modules/postgres-${MAJOR}/native/bin`), major: MAJOR})
  return startCluster({directory, binaries: {...binaries, source: 'package'}, settings: SERVER_SETTINGS})
}

