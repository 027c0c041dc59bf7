import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {until} from '../../../support/until.ts'

const SCHEMA = `
  CREATE TABLE tenants (id int PRIMARY KEY); INSERT INTO tenants VALUES (1), (2);
  CREATE TABLE leads (id int PRIMARY KEY, "tenantId" int NOT NULL); INSERT INTO leads SELECT i, 1 + i % 2 FROM generate_series(1, 40) i;
  ALTER TABLE leads ADD CONSTRAINT "leads_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES tenants ON DELETE CASCADE;
  CREATE TABLE calls (id int PRIMARY KEY, "leadId" int); INSERT INTO calls SELECT i, i FROM generate_series(1, 20) i;
  ALTER TABLE calls ADD CONSTRAINT "calls_leadId_fkey" FOREIGN KEY ("leadId") REFERENCES leads ON DELETE SET NULL DEFERRABLE; COMMENT ON CONSTRAINT "calls_leadId_fkey" ON calls IS 'its lead';
  CREATE TABLE notes (id int PRIMARY KEY, "leadId" int); INSERT INTO notes VALUES (1, 1);
  ALTER TABLE notes ADD CONSTRAINT "notes_leadId_fkey" FOREIGN KEY ("leadId") REFERENCES leads NOT VALID;
  CREATE MATERIALIZED VIEW counted AS SELECT count(*)::int AS leads FROM leads;`

/** Statements that bear one of these words are held at their end, with all their locks, until the word is gone; or whatever is asked for is done before them. */
const HOLDING = `
  CREATE SCHEMA test; CREATE TABLE test.held (word text); CREATE TABLE test.first (word text, sql text);
  CREATE FUNCTION test.hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN WHILE EXISTS (SELECT FROM test.held WHERE pg_catalog.strpos(pg_catalog.current_query(), word) > 0) LOOP PERFORM pg_catalog.pg_sleep(0.01); END LOOP; END $$;
  CREATE FUNCTION test.before() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE one record; BEGIN FOR one IN SELECT * FROM test.first WHERE pg_catalog.strpos(pg_catalog.current_query(), word) > 0 LOOP DELETE FROM test.first; EXECUTE one.sql; END LOOP; END $$;
  CREATE EVENT TRIGGER test_hold ON ddl_command_end EXECUTE FUNCTION test.hold(); CREATE EVENT TRIGGER test_before ON ddl_command_start EXECUTE FUNCTION test.before();`
const HOLDING_NO_MORE = 'DROP EVENT TRIGGER IF EXISTS test_hold, test_before; DROP SCHEMA IF EXISTS test CASCADE'

describe('foreign keys of live tables with a table that was dropped', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let original = ''
  let client: Client

  const make = async () => {
    url = await cluster.createDatabase('recreate_keys')
    client = await connect(url)
    await client.query(SCHEMA)
  }
  before(async () => {
    cluster = await testCluster({major: 17})
    directory = await temporaryFolder('recreate-keys')
    await make()
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
    original = await schemaOf(url, 17)
    await endQuietly(client)
  })
  beforeEach(async () => {
    await make()
    await client.query('DROP TABLE leads CASCADE')
  })
  afterEach(() => endQuietly(client))
  after(async () => {
    await cluster.drop('recreate_keys')
    await removeFolder(directory)
  })

  const run = (more: Partial<Parameters<typeof runPartial>[0]> = {}) => runPartial({url, directory, wish: {tables: ['leads']}, way: 'missing', ...more})
  const succeeded = async (running: ReturnType<typeof run>) => {
    const outcome = await running
    if (outcome.error) throw outcome.error
    return outcome
  }
  const keys = async () => (await rowsOf<{key: string}>(client, "SELECT conname || ' ' || convalidated AS key FROM pg_constraint WHERE contype = 'f' ORDER BY 1")).map(({key}) => key)
  const hold = async (word: string) => { await client.query(`INSERT INTO test.held VALUES ($1)`, [word]) }
  const letGo = async (word: string) => { await client.query(`DELETE FROM test.held WHERE word = $1`, [word]) }
  /** What the session that is held has locked. */
  const locksOf = async (word: string): Promise<string[]> => {
    const find = () => rowsOf<{pid: number}>(client, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database() AND strpos(query, $1) > 0", [word])
    await until(async () => (await find()).length > 0, 60_000)
    const rows = await rowsOf<{lock: string}>(client, "SELECT relation::regclass || ' ' || mode AS lock FROM pg_locks WHERE pid = $1 AND granted AND relation IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace) ORDER BY 1", [(await find())[0]?.pid])
    return rows.map(({lock}) => lock)
  }

  it('are validated, and the views filled, while others write', async () => {
    await client.query(HOLDING)
    const [child, parent, views] = ['VALIDATE CONSTRAINT "calls_leadId_fkey"', 'VALIDATE CONSTRAINT "leads_tenantId_fkey"', 'REFRESH MATERIALIZED VIEW']
    for (const word of [child, parent, views]) await hold(word)
    const running = run()
    const writes = async () => client.query('BEGIN; SET LOCAL lock_timeout = 1; INSERT INTO calls VALUES (1000, 5); UPDATE leads SET "tenantId" = 2 WHERE id = 7; INSERT INTO tenants VALUES (3); DELETE FROM tenants WHERE id = 3; ROLLBACK')
    const seen: Record<string, string[]> = {}
    for (const word of [child, parent, views]) {
      seen[word] = await locksOf(word)
      await writes()
      await letGo(word)
    }
    expect(seen[child]?.filter((lock) => !lock.includes('AccessShare'))).to.deep.equal(['calls ShareUpdateExclusiveLock', 'leads RowShareLock'])
    expect(seen[parent]?.filter((lock) => !lock.includes('AccessShare'))).to.deep.equal(['leads ShareUpdateExclusiveLock', 'tenants RowShareLock'])
    expect(seen[views]?.filter((lock) => !lock.startsWith('counted '))).to.deep.equal(['leads AccessShareLock'])
    const {state} = await succeeded(running)
    expect(state.recreated).to.deep.include({leftOut: [], notValidated: []})
    await client.query(HOLDING_NO_MORE)
    expect(firstDifference(await schemaOf(url, 17), original)).to.equal(undefined)
    expect(await rowOf(client, 'SELECT leads FROM counted')).to.deep.equal({leads: 40})
  })

  it('are tried again when others keep their tables locked, and keep nobody waiting for long', async () => {
    const writer = await connect(url)
    await writer.query('BEGIN; UPDATE calls SET id = id WHERE id = 1')
    const running = run()
    const tries = new Set<string>()
    await until(async () => {
      for (const {at} of await rowsOf<{at: string}>(client, "SELECT xact_start::text AS at FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND strpos(query, 'calls_leadId_fkey') > 0")) tries.add(at)
      return tries.size > 1
    }, 60_000)
    await writer.query('COMMIT')
    await endQuietly(writer)
    const {seen} = await succeeded(running)
    expect(seen.join('\n')).to.include('others are writing into public.calls or public.leads')
    expect(firstDifference(await schemaOf(url, 17), original)).to.equal(undefined)
  })

  it('wait for a vacuum so that nobody waits behind them', async () => {
    const vacuum = await connect(url)
    await vacuum.query('BEGIN; LOCK TABLE calls IN SHARE UPDATE EXCLUSIVE MODE')
    const running = run()
    await until(async () => (await rowsOf(client, "SELECT FROM pg_locks WHERE relation = 'calls'::regclass AND NOT granted")).length > 0, 60_000)
    expect(await rowsOf(client, "SELECT mode FROM pg_locks WHERE relation = 'calls'::regclass AND NOT granted")).to.deep.equal([{mode: 'ShareUpdateExclusiveLock'}])
    await client.query('BEGIN; SET LOCAL lock_timeout = 1; INSERT INTO calls VALUES (1000, NULL); ROLLBACK')
    await endQuietly(vacuum)
    await succeeded(running)
    expect(firstDifference(await schemaOf(url, 17), original)).to.equal(undefined)
  })

  it('are NOT VALID, with their comment, where a row was in their way', async () => {
    await client.query('INSERT INTO calls VALUES (1000, 777)')
    const {state} = await succeeded(run())
    expect(state.recreated).to.deep.include({leftOut: [], notValidated: [{name: 'calls calls_leadId_fkey', orphans: 1}]})
    expect(await keys()).to.deep.equal(['calls_leadId_fkey false', 'leads_tenantId_fkey true', 'notes_leadId_fkey false'])
    await client.query('DELETE FROM calls WHERE id = 1000; ALTER TABLE calls VALIDATE CONSTRAINT "calls_leadId_fkey"')
    expect(firstDifference(await schemaOf(url, 17), original)).to.equal(undefined)
  })

  it('are told to be NOT VALID where a row came in their way just before them', async () => {
    await client.query(HOLDING)
    await client.query('INSERT INTO test.first VALUES ($1, $2)', ['ADD CONSTRAINT "calls_leadId_fkey"', 'INSERT INTO public.calls VALUES (1000, 777)'])
    const {state, seen} = await succeeded(run())
    await client.query(HOLDING_NO_MORE)
    expect(state.recreated).to.deep.include({leftOut: [], notValidated: [{name: 'calls calls_leadId_fkey', orphans: 1}]})
    expect(seen.join('\n')).to.include('FK CONSTRAINT public.calls calls_leadId_fkey is NOT VALID: 1 row names a row that is not there. Once they are repaired: ALTER TABLE "public"."calls" VALIDATE CONSTRAINT "calls_leadId_fkey";')
    expect(await keys()).to.deep.equal(['calls_leadId_fkey false', 'leads_tenantId_fkey true', 'notes_leadId_fkey false'])
    await client.query('DELETE FROM calls WHERE id = 1000; ALTER TABLE calls VALIDATE CONSTRAINT "calls_leadId_fkey"')
    expect(firstDifference(await schemaOf(url, 17), original)).to.equal(undefined)
    const {error} = await runRevert({url, directory})
    if (error) throw error
    expect(await keys()).to.deep.equal([])
  })

  it('go with all the rest when one of them cannot be validated', async () => {
    await client.query(HOLDING)
    await client.query('INSERT INTO test.first VALUES ($1, $2)', ['VALIDATE CONSTRAINT "calls_leadId_fkey"', 'SELECT 1 / 0'])
    const {error} = await run()
    expect(error?.message).to.include('Making the lost tables anew: division by zero')
    await client.query(HOLDING_NO_MORE)
    expect(await keys()).to.deep.equal([])
    expect(await rowsOf(client, "SELECT FROM pg_class WHERE relname = 'leads' UNION ALL SELECT FROM pg_namespace WHERE nspname LIKE 'dr\\_%'")).to.deep.equal([])
  })

  it('stay as they are where somebody else has made them again', async () => {
    const {state} = await succeeded(run({onStep: async (step) => {
      if (step === 'partial.recreate-rest') await client.query('ALTER TABLE calls ADD CONSTRAINT "calls_leadId_fkey" FOREIGN KEY ("leadId") REFERENCES leads NOT VALID')
    }}))
    expect(state.recreated?.made.join()).to.include('leads_tenantId_fkey').and.not.include('FK CONSTRAINT public.calls calls_leadId_fkey')
    expect(await keys()).to.deep.equal(['calls_leadId_fkey false', 'leads_tenantId_fkey true', 'notes_leadId_fkey false'])
  })
})
