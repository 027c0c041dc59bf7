import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../src/lib/postgres/connection.ts'
import type {ListedRun} from '../../src/lib/report/listed-run.ts'
import {removeFolder, runBackup, temporaryFolder} from './backup.ts'
import {privateCluster, testCluster, type TestCluster} from './cluster.ts'
import {dr, type DrResult} from './dr.ts'
import {finishDr, startDr, type Finished, type Started} from './process.ts'
import {clientTools} from './tools.ts'
import {until} from './until.ts'

/** Steps from which on the new database holds everything, and is not loaded again. */
export const KEPT: readonly string[] = ['analyze', 'integrity', 'finish']

const LIMIT_MS = 60_000

/** A database with a backup of it, real processes of `dr` that are killed in the middle, and what they leave. Call `open` before the tests. */
export class Killing {
  cluster!: TestCluster
  home = ''
  /** Of the backup. */
  label = ''
  env: NodeJS.ProcessEnv = {}
  readonly #database: string
  readonly #isPrivate: boolean
  readonly #started: Started[] = []

  /** `isPrivate`: on a server of its own, which may crash. */
  constructor(database: string, {isPrivate = false} = {}) {
    this.#database = database
    this.#isPrivate = isPrivate
  }

  async open(): Promise<void> {
    this.cluster = await (this.#isPrivate ? privateCluster(17) : testCluster({major: 17}))
    const url = await this.cluster.createDatabase(this.#database)
    await withClient(url, {}, (client) => client.query(`
      CREATE TABLE leads (id int PRIMARY KEY, note text); INSERT INTO leads SELECT i, md5(i::text) FROM generate_series(1, 30000) i; CREATE INDEX ON leads (note);
      CREATE TABLE calls AS SELECT * FROM leads; CREATE INDEX ON calls (note)`))
    this.home = await temporaryFolder('killed')
    const {error, state} = await runBackup({url, directory: `${this.home}/data`, toolsMajor: 17, digest: true})
    if (error) throw error
    this.label = state.label ?? ''
    this.env = {DATABASE_URL: url, DR_PG_BIN: await clientTools(17)}
  }

  /** Ends the processes of a test, and drops what it made. */
  async clear(): Promise<void> {
    for (const {child, ended} of this.#started.splice(0)) {
      child.kill('SIGKILL')
      await ended
    }
    await this.cluster.drop(...await this.others())
    rmSync(join(this.home, 'data', 'journal'), {recursive: true, force: true})
  }

  async close(): Promise<void> {
    if (this.#isPrivate) await this.cluster.stop()
    else await this.cluster.drop(this.#database)
    await removeFolder(this.home)
  }

  /** Databases beside the live one whose names begin like its own, or are provisional. */
  async others(): Promise<string[]> {
    const rows = await withClient(this.cluster.adminUrl, {}, (client) => rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE (starts_with(datname, $1) OR starts_with(datname, 'dr_unfinished')) AND datname <> $1 ORDER BY 1", [this.#database]))
    return rows.map(({name}) => name)
  }

  run(...args: string[]): Promise<Finished> {
    return finishDr([...args, '--no-input'], this.home, {env: this.env})
  }

  /** As a process of its own would, but sooner. */
  async here<T>(...args: string[]): Promise<DrResult<T>> {
    const kept = {...process.env}
    for (const name of Object.keys(process.env)) if (/^(DR_|AWS_|DATABASE_URL)/.test(name)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, this.env, {DR_DATA_DIR: join(this.home, 'data'), DR_CONFIG_DIR: join(this.home, 'config')})
    try {
      return await dr<T>(...args, '--no-input')
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
      Object.assign(process.env, kept)
    }
  }

  start(...args: string[]): Started {
    const one = startDr([...args, '--no-input'], this.home, {env: this.env})
    this.#started.push(one)
    return one
  }

  /** File names in the folder of journals. */
  journals(): string[] {
    const folder = join(this.home, 'data', 'journal')
    return existsSync(folder) ? readdirSync(folder).toSorted() : []
  }

  /** All journals as one text. */
  journal(): string {
    return this.journals().map((name) => readFileSync(join(this.home, 'data', 'journal', name), 'utf8')).join('')
  }

  /** How often a step was begun, over all journals. */
  begun(step: string): number {
    return this.journal().split(`"event":"started","step":"${step}"`).length - 1
  }

  hasBegun(step: string, times = 1): Promise<void> {
    return until(() => this.begun(step) >= times, LIMIT_MS)
  }

  lastRun(): string {
    return this.journals().filter((name) => name.endsWith('.jsonl')).at(-1)?.replace('.jsonl', '') ?? ''
  }

  async listed(...args: string[]): Promise<ListedRun[]> {
    return (JSON.parse((await this.run('resume', '--json', ...args)).stdout) as {runs: ListedRun[]}).runs
  }

  async commentOf(name: string): Promise<string | null> {
    return withClient(this.cluster.adminUrl, {}, async (client) => (await rowOf<{comment: string | null}>(client, "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1", [name])).comment)
  }

  /**
   * The name of a restore whose process is killed as soon as its journal says that the step has begun. It cannot come to its
   * end before: the comment that it takes away last is locked by somebody else. Its session on the server still takes it
   * away when the process is dead.
   */
  async killed(step: string, ...args: string[]): Promise<string> {
    const one = this.start('restore', ...args)
    const holder = KEPT.includes(step) ? await this.heldComment() : undefined
    await this.hasBegun(`restore.${step}`)
    one.child.kill('SIGKILL')
    await one.ended
    await holder?.query('ROLLBACK')
    if (holder) await endQuietly(holder)
    await this.noSessions()
    return this.lastRun()
  }

  /** Keeps a restore that has begun to load from coming to its end, until this transaction ends. */
  async heldComment(): Promise<Client> {
    await this.hasBegun('restore.load')
    const holder = await connect(this.cluster.adminUrl)
    const [name = ''] = await this.others()
    await holder.query(`BEGIN; COMMENT ON DATABASE ${holder.escapeIdentifier(name)} IS 'held'`)
    return holder
  }

  /** Waits until the server has noticed that the process is gone. */
  noSessions(): Promise<void> {
    return until(() => withClient(this.cluster.adminUrl, {}, async (client) => (await rowsOf(client, "SELECT FROM pg_locks WHERE locktype = 'advisory' UNION ALL SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore %'")).length === 0), LIMIT_MS)
  }
}
