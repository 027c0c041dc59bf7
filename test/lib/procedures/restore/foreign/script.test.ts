import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {rowOf, rowsOf, withClient} from '../../../../../src/lib/postgres/connection.ts'
import {findTools} from '../../../../../src/lib/postgres/tools.ts'
import {createAwkwardDatabase} from '../../../../support/awkward.ts'
import {removeFolder, temporaryFolder} from '../../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../../support/cluster.ts'
import {expectEqual} from '../../../../support/equal.ts'
import {databasesOf, digestsOf, runForeign, type ForeignOutcome, type ForeignSetting} from '../../../../support/foreign.ts'
import {wrongFindings} from '../../../../support/restore.ts'
import {clientTools} from '../../../../support/tools.ts'

const messagesOf = ({state}: ForeignOutcome): string => state.findings.map(({code, subject, message}) => `${code} ${subject}: ${message}`).join('\n')

describe('plain SQL that dr did not make', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let home = ''
  let bin = ''
  let source = ''

  before(async () => {
    cluster = await testCluster({major: 15})
    home = await temporaryFolder('foreign-script')
    bin = await clientTools(18)
    source = (await createAwkwardDatabase(cluster, 'script_awkward')).url
  })
  after(async () => {
    await cluster.drop('script_awkward', 'script_live')
    await removeFolder(home)
  })

  const dump = (url: string, ...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, url], {maxBuffer: 1e9, encoding: 'utf8'})

  async function restore(sql: string | Buffer, setting: Partial<ForeignSetting> = {}): Promise<ForeignOutcome> {
    await writeFile(join(home, 'dump.sql'), sql)
    return runForeign({url: source, directory: home, dump: './dump.sql', ...setting})
  }

  /** What belongs to the live database itself. */
  const ofLive = () => withClient(cluster.adminUrl, {}, (client) => rowsOf(client, `
    SELECT pg_get_userbyid(datdba) AS owner, datacl::text AS acl, datconnlimit AS connections, shobj_description(oid, 'pg_database') AS comment, (SELECT array_agg(s.*::text ORDER BY 1) FROM pg_db_role_setting s WHERE setdatabase = d.oid) AS settings
    FROM pg_database d WHERE datname = 'script_awkward'`))

  for (const flags of [['--create'], ['--clean'], ['--clean', '--if-exists'], ['--clean', '--create'], ['--clean', '--if-exists', '--create'], ['--column-inserts', '--rows-per-insert=7']]) {
    it(`is restored when pg_dump made it with ${flags.join(' ')}, and the live database stays as it is`, async () => {
      const before = [await ofLive(), await digestsOf(source)]
      const outcome = await restore(dump(source, ...flags))
      if (outcome.error) throw outcome.error
      try {
        // The dump is of pg_dump 18 and of a server of 15: what it sets that 15 does not know is left out.
        expect(messagesOf(outcome)).to.match(/restore\.left-out transaction-timeout/)
        expect(wrongFindings(outcome.state.findings)).to.deep.equal([])
        const restored = cluster.url(outcome.state.database)
        expect(await digestsOf(restored)).to.deep.equal(before[1])
        await expectEqual(cluster, source, restored)
        expect(/restore\.left-out own-database/.test(messagesOf(outcome))).to.equal(flags.includes('--create'))
      } finally {
        await cluster.drop(outcome.state.database)
      }
      expect([await ofLive(), await digestsOf(source)]).to.deep.equal(before)
    })
  }

  it('is restored by a psql that does not know \\restrict', async () => {
    const tools = await findTools(await clientTools(17))
    expect(tools[0]?.version).to.equal('17.5')
    const outcome = await restore(dump(source), {tools})
    if (outcome.error) throw outcome.error
    const restored = cluster.url(outcome.state.database)
    expect(await digestsOf(restored)).to.deep.equal(await digestsOf(source))
    await cluster.drop(outcome.state.database)
  })

  it('is restored by a role that is no superuser, as far as its comments on extensions', async () => {
    await withClient(cluster.adminUrl, {}, async (client) => {
      await client.query("DROP ROLE IF EXISTS scripter; CREATE ROLE scripter LOGIN CREATEDB PASSWORD 'pass:word'")
      await client.query('DROP DATABASE IF EXISTS script_owned')
      await client.query('CREATE DATABASE script_owned OWNER scripter TEMPLATE template0')
    })
    const own = cluster.url('script_owned', {name: 'scripter', password: 'pass:word'})
    await withClient(own, {}, (client) => client.query("CREATE EXTENSION pgcrypto; CREATE TABLE leads (id serial PRIMARY KEY, note text); INSERT INTO leads (note) VALUES ('a'), ('b')"))
    const sql = dump(own)
    expect(sql).to.contain('COMMENT ON EXTENSION')
    const outcome = await restore(sql, {url: own})
    if (outcome.error) throw outcome.error
    try {
      expect(messagesOf(outcome)).to.match(/restore\.left-out extension-comment/)
      expect(await digestsOf(cluster.url(outcome.state.database))).to.deep.equal(await digestsOf(own))
      const {owner} = await withClient(cluster.adminUrl, {}, (client) => rowOf<{owner: string}>(client, 'SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1', [outcome.state.database]))
      expect(owner).to.equal('scripter')
    } finally {
      await cluster.drop(outcome.state.database, 'script_owned')
      await withClient(cluster.adminUrl, {}, (client) => client.query('DROP ROLE scripter'))
    }
  })

  /** Fails, says where, and leaves no database. */
  async function fails(sql: string, expected: {code: string; exitCode: number}, says: RegExp, setting: Partial<ForeignSetting> = {}): Promise<ForeignOutcome> {
    const before = await databasesOf(cluster, '')
    const outcome = await restore(sql, setting)
    expect(outcome.error, outcome.error?.message).to.include(expected)
    expect(outcome.error?.message).to.match(says)
    expect(await databasesOf(cluster, '')).to.deep.equal(before)
    return outcome
  }

  it('stops at the first error, tied to its line and statement and without data, and the new database is dropped', async () => {
    const lead = 'SET client_encoding = UTF8;\nCREATE TABLE t (a int);\n\n'
    await fails(`${lead}CREATE TABLE t\n  (b int);\nSELECT 1;\n`, {code: 'restore.failed', exitCode: 1}, /^line 4: CREATE TABLE t \( ?b int\); - relation "t" already exists \(SQLSTATE 42P07\)$/)
    await fails(`${lead}INSERT INTO t VALUES ('secret');\n`, {code: 'restore.failed', exitCode: 1}, /^line 4: INSERT INTO t VALUES … - /)
    const outcome = await fails(`${lead}COPY t FROM stdin;\n1\nsecret\textra\n\\.\n`, {code: 'restore.data', exitCode: 4}, /^line 4, row 2: COPY t FROM stdin; - extra data after last expected column \(SQLSTATE 22P04\)$/)
    expect(outcome.error?.message).not.to.contain('secret')
    await fails(`${lead}COPY t FROM stdin;\n1\nx\n\\.\n`, {code: 'restore.failed', exitCode: 1}, /^line 4, row 2: COPY t FROM stdin; - invalid input syntax/)
    // With transactions of its own it is not in one, and ends the same way.
    await fails(`${lead}BEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;\nSELECT nothing;\n`, {code: 'restore.failed', exitCode: 1}, /^line 7: SELECT nothing; - column "nothing" does not exist/)
  })

  it('is refused before anything is made when a role, an extension or newer tools are missing', async () => {
    await fails('CREATE TABLE t (a int);\nALTER TABLE t OWNER TO "nobody; here";\nGRANT SELECT ON t TO nobody_else;\n', {code: 'restore.roles', exitCode: 3}, /nobody; here, nobody_else/)
    await fails('CREATE EXTENSION IF NOT EXISTS no_such_extension;\n', {code: 'restore.extensions', exitCode: 3}, /no_such_extension/)
  })

  it('is refused with the line shown when it does more than restore', async () => {
    for (const line of [String.raw`\! touch /nowhere`, "COPY t FROM PROGRAM 'id';", String.raw`\connect script_awkward`, 'CREATE DATABASE other;', "ALTER SYSTEM SET x = 'y';"]) {
      const {error} = await fails(`CREATE TABLE t (a int);\n${line}\n`, {code: 'restore.sql-refused', exitCode: 4}, /, line 2: /)
      expect(error?.message).to.contain(line)
    }
  })

  it('of other tools is restored, with a word on its end', async () => {
    const outcome = await restore('\uFEFFCREATE TABLE t (a int);\r\nINSERT INTO t VALUES (1), (2);\n')
    if (outcome.error) throw outcome.error
    await cluster.drop(outcome.state.database)
    expect(outcome.state).to.include({tables: 1, rows: 2})
    expect(wrongFindings(outcome.state.findings)).to.have.length(1)
    expect(messagesOf(outcome)).to.match(/restore\.dump-end : it does not say that pg_dump made it/).and.match(/20? ?tables? only in the live database|tables only in the live database/)
  })

  it('gets the encoding of the dump where it says one, and the collation of the live database where the server does not know that of the dump', async () => {
    const sql = dump(source, '--create', '--schema-only').replace(/(CREATE DATABASE .*LOCALE = )'[^']*'/, "$1'xx_YY.UTF-8'")
    expect(sql).to.contain('xx_YY')
    const outcome = await restore(sql)
    if (outcome.error) throw outcome.error
    await cluster.drop(outcome.state.database)
    expect(messagesOf(outcome)).to.match(/restore\.collation : the server does not know the collation of the dump \(libc xx_YY\.UTF-8\)/)

    await withClient(cluster.adminUrl, {}, async (client) => {
      await client.query('DROP DATABASE IF EXISTS script_live')
      await client.query("CREATE DATABASE script_live ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    })
    const latin = cluster.url('script_live')
    await withClient(latin, {}, (client) => client.query("CREATE TABLE t (a text); INSERT INTO t VALUES ('ä')"))
    await writeFile(join(home, 'latin.dump'), execFileSync(join(bin, 'pg_dump'), ['-Fc', latin]))
    for (const [sqlOf, url] of [['./latin.dump', source], ['./dump.sql', latin]] as const) {
      await writeFile(join(home, 'dump.sql'), execFileSync(join(bin, 'pg_dump'), [latin]))
      const {error, state} = await runForeign({url, directory: home, dump: sqlOf})
      if (error) throw error
      const found = await withClient(cluster.url(state.database), {}, (client) => rowOf<{encoding: string; a: string}>(client, "SELECT current_setting('server_encoding') AS encoding, a FROM t"))
      expect(found, sqlOf).to.deep.equal({encoding: 'LATIN1', a: 'ä'})
      await cluster.drop(state.database)
    }
  })

  it('is restored in one transaction where that can be, and says why where not', async () => {
    const one = await restore('CREATE TABLE t (a int);\n')
    expect(one.state.dump.singleTransaction).to.equal(true)
    const several = await restore('CREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY ON t (a);\n')
    expect(several.state.dump.singleTransaction).to.equal(false)
    expect(messagesOf(several)).to.match(/restore\.transaction : not in one transaction: line 2 .*CREATE INDEX CONCURRENTLY/)
    await cluster.drop(one.state.database, several.state.database)
  })

  it('is an archive only for tools that are not older than it', async () => {
    await writeFile(join(home, 'new.dump'), execFileSync(join(bin, 'pg_dump'), ['-Fc', source]))
    const {error} = await runForeign({url: source, directory: home, dump: './new.dump', tools: await findTools(await clientTools(17))})
    expect(error).to.include({code: 'tools.too-old', exitCode: 3})
    expect(error?.message).to.match(/written by pg_dump 18/)
  })

  it('drops what it made when it is interrupted', async () => {
    const before = await databasesOf(cluster, '')
    const controller = new AbortController()
    const rows = Array.from({length: 300_000}, (_, row) => `${row}\n`).join('')
    const {error} = await restore(`CREATE TABLE t (a int);\nCOPY t FROM stdin;\n${rows}\\.\nSELECT pg_sleep(60);\n`, {signal: controller.signal, onStep: (id) => { if (id === 'restore.load') setTimeout(() => { controller.abort(new Error('enough')) }, 300) }})
    expect(error?.message).to.equal('enough')
    expect(await databasesOf(cluster, '')).to.deep.equal(before)
    expect(await withClient(cluster.adminUrl, {}, (client) => rowsOf(client, "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid() AND state = 'active'"))).to.deep.equal([])
  })
})
