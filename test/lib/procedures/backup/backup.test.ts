import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {unreachableError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {Repository} from '../../../../src/lib/repository/repository.ts'
import {failing, keysOf, localRepository, removeFolder, runBackup, temporaryFolder, type BackupSetting} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {clientTools} from '../../../support/tools.ts'
import {until} from '../../../support/until.ts'

const SCHEMA = `
  DROP SCHEMA public CASCADE; CREATE SCHEMA public;
  CREATE TABLE leads (id serial PRIMARY KEY, "tenantId" text NOT NULL, title text);
  INSERT INTO leads ("tenantId", title) SELECT 'tenant-' || i % 3, 'lead ' || md5(i::text) FROM generate_series(1, 30000) i;
  CREATE TABLE calls (id int PRIMARY KEY, "tenantId" text, note text);
  INSERT INTO calls SELECT i, 'tenant-' || i % 2, repeat('x', 50) FROM generate_series(1, 20000) i;
  CREATE TABLE empty (id int);
  CREATE TABLE parted (id int, d date) PARTITION BY RANGE (d);
  CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
  CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
  INSERT INTO parted SELECT i, date '2024-06-01' + i FROM generate_series(1, 500) i;
  CREATE SCHEMA IF NOT EXISTS dr_stage_1; CREATE TABLE IF NOT EXISTS dr_stage_1.leftover AS SELECT 1 AS a;
  SELECT lo_from_bytea(0, 'a large object') WHERE NOT EXISTS (SELECT FROM pg_largeobject_metadata)`

describe('dr backup', () => {
  let cluster: TestCluster
  let url = ''
  let directory = ''
  let client: Client
  const run = (setting: Partial<BackupSetting> = {}) => runBackup({url, directory, ...setting})

  before(async () => {
    cluster = await testCluster({major: 18})
    url = await cluster.createDatabase('backup_test')
  })
  beforeEach(async () => {
    directory = await temporaryFolder('backup')
    client = await connect(url)
    await client.query(SCHEMA)
  })
  afterEach(async () => {
    await endQuietly(client)
    await removeFolder(directory)
  })

  it('says in the manifest what the database holds', async () => {
    const {state, error} = await run({digest: true})
    expect(error).to.equal(undefined)
    const {manifest} = await new Repository(localRepository(directory), 'development').open(state.label ?? '')
    expect(manifest.status).to.equal('good')
    const table = (name: string) => manifest.tables.find((one) => one.name === name)
    expect(table('leads')).to.deep.include({rows: 30000, tenants: {'tenant-0': 10000, 'tenant-1': 10000, 'tenant-2': 10000}, columns: ['id', 'tenantId', 'title']})
    expect(table('empty')?.rows).to.equal(0)
    expect(table('parted')?.rows).to.equal(null)
    expect((table('parted_old')?.rows ?? 0) + (table('parted_rest')?.rows ?? 0)).to.equal(500)
    expect(manifest.tables.some(({schema}) => schema.startsWith('dr_stage_'))).to.equal(false)
    expect(manifest.sequences).to.deep.equal([{schema: 'public', name: 'leads_id_seq', lastValue: '30000', isCalled: true}])
    expect(manifest.largeObjects).to.equal(1)
    const {digest} = await rowOf<{digest: string}>(client, 'SELECT sum(hashtextextended(ROW(id, "tenantId", title)::text, 0)::numeric)::text AS digest FROM leads')
    expect(table('leads')?.digest).to.equal(digest)
    expect(manifest.application.encryptionKeyFingerprint).to.match(/^[\da-f]{16}$/)
    expect(JSON.stringify(manifest)).not.to.contain('k'.repeat(32))
  })

  it('is a stock archive whose members are those of the manifest, byte for byte', async () => {
    const {state} = await run()
    const folder = join(directory, 'backups', 'development', state.label ?? '')
    const {manifest} = await new Repository(localRepository(directory), 'development').open(state.label ?? '')
    expect((await readdir(folder)).toSorted()).to.deep.equal([...manifest.members.map(({name}) => name), 'manifest.json'].toSorted())
    const listing = execFileSync(join(await clientTools(18), 'pg_restore'), ['--list', folder], {encoding: 'utf8'})
    expect(listing.match(/TABLE DATA/g)).to.have.length(manifest.tables.filter(({kind}) => kind === 'table').length)
    expect(manifest.proofs).to.deep.equal([{destination: join(directory, 'backups'), proof: 'reread'}])
  })

  it('leaves nothing of itself: no staging, no lease, no run folder, no session', async () => {
    await run()
    expect(await readdir(join(directory, 'backups', '.staging'))).to.deep.equal([])
    expect(await readdir(join(directory, 'run'))).to.deep.equal([])
    expect((await keysOf(localRepository(directory))).filter((key) => key.endsWith('lease.json'))).to.deep.equal([])
    const {sessions} = await rowOf<{sessions: number}>(client, "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE application_name LIKE 'dr backup%'")
    expect(sessions).to.equal(0)
  })

  for (const compress of ['none', 'gzip:1', 'zstd:1']) {
    it(`takes ${compress}`, async () => {
      const {state, error} = await run({compress})
      expect(error).to.equal(undefined)
      expect(state.compression).to.equal(compress)
    })
  }

  it('calls a backup suspect when a table fell to no rows, and keeps comparing with the last good one', async () => {
    const first = await run()
    await client.query('TRUNCATE calls; DROP TABLE empty')
    const second = await run()
    expect(second.state).to.include({status: 'suspect'})
    expect(second.state.findings.map(({code, subject}) => [code, subject])).to.deep.equal([['backup.table-emptied', 'public.calls']])
    const third = await run()
    expect(third.state.status).to.equal('suspect')
    expect(third.state.lastGood?.label).to.equal(first.state.label)
  })

  it('takes the operator\'s word that it is right, and compares with that one from then on', async () => {
    await run()
    await client.query('TRUNCATE calls')
    const accepted = await run({accept: true})
    expect(accepted.state).to.include({status: 'good'})
    expect(accepted.state.findings.map(({severity, subject}) => [severity, subject])).to.deep.equal([['info', 'public.calls']])
    const next = await run()
    expect(next.state).to.include({status: 'good'})
    expect(next.state.lastGood?.label).to.equal(accepted.state.label)
  })

  it('compares sizes only between archives of the same compression', async () => {
    await run({compress: 'none'})
    expect((await run({compress: 'zstd:1'})).state).to.include({status: 'good'})
    await client.query('DELETE FROM leads WHERE id > 10; DELETE FROM calls WHERE id > 10')
    const shrunk = await run({compress: 'none'})
    expect(shrunk.state.status, 'against zstd, which is smaller').to.equal('good')
    await client.query("INSERT INTO leads SELECT i, 't', md5(i::text) FROM generate_series(100000, 130000) i")
    await run({compress: 'none'})
    await client.query('DELETE FROM leads WHERE id > 10')
    const again = await run({compress: 'none'})
    expect(again.state.findings.map(({code}) => code)).to.deep.equal(['backup.shrunk'])
  })

  it('does not compare with a backup of another database', async () => {
    await run()
    const other = await cluster.createDatabase('backup_test_other')
    const {state, notices} = await run({url: other})
    expect(state).to.include({status: 'good'})
    expect(state.findings.map(({code, severity}) => [code, severity])).to.deep.equal([['backup.other-source', 'info']])
    expect(notices.some((text) => text.includes('backup_test'))).to.equal(true)
    const {manifest} = await new Repository(localRepository(directory), 'development').open(state.label ?? '')
    expect(manifest.suspicions).to.deep.equal([])
    expect(manifest.tables, 'an empty database is backed up too').to.deep.equal([])
  })

  it('goes to the other destination when one cannot be reached from the start', async () => {
    const good = localRepository(directory)
    const lost = new Proxy(localRepository(join(directory, 'other')), {get: (inner, name) => (name === 'check' ? () => Promise.reject(unreachableError('storage.unreachable', 'gone')) : Reflect.get(inner, name, inner) as unknown)})
    const {state, error} = await run({storages: [lost, good]})
    expect(error).to.equal(undefined)
    expect(state.failures.map(({code}) => code)).to.deep.equal(['storage.unreachable'])
    expect((await keysOf(good)).some((key) => key.endsWith('manifest.json'))).to.equal(true)
  })

  it('refuses a role that may not read a large object', async () => {
    await client.query("DROP ROLE IF EXISTS half_reader; CREATE ROLE half_reader LOGIN PASSWORD 'x'; GRANT pg_read_all_data TO half_reader")
    const {error} = await run({url: cluster.url('backup_test', {name: 'half_reader', password: 'x'})})
    expect(error).to.include({code: 'backup.permission', exitCode: 3})
    expect(error?.message).to.contain('large object')
    await client.query('DROP ROLE half_reader')
  })

  it('goes on with the other destination when one fails, and says so', async () => {
    const good = localRepository(directory)
    const broken = failing(localRepository(join(directory, 'other')), (key) => key.endsWith('toc.dat'))
    const {state, error} = await run({storages: [good, broken]})
    expect(error).to.equal(undefined)
    expect(state.failures).to.have.length(1)
    expect(await keysOf(broken)).to.deep.equal([])
    expect((await keysOf(good)).some((key) => key.endsWith('manifest.json'))).to.equal(true)
  })

  for (const moment of ['3', 'toc.dat', 'manifest.json']) {
    it(`leaves nothing that looks like a backup when storing ${moment} fails`, async () => {
      const broken = failing(localRepository(directory), (key) => (key.split('/').pop() ?? '').startsWith(moment))
      const {error} = await run({storages: [broken]})
      expect(error).to.have.property('code', 'storage.unreachable')
      expect(await keysOf(broken)).to.deep.equal([])
      expect((await run()).error).to.equal(undefined)
    })
  }

  for (const step of ['backup.source', 'backup.copy', 'backup.prove', 'backup.commit']) {
    it(`takes everything back when it is interrupted in ${step}`, async () => {
      const stop = new AbortController()
      const {error} = await run({signal: stop.signal, onStep: (id) => { if (id === step) stop.abort(new Error('stopped')) }})
      expect(error?.message).to.equal('stopped')
      expect(await keysOf(localRepository(directory))).to.deep.equal([])
      // A server process ends a moment after its client.
      await until(async () => (await rowOf<{sessions: number}>(client, "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE application_name LIKE 'dr backup%'")).sessions === 0)
      expect((await run()).error).to.equal(undefined)
    })
  }

  it('refuses a role that row-level security filters, naming tables and remedy', async () => {
    await client.query(`
      DROP ROLE IF EXISTS tenant_reader; CREATE ROLE tenant_reader LOGIN PASSWORD 'reader';
      GRANT USAGE ON SCHEMA public TO tenant_reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO tenant_reader;
      ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON leads USING ("tenantId" = current_setting('app.current_tenant', true))`)
    const {error} = await run({url: cluster.url('backup_test', {name: 'tenant_reader', password: 'reader'})})
    expect(error).to.include({code: 'backup.row-security', exitCode: 3})
    expect(error?.message).to.contain('public.leads')
    expect(JSON.stringify((error as unknown as {hints: string[]}).hints)).to.contain('BYPASSRLS')
    expect(await keysOf(localRepository(directory))).to.deep.equal([])
    await client.query('DROP OWNED BY tenant_reader; DROP ROLE tenant_reader')
  })

  it('refuses a role that may not read a table', async () => {
    await client.query("DROP ROLE IF EXISTS nobody_here; CREATE ROLE nobody_here LOGIN PASSWORD 'x'")
    const {error} = await run({url: cluster.url('backup_test', {name: 'nobody_here', password: 'x'})})
    expect(error).to.include({code: 'backup.permission', exitCode: 3})
    await client.query('DROP ROLE nobody_here')
  })

  it('refuses a server newer than its tools, in words', async () => {
    const {error} = await run({toolsMajor: 17})
    expect(error).to.include({code: 'tools.too-old', exitCode: 3})
    expect(error?.message).to.contain('PostgreSQL 18')
  })

  it('does not take a table that was emptied behind its back, whatever comes between', async () => {
    let changed = false
    const {state, error} = await run({beforeStatement: async (statement) => {
      if (changed || !statement.startsWith('LOCK')) return
      changed = true
      await client.query('TRUNCATE calls')
    }})
    expect(error).to.equal(undefined)
    const {manifest} = await new Repository(localRepository(directory), 'development').open(state.label ?? '')
    const calls = manifest.tables.find(({name}) => name === 'calls')
    expect(calls?.rows).to.equal(0)
    const data = await readFile(join(directory, 'backups', 'development', state.label ?? '', `${calls?.dumpId ?? 0}.dat.zst`))
    expect(data.length).to.be.lessThan(100)
  })
})
