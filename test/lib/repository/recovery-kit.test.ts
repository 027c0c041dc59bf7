import {expect} from 'chai'
import {execFileSync, spawnSync} from 'node:child_process'
import {chmod, readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import pg from 'pg'
import {recoveryKit, type RecoveryKit} from '../../../src/lib/repository/recovery-kit.ts'
import {testCluster, type TestCluster} from '../../support/cluster.ts'
import {sha256} from '../../support/storage-contract-run.ts'
import {temporaryFolder} from '../../support/temporary.ts'
import {clientTools} from '../../support/tools.ts'

const SOURCE = 'recovery source'
const GLOBALS = String.raw`SELECT 'CREATE ROLE recovery_owner NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'recovery_owner') \gexec
\if :{?target}
ALTER DATABASE :"target" SET work_mem TO '7MB';
\endif
`
const SCHEMA = `
  CREATE TABLE leads (id serial PRIMARY KEY, note text);
  INSERT INTO leads (note) SELECT 'grüße ' || i FROM generate_series(1, 5000) i;
  CREATE TABLE calls (id int PRIMARY KEY, "leadId" int REFERENCES leads);
  INSERT INTO calls SELECT i, i FROM generate_series(1, 100) i;
  SELECT lo_from_bytea(4711, 'a large object');
  CREATE ROLE recovery_owner; ALTER TABLE calls OWNER TO recovery_owner;`

describe('recovery kit', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  let source: TestCluster
  let bin = ''

  const query = async (url: string, sql: string) => {
    const client = new pg.Client(url)
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows
    } finally {
      await client.end()
    }
  }

  before(async () => {
    source = await testCluster({major: 15})
    bin = await clientTools(18)
    await query(await source.createDatabase(SOURCE), SCHEMA)
  })

  beforeEach(async () => {
    await dump(source, SOURCE)
    await write()
  })

  after(async () => {
    await drop(SOURCE)
    await query(source.adminUrl, 'DROP ROLE recovery_owner')
  })

  /** A directory archive with its kit, as a backup is. */
  async function dump(cluster: TestCluster, database: string): Promise<void> {
    execFileSync(`${bin}/pg_dump`, ['-Fd', '-j2', '-Z', 'zstd:1', '-f', join(folder.path, 'b'), '-d', cluster.url(database)], {env: {...process.env, LC_ALL: 'C'}})
    await writeFile(join(folder.path, 'b/globals.sql'), GLOBALS)
  }

  async function write(changes: Partial<RecoveryKit> = {}): Promise<void> {
    const names = (await readdir(join(folder.path, 'b'))).filter((name) => !/^recover/i.test(name))
    const members = await Promise.all(names.map(async (name) => {
      const bytes = await readFile(join(folder.path, 'b', name))
      return {name, bytes: bytes.length, sha256: sha256(bytes)}
    }))
    const kit: RecoveryKit = {
      label: '20261122T020000Z-7f3a', environment: 'production', database: SOURCE, pgRestoreMajor: 16, serverMajor: 15, encoding: 'UTF8',
      collation: {provider: 'libc', collate: 'C', ctype: 'C'}, members, jobs: 2, ...changes,
    }
    for (const {name, text} of recoveryKit(kit)) await writeFile(join(folder.path, 'b', name), text)
  }

  interface Run {
    cluster?: TestCluster
    shell?: string[]
    env?: Record<string, string>
  }

  /** With nothing but the standard tools and the client on the PATH. */
  function recover(args: string[], {cluster = source, shell = ['sh'], env = {}}: Run = {}): {code: number | null; output: string} {
    const {hostname, port, username, password} = new URL(cluster.adminUrl)
    const [command = 'sh', ...rest] = shell
    const ran = spawnSync(command, [...rest, join(folder.path, 'b/recover.sh'), ...args], {
      encoding: 'utf8', cwd: '/', env: {PATH: `${bin}:/usr/bin:/bin`, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: decodeURIComponent(password), LANG: 'C', ...env},
    })
    return {code: ran.status, output: ran.stdout + ran.stderr}
  }

  const databases = async () => (await query(source.adminUrl, "SELECT datname FROM pg_database WHERE datname LIKE 'recovered%' OR datname LIKE 'it''s%'")).map(({datname}) => datname)
  const drop = async (name: string, cluster = source) => query(cluster.adminUrl, `DROP DATABASE IF EXISTS "${name.replaceAll('"', '""')}" WITH (FORCE)`)

  for (const shell of [['dash'], ['bash', '--posix']]) {
    it(`restores into a new database with ${shell[0] ?? ''}, a newer client and an older server`, async () => {
      const name = `it's "new" ${shell[0] ?? ''}`
      await drop(name)
      const {code, output} = recover(['--jobs', '3', name], {shell})
      expect(output).to.contain('is restored')
      expect(code, output).to.equal(0)
      const url = source.url(name)
      expect(await query(url, 'SELECT count(*)::int AS n, max(note) AS m FROM leads')).to.deep.equal(await query(source.url(SOURCE), 'SELECT count(*)::int AS n, max(note) AS m FROM leads'))
      expect(await query(url, "SELECT convert_from(lo_get(4711), 'UTF8') AS text, (SELECT reltuples::int FROM pg_class WHERE relname = 'leads') AS analyzed")).to.deep.equal([{text: 'a large object', analyzed: 5000}])
      expect(await query(url, 'SELECT datcollate, pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()')).to.deep.equal([{datcollate: 'C', encoding: 'UTF8'}])
      await drop(name)
    })
  }

  it('takes an empty database that is there, and refuses a filled one', async () => {
    await source.createDatabase('recovered')
    expect(recover(['recovered']).code).to.equal(0)
    const again = recover(['recovered'])
    expect(again.code).to.equal(1)
    expect(again.output).to.contain('the database recovered is not empty')
    for (const sql of ['CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1', 'CREATE SCHEMA s', 'SELECT lo_create(1)']) {
      await query(await source.createDatabase('recovered'), sql)
      expect(recover(['recovered']).output, sql).to.contain('is not empty')
    }
    await drop('recovered')
  })

  it('names every file that is missing, cut or damaged, and makes no database', async () => {
    expect(recover(['--check'])).to.deep.equal({code: 0, output: 'recover.sh: every file is whole\n'})
    const [first = '', second = '', third = ''] = (await readdir(join(folder.path, 'b'))).filter((name) => name.endsWith('.zst'))
    await rm(join(folder.path, 'b', first))
    await truncate(join(folder.path, 'b', second), 3)
    const bytes = await readFile(join(folder.path, 'b', third))
    bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5)
    await writeFile(join(folder.path, 'b', third), bytes)
    for (const args of [['recovered'], ['--check']]) {
      const {code, output} = recover(args)
      expect(code).to.equal(1)
      expect(output).to.contain(`${first} is missing`).and.contain(`${second} has not`).and.contain(`${third} is damaged`)
    }
    expect(await databases()).to.deep.equal([])
  })

  it('refuses a pg_restore that is too old, or not there', async () => {
    const old = join(folder.path, 'old_restore')
    await writeFile(old, '#!/bin/sh\necho "pg_restore (PostgreSQL) 15.4 (Debian 15.4-1)"\n')
    await chmod(old, 0o755)
    expect(recover(['recovered'], {env: {PG_RESTORE: old}}).output).to.contain('this archive needs pg_restore 16 or newer').and.contain('is 15')
    expect(recover(['recovered'], {env: {PG_RESTORE: '/nowhere/pg_restore'}})).to.include({code: 1})
    expect(await databases()).to.deep.equal([])
  })

  it('fails when a role is missing, says what helps, and --roles does it', async () => {
    const other = await testCluster({major: 16})
    await drop('recovered', other)
    const {code, output} = recover(['recovered'], {cluster: other})
    expect(code).to.equal(1)
    expect(output).to.contain('role "recovery_owner" does not exist').and.contain('run this again with --roles').and.contain('is not complete')
    await drop('recovered', other)
    const second = recover(['--roles', 'recovered'], {cluster: other})
    expect(second.code, second.output).to.equal(0)
    expect(await query(other.url('recovered'), "SELECT tableowner AS owner, current_setting('work_mem') AS setting FROM pg_tables WHERE tablename = 'calls'")).to.deep.equal([{owner: 'recovery_owner', setting: '7MB'}])
    await drop('recovered', other)
    await query(other.adminUrl, 'DROP ROLE recovery_owner')
  })

  it('does not tolerate an object that the old server cannot have', async () => {
    const newer = await testCluster({major: 18})
    await query(await newer.createDatabase('newer'), "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET transaction_timeout TO '5s' AS 'SELECT 1'; CREATE TABLE t AS SELECT 1 AS a")
    await rm(join(folder.path, 'b'), {recursive: true})
    await dump(newer, 'newer')
    await write()
    const {code, output} = recover(['recovered'])
    expect(code).to.equal(1)
    expect(output).to.contain('CREATE FUNCTION').and.contain('is not complete')
    expect(recover(['recovered'], {cluster: newer})).to.include({code: 0})
    await drop('recovered')
    await drop('recovered', newer)
  })

  const harmless = ['pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"', 'Command was: SET transaction_timeout = 0;']
  const ends: [string, number, string[], boolean][] = [
    ['forgives the parameter that the server does not know', 1, harmless, true],
    ['fails when pg_restore was killed', 137, harmless, false],
    ['fails when an error hides in a torn line', 1, [...harmless, 'pg_restore:pg_restore:  creating INDEX "public.a"', ' error: could not execute query: ERROR:  deadlock detected', 'Command was: CREATE INDEX a;'], false],
  ]
  for (const [name, end, lines, restored] of ends) {
    it(name, async () => {
      const fake = join(folder.path, 'fake_restore')
      await writeFile(fake, `#!/bin/sh\n[ "$1" = --version ] && { echo 'pg_restore (PostgreSQL) 18.0'; exit; }\ncat >&2 <<'END'\n${lines.join('\n')}\nEND\nexit ${end}\n`)
      await chmod(fake, 0o755)
      await drop('recovered')
      const {code, output} = recover(['recovered'], {env: {PG_RESTORE: fake}})
      expect(code, output).to.equal(restored ? 0 : 1)
      await drop('recovered')
    })
  }

  it('creates a database of another provider', async () => {
    const cluster = await testCluster({major: 17})
    await drop('recovered', cluster)
    await write({collation: {provider: 'builtin', collate: 'C', ctype: 'C', locale: 'C.UTF-8'}})
    expect(recover(['--roles', 'recovered'], {cluster})).to.include({code: 0})
    expect(await query(cluster.url('recovered'), 'SELECT datlocprovider::text AS p, datlocale AS l FROM pg_database WHERE datname = current_database()')).to.deep.equal([{p: 'b', l: 'C.UTF-8'}])
    await drop('recovered', cluster)
    await query(cluster.adminUrl, 'DROP ROLE recovery_owner')
  })

  it('says how it is used', () => {
    for (const args of [[], ['--wrong'], ['a', 'b'], ['--jobs']]) expect(recover(args).output).to.contain('usage:')
    for (const name of ['host=elsewhere', 'postgres://elsewhere/x']) expect(recover([name]).output).to.contain('is not a plain database name')
    expect(recover(['recovered'], {env: {PGPORT: '1'}}).output).to.contain('check PGHOST')
  })

  it('tells people the same, with lines to copy that work', async () => {
    const page = await readFile(join(folder.path, 'b/RECOVER.md'), 'utf8')
    expect(page).to.contain('`psql` and `pg_restore` of major version **16 or newer**').and.contain('20261122T020000Z-7f3a')
    const lines = page.slice(page.indexOf('## Or by hand')).split('\n').filter((line) => line.startsWith('    ')).map((line) => line.trim())
    expect(lines).to.have.length(5)
    const cluster = await testCluster({major: 18})
    await drop(`${SOURCE}_restored`, cluster)
    const {hostname, port, username, password} = new URL(cluster.adminUrl)
    const env = {PATH: `${bin}:/usr/bin:/bin`, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: decodeURIComponent(password)}
    for (const line of lines) {
      const ran = spawnSync('sh', ['-c', line], {cwd: join(folder.path, 'b'), env, encoding: 'utf8'})
      expect(ran.status, `${line}: ${ran.stderr}`).to.equal(0)
    }
    expect(await query(cluster.url(`${SOURCE}_restored`), 'SELECT count(*)::int AS n FROM leads')).to.deep.equal([{n: 5000}])
    await drop(`${SOURCE}_restored`, cluster)
    await query(cluster.adminUrl, 'DROP ROLE recovery_owner')
  })

  it('takes only names that pg_dump gives', () => {
    const kit: RecoveryKit = {label: 'l', environment: 'e', database: 'd', pgRestoreMajor: 16, serverMajor: 15, encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}, members: [{name: 'a b', bytes: 1, sha256: ''}], jobs: 2}
    expect(() => recoveryKit(kit)).to.throw('a b')
  })
})
