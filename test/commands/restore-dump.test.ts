import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {open, readdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import {rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import type {Plan} from '../../src/lib/runbook/plan.ts'
import {removeFolder, temporaryFolder} from '../support/backup.ts'
import {testCluster, type TestCluster} from '../support/cluster.ts'
import {databasesOf, digestsOf} from '../support/foreign.ts'
import {finishDr, startDr, type Finished} from '../support/process.ts'
import {credentials, openS3} from '../support/s3-storage.ts'
import {clientTools} from '../support/tools.ts'
import {until} from '../support/until.ts'

const PASSWORD = 'pass:word\\of@dump'

describe('dr restore of a dump that dr did not make', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let home = ''
  let bin = ''
  let url = ''
  let env: NodeJS.ProcessEnv = {}

  before(async () => {
    cluster = await testCluster({major: 18})
    url = await cluster.createDatabase('dumped')
    bin = await clientTools(18)
    await withClient(url, {}, (client) => client.query(`
      CREATE TABLE leads (id int PRIMARY KEY, note text); INSERT INTO leads SELECT i, md5(i::text) FROM generate_series(1, 60000) i; CREATE INDEX ON leads (note);
      DROP ROLE IF EXISTS dumper; CREATE ROLE dumper SUPERUSER LOGIN PASSWORD '${PASSWORD}'`))
    home = await temporaryFolder('restore-dump')
    env = {DATABASE_URL: `postgresql://dumper:${encodeURIComponent(PASSWORD)}@127.0.0.1:${cluster.port}/dumped`, DR_PG_BIN: bin}
    await writeFile(join(home, 'dumped.dump'), dump('-Fc'))
    await writeFile(join(home, 'dumped.sql.gz'), gzipSync(dump('-Fp')))
  })
  after(async () => {
    await cluster.drop(...(await databasesOf(cluster, 'dumped')))
    await withClient(cluster.adminUrl, {}, (client) => client.query('DROP ROLE dumper'))
    await removeFolder(home)
  })

  const dump = (...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, url], {maxBuffer: 1e9})
  const run = (...args: string[]) => finishDr(['restore', ...args, '--no-input'], home, {env})
  const left = async () => [await databasesOf(cluster, 'dumped'), await readdir(join(home, 'data', 'run')).catch(() => []), await readdir(join(home, 'data', 'staging')).catch(() => [])]

  async function expectRestored({code, stdout, stderr}: Finished, database: string): Promise<void> {
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal(`${database}\n`)
    expect(stderr).to.match(/60,000 rows in 1 table/).and.match(/there is no manifest to compare with/).and.match(/the same 1 table as in the live database/)
    expect(stderr).not.to.contain(PASSWORD).and.not.contain(encodeURIComponent(PASSWORD))
    expect(await digestsOf(cluster.url(database))).to.deep.equal(await digestsOf(url))
    await cluster.drop(database)
  }

  it('prints the name alone on stdout, of a file and of what is piped in', async () => {
    await expectRestored(await run('dumped.dump', '--into', 'dumped one'), 'dumped one')
    for (const [name, into] of [['dumped.dump', 'dumped two'], ['dumped.sql.gz', 'dumped three']] as const) {
      const file = await open(join(home, name))
      try {
        const started = startDr(['restore', '-', '--into', into], home, {env, stdin: file.fd})
        const {code} = await started.ended
        await expectRestored({code, stdout: started.stdout, stderr: started.stderr}, into)
      } finally {
        await file.close()
      }
    }
    expect(await left()).to.deep.equal([['dumped'], [], []])
  })

  it('takes the live database\'s place with --swap, and dr undo brings the other back', async () => {
    await withClient(cluster.adminUrl, {}, (client) => client.query('CREATE DATABASE dumped_live TEMPLATE dumped'))
    const live = cluster.url('dumped_live')
    await withClient(live, {}, (client) => client.query("DELETE FROM leads WHERE id > 10; INSERT INTO leads VALUES (70001, 'after the dump')"))
    const before = await digestsOf(live)
    const {env: own} = {env: {...env, DATABASE_URL: `postgresql://dumper:${encodeURIComponent(PASSWORD)}@127.0.0.1:${cluster.port}/dumped_live`}}
    const there = await databasesOf(cluster, 'dumped')
    const unasked = await finishDr(['restore', 'dumped.dump', '--swap', '--no-input'], home, {env: own})
    expect(unasked.code, unasked.stderr).to.equal(2)
    expect(await databasesOf(cluster, 'dumped')).to.deep.equal(there)
    const {code, stdout, stderr} = await finishDr(['restore', 'dumped.dump', '--swap', '--confirm', 'dumped_live', '--json'], home, {env: own})
    expect(code, stderr + stdout).to.equal(0)
    const {swap} = JSON.parse(stdout) as RestoreResult
    expect(swap?.loss).to.deep.equal([{table: 'public.leads', live: 11, estimated: false, coming: null}])
    expect(await digestsOf(live)).to.deep.equal(await digestsOf(url))
    expect(await digestsOf(cluster.url(swap?.kept ?? ''))).to.deep.equal(before)
    const undone = await finishDr(['undo', '--confirm', 'dumped_live', '--no-input'], home, {env: own})
    expect(undone.code, undone.stderr).to.equal(0)
    expect(await digestsOf(live)).to.deep.equal(before)
    await cluster.drop(...(await databasesOf(cluster, 'dumped_live')))
  })

  it('takes an object of the bucket by its key and by its URL', async () => {
    const s3 = await openS3()
    const bucket = {AWS_S3_BUCKET: 'backups', AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL_S3: s3.server.endpoint, AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey}
    try {
      await s3.storage({prefix: ''}).put('backups/dumped.sql.gz', readFileSync(join(home, 'dumped.sql.gz')))
      for (const args of [['--s3', 'backups/dumped.sql.gz'], ['s3://backups/backups/dumped.sql.gz']]) {
        await expectRestored(await finishDr(['restore', ...args, '--into', 'dumped s3', '--no-input'], home, {env: {...env, ...bucket}}), 'dumped s3')
      }
    } finally {
      await s3.close()
    }
  })

  it('prints one JSON document that says what the dump was and how far it was proven', async () => {
    const {code, stdout} = await run('dumped.sql.gz', '--into', 'dumped json', '--json')
    expect(code).to.equal(0)
    const result = JSON.parse(stdout) as RestoreResult
    expect(result).to.include({database: 'dumped json', label: 'dumped.sql.gz', tables: 1, rows: 60_000})
    expect(result.dump).to.deep.include({kind: 'plain', layers: ['gzip'], encoding: 'UTF8', singleTransaction: true, tables: 1})
    expect(result.timings.map(({phase}) => phase)).to.deep.equal(['read', 'load', 'analyze', 'integrity', 'total'])
    await cluster.drop('dumped json')
  })

  it('refuses a page of an error and a dump that is cut off, with exit 4, in text and as JSON', async () => {
    await writeFile(join(home, 'page.sql.gz'), '<html>403 Forbidden</html>')
    await writeFile(join(home, 'cut.sql.gz'), readFileSync(join(home, 'dumped.sql.gz')).subarray(0, 100_000))
    for (const [name, code] of [['page.sql.gz', 'restore.not-a-dump'], ['cut.sql.gz', 'restore.dump-damaged']] as const) {
      const text = await run(name)
      expect(text).to.include({code: 4, stdout: ''})
      expect(text.stderr).to.contain(`Error: ${join(home, name)} is `)
      const json = await run(name, '--json')
      expect(JSON.parse(json.stdout)).to.have.nested.property('error.code', code)
    }
    expect(await left()).to.deep.equal([['dumped'], [], []])
  })

  it('plans without doing anything, in commands that can be typed', async () => {
    for (const [name, command] of [['dumped.dump', /pg_restore --format=custom --use-list=all\.list --jobs=\d+ --dbname=\S+ \S*dumped\.dump/], ['dumped.sql.gz', /psql --no-psqlrc .*--set=ON_ERROR_STOP=1 .*--single-transaction .*--file=DUMP/], ['-', /pg_restore/]] as const) {
      const {code, stdout} = await run(name, '--plan', '--json')
      expect(code).to.equal(0)
      const plan = JSON.parse(stdout) as Plan
      expect(plan.phases.flatMap(({steps}) => steps).flatMap(({commands}) => commands).map(({argv}) => argv.join(' ')).join('\n')).to.match(command)
      expect(stdout).not.to.contain(PASSWORD)
    }
    expect(await left()).to.deep.equal([['dumped'], [], []])
  })

  it('says in words what cannot be', async () => {
    const mistakes: [string[], number, RegExp][] = [[['dumped.dump', '--digest'], 3, /no digests/], [['dumped.dump', '--into', 'dumped'], 3, /live database/], [['/dev/null'], 2, /neither a file nor a folder/], [['nowhere.dump'], 3, /neither a label nor a path/]]
    for (const [args, exitCode, says] of mistakes) {
      const {code, stdout, stderr} = await run(...args)
      expect(stderr).to.match(says)
      expect({code, stdout}).to.deep.equal({code: exitCode, stdout: ''})
    }
  })

  const sessionsEnded = () => until(() => withClient(cluster.adminUrl, {}, async (client) => (await rowsOf(client, "SELECT FROM pg_locks WHERE locktype = 'advisory' UNION ALL SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore %'")).length === 0))

  for (const name of ['dumped.dump', 'dumped.sql.gz']) {
    it(`leaves nothing at Ctrl-C, and nothing that the next one does not remove when it is killed: ${name}`, async () => {
      // Slow enough to be met at work.
      await writeFile(join(home, `slow.${name}`), name.endsWith('.dump') ? dump('-Fc') : gzipSync(`${dump('-Fp').toString()}SELECT pg_sleep(30);\n`))
      const stopped = startDr(['restore', `slow.${name}`, '--no-input'], home, {env})
      await stopped.see(/Restore the dump: started/)
      stopped.child.kill('SIGINT')
      expect((await stopped.ended).code, stopped.stderr).to.equal(130)
      expect(await left()).to.deep.equal([['dumped'], [], []])
      const killed = startDr(['restore', `slow.${name}`, '--no-input'], home, {env})
      await killed.see(/Restore the dump: started/)
      killed.child.kill('SIGKILL')
      await killed.ended
      await sessionsEnded()
      const next = await run(name, '--into', 'dumped next')
      expect(next.code, next.stderr).to.equal(0)
      expect(await left()).to.deep.equal([['dumped', 'dumped next'], [], []])
      await cluster.drop('dumped next')
    })
  }

  it('needs no more memory for a large dump than for a small one', async () => {
    const row = `${'x'.repeat(150)}\n`
    const lead = '--\n-- PostgreSQL database dump\n--\nCREATE TABLE big (note text);\n'
    const end = '\n--\n-- PostgreSQL database dump complete\n--\n'
    const sql = (rows: number) => gzipSync(`${lead}COPY big (note) FROM stdin;\n${row.repeat(rows)}\\.\n${"INSERT INTO big VALUES ('another');\n".repeat(rows / 100)}${end}`, {level: 1})
    const peakOf = async (rows: number): Promise<number> => {
      await writeFile(join(home, 'sized.sql.gz'), sql(rows))
      const started = startDr(['restore', 'sized.sql.gz', '--into', 'dumped sized', '--no-input'], home, {env})
      let peak = 0
      const timer = setInterval(() => {
        try {
          peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${started.child.pid ?? 0}/status`, 'utf8'))?.[1] ?? 0))
        } catch {
          // It has ended.
        }
      }, 50)
      const {code} = await started.ended
      clearInterval(timer)
      expect(code, started.stderr).to.equal(0)
      await cluster.drop('dumped sized')
      return peak / 1024
    }
    const [small, large] = [await peakOf(100), await peakOf(1_000_000)]
    expect(small).to.be.above(50)
    expect(large - small, `${small} MB, then ${large} MB`).to.be.lessThan(120)
  })
})
