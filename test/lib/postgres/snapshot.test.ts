import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, type Client} from '../../../src/lib/postgres/connection.ts'
import {countTable} from '../../../src/lib/postgres/counts.ts'
import {openLeader, type LeaderOptions} from '../../../src/lib/postgres/snapshot.ts'
import {parseTarget} from '../../../src/lib/postgres/target.ts'
import {testCluster} from '../../support/cluster.ts'
import {drErrorOf} from '../../support/rejection.ts'

const base: LeaderOptions = {applicationName: 'dr test', excludeSchemas: ['dr_stage_*'], lockTimeoutMs: 300, migrationLock: 72_707_369}
const MOMENTS = ['list', 'BEGIN', 'LOCK', 'snapshot', 'list again']

/** What others may do meanwhile, and what a right backup of `t` then holds. */
const CHANGES: Record<string, {sql: string; rows: readonly number[]; index?: boolean}> = {
  TRUNCATE: {sql: 'TRUNCATE t', rows: [1000, 0]},
  'TRUNCATE and INSERT': {sql: 'BEGIN; TRUNCATE t; INSERT INTO t SELECT i FROM generate_series(1, 7) i; COMMIT', rows: [1000, 7]},
  'ADD COLUMN that rewrites': {sql: 'ALTER TABLE t ADD COLUMN added uuid DEFAULT gen_random_uuid()', rows: [1000]},
  'SET UNLOGGED': {sql: 'ALTER TABLE t SET UNLOGGED', rows: [1000]},
  'DROP INDEX': {sql: 'DROP INDEX t_i', rows: [1000]},
  'exchange by RENAME': {sql: 'BEGIN; ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u; COMMIT', rows: [1000, 5]},
  'CREATE TABLE': {sql: 'CREATE TABLE fresh AS SELECT 1 AS a', rows: [1000]},
  'DROP TABLE of another': {sql: 'DROP TABLE u', rows: [1000]},
}

describe('the leader of a backup', () => {
  let url = ''
  let other: Client
  before(async () => { url = await (await testCluster()).createDatabase('leader') })
  beforeEach(async () => {
    other = await connect(url)
    await other.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i; CREATE INDEX t_i ON t (i); CREATE TABLE u AS SELECT i FROM generate_series(1, 5) i')
  })
  afterEach(async () => { await endQuietly(other) })

  for (const [name, change] of Object.entries(CHANGES)) {
    for (const moment of MOMENTS) {
      it(`is right or waits when ${name} comes before ${moment}`, async () => {
        const met = {blocked: false, changed: false}
        const beforeStatement = async (statement: string) => {
          if (met.changed || !statement.startsWith(moment)) return
          met.changed = true
          await other.query("SET lock_timeout = '200ms'")
          await other.query(change.sql).catch(async (error: unknown) => {
            expect(error).to.have.property('code', '55P03')
            met.blocked = true
            await other.query('ROLLBACK')
          })
        }
        const leader = await openLeader(parseTarget(url), {...base, beforeStatement})
        try {
          const table = leader.tables.find((one) => one.name === 't')
          if (table === undefined) throw new Error('t is not in the list')
          const counts = await countTable(leader.client, table, 'tenantId')
          expect(change.rows).to.include(counts?.rows)
          // What the leader counts, another connection finds under the exported snapshot: this is what pg_dump will see.
          await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
          await other.query(`SET TRANSACTION SNAPSHOT '${leader.snapshot.id}'`)
          const seen = await rowOf<{rows: number}>(other, 'SELECT count(*)::int AS rows FROM t')
          const names = await rowsOf<{name: string}>(other, "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
          const index = await rowsOf(other, "SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = 't_i'")
          await other.query('COMMIT')
          expect(seen.rows).to.equal(counts?.rows)
          expect(leader.tables.map((one) => one.name)).to.deep.equal(names.map((one) => one.name))
          // A count of the changed table must be the changed one, not an emptied one with the old catalog.
          const changedBefore = !met.blocked
          if (name === 'TRUNCATE') expect(counts?.rows).to.equal(changedBefore ? 0 : 1000)
          if (name === 'DROP INDEX') expect(index.length).to.equal(changedBefore ? 0 : 1)
          const lateMoment = moment === 'snapshot' || moment === 'list again'
          if (lateMoment && name !== 'CREATE TABLE') expect(met.blocked, 'the locks hold it off').to.equal(true)
        } finally {
          await leader.end()
        }
      })
    }
  }

  it('notices when its transaction is gone', async () => {
    const leader = await openLeader(parseTarget(url), base)
    await leader.assertAlive()
    await other.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dr test'")
    const error: unknown = await leader.assertAlive().catch((caught: unknown) => caught)
    expect(error).to.have.property('code', 'backup.snapshot-lost')
    expect(error).to.have.property('exitCode', 5)
    await leader.end()
  })

  it('notices that another transaction took the place of its own, even when nobody wrote meanwhile', async () => {
    const leader = await openLeader(parseTarget(url), base)
    await leader.client.query('COMMIT')
    await leader.client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    expect(await drErrorOf(leader.assertAlive())).to.include({code: 'backup.snapshot-lost', exitCode: 5})
    await leader.end()
  })

  it('survives a database that ends idle transactions', async () => {
    await other.query("ALTER DATABASE leader SET idle_in_transaction_session_timeout = '100ms'")
    const leader = await openLeader(parseTarget(url), base)
    await other.query('SELECT pg_sleep(0.4)')
    await leader.assertAlive()
    await leader.end()
    await other.query('ALTER DATABASE leader RESET ALL')
  })

  it('lets only one backup of a database run', async () => {
    const leader = await openLeader(parseTarget(url), base)
    const error: unknown = await openLeader(parseTarget(url), base).catch((caught: unknown) => caught)
    expect(error).to.have.property('exitCode', 6)
    expect((error as Error).message).to.match(/running: dr test, process \d+ of the server, since 20/)
    await leader.end()
  })

  it('does not begin while a migration runs, and makes a migration fail by its own limit', async () => {
    await other.query('SELECT pg_advisory_lock(72707369)')
    const error: unknown = await openLeader(parseTarget(url), base).catch((caught: unknown) => caught)
    expect(error).to.have.property('code', 'backup.migration-running')
    await other.query('SELECT pg_advisory_unlock(72707369)')
    const leader = await openLeader(parseTarget(url), base)
    await other.query("SET lock_timeout = '100ms'")
    expect(await other.query('SELECT pg_advisory_lock(72707369)').catch((caught: unknown) => caught)).to.have.property('code', '55P03')
    await leader.end()
  })

  it('gives up at a table that someone else holds', async () => {
    await other.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE')
    const error: unknown = await openLeader(parseTarget(url), base).catch((caught: unknown) => caught)
    expect(error).to.have.property('code', 'backup.lock-timeout')
    expect((error as Error).message).to.match(/public\.t by dr, process \d+/)
    expect(error).to.have.property('exitCode', 6)
    await other.query('ROLLBACK')
  })
})
