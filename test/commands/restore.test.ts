import {expect} from 'chai'
import {readdirSync, readFileSync} from 'node:fs'
import {readdir} from 'node:fs/promises'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import type {Plan} from '../../src/lib/runbook/plan.ts'
import {rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from '../support/backup.ts'
import {testCluster, type TestCluster} from '../support/cluster.ts'
import {finishDr, startDr} from '../support/process.ts'
import {clientTools} from '../support/tools.ts'
import {until} from '../support/until.ts'

const PASSWORD = 'pass:word\\of@restore'

describe('dr restore', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let home = ''
  let label = ''
  let env: NodeJS.ProcessEnv = {}

  before(async () => {
    cluster = await testCluster({major: 17})
    const url = await cluster.createDatabase('commanded')
    await withClient(url, {}, (client) => client.query(`
      CREATE TABLE leads (id int PRIMARY KEY, note text); INSERT INTO leads SELECT i, md5(i::text) FROM generate_series(1, 60000) i; CREATE INDEX ON leads (note);
      CREATE TABLE calls AS SELECT * FROM leads; CREATE INDEX ON calls (note); DROP ROLE IF EXISTS commander; CREATE ROLE commander SUPERUSER LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`))
    home = await temporaryFolder('restore')
    const {error, state} = await runBackup({url, directory: `${home}/data`, toolsMajor: 17})
    if (error) throw error
    label = state.label ?? ''
    const {port} = cluster
    env = {DATABASE_URL: `postgresql://commander:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/commanded`, DR_PG_BIN: await clientTools(17)}
  })
  after(async () => {
    await withClient(cluster.adminUrl, {}, async (client) => {
      for (const name of await databases()) await client.query(`DROP DATABASE ${client.escapeIdentifier(name)} WITH (FORCE)`)
      await client.query('DROP ROLE commander')
    })
    await removeFolder(home)
  })

  const databases = () => withClient(cluster.adminUrl, {}, async (client) => (await rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE datname LIKE 'commanded%' OR datname LIKE 'dr_unfinished%' ORDER BY 1")).map(({name}) => name))
  const run = (...args: string[]) => finishDr(['restore', ...args, '--no-input'], home, {env})
  const journals = () => readdirSync(`${home}/data/journal`).map((name) => readFileSync(`${home}/data/journal/${name}`, 'utf8')).join('')

  it('prints the name alone on stdout, findings and the next command on stderr', async () => {
    const {code, stdout, stderr} = await run('latest', '--into', 'commanded plain')
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal('commanded plain\n')
    expect(stderr).to.match(/OK .*120,000 rows in 2 tables/).and.match(/DROP DATABASE "commanded plain"/).and.match(/load .*total/)
    expect(stderr + journals()).not.to.contain(PASSWORD).and.not.contain(encodeURIComponent(PASSWORD))
  })

  it('prints one JSON document', async () => {
    const {code, stdout} = await run(label, '--into', 'commanded json', '--json')
    expect(code).to.equal(0)
    const result = JSON.parse(stdout) as RestoreResult
    expect(result).to.include({database: 'commanded json', label, tables: 2, rows: 120_000})
    expect(result.timings.map(({phase}) => phase)).to.include.members(['pre', 'load', 'rest', 'analyze', 'integrity', 'total'])
    expect(result.findings.every(({severity}) => severity === 'ok' || severity === 'info')).to.equal(true)
    expect(stdout).not.to.contain(PASSWORD)
  })

  it('plans without doing anything, in commands that can be typed', async () => {
    const before = await databases()
    const {code, stdout} = await run('--plan', '--json')
    expect(code).to.equal(0)
    const plan = JSON.parse(stdout) as Plan
    const lines = plan.phases.flatMap(({steps}) => steps).flatMap(({commands}) => commands).map(({argv}) => argv.join(' '))
    expect(plan.phases.flatMap(({steps}) => steps).every(({commands, skipped}) => commands.length > 0 || skipped !== undefined)).to.equal(true)
    expect(lines.join('\n')).to.match(/CREATE DATABASE "commanded_restore_\d{14}" .*TEMPLATE template0 ENCODING 'UTF8'/).and.match(/pg_restore --format=directory --use-list=rest\.list --jobs=\d+ --dbname=postgresql:\/\/\S+@127/)
    expect(stdout).not.to.contain(PASSWORD).and.not.contain(encodeURIComponent(PASSWORD))
    expect(await databases()).to.deep.equal(before)
    expect(await readdir(`${home}/data/run`).catch(() => [])).to.deep.equal([])
  })

  const mistakes: [string[], number, RegExp][] = [
    [['--jobs', '0'], 2, /jobs/],
    [['--nonsense'], 2, /nonsense/],
    [['latest', 'twice'], 2, /twice|argument/],
    [['latest', '--s3', 'latest'], 2, /once/],
    [['latest', '--into', 'commanded'], 3, /live database/],
    [['20261122T020000Z-0000'], 3, /no backup/],
    [['--s3', 'latest'], 3, /bucket/],
    [['latest', '--digest'], 3, /no digests/],
  ]
  for (const [args, exitCode, says] of mistakes) {
    it(`answers ${args.join(' ')} with ${exitCode}`, async () => {
      const before = await databases()
      const {code, stdout, stderr} = await run(...args)
      expect(stderr).to.match(says)
      expect({code, stdout}).to.deep.equal({code: exitCode, stdout: ''})
      expect(await databases()).to.deep.equal(before)
    })
  }

  /** Whatever of this backup still runs on this machine: pg_restore carries the backup's path in its arguments. */
  const processes = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      return argv.includes('pg_restore') && argv.includes(label)
    } catch {
      return false
    }
  })

  const moments: [string, RegExp][] = [
    ['in the checks', /Roles and memberships: started/],
    ['while the database is made', /Create the new database: started/],
    ['while the schema is restored', /Types, functions, tables: started/],
    ['while tables are loaded', /Load the tables, build their indexes: started/],
    ['while the rest is restored', /Foreign keys, policies, privileges: started/],
    ['while it is analyzed', /Statistics for the planner: started/],
    ['while it is compared', /Compare with the manifest: started/],
  ]
  for (const [when, moment] of moments) {
    it(`leaves nothing that the next one does not remove when it is killed ${when}`, async () => {
      const before = await databases()
      const killed = startDr(['restore', 'latest', '--no-input'], home, {env})
      await killed.see(moment)
      killed.child.kill('SIGKILL')
      await killed.ended
      await until(() => processes().length === 0)
      await until(() => withClient(cluster.adminUrl, {}, async (client) => (await rowsOf(client, "SELECT FROM pg_locks WHERE locktype = 'advisory' UNION ALL SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore % maintenance'")).length === 0))
      const {code, stdout, stderr} = await run('latest')
      expect(code, stderr).to.equal(0)
      expect(await databases()).to.deep.equal([...before, stdout.trim()].toSorted())
      expect(await readdir(`${home}/data/run`)).to.deep.equal([])
      await withClient(cluster.adminUrl, {}, (client) => client.query(`DROP DATABASE ${client.escapeIdentifier(stdout.trim())}`))
    })
  }

  it('drops what it made at Ctrl-C, and ends with 130', async () => {
    const before = await databases()
    const stopped = startDr(['restore', 'latest', '--no-input'], home, {env})
    await stopped.see(/Load the tables, build their indexes: started/)
    stopped.child.kill('SIGINT')
    expect((await stopped.ended).code, stopped.stderr).to.equal(130)
    expect(await databases()).to.deep.equal(before)
    expect(processes()).to.deep.equal([])
  })
})
