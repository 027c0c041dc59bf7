import {expect} from 'chai'
import {setTimeout as wait} from 'node:timers/promises'
import {connect, endQuietly, rowOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {Repository} from '../../../../src/lib/repository/repository.ts'
import {keysOf, localRepository, removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster} from '../../../support/cluster.ts'

const BLOCKED_LIMIT_MS = 500

describe('a migration during a backup', function () {
  this.timeout(60_000)
  let url = ''
  let directory = ''
  let client: Client
  let reader: Client

  before(async () => {
    url = await (await testCluster({major: 18})).createDatabase('yield_test')
    client = await connect(url)
    reader = await connect(url)
    await client.query(`CREATE TABLE big (id int PRIMARY KEY, note text);
      INSERT INTO big SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 300000) i; ANALYZE big`)
  })
  beforeEach(async () => { directory = await temporaryFolder('yield') })
  afterEach(() => removeFolder(directory))
  after(async () => {
    await endQuietly(client)
    await endQuietly(reader)
  })

  /** Resolves when the dump's COPY of the big table runs. */
  const dumping = async () => {
    for (const end = Date.now() + 20_000; Date.now() < end;) {
      const {n} = await rowOf<{n: number}>(client, "SELECT count(*)::int AS n FROM pg_stat_progress_copy WHERE relid = 'big'::regclass")
      if (n > 0) return
      await wait(20)
    }
    throw new Error('The dump never reached the big table.')
  }

  /** The application: reads the big table in a loop, and keeps the worst time. */
  const readUntil = async (signal: AbortSignal) => {
    let worst = 0
    while (!signal.aborted) {
      const from = performance.now()
      await reader.query('SELECT note FROM big WHERE id = 1')
      worst = Math.max(worst, performance.now() - from)
    }
    return worst
  }

  it('waits no longer than the limit, the application reads on, and the backup comes right after', async () => {
    const backup = runBackup({url, directory, compress: 'gzip:9', backup: {blockedLimitMs: BLOCKED_LIMIT_MS}})
    await dumping()
    const stop = new AbortController()
    const reading = readUntil(stop.signal)
    const from = performance.now()
    await client.query('ALTER TABLE big ADD COLUMN added int')
    const waited = performance.now() - from
    stop.abort()
    const worstRead = await reading
    const {state, notices, error} = await backup
    console.log(`      migration waited ${waited.toFixed(0)} ms, worst read ${worstRead.toFixed(0)} ms`)
    expect(waited).to.be.within(BLOCKED_LIMIT_MS - 100, BLOCKED_LIMIT_MS + 450)
    expect(worstRead).to.be.lessThan(1000)
    expect(error).to.equal(undefined)
    expect(state.attempts).to.equal(2)
    expect(notices.some((text) => text.startsWith('Gave way to'))).to.equal(true)
    const {manifest} = await new Repository(localRepository(directory), 'development').open(state.label ?? '')
    expect(manifest.tables.find(({name}) => name === 'big')).to.deep.include({rows: 300_000, columns: ['id', 'note', 'added']})
  })

  it('ends the backup with 6 when it never gets through, and leaves nothing', async () => {
    const backup = runBackup({url, directory, compress: 'gzip:9', backup: {blockedLimitMs: 100, attempts: 1}})
    await dumping()
    await client.query('ALTER TABLE big ADD COLUMN again int')
    const {error} = await backup
    expect(error).to.include({code: 'backup.yielded', exitCode: 6})
    expect(error?.message).to.contain('ALTER TABLE big')
    expect(await keysOf(localRepository(directory))).to.deep.equal([])
  })

  it('waits the whole dump long without the watchdog: what the limit is there for', async () => {
    const backup = runBackup({url, directory, compress: 'gzip:9', backup: {blockedLimitMs: 600_000}})
    await dumping()
    const left = await rowOf<{share: number}>(client, "SELECT (1 - tuples_processed / 300000.0)::float8 AS share FROM pg_stat_progress_copy WHERE relid = 'big'::regclass")
    await client.query('ALTER TABLE big ADD COLUMN third int')
    const {n} = await rowOf<{n: number}>(client, "SELECT count(*)::int AS n FROM pg_stat_progress_copy WHERE relid = 'big'::regclass")
    expect((await backup).state.attempts).to.equal(1)
    expect(left.share, 'of the table still to be dumped when the migration came').to.be.greaterThan(0)
    expect(n, 'COPY that the migration did not wait for').to.equal(0)
  })
})
