import {expect} from 'chai'
import type {TableRowLoss} from '../../../../src/lib/checks/row-loss.ts'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {compareRows, type CompareOptions} from '../../../../src/lib/procedures/diff/compare.ts'
import {createAwkwardDatabase} from '../../../support/awkward.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {serverMajors, testCluster, type TestCluster} from '../../../support/cluster.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {runRestore} from '../../../support/restore.ts'

const options = (url: string, against: string, more: Partial<CompareOptions> = {}): CompareOptions =>
  ({target: parseTarget(url), against, excludeSchemas: [], tenantColumn: 'tenantId', applicationName: 'dr diff test', lanes: 2, sample: 5, signal: new AbortController().signal, ...more})

for (const major of serverMajors) {
  describe(`rows of the awkward database and its restore, on PostgreSQL ${major}`, function () {
    this.timeout(180_000)
    let cluster: TestCluster
    let directory = ''

    before(async () => {
      cluster = await testCluster({major})
      directory = await temporaryFolder('diff-awkward')
    })
    after(async () => {
      await cluster.drop('awkward diff', 'awkward copy')
      await removeFolder(directory)
    })

    it('are the same, and each change in them is found', async () => {
      const {url} = await createAwkwardDatabase(cluster, 'awkward diff')
      const {error} = await runBackup({url, directory, toolsMajor: major === 18 ? 18 : 17})
      if (error) throw error
      const restored = await runRestore({url, directory, into: 'awkward copy'})
      if (restored.error) throw restored.error
      const same = await compareRows(options(url, 'awkward copy'))
      expect(same.troubles).to.deep.equal([])
      expect(same.total).to.deep.include({onlyLive: 0, onlyBackup: 0, changed: 0})
      expect(same.tables.length).to.be.above(30)
      expect(same.total.live).to.be.above(1500)
      await withClient(url, {}, (client) => client.query(`DROP PUBLICATION everything, some_rows, a_schema;
        UPDATE odd.t SET x = 1000 WHERE x = 1; UPDATE ONLY odd.child SET added_later = 'changed' WHERE id = 2; DELETE FROM odd.measured WHERE id = 50; UPDATE odd.every_type SET c_bytea = '\\x00' WHERE id = 1;
        UPDATE odd.hashed SET id = 1000 WHERE id = 7; INSERT INTO odd.zero_columns DEFAULT VALUES; UPDATE "Mixed.Schema; --"."Weird ""Tab;le"".name" SET "a.b" = 'other' WHERE "select" = 3;
        UPDATE odd.identities SET amount = 0 WHERE id = 100; UPDATE odd.indexed SET word = 'x' WHERE id = 3`))
      const {tables, troubles} = await compareRows(options(url, 'awkward copy'))
      expect(troubles).to.deep.equal([])
      // Triggers of these tables write into odd.log.
      const found = Object.fromEntries(tables.filter(({name}) => name !== 'log').filter(({onlyLive, onlyBackup, changed}) => onlyLive + onlyBackup + changed > 0).map(({name, onlyLive, changed, onlyBackup}) => [name, [onlyLive, changed, onlyBackup]]))
      expect(found).to.deep.equal({
        t: [1, 0, 1], child: [1, 0, 1], measured: [0, 0, 1], every_type: [0, 1, 0], hashed: [1, 0, 1], zero_columns: [1, 0, 0], 'Weird "Tab;le".name': [0, 1, 0], identities: [1, 0, 1], indexed: [0, 1, 0],
      })
    })
  })
}

describe('tables that are not the same on both sides', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let live = ''
  let copy = ''
  before(async () => { cluster = await testCluster() })
  beforeEach(async () => {
    live = await cluster.createDatabase('sides_live')
    copy = await cluster.createDatabase('sides_copy')
  })
  after(() => cluster.drop('sides_live', 'sides_copy'))

  const sql = async (now: string, then: string) => {
    await withClient(live, {}, (client) => client.query(now))
    await withClient(copy, {}, (client) => client.query(then))
  }
  const one = async (more: Partial<CompareOptions> = {}): Promise<TableRowLoss | undefined> => (await compareRows(options(live, 'sides_copy', more))).tables[0]

  it('are compared by the columns that both have, and it says so', async () => {
    await sql('CREATE TABLE t (id int PRIMARY KEY, kept text, fresh int, small bigint); INSERT INTO t VALUES (1, \'a\', 1, 5), (2, \'b\', 2, 6)', 'CREATE TABLE t (small int, gone text, kept text, id int PRIMARY KEY); INSERT INTO t VALUES (5, \'x\', \'a\', 1), (6, \'y\', \'other\', 2)')
    expect(await one()).to.deep.include({onlyLive: 0, onlyBackup: 0, changed: 1, key: ['id'], sample: [{change: 'changed', key: ['2']}], notes: [
      'not compared, because the backup has no such column: fresh', 'not compared, because the live table has no such column: gone', 'the type has changed: small is bigint and was integer',
    ]})
  })

  const keys: [string, string, string, string[]][] = [
    ['the primary key of the backup', 'id int PRIMARY KEY, code text NOT NULL UNIQUE', 'id int, code text PRIMARY KEY', ['code']],
    ['the live primary key, where the backup has none', 'id int PRIMARY KEY, code text', 'id int, code text', ['id']],
    ['a unique index without NULLs before one with', 'id int UNIQUE, code text NOT NULL UNIQUE', 'id int UNIQUE, code text NOT NULL UNIQUE', ['code']],
    ['a unique index that allows NULL', 'id int UNIQUE, code text', 'id int UNIQUE, code text', ['id']],
    ['nothing, where neither has a key', 'id int, code text', 'id int, code text', []],
  ]
  for (const [how, now, then, key] of keys) {
    it(`are compared by ${how}`, async () => {
      const rows = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
      await sql(`CREATE TABLE t (${now}); ${rows}; DELETE FROM t WHERE id = 3`, `CREATE TABLE t (${then}); ${rows}`)
      expect(await one()).to.deep.include({onlyLive: 0, onlyBackup: 1, changed: 0, key})
    })
  }

  it('are compared though one was partitioned since', async () => {
    await sql("CREATE TABLE t (id int, part text, PRIMARY KEY (id, part)) PARTITION BY LIST (part); CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_rest PARTITION OF t DEFAULT; INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "CREATE TABLE t (id int PRIMARY KEY, part text); INSERT INTO t VALUES (1, 'a'), (2, 'x')")
    const {tables} = await compareRows(options(live, 'sides_copy'))
    expect(tables.map(({name, onlyLive, onlyBackup, changed, key}) => ({name, onlyLive, onlyBackup, changed, key}))).to.deep.equal([{name: 't', onlyLive: 1, onlyBackup: 0, changed: 1, key: ['id']}])
  })

  it('are compared by a partition alone when only that is named', async () => {
    const parted = "CREATE TABLE t (id int, part text, PRIMARY KEY (id, part)) PARTITION BY LIST (part); CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_rest PARTITION OF t DEFAULT; INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    await sql(`${parted}; DELETE FROM t`, parted)
    expect(await one({wanted: ({name}) => name === 't_a'})).to.include({name: 't_a', onlyBackup: 1})
    expect(await one({wanted: ({name}) => name === 't' || name === 't_a'})).to.include({name: 't', onlyBackup: 2})
  })

  it('are compared in another encoding than UTF-8 too, and refused in two of them', async () => {
    const make = async (name: string, encoding: string) => {
      await cluster.drop(name)
      await withClient(cluster.adminUrl, {}, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`))
    }
    await make('sides_live', 'WIN1251')
    await make('sides_copy', 'WIN1251')
    const rows = "CREATE TABLE t (id text PRIMARY KEY, note text); INSERT INTO t VALUES ('ё', '1'), ('я', '2'), ('Ђ', '3'), ('a', '4'), ('№', '5')"
    await sql(`${rows}; UPDATE t SET note = 'x' WHERE id = '№'; DELETE FROM t WHERE id = 'ё'`, rows)
    expect(await one()).to.deep.include({onlyLive: 0, onlyBackup: 1, changed: 1, sample: [{change: 'only-backup', key: ['ё']}, {change: 'changed', key: ['№']}]})
    await make('sides_copy', 'UTF8')
    expect(await drErrorOf(compareRows(options(live, 'sides_copy')))).to.include({code: 'diff.encoding', exitCode: 3})
  })

  it('tell of a table that cannot be read, and compare the others', async () => {
    const tables = 'CREATE TABLE good (id int PRIMARY KEY); INSERT INTO good VALUES (1), (2); CREATE TABLE bad (id int PRIMARY KEY, body text)'
    await sql(`${tables}; INSERT INTO good VALUES (3)`, tables)
    const breaking = "CREATE TYPE fragile AS ENUM ('x'); CREATE FUNCTION fail(fragile) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cannot be read'; END $$; CREATE CAST (fragile AS text) WITH FUNCTION fail(fragile); CREATE TABLE broken (k fragile PRIMARY KEY); INSERT INTO broken VALUES ('x')"
    await sql(breaking, breaking)
    const {tables: found, troubles} = await compareRows(options(live, 'sides_copy', {lanes: 1}))
    expect(found.map(({name, onlyLive}) => [name, onlyLive])).to.deep.equal([['good', 1], ['bad', 0]])
    expect(troubles).to.deep.equal([{schema: 'public', name: 'broken', message: 'cannot be read'}])
  })

  it('refuse a role that sees only a part of the rows', async () => {
    const tables = 'CREATE TABLE leads (id int PRIMARY KEY); INSERT INTO leads VALUES (1)'
    await sql(tables, tables)
    await withClient(live, {}, (client) => client.query("DROP ROLE IF EXISTS half; CREATE ROLE half LOGIN PASSWORD 'half'; GRANT SELECT ON leads TO half; ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON leads USING (false)"))
    await withClient(copy, {}, (client) => client.query('GRANT SELECT ON leads TO half'))
    try {
      const half = cluster.url('sides_live', {name: 'half', password: 'half'})
      const error = await drErrorOf(compareRows(options(half, 'sides_copy')))
      expect(error).to.include({code: 'diff.row-security', exitCode: 3})
    } finally {
      await withClient(copy, {}, (client) => client.query('DROP OWNED BY half'))
      await withClient(live, {}, (client) => client.query('DROP OWNED BY half; DROP ROLE half'))
    }
  })
})
