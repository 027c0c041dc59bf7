import {expect} from 'chai'
import {writeFile} from 'node:fs/promises'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {Investigation} from '../../../../src/lib/report/investigation.ts'
import {investigationLines} from '../../../../src/lib/ui/investigation.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runInvestigation, type InvestigateSetting} from '../../../support/investigate.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {until} from '../../../support/until.ts'

describe('an investigation of', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let client: Client

  before(async () => { cluster = await testCluster() })
  beforeEach(async () => {
    url = await cluster.createDatabase('edges')
    directory = await temporaryFolder('edges')
    client = await connect(url)
  })
  afterEach(async () => {
    await endQuietly(client)
    await cluster.drop('edges')
    await removeFolder(directory)
  })

  const backup = async () => {
    const {error, state} = await runBackup({url, directory})
    if (error) throw error
    return state.label ?? ''
  }
  const look = async (more: Partial<InvestigateSetting> = {}): Promise<Investigation> => (await runInvestigation({url, directory, ...more})).investigation
  const wrote = async (sql: string): Promise<string> => {
    await client.query('BEGIN')
    await client.query(sql)
    const {xid} = await rowOf<{xid: string}>(client, 'SELECT (pg_current_xact_id()::text::numeric % 4294967296)::text AS xid')
    await client.query('COMMIT')
    return xid
  }
  const words = (found: Investigation) => [...investigationLines(found, {width: undefined})].join('\n')
  const LEADS = `CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text, status text, "updatedAt" timestamp(3));
    INSERT INTO leads SELECT i, 't' || i % 2, 's' || i % 3, timestamp '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 2000) i; ANALYZE leads`

  it('a database without any backup says that nothing tells what is gone, and still groups the rows', async () => {
    await client.query(LEADS)
    const xid = await wrote("UPDATE leads SET status = 'lost'")
    const found = await look()
    expect(found).to.deep.include({backups: [], complete: true})
    expect(found.notes.join(' ')).to.include('There is no backup of development to compare with')
    expect(found.damages.map(({transaction, certainty, source}) => ({transaction, certainty, source}))).to.deep.equal([{transaction: xid, certainty: 'possible', source: undefined}])
    expect(found.damages[0]?.commands.map(({command}) => command.split(' ')[1])).to.deep.equal(['pitr'])
    expect(words(found)).to.include('there is no good backup from before')
  })

  it('an empty database finds nothing', async () => {
    await client.query('CREATE TABLE leads (id int PRIMARY KEY)')
    const label = await backup()
    const found = await look()
    expect([found.damages, found.backups.map((one) => one.label)]).to.deep.equal([[], [label]])
    expect(words(found)).to.include('Nothing stands out since')
  })

  it('a database whose search_path has another schema before that of the server calls nothing of it', async () => {
    await client.query(LEADS)
    await backup()
    const xid = await wrote("UPDATE leads SET status = 'lost'")
    await client.query(`CREATE SCHEMA own; CREATE FUNCTION own.twin(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'the twin was called'; END $$; CREATE FUNCTION own.set_config(text, text, bool) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'the twin was called'; END $$;
      CREATE OPERATOR own.= (LEFTARG = text, RIGHTARG = text, FUNCTION = own.twin); ALTER DATABASE edges SET search_path = own, public, pg_catalog`)
    const called = await withClient(url, {}, (other) => other.query("SELECT 'a'::text = 'b'::text")).catch((error: unknown) => (error as Error).message)
    expect(called).to.equal('the twin was called')
    expect((await look()).damages).to.have.length(1).and.have.nested.property('[0].transaction', xid)
  })

  it('a database whose backup is of an earlier one of the name goes by the clock, and says so', async () => {
    await client.query(LEADS)
    await backup()
    await endQuietly(client)
    await cluster.drop('edges')
    url = await cluster.createDatabase('edges')
    client = await connect(url)
    await client.query(LEADS)
    await client.query(`UPDATE leads SET "updatedAt" = clock_timestamp() AT TIME ZONE 'UTC' WHERE id <= 300`)
    const xid = await wrote("UPDATE leads SET status = 'lost'")
    const found = await look()
    expect(found.backups).to.have.length(1).and.have.nested.property('[0].comparable', false)
    expect(found.notes.join(' ')).to.include('The backup is of another server or database or another history of it')
    const [damage] = found.damages
    expect(damage).to.deep.include({transaction: xid, certainty: 'possible', columns: ['status']})
    expect(damage?.risk).to.include({edited: 300, betweenUnknown: 'the backup is of another server or another database'}).and.not.have.property('between')
    expect(words(found)).to.include('is not known: the backup is of another server or another database')
  })

  it('a database proposes no backup of another one, and takes its rows for nothing that is gone', async () => {
    await client.query(LEADS)
    const label = await backup()
    const other = await cluster.createDatabase('edges2')
    try {
      const foreign = await connect(other)
      await foreign.query(`${LEADS}; INSERT INTO leads SELECT i, 't9', 's', '2026-01-01' FROM generate_series(5001, 9000) i; CREATE TABLE others AS SELECT i FROM generate_series(1, 500) i`)
      await endQuietly(foreign)
      const {error} = await runBackup({url: other, directory})
      if (error) throw error
      const xid = await wrote("UPDATE leads SET status = 'lost'")
      const found = await look()
      expect(found.backups.map((one) => one.label)).to.deep.equal([label])
      expect(found.damages.map(({kind, transaction, source}) => ({kind, transaction, source: source?.label}))).to.deep.equal([{kind: 'overwritten', transaction: xid, source: label}])
      expect(found.notes.join(' ')).to.include('Backups of other databases, which lie beside, were left out: 1 of edges2.')
    } finally {
      await cluster.drop('edges2')
    }
  })

  it('a database that dr has repaired names the repair in the timeline, and takes it for no accident', async () => {
    await client.query(LEADS)
    await backup()
    await wrote("UPDATE leads SET status = 'lost'")
    const {error, run} = await runPartial({url, directory, wish: {tables: ['leads'], columns: ['status']}, way: 'changed'})
    if (error) throw error
    const found = await look()
    expect(found.damages).to.deep.equal([])
    expect(found.tables[0]?.writers?.map(({rows, repair}) => [rows, repair])).to.deep.equal([[2000, run]])
    expect(words(found)).to.include(`dr partial ${run} put back 2,000 rows of leads`)
    const forged = await wrote("CREATE SCHEMA dr_undo_forged AUTHORIZATION pg_monitor; COMMENT ON SCHEMA dr_undo_forged IS 'dr partial forged, undo'; UPDATE leads SET status = 'forged'")
    expect((await look()).damages.map(({transaction}) => transaction)).to.deep.equal([forged])
  })

  it('a database in which a repair was taken back, by hand or because a check failed, takes neither for an accident', async () => {
    await client.query(`${LEADS}; CREATE TABLE calls (id int PRIMARY KEY, lead int REFERENCES leads ON DELETE SET NULL); INSERT INTO calls SELECT i, i FROM generate_series(1, 400) i`)
    await backup()
    const xid = await wrote("UPDATE leads SET status = 'lost'; DELETE FROM leads WHERE id <= 400")
    const repair = {url, directory, wish: {tables: ['leads'], relink: true}, way: 'changed'} as const
    const stop = new AbortController()
    const failed = await runPartial({...repair, signal: stop.signal, onStep(step) { if (step === 'partial.prove') stop.abort(new Error('stopped')) }})
    expect(failed.error?.message).to.equal('stopped')
    expect((await look()).damages.map(({transaction}) => transaction), 'no journal tells').not.to.include(xid).and.not.to.deep.equal([])
    await writeFile(`${directory}/journal/20261127T020000Z-partial-00ff.jsonl`, failed.entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    const once = await look()
    expect(once.damages.filter(({transaction}) => transaction !== undefined)).to.deep.equal([])
    const {error, run} = await runPartial(repair)
    if (error) throw error
    await runRevert({url, directory})
    const found = await look()
    expect(found.damages.filter(({transaction}) => transaction !== undefined)).to.deep.equal([])
    expect(found.tables.find(({name}) => name === 'leads')?.writers?.map(({rows, takenBack}) => [rows, takenBack])).to.deep.equal([[1600, run]])
    expect(words(found)).to.include(`dr undo took back what dr partial ${run} had put back: 1,600 rows of leads`)
  })

  it('a partitioned table speaks of the whole, also when one partition is named', async () => {
    await client.query(`CREATE TABLE events (id int, part text, note text, "updatedAt" timestamp(3), PRIMARY KEY (id, part)) PARTITION BY LIST (part);
      CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a'); CREATE TABLE events_b PARTITION OF events FOR VALUES IN ('b');
      INSERT INTO events SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'n' || i % 7, '2026-01-01' FROM generate_series(1, 3000) i; ANALYZE events`)
    await backup()
    await client.query(`UPDATE events SET "updatedAt" = clock_timestamp() AT TIME ZONE 'UTC' WHERE id <= 100`)
    const xid = await wrote("UPDATE events SET note = 'x'")
    await client.query("INSERT INTO events SELECT i, 'a', 'y', now() FROM generate_series(4001, 4010) i")
    for (const found of [await look(), await look({tables: ['events_b']}), await look({tables: ['public.events']})]) {
      expect(found.tables.map(({name, rows, history}) => [name, rows, history])).to.deep.equal([['events', 3010, [3000]]])
      expect(found.damages.map(({table, transaction, rows, columns, risk}) => [table?.name, transaction, rows, columns, risk?.edited])).to.deep.equal([['events', xid, 3000, ['note'], 100]])
    }
  })

  it('a table without timestamps knows the transaction, and says what it does not know', async () => {
    await client.query("CREATE TABLE rates (id int PRIMARY KEY, kind text); INSERT INTO rates SELECT i, 'k' || i % 3 FROM generate_series(1, 1500) i; ANALYZE rates")
    await backup()
    const xid = await wrote("UPDATE rates SET kind = 'x' WHERE id <= 1400")
    const [damage] = (await look()).damages
    expect(damage).to.deep.include({transaction: xid, rows: 1400, columns: ['kind']})
    expect(damage?.when.witness).to.equal('backups')
    expect(damage?.risk).to.deep.equal({between: 0, later: 0, unknown: 'the table has no column for the time of the last change'})
  })

  it('an UPDATE that stamps its rows has the time in them, and cannot tell what had been changed before', async () => {
    await client.query(LEADS)
    await backup()
    const xid = await wrote("UPDATE leads SET status = 'lost', \"updatedAt\" = now() AT TIME ZONE 'UTC'")
    const [damage] = (await look()).damages
    expect(damage).to.deep.include({transaction: xid, columns: ['status', 'updatedAt']})
    expect(damage?.when.witness).to.equal('stamp')
    expect(damage?.risk?.unknown).to.include('has overwritten the time of the last change')
  })

  it('an import is told as a writer, not as damage', async () => {
    await client.query(`CREATE TABLE leads (id int PRIMARY KEY, "createdAt" timestamp(3)); INSERT INTO leads SELECT i, '2026-01-01' FROM generate_series(1, 2000) i`)
    await backup()
    const xid = await wrote(`INSERT INTO leads SELECT i, clock_timestamp() AT TIME ZONE 'UTC' FROM generate_series(3001, 6000) i`)
    const found = await look()
    expect([found.damages, found.tables[0]?.writers?.[0]?.transaction]).to.deep.equal([[], xid])
  })

  it('rows that VACUUM has frozen marks them', async () => {
    await client.query(LEADS)
    await backup()
    const xid = await wrote("UPDATE leads SET status = 'lost'")
    await client.query('VACUUM (FREEZE) leads')
    const found = await look()
    expect(found.tables[0]?.writers).to.have.length(1).and.have.nested.property('[0].frozen', true)
    expect(found.damages.map(({transaction, evidence}) => [transaction, evidence.some((line) => line.includes('frozen'))])).to.deep.equal([[xid, true]])
  })

  it('one large table reads it only when it is named, and says so', async () => {
    await client.query(`${LEADS}; CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1); ANALYZE`)
    await backup()
    const found = await look({largeBytes: 9000})
    expect(found.tables.map(({name}) => name)).to.deep.equal(['small'])
    expect(found.notes.join(' ')).to.match(/leads takes \d+ kB and was not read: name it with --table/)
    expect((await look({largeBytes: 9000, tables: ['leads']})).tables.map(({name, rows}) => [name, rows])).to.deep.equal([['leads', 2000]])
  })

  it('the audit log lists deletions and changes by actor and hour', async () => {
    await client.query(`CREATE TABLE audit_logs (id serial PRIMARY KEY, "userId" text, action text, resource text, "resourceId" text, "createdAt" timestamp(3));
      INSERT INTO audit_logs ("userId", action, resource, "resourceId", "createdAt") SELECT 'u1', 'lead.delete', 'lead', i::text, date_trunc('hour', now() AT TIME ZONE 'UTC') - interval '1 hour' + i * interval '1 s' FROM generate_series(1, 40) i;
      INSERT INTO audit_logs ("userId", action, resource, "resourceId", "createdAt") SELECT 'u2', 'lead.update', 'lead', '1', date_trunc('hour', now() AT TIME ZONE 'UTC') - interval '1 hour' FROM generate_series(1, 3) i;
      INSERT INTO audit_logs ("userId", action, "createdAt") VALUES ('u1', 'lead.read', now() AT TIME ZONE 'UTC'), ('u1', 'lead.delete', '2020-01-01')`)
    const {audit} = await look()
    expect(audit.hours.map(({actor, action, entries, things, deletion}) => [actor, action, entries, things, deletion])).to.deep.equal([['u1', 'lead.delete', 40, 40, true], ['u2', 'lead.update', 3, 1, false]])
    expect((await look({actor: 'u2'})).audit.hours).to.have.length(1)
    expect((await look({actor: 'nobody'})).audit.hours).to.deep.equal([])
    expect(words(await look({actor: 'nobody'}))).to.include('no changes by nobody since')
    const renamed = await look({settings: {'investigate.auditTable': 'public.audit_logs', 'investigate.auditActor': 'userid'}})
    expect(renamed.audit.unknown).to.include('has no column userid (userId?)')
    expect((await look({settings: {'investigate.auditTable': 'log'}})).audit.unknown).to.include('there is no table log')
  })

  it('a database in which the role may not read the audit log says so and goes on', async () => {
    await client.query(`${LEADS}; CREATE TABLE audit_logs (id int, "userId" text, action text, resource text, "resourceId" text, "createdAt" timestamp(3));
      DROP ROLE IF EXISTS looker; CREATE ROLE looker LOGIN PASSWORD 'l'; GRANT SELECT ON leads TO looker`)
    await backup()
    try {
      const found = await look({url: cluster.url('edges', {name: 'looker', password: 'l'})})
      expect(found.audit.unknown).to.equal('this role may not read it')
      expect(found.tables.map(({name, trouble}) => [name, trouble])).to.deep.equal([['audit_logs', 'this role may not read it'], ['leads', undefined]])
      expect(found.complete).to.equal(false)
    } finally {
      await client.query('DROP OWNED BY looker; DROP ROLE looker')
    }
  })

  it('a tenant that nobody knows is refused', async () => {
    await client.query(LEADS)
    expect(await drErrorOf(look({tenant: 'nobody'}))).to.include({code: 'investigate.tenant-unknown', exitCode: 2})
  })

  it('a table that a migration wants gives way', async () => {
    await client.query(`CREATE TYPE slow AS ENUM ('a'); CREATE FUNCTION slow_text(slow) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN 'a'; END $$;
      CREATE CAST (slow AS text) WITH FUNCTION slow_text(slow); CREATE TABLE leads ("tenantId" slow); INSERT INTO leads SELECT 'a' FROM generate_series(1, 600)`)
    const failure = drErrorOf(look())
    await until(async () => (await rowsOf(client, "SELECT FROM pg_stat_activity WHERE application_name = 'dr investigate test' AND query LIKE '%FROM ONLY%' AND state = 'active'")).length > 0)
    await client.query("SET application_name = 'a migration'; BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE; COMMIT")
    expect(await failure).to.include({code: 'diff.yielded', exitCode: 6})
  })
})
