import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {qualified} from '../../../../src/lib/postgres/quote.ts'
import type {TableName} from '../../../../src/lib/postgres/partial/contract.ts'
import type {StageState} from '../../../../src/lib/procedures/partial/options.ts'
import {recreateAfterStep, recreateBeforeStep} from '../../../../src/lib/procedures/partial/recreate.ts'
import type {Step} from '../../../../src/lib/runbook/procedure.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {whole, withStaging, type StagingOutcome} from '../../../support/staging.ts'

const SCHEMA = `
  CREATE FUNCTION plain_touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TABLE tenants (id int PRIMARY KEY, name text);
  CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE TABLE leads (id serial PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, "tenantId" int NOT NULL REFERENCES tenants ON DELETE CASCADE, title text DEFAULT 'none' CHECK (title <> ''), mood mood DEFAULT 'good', upper text GENERATED ALWAYS AS (upper(title)) STORED, UNIQUE ("tenantId", title));
  CREATE INDEX leads_title ON leads (lower(title)); CREATE UNIQUE INDEX leads_number ON leads (number) WHERE number > 0;
  COMMENT ON TABLE leads IS 'the leads'; COMMENT ON COLUMN leads.title IS 'its title'; CREATE STATISTICS leads_stats ON title, "tenantId" FROM leads;
  CREATE TRIGGER touch BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION plain_touch(); ALTER TABLE leads ENABLE ALWAYS TRIGGER touch;
  ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY leads_policy ON leads TO recreate_app USING ("tenantId" = 1); GRANT SELECT, INSERT ON leads TO recreate_app; GRANT UPDATE (title) ON leads TO recreate_app; GRANT USAGE ON SEQUENCE leads_id_seq TO recreate_app;
  CREATE TABLE calls (id int PRIMARY KEY, "leadId" int, "tenantId" int); ALTER TABLE calls ADD CONSTRAINT "calls_leadId_fkey" FOREIGN KEY ("leadId") REFERENCES leads ON DELETE SET NULL;
  CREATE INDEX calls_tenant ON calls ("tenantId"); ALTER TABLE calls ENABLE ROW LEVEL SECURITY; CREATE POLICY by_leads ON calls USING (EXISTS (SELECT FROM leads l WHERE l.id = "leadId")); CREATE POLICY own ON calls USING (true);
  CREATE FUNCTION title_of(l leads) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT l.title';
  CREATE VIEW seen AS SELECT l.id, title_of(l) AS t FROM leads l; CREATE VIEW seen_twice AS SELECT * FROM seen; GRANT SELECT ON seen TO recreate_app;
  CREATE MATERIALIZED VIEW counted AS SELECT "tenantId", count(*) FROM leads GROUP BY 1; CREATE UNIQUE INDEX ON counted ("tenantId");
  CREATE TABLE events (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10); CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20); CREATE INDEX ON events (day);
  CREATE TABLE borrowers (id int DEFAULT nextval('leads_id_seq'), "Of" text DEFAULT title_of(NULL), plain int DEFAULT 7) PARTITION BY RANGE (plain); CREATE TABLE borrowers_1 PARTITION OF borrowers DEFAULT; ALTER TABLE borrowers_1 ALTER id SET DEFAULT -nextval('leads_id_seq');
  INSERT INTO tenants VALUES (1, 'a'), (2, 'b'); INSERT INTO leads ("tenantId", title) SELECT 1 + i % 2, 'lead ' || i FROM generate_series(1, 40) i;
  INSERT INTO calls SELECT i, i, 1 FROM generate_series(1, 20) i; INSERT INTO events SELECT i, i % 20 FROM generate_series(1, 60) i; REFRESH MATERIALIZED VIEW counted;`

/** A server that does not know all that pg_restore 17 sets. */
describe('a table that was dropped', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let original = ''
  let client: Client

  const make = async () => {
    url = await cluster.createDatabase('recreate')
    client = await connect(url)
    await client.query(SCHEMA)
  }
  before(async () => {
    cluster = await testCluster({major: 15})
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('CREATE ROLE recreate_app LOGIN'))
    directory = await temporaryFolder('recreate')
    await make()
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
    original = await schemaOf(url, 17)
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('DROP DATABASE IF EXISTS "recreate copy" WITH (FORCE)'))
    await endQuietly(client)
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('CREATE DATABASE "recreate copy" TEMPLATE recreate'))
  })
  beforeEach(make)
  afterEach(() => endQuietly(client))
  after(async () => {
    await cluster.drop('recreate', 'recreate copy')
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('DROP ROLE recreate_app'))
    await removeFolder(directory)
  })

  /** Stages, makes the tables anew, puts the rows in as the merge would, and makes the rest. */
  const bring = (names: readonly string[], look: (outcome: StagingOutcome) => Promise<void>, {from, last}: {from?: string; last?: Step<StageState>} = {}) => {
    const lost: TableName[] = names.map((name) => ({schema: 'public', name}))
    return withStaging({
      url, directory, wish: whole(...names), ...(from !== undefined && {from}),
      // The second half twice: a process may end between the work and the note of it.
      more: (options, work) => [recreateBeforeStep(options, work, () => lost), rowsStep, recreateAfterStep(options, work, () => lost), {...recreateAfterStep(options, work, () => lost), id: 'again'}, ...(last ? [last] : [])],
    }, look)
  }
  const rowsStep: Step<StageState> = {
    id: 'rows', title: 'Rows', effect: 'write', byHand: () => [],
    async run({staged = []}) {
      for (const {table, stage, columns} of staged) {
        const list = columns.map((column) => client.escapeIdentifier(column)).join(', ')
        await client.query(`INSERT INTO ${qualified(table)} (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${qualified(stage)}`)
      }
    },
  }
  const succeeded = ({error, state}: StagingOutcome) => {
    if (error) throw error
    return state
  }
  const schema = () => schemaOf(url, 17)

  it('comes back with all that DROP … CASCADE took', async () => {
    await client.query('DROP TABLE leads CASCADE')
    await bring(['leads'], async (outcome) => {
      const {recreated} = succeeded(outcome)
      expect(recreated).to.deep.include({leftOut: [], notValidated: []})
      expect(recreated?.tables.map(({name}) => name)).to.deep.equal(['leads'])
      expect(outcome.work.catalogs.live.tables.map(({name}) => name)).to.include('leads')
    })
    expect(firstDifference(await schema(), original)).to.equal(undefined)
    expect(await rowOf(client, "SELECT (SELECT count(*)::int FROM leads) AS leads, (SELECT count(*)::int FROM seen_twice) AS seen, (SELECT count(*)::int FROM counted) AS counted, (SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'touch') AS touch, nextval('leads_id_seq')::int AS next")).to.deep.equal({leads: 40, seen: 40, counted: 2, touch: 'A', next: 41})
  })

  it('leaves a default as it is by now, and names one that the column does not take any more', async () => {
    await client.query('DROP TABLE leads CASCADE; ALTER TABLE borrowers ALTER id SET DEFAULT 5; ALTER TABLE borrowers ALTER "Of" TYPE date USING NULL; ALTER TABLE borrowers ALTER plain DROP DEFAULT')
    await bring(['leads'], async (outcome) => {
      const {recreated} = succeeded(outcome)
      expect(recreated?.leftOut).to.deep.equal(['borrowers', 'borrowers_1'].map((name) => ({what: `DEFAULT public.${name} Of`, why: 'column "Of" is of type date but default expression is of type text'})))
      expect(outcome.seen.join('\n')).to.include('By hand: ALTER TABLE ONLY "public"."borrowers" ALTER COLUMN "Of" SET DEFAULT public.title_of(NULL::public.leads);')
    })
    expect(await rowsOf(client, "SELECT adrelid::regclass::text || ' ' || adnum || ' ' || pg_get_expr(adbin, adrelid) AS text FROM pg_attrdef WHERE adrelid IN ('borrowers'::regclass, 'borrowers_1'::regclass) ORDER BY 1")).to.deep.equal([{text: 'borrowers 1 5'}, {text: 'borrowers_1 1 5'}])
  })

  it('comes back with the type and the tables that went with it', async () => {
    await client.query('DROP TABLE leads, calls, events, tenants CASCADE; DROP TYPE mood; DROP FUNCTION plain_touch')
    await bring(['calls', 'events', 'leads', 'tenants'], async (outcome) => { succeeded(outcome) })
    expect(firstDifference(await schema(), original)).to.equal(undefined)
    expect(await rowOf(client, 'SELECT (SELECT count(*)::int FROM events_2) AS events, (SELECT count(*)::int FROM calls) AS calls')).to.deep.equal({events: 30, calls: 20})
  })

  it('says what cannot come back without another lost table', async () => {
    await client.query('DROP TABLE leads, tenants CASCADE')
    await bring(['leads'], async (outcome) => {
      expect(succeeded(outcome).recreated?.leftOut).to.deep.equal([{what: 'FK CONSTRAINT public.leads leads_tenantId_fkey', why: 'it needs TABLE public.tenants, which is not live'}])
      expect(outcome.seen.join('\n')).to.include('leads_tenantId_fkey')
    })
  })

  it('has a foreign key that is not validated where rows of others name rows that are not there', async () => {
    await client.query('DROP TABLE leads CASCADE; INSERT INTO calls VALUES (1000, 777, 1), (1001, 778, 1), (1002, NULL, 1)')
    await bring(['leads'], async (outcome) => {
      expect(succeeded(outcome).recreated).to.deep.include({notValidated: [{name: 'calls calls_leadId_fkey', orphans: 2}], leftOut: []})
      expect(outcome.seen.join('\n')).to.include('2 rows name rows that are not there').and.include('ALTER TABLE "public"."calls" VALIDATE CONSTRAINT "calls_leadId_fkey";')
    })
    expect(await rowsOf(client, "SELECT convalidated FROM pg_constraint WHERE conname = 'calls_leadId_fkey'")).to.deep.equal([{convalidated: false}])
    await client.query('DELETE FROM calls WHERE id IN (1000, 1001); ALTER TABLE calls VALIDATE CONSTRAINT "calls_leadId_fkey"')
    expect(firstDifference(await schema(), original)).to.equal(undefined)
  })

  it('leaves alone what somebody has made again', async () => {
    await client.query("DROP TABLE leads CASCADE; CREATE VIEW seen AS SELECT 1 AS mine")
    await bring(['leads'], async (outcome) => { expect(succeeded(outcome).recreated?.made.join('\n')).not.to.include('seen') })
    expect(await rowsOf(client, 'SELECT mine FROM seen')).to.deep.equal([{mine: 1}])
  })

  it('goes again when a later step fails, unless rows are in it', async () => {
    const failing: Step<StageState> = {id: 'last', title: 'Last', effect: 'write', byHand: () => [], run: () => Promise.reject(new Error('later'))}
    await client.query('DROP TABLE leads CASCADE')
    const without = await schemaOf(url, 17)
    const emptied: Step<StageState> = {...failing, run: async () => {
      await client.query('SET session_replication_role = replica; DELETE FROM leads; RESET session_replication_role')
      throw new Error('later')
    }}
    await bring(['leads'], async ({error}) => { expect(error?.message).to.equal('later') }, {last: emptied})
    expect(firstDifference(await schema(), without)).to.equal(undefined)
    await bring(['leads'], async ({error, seen}) => {
      expect(error?.message).to.equal('later')
      expect(seen.join('\n')).to.include('Not dropped, because rows are in it: public.leads (public.leads id 1; ')
    }, {last: failing})
    expect(await rowOf(client, 'SELECT count(*)::int AS rows FROM leads')).to.deep.equal({rows: 40})
  })

  it('comes back from a database that has no archive', async () => {
    await client.query('DROP TABLE leads CASCADE')
    await bring(['leads'], async (outcome) => { succeeded(outcome) }, {from: cluster.url('recreate copy')})
    expect(firstDifference(await schema(), original)).to.equal(undefined)
  })
})
