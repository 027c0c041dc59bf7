import {expect} from 'chai'
import {rowOf, rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {plantTwins} from '../../../support/planted.ts'
import {sampleFixture} from './sample.ts'

const MORE = `
  CREATE TABLE measures (id int PRIMARY KEY, v float8);
  INSERT INTO measures SELECT g, g / 3.0::float8 FROM generate_series(1, 10) g;
  CREATE FUNCTION limit_of() RETURNS int LANGUAGE sql AS 'SELECT pg_catalog.max(id) OPERATOR(pg_catalog.+) 100 FROM measures';
  CREATE TABLE numbered (id int PRIMARY KEY, name varchar(20), parent int REFERENCES numbered, CHECK (id < limit_of()));
  INSERT INTO numbered SELECT g, 'n' || g, CASE WHEN g > 1 THEN g - 1 END FROM generate_series(1, 9) g;
  CREATE INDEX ON numbered (lower(name));
  CREATE TABLE times (id int PRIMARY KEY, at timestamptz NOT NULL, took interval, v text);
  INSERT INTO times SELECT g, '2026-11-20 00:00+00'::timestamptz + g * interval '1 hour', g * interval '-1 day 1 hour', 'x' FROM generate_series(1, 48) g;
  CREATE TYPE shade AS ENUM ('light', 'dark');
  CREATE TABLE listed (id int PRIMARY KEY, texts text[], shades shade[], more text[] DEFAULT '{a,NULL}');
  INSERT INTO listed VALUES (1, ARRAY['x', NULL, 'NULL'], ARRAY['dark', NULL]::shade[]), (2, NULL, NULL);
  CREATE EXTENSION citext;
  CREATE TABLE words (word citext PRIMARY KEY, other citext UNIQUE, parent citext REFERENCES words ON DELETE SET NULL, note text);
  INSERT INTO words VALUES ('Alpha', 'one', NULL, 'first'), ('Beta', 'two', 'ALPHA', 'second'), ('Gamma', 'three', 'alpha', 'third');
  CREATE MATERIALIZED VIEW name_count AS SELECT count(*)::int AS n, (SELECT true FROM pg_sleep(0.3)) AS slow FROM numbered;`
const DAMAGE = "UPDATE numbered SET name = 'x' WHERE id IN (1, 4); DELETE FROM numbered WHERE id > 7; INSERT INTO numbered VALUES (50, 'more', 1)"

describe('A partial restore, whatever role, database and schema are set to', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_settings', {rows: 300, tenants: 3, more: MORE})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = pg_catalog, public; ${sql}`))
  const one = async <R extends object>(sql: string) => sample.live(async (client) => {
    await client.query('SET search_path = pg_catalog, public')
    return rowOf<R>(client, sql)
  })
  const asAdmin = (sql: string) => withClient(sample.cluster.adminUrl, {}, (client) => client.query(sql))
  const names = () => one("SELECT string_agg(name, ',' ORDER BY id) AS names FROM numbered")
  const right = {names: 'n1,n2,n3,n4,n5,n6,n7,n8,n9'}

  beforeEach(() => sample.anew())

  it('takes the numbers of another database to the last digit', async () => {
    await live('DELETE FROM measures WHERE id < 3; UPDATE measures SET v = 0 WHERE id = 4')
    await asAdmin('ALTER DATABASE dr_settings_pristine SET extra_float_digits = 0')
    try {
      const {error, state} = await run({wish: {tables: ['measures']}, way: 'changed', from: {kind: 'database', target: parseTarget(sample.cluster.url('dr_settings_pristine'))}})
      if (error) throw error
      expect(state.comparison?.tables[0]).to.include({missing: 2, changed: 1, identical: 7})
      expect(await one('SELECT count(*)::int AS n FROM measures WHERE v = id / 3.0::float8')).to.deep.equal({n: 10})
    } finally {
      await asAdmin('ALTER DATABASE dr_settings_pristine RESET extra_float_digits')
    }
  })

  it('works, and is taken back, where the role has short limits and the database is read only', async () => {
    await live(DAMAGE)
    const damaged = await names()
    await asAdmin("ALTER DATABASE dr_settings_live SET default_transaction_read_only = on; ALTER ROLE dashboarduz IN DATABASE dr_settings_live SET statement_timeout = '150ms'")
    const {error, state} = await run({wish: {tables: ['numbered'], where: 'pg_sleep(0.06) IS NOT NULL'}, way: 'exact'})
    if (error) throw error
    expect(await names()).to.deep.equal(right)
    expect(state.findings.filter(({severity, code}) => severity !== 'ok' && code !== 'partial.probe')).to.deep.equal([])
    const undone = await runRevert({url: sample.url, directory: sample.directory})
    if (undone.error) throw undone.error
    expect(await names()).to.deep.equal(damaged)
  })

  it('calls no function and no operator of the schema, from the first look until it is taken back', async () => {
    await live(DAMAGE)
    const damaged = await names()
    const planted = await sample.live((client) => plantTwins(client, 'dr_settings_live'))
    expect(planted.functions).to.be.greaterThan(300)
    expect(planted.operators).to.be.greaterThan(300)
    // The twins are found by whoever looks as the application does.
    const found = await withClient(sample.url, {}, (client) => rowsOf(client, 'SELECT count(*) FROM numbered WHERE id > 3')).catch((error: unknown) => error)
    expect(found).to.be.an('error')
    for (const way of ['missing', 'changed', 'exact'] as const) {
      const {error, state} = await run({wish: {tables: ['numbered'], where: 'r.id OPERATOR(pg_catalog.>) 0', relink: true}, way})
      if (error) throw error
      expect(state.findings.filter(({severity}) => severity === 'warning' || severity === 'error'), way).to.deep.equal([])
      if (way === 'exact') expect(await names()).to.deep.equal(right)
      const undone = await runRevert({url: sample.url, directory: sample.directory})
      if (undone.error) throw undone.error
      expect(await names(), way).to.deep.equal(damaged)
    }
  })

  it('calls none for a tenant either', async () => {
    const {tenant} = await one<{tenant: string}>('SELECT min(id) AS tenant FROM tenants')
    await live(`DELETE FROM leads WHERE "tenantId" = '${tenant}'; DELETE FROM tags WHERE "tenantId" = '${tenant}'`)
    const rows = () => one('SELECT (SELECT count(*)::int FROM leads) AS leads, (SELECT count(*)::int FROM tags) AS tags, (SELECT count(*)::int FROM calls WHERE "leadId" IS NOT NULL) AS linked')
    const damaged = await rows()
    await sample.live((client) => plantTwins(client, 'dr_settings_live'))
    const {error} = await run({wish: {tables: [], tenant, relink: true}, way: 'exact'})
    if (error) throw error
    expect(await rows()).to.not.deep.equal(damaged)
    const undone = await runRevert({url: sample.url, directory: sample.directory})
    if (undone.error) throw undone.error
    expect(await rows()).to.deep.equal(damaged)
  })

  it('takes values for equal as their own type does, not as texts', async () => {
    const words = () => sample.live((client) => rowsOf(client, 'SELECT word::text, other::text, parent::text, note FROM public.words ORDER BY note'))
    const before = await words()
    await live("UPDATE words SET word = 'ALPHA', note = 'x' WHERE note = 'first'; DELETE FROM words WHERE note = 'third'")
    const {error, state} = await run({wish: {tables: ['words']}, way: 'exact'})
    if (error) throw error
    expect(state.comparison?.tables[0]).to.include({missing: 1, changed: 1, extra: 0, identical: 1})
    expect(state.comparison?.closure).to.deep.equal([])
    expect(await words()).to.deep.equal(before.map((row) => ((row as {note: string}).note === 'first' ? {...row, word: 'ALPHA'} : row)))
    await live("DELETE FROM words WHERE note = 'third'; UPDATE words SET other = 'THREE' WHERE note = 'second'")
    const refused = await run({wish: {tables: ['words']}, way: 'missing'})
    expect(refused.error).to.include({code: 'partial.conflict'})
  })

  for (const [stage, damage] of [['schema', 'DROP TABLE listed'], ['database', 'DELETE FROM listed']] as const) {
    it(`leaves NULL in arrays NULL where the role reads it as a text (${damage}, --stage ${stage})`, async () => {
      const listed = () => sample.live((client) => rowsOf(client, "SELECT r::text AS row FROM public.listed r UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'public.listed'::regclass ORDER BY 1"))
      const before = await listed()
      await live(damage)
      await asAdmin('ALTER ROLE dashboarduz SET array_nulls = off')
      try {
        const {error} = await run({wish: {tables: ['listed']}, way: 'missing', stage})
        if (error) throw error
      } finally {
        await asAdmin('ALTER ROLE dashboarduz RESET array_nulls')
      }
      expect(await listed()).to.deep.equal(before)
    })
  }

  for (const stage of ['schema', 'database'] as const) {
    it(`takes a condition of the operator’s to mean the rows that it means in psql (--stage ${stage})`, async () => {
      await live("UPDATE times SET v = 'bad'; ALTER DATABASE dr_settings_live SET TimeZone = 'Asia/Tashkent'; ALTER DATABASE dr_settings_live SET DateStyle = 'SQL, DMY'; ALTER DATABASE dr_settings_live SET IntervalStyle = 'sql_standard'")
      // With the other style the hours of the interval are not negative.
      const where = "at >= '20/11/2026 10:00' AND at::date < '21/11/2026' AND took > '-9 10:00:00'"
      const meant = await withClient(sample.url, {}, (client) => rowsOf<{id: number}>(client, `SELECT id FROM public.times WHERE ${where} ORDER BY id`))
      expect(meant).to.deep.equal([5, 6, 7, 8, 9].map((id) => ({id})))
      const {error} = await run({wish: {tables: ['times'], where, columns: ['v']}, way: 'changed', stage})
      if (error) throw error
      expect(await sample.live((client) => rowsOf(client, "SELECT id FROM public.times WHERE v = 'x' ORDER BY id"))).to.deep.equal(meant)
    })
  }

  it('looks up what a condition of the operator’s names as the application does', async () => {
    await live(DAMAGE)
    await live("SET check_function_bodies = off; CREATE SCHEMA lookups; GRANT USAGE ON SCHEMA lookups TO PUBLIC; CREATE TABLE lookups.allowed AS SELECT 4 AS id; GRANT SELECT ON lookups.allowed TO PUBLIC; CREATE FUNCTION lookups.is_allowed(int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 IN (SELECT id FROM allowed)'")
    await asAdmin('ALTER DATABASE dr_settings_live SET search_path = lookups, public')
    const {error} = await run({wish: {tables: ['numbered'], where: 'is_allowed(id)'}, way: 'changed'})
    if (error) throw error
    expect(await one('SELECT string_agg(name, \',\' ORDER BY id) AS names FROM numbered')).to.deep.equal({names: 'x,n2,n3,n4,n5,n6,n7,more'})
  })
})
