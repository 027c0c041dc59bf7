import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {cp, readdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {createMarkedDatabase} from '../../../../src/lib/postgres/create-database.ts'
import type {RestoreState} from '../../../../src/lib/procedures/restore/options.ts'
import {parseManifest, serializeManifest} from '../../../../src/lib/repository/manifest.ts'
import {createAwkwardDatabase} from '../../../support/awkward.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {serverMajors, testCluster, type TestCluster} from '../../../support/cluster.ts'
import {expectEqual} from '../../../support/equal.ts'
import {runRestore, wrongFindings, type RestoreOutcome} from '../../../support/restore.ts'
import {clientTools} from '../../../support/tools.ts'

const at = (cluster: TestCluster, state: RestoreState) => cluster.url(state.database)

async function drop(cluster: TestCluster, name: string | undefined): Promise<void> {
  if (name !== undefined) await withClient(cluster.adminUrl, {}, (client) => client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(name)} WITH (FORCE)`))
}

async function databases(cluster: TestCluster, prefix: string): Promise<string[]> {
  const rows = await withClient(cluster.adminUrl, {}, (client) => rowsOf<{name: string}>(client, 'SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1', [prefix]))
  return rows.map(({name}) => name)
}

const succeeded = ({error, state}: RestoreOutcome): RestoreState => {
  if (error) throw error
  expect(wrongFindings(state.findings)).to.deep.equal([])
  return state
}

for (const major of serverMajors) {
  describe(`a restore of the awkward database on PostgreSQL ${major}`, function () {
    this.timeout(120_000)
    let cluster: TestCluster
    let directory = ''
    let source = ''
    let restored: RestoreState | undefined

    before(async () => {
      cluster = await testCluster({major})
      ;({url: source} = await createAwkwardDatabase(cluster, 'awkward; source'))
      directory = await temporaryFolder('restore')
      const {error} = await runBackup({url: source, directory, digest: true, toolsMajor: major === 18 ? 18 : 17})
      if (error) throw error
    })
    after(async () => {
      await drop(cluster, restored?.database)
      await drop(cluster, 'awkward; source')
      await removeFolder(directory)
    })

    it('equals its source', async () => {
      const state = succeeded(await runRestore({url: source, directory}))
      restored = state
      expect(state.database).to.match(/^awkward; source_restore_\d{14}$/)
      expect(state.findings.find(({code}) => code === 'integrity.digests')).to.include({severity: 'ok'})
      await expectEqual(cluster, source, at(cluster, state))
    })

    it('leaves no mark, no lock and no session, and the source\'s comment', async () => {
      await withClient(cluster.adminUrl, {}, async (client) => {
        const row = await rowOf<{comment: string; sessions: string; locks: string}>(client, `SELECT shobj_description(oid, 'pg_database') AS comment,
          (SELECT count(*) FROM pg_stat_activity WHERE datname = $1 OR application_name LIKE 'dr restore%')::text AS sessions,
          (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')::text AS locks FROM pg_database WHERE datname = $1`, [restored?.database])
        expect(row).to.deep.equal({comment: "it's; awkward", sessions: '0', locks: '0'})
      })
    })

    it('notes every phase', () => {
      expect(restored?.timings.map(({phase}) => phase).toSorted()).to.deep.equal(['analyze', 'integrity', 'load', 'pre', 'rest', 'total'])
    })

    it('equals its source with one job, too', async () => {
      const state = succeeded(await runRestore({url: source, directory, into: 'awkward one job', jobs: 1}))
      await expectEqual(cluster, source, at(cluster, state))
      await drop(cluster, state.database)
    })
  })
}

describe('a restore', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let admin: Client

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase('side')
    await withClient(url, {}, (client) => client.query(`
      CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text, note text);
      INSERT INTO leads SELECT i, 't' || i % 3, repeat('x', 50) FROM generate_series(1, 20000) i;
      CREATE TABLE calls AS SELECT i FROM generate_series(1, 5) i; CREATE INDEX ON calls (i);
      CREATE SEQUENCE s; SELECT nextval('s')`))
    admin = await connect(cluster.adminUrl)
    directory = await temporaryFolder('restore')
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
  })
  after(async () => {
    await endQuietly(admin)
    for (const name of await databases(cluster, 'side')) await drop(cluster, name)
    await removeFolder(directory)
  })

  const gone = async (state: RestoreState) => { expect(await databases(cluster, state.database)).to.deep.equal([]) }

  it('shows how far it is, by table', async () => {
    const seen: {done: number; total: number}[] = []
    const state = succeeded(await runRestore({url, directory, onProgress: (progress) => {
      if (typeof progress !== 'string' && progress.unit === 'bytes') seen.push({done: progress.done, total: progress.total ?? 0})
    }}))
    expect(seen.at(-1)?.done).to.equal(seen.at(-1)?.total)
    expect(seen.every(({done, total}) => done <= total)).to.equal(true)
    expect(state).to.include({tables: 2, rows: 20_005, live: 'side'})
    await drop(cluster, state.database)
  })

  it('does not write into the live database', async () => {
    const changes = () => rowOf(admin, "SELECT xact_commit > 0 AS used, tup_inserted, tup_updated, tup_deleted, (SELECT count(*) FROM pg_stat_activity WHERE datname = 'side')::int AS sessions FROM pg_stat_database WHERE datname = 'side'")
    const before = await changes()
    const state = succeeded(await runRestore({url, directory}))
    expect(await changes()).to.deep.equal(before)
    await drop(cluster, state.database)
  })

  it('goes into a database of any name that is free, and refuses one that is not', async () => {
    const state = succeeded(await runRestore({url, directory, into: 'side; "odd" name'}))
    expect(state.database).to.equal('side; "odd" name')
    const {error} = await runRestore({url, directory, into: 'side; "odd" name'})
    expect(error).to.include({code: 'restore.name-taken', exitCode: 3})
    await drop(cluster, state.database)
  })

  it('never goes into the live database, nor under a name that PostgreSQL would cut', async () => {
    expect((await runRestore({url, directory, into: 'side'})).error).to.include({code: 'restore.live', exitCode: 3})
    expect((await runRestore({url, directory, into: 'x'.repeat(64)})).error).to.include({code: 'restore.name', exitCode: 3})
    expect(await databases(cluster, 'x')).to.deep.equal([])
  })

  it('takes the place of an unfinished one that a killed run has left under the name, and of no other', async () => {
    const unfinished = async (name: string, run: string) => {
      await createMarkedDatabase(admin, {name, encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}}, {run, label: 'x'}, cluster.major)
    }
    await unfinished('side wanted', 'dead-1')
    await unfinished('side_restore_20200101000000', 'dead-2')
    await unfinished('side somebody', 'dead-3')
    const outcome = await runRestore({url, directory, into: 'side wanted'})
    expect(succeeded(outcome).rows).to.equal(20_005)
    expect(outcome.notices.filter((text) => text.startsWith('Dropped'))).to.have.length(2)
    expect(await databases(cluster, 'side')).to.deep.equal(['side', 'side somebody', 'side wanted'])
    for (const name of ['side wanted', 'side somebody']) await drop(cluster, name)
  })

  it('works over the live database\'s connection where the maintenance database cannot be reached, and says so', async () => {
    const outcome = await runRestore({url, directory, config: (config) => ({...config, database: {...config.database, maintenanceDatabase: 'not there'}})})
    succeeded(outcome)
    expect(outcome.notices.join()).to.contain('not there')
    await drop(cluster, outcome.state.database)
  })

  it('goes to an older server with a warning, and past what its newer client cannot set there', async () => {
    const older = await testCluster({major: 15})
    const {error, state} = await runRestore({url: older.adminUrl, directory, into: 'side_older'})
    if (error) throw error
    expect(state.tools.major).to.be.above(16)
    expect(wrongFindings(state.findings).map((text) => text.split(' ')[0])).to.deep.equal(['restore.older-server'])
    await drop(older, state.database)
  })

  it('goes to a newer server', async () => {
    const newer = await testCluster({major: 18})
    await drop(newer, succeeded(await runRestore({url: newer.adminUrl, directory, into: 'side_newer'})).database)
  })

  it('is refused where the disk has no room for it, and makes nothing', async () => {
    const huge = await temporaryFolder('restore-huge')
    const [label = ''] = await readdir(join(directory, 'backups/development'))
    await cp(join(directory, 'backups/development', label), join(huge, 'huge'), {recursive: true})
    const manifest = parseManifest(await readFile(join(huge, 'huge/manifest.json'), 'utf8'))
    await writeFile(join(huge, 'huge/manifest.json'), serializeManifest({...manifest, sizes: {...manifest.sizes, databaseBytes: 9e15}}))
    const {error, state} = await runRestore({url, directory: huge, backup: join(huge, 'huge')})
    expect(error).to.include({code: 'restore.space', exitCode: 3})
    expect(error?.message).to.match(/^The server's disk has [\d.]+ [MGT]B free; the database that was backed up took 9000 TB\.$/)
    await gone(state)
    await removeFolder(huge)
  })

  it('refuses digests that the backup has not', async () => {
    expect((await runRestore({url, directory, digest: true})).error).to.include({code: 'restore.no-digests', exitCode: 3})
  })

  it('names the roles that are missing, and makes nothing', async () => {
    await admin.query('CREATE ROLE restore_gone; CREATE ROLE restore_group; GRANT restore_group TO restore_gone')
    const other = await temporaryFolder('restore')
    await withClient(url, {}, (client) => client.query('CREATE TABLE owned (i int); ALTER TABLE owned OWNER TO restore_gone'))
    try {
      const {error} = await runBackup({url, directory: other, toolsMajor: 17})
      if (error) throw error
      await admin.query('REVOKE restore_group FROM restore_gone')
      expect((await runRestore({url, directory: other})).error).to.include({code: 'restore.memberships', exitCode: 3}).and.property('message').contains('restore_gone in restore_group')
      await withClient(url, {}, (client) => client.query('DROP TABLE owned; DROP ROLE restore_gone'))
      const outcome = await runRestore({url, directory: other})
      expect(outcome.error).to.include({code: 'restore.roles', exitCode: 3}).and.property('message').contains('restore_gone')
      expect(outcome.error?.hints?.join()).to.match(/psql .*-f .*globals\.sql/)
      await gone(outcome.state)
      // What the hint says helps.
      execFileSync(`${await clientTools(17)}/psql`, [cluster.adminUrl, '-qf', `${outcome.state.location}/globals.sql`])
      await drop(cluster, succeeded(await runRestore({url, directory: other})).database)
    } finally {
      await admin.query('DROP ROLE IF EXISTS restore_gone; DROP ROLE restore_group')
      await removeFolder(other)
    }
  })

  describe('by a role that is no superuser', () => {
    let other = ''
    let roleUrl = ''
    before(async () => {
      await admin.query("CREATE ROLE restore_crm LOGIN PASSWORD 'crm' CREATEDB; CREATE ROLE restore_app")
      await cluster.createDatabase('side_crm')
      await admin.query('ALTER DATABASE side_crm OWNER TO restore_crm')
      roleUrl = cluster.url('side_crm', {name: 'restore_crm', password: 'crm'})
      await withClient(roleUrl, {}, (client) => client.query(`
        CREATE EXTENSION pgcrypto; CREATE TABLE leads (id serial PRIMARY KEY, "tenantId" text); INSERT INTO leads ("tenantId") SELECT i::text FROM generate_series(1, 9) i;
        ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON leads USING (id > 3); REVOKE INSERT ON leads FROM restore_crm; GRANT SELECT ON leads TO restore_app`))
      other = await temporaryFolder('restore')
      const {error} = await runBackup({url: roleUrl, directory: other, toolsMajor: 17, digest: true})
      if (error) throw error
    })
    after(async () => {
      for (const name of await databases(cluster, 'side_crm')) await drop(cluster, name)
      await admin.query('DROP ROLE restore_crm; DROP ROLE restore_app; DROP ROLE IF EXISTS restore_other')
      await removeFolder(other)
    })

    it('works when it owns everything, with a table that it may not insert into', async () => {
      const state = succeeded(await runRestore({url: roleUrl, directory: other}))
      expect(state.rows).to.equal(9)
      await drop(cluster, state.database)
    })

    it('is refused without CREATEDB', async () => {
      await admin.query('ALTER ROLE restore_crm NOCREATEDB')
      expect((await runRestore({url: roleUrl, directory: other})).error).to.include({code: 'restore.createdb', exitCode: 3})
      await admin.query('ALTER ROLE restore_crm CREATEDB')
    })

    it('is refused in words when it cannot become the owner, and works once it may', async () => {
      await admin.query("CREATE ROLE restore_other LOGIN PASSWORD 'other' CREATEDB")
      const otherUrl = cluster.url('side_crm', {name: 'restore_other', password: 'other'})
      const {error, state} = await runRestore({url: otherUrl, directory: other})
      expect(error).to.include({code: 'restore.owners', exitCode: 3}).and.property('message').contains('restore_crm')
      await gone(state)
      await admin.query('GRANT restore_crm TO restore_other')
      await drop(cluster, succeeded(await runRestore({url: otherUrl, directory: other})).database)
    })
  })
})
