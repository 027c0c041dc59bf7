import {expect} from 'chai'
import {execFileSync, spawnSync} from 'node:child_process'
import {mkdirSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {connect, endQuietly} from '../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from '../support/backup.ts'
import {testCluster} from '../support/cluster.ts'
import {clientTools} from '../support/tools.ts'

/** What a POSIX machine has, and PostgreSQL's clients: no node, no dr. */
const POSIX = ['sh', 'awk', 'basename', 'cat', 'cut', 'dirname', 'env', 'expr', 'grep', 'head', 'ls', 'mkdir', 'mktemp', 'printf', 'rm', 'sed', 'sha256sum', 'sort', 'tail', 'test', 'tr', 'uname', 'wc']

describe('recover.sh', function () {
  this.timeout(60_000)
  let home = ''
  beforeEach(async () => { home = await temporaryFolder('recover') })
  afterEach(() => removeFolder(home))

  it('restores a backup of dr where there is no dr', async () => {
    const cluster = await testCluster({major: 18})
    const url = await cluster.createDatabase('recover_source')
    await cluster.drop('recovered')
    const source = await connect(url)
    await source.query(`DROP ROLE IF EXISTS recover_app; CREATE ROLE recover_app; CREATE TABLE leads (id int PRIMARY KEY, title text); INSERT INTO leads SELECT i, md5(i::text) FROM generate_series(1, 5000) i;
      CREATE INDEX ON leads (title); GRANT SELECT ON leads TO recover_app; ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON leads FOR SELECT TO recover_app USING (id < 100); SELECT lo_from_bytea(4711, 'large')`)
    const {state} = await runBackup({url, directory: home})
    const bin = join(home, 'bin')
    mkdirSync(bin)
    for (const name of POSIX) symlinkSync(execFileSync('/bin/sh', ['-c', `command -v ${name} || echo /usr/bin/${name}`], {encoding: 'utf8'}).trim(), join(bin, name))
    for (const name of ['psql', 'pg_restore', 'createdb']) symlinkSync(join(await clientTools(18), name), join(bin, name))
    const {password, port} = new URL(cluster.adminUrl)
    const done = spawnSync(join(bin, 'sh'), ['recover.sh', '--roles', 'recovered'], {
      cwd: join(home, 'backups', 'development', state.label ?? ''), encoding: 'utf8',
      env: {PATH: bin, PGHOST: '127.0.0.1', PGPORT: port, PGUSER: 'postgres', PGPASSWORD: decodeURIComponent(password), HOME: home},
    })
    expect(done.status, done.stdout + done.stderr).to.equal(0)
    const facts = `SELECT (SELECT count(*) FROM leads) AS rows, (SELECT sum(hashtextextended(ROW(id, title)::text, 0)::numeric) FROM leads) AS digest,
      (SELECT relrowsecurity FROM pg_class WHERE oid = 'leads'::regclass) AS rls, (SELECT count(*) FROM pg_policy) AS policies, has_table_privilege('recover_app', 'leads', 'SELECT') AS granted,
      (SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = 'leads'::regclass) AS indexes, lo_get(4711) AS large`
    const recovered = await connect(cluster.url('recovered'))
    expect((await recovered.query(facts)).rows).to.deep.equal((await source.query(facts)).rows)
    await endQuietly(recovered)
    await endQuietly(source)
    await cluster.drop('recovered')
  })
})
