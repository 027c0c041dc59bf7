import {expect} from 'chai'
import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {DiffResult} from '../../src/commands/diff.ts'
import {connect, endQuietly, rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from '../support/backup.ts'
import {testCluster, type TestCluster} from '../support/cluster.ts'
import {finishDr, startDr} from '../support/process.ts'
import {clientTools} from '../support/tools.ts'
import {until} from '../support/until.ts'

const SCHEMA = `
  CREATE TABLE tenants (id text PRIMARY KEY, name text);
  CREATE TABLE users (id int PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants, email text);
  CREATE TABLE user_auth_links (id int PRIMARY KEY, "userId" int NOT NULL REFERENCES users ON DELETE CASCADE, provider text);
  CREATE TABLE leads (id text PRIMARY KEY, "tenantId" text REFERENCES tenants, title text, "createdAt" timestamp(3) NOT NULL);
  CREATE TABLE events (id int, part text, "tenantId" text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
  CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a'); CREATE TABLE events_rest PARTITION OF events DEFAULT;
  CREATE TABLE rates (currency text, rate numeric);
  CREATE TABLE old_table (id int PRIMARY KEY, secret text);
  INSERT INTO tenants VALUES ('t1', 'One'), ('t2', 'Two');
  INSERT INTO users SELECT i, CASE WHEN i % 2 = 0 THEN 't1' ELSE 't2' END, 'user' || i || '@example.com' FROM generate_series(1, 20) i;
  INSERT INTO user_auth_links SELECT i, i, 'google' FROM generate_series(1, 20) i;
  INSERT INTO leads SELECT 'lead-' || i, CASE WHEN i % 2 = 0 THEN 't1' ELSE 't2' END, 'canary-title', timestamp '2026-01-01' + i * interval '1 hour' FROM generate_series(1, 1000) i;
  INSERT INTO events SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 't1' FROM generate_series(1, 100) i;
  INSERT INTO rates VALUES ('USD', 1), ('USD', 1), ('EUR', 2);
  INSERT INTO old_table VALUES (1, 'x'), (2, 'y')`

const CHANGES = `
  DELETE FROM leads WHERE id IN ('lead-2', 'lead-3', 'lead-4'); UPDATE leads SET title = 'changed' WHERE id IN ('lead-10', 'lead-11');
  INSERT INTO leads SELECT 'lead-' || i, 't1', 'new', timestamp '2026-06-01' FROM generate_series(2001, 2005) i;
  DELETE FROM users WHERE id = 2; INSERT INTO users VALUES (30, 't2', 'z'); INSERT INTO user_auth_links VALUES (30, 30, 'telegram');
  UPDATE events SET part = 'c' WHERE id = 4; UPDATE events SET "tenantId" = 't2' WHERE id = 5;
  DELETE FROM rates WHERE currency = 'EUR'; INSERT INTO rates VALUES ('USD', 1);
  DROP TABLE old_table; CREATE TABLE new_table (id int PRIMARY KEY); INSERT INTO new_table VALUES (1), (2), (3);
  ALTER TABLE tenants ADD COLUMN plan text DEFAULT 'free'`

describe('dr diff', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let home = ''
  let label = ''
  let url = ''
  let env: NodeJS.ProcessEnv = {}

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase('differing')
    await withClient(url, {}, (client) => client.query(SCHEMA))
    home = await temporaryFolder('diff')
    const {error, state} = await runBackup({url, directory: `${home}/data`, toolsMajor: 17})
    if (error) throw error
    label = state.label ?? ''
    await withClient(url, {}, (client) => client.query(CHANGES))
    env = {DATABASE_URL: url, DR_PG_BIN: await clientTools(17)}
  })
  after(async () => {
    await cluster.drop(...await databases())
    await removeFolder(home)
  })

  const databases = () => withClient(cluster.adminUrl, {}, async (client) => (await rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE datname LIKE 'differing%' OR datname LIKE 'dr_unfinished%' ORDER BY 1")).map(({name}) => name))
  const run = (...args: string[]) => finishDr(['diff', ...args, '--no-input'], home, {env})
  const json = async (...args: string[]): Promise<DiffResult> => {
    const {code, stdout, stderr} = await run(...args, '--json')
    expect(code, stdout + stderr).to.equal(0)
    return JSON.parse(stdout) as DiffResult
  }

  it('says from the manifest alone what would be lost, with 0 though there are differences', async () => {
    const {code, stdout, stderr} = await run()
    expect(code, stderr).to.equal(0)
    const [verdict, gone, back] = stdout.split('\n')
    expect(verdict).to.match(new RegExp(`^A restore of ${label} would lose \\d+ rows written since .*UTC, and bring back \\d+ rows that were deleted or changed since\\.$`))
    expect(gone).to.equal('1 table made since the backup would be gone: public.new_table (3 rows).')
    expect(back).to.equal('1 table dropped since the backup would come back: public.old_table (2 rows).')
    expect(stdout).to.match(/public\.leads +1,002 +1,000 +\+2 +7 +5 +2026-06-01 00:00/)
    expect(stdout).to.match(/TENANT/).and.match(/t1 +/)
    expect(await databases()).to.deep.equal(['differing'])
  })

  it('gives the same figures as JSON', async () => {
    const {loss, rows, complete, kept} = await json(label)
    expect({rows, complete, kept}).to.deep.equal({rows: null, complete: true, kept: null})
    const figures = Object.fromEntries(loss.tables.map(({name, lost, regained, atLeast}) => [name, [lost, regained, atLeast]]))
    expect(figures).to.deep.equal({
      leads: [7, 5, false], users: [1, 1, false], user_auth_links: [1, 1, false], events_a: [0, 1, false], events_rest: [2, 1, false], rates: [1, 1, false],
      new_table: [3, 0, false], old_table: [0, 2, false], tenants: [0, 0, false],
    })
    expect(loss.newerUnknown).to.equal(undefined)
    expect(loss.total.lost - loss.total.regained).to.equal(loss.total.live - loss.total.backup)
  })

  it('keeps to the tables that are named, a partitioned one with its partitions', async () => {
    expect((await json('--table', 'public.leads', '--table', 'events')).loss.tables.map(({name}) => name).toSorted()).to.deep.equal(['events_a', 'events_rest', 'leads'])
    const {code, stderr} = await run('--table', 'laeds')
    expect(code).to.equal(2)
    expect(stderr).to.include('There is no table laeds').and.include('Did you mean leads?')
  })

  it('keeps to a tenant, and refuses one that nobody knows', async () => {
    const {loss} = await json('--tenant', 't1')
    expect(loss.tables.find(({name}) => name === 'leads')).to.include({live: 503, backup: 500, lost: 6, regained: 3})
    expect(loss.leftOut.map(({name}) => name)).to.include('user_auth_links')
    const {code, stderr} = await run('--tenant', 'nobody')
    expect(code).to.equal(2)
    expect(stderr).to.include('No row of tenant nobody is live or in the backup')
  })

  it('compares every row with a copy that it restores and drops again', async () => {
    const result = await json(label, '--deep', '--sample', '2')
    const {rows} = result
    const figures = Object.fromEntries((rows?.tables ?? []).map(({name, onlyLive, changed, onlyBackup, where}) => [name, [onlyLive, changed, onlyBackup, where]]))
    expect(figures).to.deep.equal({
      leads: [5, 2, 3, 'both'], users: [1, 0, 1, 'both'], user_auth_links: [1, 0, 1, 'both'], events: [1, 1, 1, 'both'], rates: [1, 0, 1, 'both'],
      new_table: [3, 0, 0, 'live'], old_table: [0, 0, 2, 'backup'], tenants: [0, 0, 0, 'both'],
    })
    expect(rows?.total).to.include({onlyLive: 12, changed: 3, onlyBackup: 9})
    expect(rows?.tables.find(({name}) => name === 'leads')).to.deep.include({key: ['id'], sample: [{change: 'changed', key: ['lead-10']}, {change: 'changed', key: ['lead-11']}]})
    expect(rows?.tables.find(({name}) => name === 'tenants')?.notes).to.deep.equal(['not compared, because the backup has no such column: plan'])
    expect(rows).to.deep.include({restored: true, troubles: []})
    expect(JSON.stringify(result)).not.to.include('canary-title').and.not.include('example.com')
    expect(await databases()).to.deep.equal(['differing'])
    expect(await readdir(join(home, 'data/run'))).to.deep.equal([])
  })

  it('says it in words that fit, and shows keys but no values', async () => {
    const {code, stdout, stderr} = await run('--deep', '--sample', '1')
    expect(code, stderr).to.equal(0)
    expect(stdout).to.match(/would lose 12 rows added since .* UTC, take 3 changed rows back to what they were, and bring back 9 deleted rows\./)
    expect(stdout).to.include('Without a key a changed row counts as one added and one deleted: public.rates.').and.match(/public\.leads by id:\n {2}changed {2}lead-10\n/)
    expect(stdout + stderr).not.to.include('canary-title')
  })

  it('compares the rows of one tenant, those that a foreign key makes its own too, and names what it leaves out', async () => {
    const {rows} = await json('--deep', '--tenant', 't1')
    const figures = Object.fromEntries((rows?.tables ?? []).map(({name, live, backup, onlyLive, changed, onlyBackup}) => [name, [live, backup, onlyLive, changed, onlyBackup]]))
    expect(figures).to.deep.equal({leads: [503, 500, 5, 1, 2], users: [9, 10, 0, 0, 1], user_auth_links: [9, 10, 0, 0, 1], events: [99, 100, 1, 0, 2], tenants: [1, 1, 0, 0, 0]})
    expect(rows?.leftOut.map(({name}) => name).toSorted()).to.deep.equal(['new_table', 'old_table', 'rates'])
  })

  const newestLead = (database: string) => withClient(cluster.url(database), {}, async (client) => (await rowsOf<{at: string}>(client, `SELECT to_char(max("createdAt"), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at FROM leads`))[0]?.at)

  it('keeps the copy where that is asked for, whole, and compares with one that is there', async () => {
    const {kept} = await json('--deep', '--keep')
    expect(kept).to.match(/^differing_restore_\d{14}$/)
    const indexes = await withClient(cluster.url(kept ?? ''), {}, (client) => rowsOf(client, "SELECT FROM pg_indexes WHERE schemaname = 'public'"))
    expect(indexes.length).to.be.above(5)
    const {rows, loss} = await json('--deep', '--against', kept ?? '', '--table', 'leads')
    const [leads] = loss.tables
    expect(leads?.newestInBackup).to.match(/^\d{4}-\d{2}-\d{2}T.*Z$/).and.equal(await newestLead(kept ?? ''))
    expect(leads?.newest).to.equal(await newestLead('differing')).and.not.equal(leads?.newestInBackup)
    expect(rows).to.deep.include({against: kept, restored: false})
    expect(rows?.total).to.include({onlyLive: 5, changed: 2, onlyBackup: 3})
    expect(rows?.cautions).to.deep.equal([])
    await withClient(cluster.url(kept ?? ''), {}, (client) => client.query("DELETE FROM leads WHERE id = 'lead-500'"))
    const {stdout} = await run('--deep', '--against', kept ?? '', '--table', 'leads')
    expect(stdout).to.include(`${kept ?? ''} is not this backup as it was restored: public.leads has 999 rows there and 1,000 in the backup.`)
    await cluster.drop(kept ?? '')
  })

  it('refuses what cannot be compared with, before anything is made', async () => {
    const refused: [string[], number, RegExp][] = [
      [['--against', 'differing_gone', '--deep'], 3, /There is no database differing_gone/], [['--against', 'differing', '--deep'], 3, /is the live database itself/],
      [['--against', 'x'], 2, /--against goes with --deep/], [['--tenant', ''], 2, /names no tenant/], [['--keep'], 2, /--keep goes with --deep/], [['--deep', '--keep', '--against', 'x'], 2, /Leave out one/], [['20200101T000000Z-0000'], 3, /There is no backup/],
    ]
    for (const [args, exitCode, says] of refused) {
      const {code, stdout, stderr} = await run(...args)
      expect(code, stderr).to.equal(exitCode)
      expect(stdout).to.equal('')
      expect(stderr).to.match(says)
    }
    expect(await databases()).to.deep.equal(['differing'])
  })

  it('ends with 7 when a table could not be compared, and compares the others', async () => {
    const holder = await connect(url)
    await holder.query('BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE')
    const {code, stdout} = await run()
    await holder.query('ROLLBACK')
    await endQuietly(holder)
    expect(code).to.equal(7)
    expect(stdout).to.include('public.leads was not compared: canceling statement due to lock timeout').and.match(/public\.users/)
  })

  for (const [when, moment] of [['while the copy is loaded', /Load the tables: started/], ['while rows are compared', /Compare every row: started/]] as const) {
    it(`drops the copy at Ctrl-C ${when}, and ends with 130`, async () => {
      // A table that is held makes the comparison wait, so that it is not over before it is stopped.
      const holder = await connect(url)
      await holder.query('BEGIN; LOCK TABLE rates IN ACCESS EXCLUSIVE MODE')
      const stopped = startDr(['diff', label, '--deep', '--no-input'], home, {env})
      await stopped.see(moment)
      stopped.child.kill('SIGINT')
      expect((await stopped.ended).code, stopped.stderr).to.equal(130)
      await endQuietly(holder)
      expect(await databases()).to.deep.equal(['differing'])
    })

    it(`leaves nothing that the next one does not remove when it is killed ${when}`, async () => {
      const killed = startDr(['diff', label, '--deep', '--no-input'], home, {env})
      await killed.see(moment)
      killed.child.kill('SIGKILL')
      await killed.ended
      await until(() => withClient(cluster.adminUrl, {}, async (client) => (await rowsOf(client, "SELECT FROM pg_locks WHERE locktype = 'advisory' UNION ALL SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore %' OR application_name LIKE 'dr diff %'")).length === 0))
      const {code, stderr} = await run('--deep', '--table', 'rates')
      expect(code, stderr).to.equal(0)
      expect(await databases()).to.deep.equal(['differing'])
    })
  }

  it('leaves no row in the journal', async () => {
    const names = await readdir(join(home, 'data/journal'))
    expect(names.some((name) => name.includes('-diff-'))).to.equal(true)
    for (const name of names) expect(await readFile(join(home, 'data/journal', name), 'utf8')).not.to.include('canary-title').and.not.include('example.com')
  })
})
