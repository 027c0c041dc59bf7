import {expect} from 'chai'
import {spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as wait} from 'node:timers/promises'
import {fileURLToPath} from 'node:url'
import {connect, endQuietly, rowOf, rowsOf, type Client} from '../../src/lib/postgres/connection.ts'
import {Repository} from '../../src/lib/repository/repository.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {keysOf, localRepository, removeFolder, temporaryFolder} from '../support/backup.ts'
import {testCluster, type TestCluster} from '../support/cluster.ts'
import {credentials, s3Fixture} from '../support/s3-storage.ts'
import {clientTools} from '../support/tools.ts'

const bin = fileURLToPath(new URL('../../bin/run.js', import.meta.url))
const BACKUPS = 14
const RESTORES = 8
const SEED = 20_261_122

/** A repeatable stream of numbers from 0 to 1 (mulberry32). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

describe('kill -9', function () {
  this.timeout(300_000)
  const s3 = s3Fixture()
  const next = random(SEED)
  let cluster: TestCluster
  let client: Client
  let directory = ''
  let env: NodeJS.ProcessEnv = {}

  before(async () => {
    cluster = await testCluster({major: 18})
    client = await connect(await cluster.createDatabase('kill_test'))
    await client.query(`CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text, title text);
      INSERT INTO leads SELECT i, 't' || i % 4, md5(i::text) FROM generate_series(1, 150000) i; CREATE INDEX ON leads (title);
      CREATE TABLE calls AS SELECT i, repeat(md5(i::text), 4) AS note FROM generate_series(1, 100000) i; CREATE INDEX ON calls (note); CREATE TABLE empty (i int)`)
  })
  after(() => endQuietly(client))
  beforeEach(async () => {
    directory = await temporaryFolder('kill')
    env = {
      ...process.env, DATABASE_URL: cluster.url('kill_test'), DR_DATA_DIR: directory, DR_CONFIG_DIR: directory, DR_PG_BIN: await clientTools(18), AWS_S3_BUCKET: 'backups', AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_S3: s3.server.endpoint, AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey, NODE_ENV: 'production',
    }
  })
  afterEach(() => removeFolder(directory))

  /** Runs `dr`; with `killAfterMs` it is killed then, unless it was faster. */
  function dr(argv: string[], killAfterMs?: number): Promise<{code: number | null; signal: string | null; stdout: string; stderr: string; ms: number}> {
    const from = performance.now()
    const child = spawn(process.execPath, [bin, ...argv, '--no-input'], {env, stdio: ['ignore', 'pipe', 'pipe']})
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString() })
    child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
    const killer = killAfterMs === undefined ? undefined : setTimeout(() => { child.kill('SIGKILL') }, killAfterMs)
    return new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        clearTimeout(killer)
        resolve({code, signal, stdout, stderr, ms: performance.now() - from})
      })
    })
  }

  /** Processes whose command line speaks of this test's database or folder. */
  const orphans = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return /pg_dump|pg_restore/.test(line) && (line.includes(directory) || line.includes('kill_test')) ? [`${pid} ${line.slice(0, 160)}`] : []
    } catch {
      return []
    }
  })

  const sessions = async () => (await rowsOf<{name: string}>(client, "SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'dr %' OR application_name IN ('pg_dump', 'pg_restore')")).map(({name}) => name)

  const locks = async () => (await rowsOf<{name: string}>(client, "SELECT concat_ws(' ', classid::int8, objid::int8, pid) AS name FROM pg_locks WHERE locktype = 'advisory'")).map(({name}) => name)

  /** Databases that a restore has not finished: by their name, or by the comment that it takes away at its end. */
  const unfinished = async () => (await rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE starts_with(datname, 'dr_unfinished_') OR shobj_description(oid, 'pg_database') LIKE 'dr restore %'")).map(({name}) => name)

  async function eventuallyEmpty(what: string, look: () => Promise<string[]> | string[]): Promise<void> {
    let left: string[] = []
    for (const end = Date.now() + 15_000; Date.now() < end;) {
      left = await look()
      if (left.length === 0) return
      await wait(50)
    }
    expect(left, what).to.deep.equal([])
  }

  /** What `list` shows is whole: every member is there with the bytes of the manifest. Read without dr's own verify. */
  async function assertWhole(storage: Storage): Promise<number> {
    let count = 0
    for await (const {manifest, error, label} of new Repository(storage, 'development').backups()) {
      expect(error, label).to.equal(undefined)
      count++
      for (const {name, sha256} of manifest?.members ?? []) {
        const hash = createHash('sha256')
        for await (const chunk of await storage.read(`development/${label}/${name}`)) hash.update(chunk as Buffer)
        expect(hash.digest('hex'), `${label}/${name}`).to.equal(sha256)
      }
    }
    return count
  }

  it(`of ${BACKUPS} backups at random points leaves only whole backups, and the next run puts things right`, async () => {
    const storages = [localRepository(directory), s3.storage({prefix: 'dr'})]
    const {code, stderr} = await dr(['backup', '--local', '--s3'])
    expect(code, stderr).to.equal(0)
    // The first run was a cold one; kills are spread over the time that a warm one takes.
    const {ms} = await dr(['backup', '--local', '--s3'])
    let killed = 0
    for (let round = 0; round < BACKUPS; round++) {
      const outcome = await dr(['backup', '--local', '--s3'], next() * ms)
      if (outcome.signal === 'SIGKILL') killed++
      await eventuallyEmpty('processes that outlived dr', orphans)
      await eventuallyEmpty('sessions that outlived dr', sessions)
      for (const storage of storages) await assertWhole(storage)
    }
    expect(killed).to.be.greaterThan(BACKUPS / 2)
    const last = await dr(['backup', '--local', '--s3'])
    expect(last.code, last.stderr).to.equal(0)
    for (const storage of storages) {
      await assertWhole(storage)
      expect(await new Repository(storage, 'development').unfinished()).to.deep.equal([])
      expect((await keysOf(storage)).filter((key) => key.endsWith('lease.json') && !key.includes(last.stdout.trim()))).to.deep.equal([])
    }
    expect(await storages[1]?.abandonedUploads(0)).to.deep.equal([])
    expect(readdirSync(join(directory, 'run'))).to.deep.equal([])
    expect(readdirSync(join(directory, 'backups', '.staging'))).to.deep.equal([])
    await eventuallyEmpty('advisory locks', locks)
  })

  it(`of ${RESTORES} restores at random points never touches the source, and the next run puts things right`, async () => {
    expect((await dr(['backup', '--local'])).code).to.equal(0)
    const restored = async () => (await rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE datname LIKE 'kill_test_restore_%'")).map(({name}) => name)
    const {code, stderr} = await dr(['restore', 'latest', '--into', 'kill_test_restore_first'])
    expect(code, stderr).to.equal(0)
    const {ms} = await dr(['restore', 'latest', '--into', 'kill_test_restore_second'])
    let killed = 0
    for (let round = 0; round < RESTORES; round++) {
      const outcome = await dr(['restore', 'latest', '--into', `kill_test_restore_${round}`], next() * ms)
      if (outcome.signal === 'SIGKILL') killed++
      await eventuallyEmpty('processes that outlived dr', orphans)
      await eventuallyEmpty('sessions that outlived dr', sessions)
      expect(await rowOf(client, 'SELECT (SELECT count(*)::int FROM leads) AS leads, (SELECT count(*)::int FROM calls) AS calls')).to.deep.equal({leads: 150_000, calls: 100_000})
    }
    expect(killed).to.be.at.least(RESTORES / 2)
    const last = await dr(['restore', 'latest', '--into', 'kill_test_restore_last'])
    expect(last.code, last.stderr).to.equal(0)
    await eventuallyEmpty('advisory locks', locks)
    expect(await unfinished()).to.deep.equal([])
    for (const name of await restored()) {
      const other = await connect(cluster.url(name))
      expect(await rowOf(other, 'SELECT (SELECT count(*)::int FROM leads) AS leads, (SELECT count(*)::int FROM calls) AS calls'), `${name} is complete`).to.deep.equal({leads: 150_000, calls: 100_000})
      await endQuietly(other)
      await client.query(`DROP DATABASE "${name}" WITH (FORCE)`)
    }
    expect(readdirSync(join(directory, 'run'))).to.deep.equal([])
  })
})
