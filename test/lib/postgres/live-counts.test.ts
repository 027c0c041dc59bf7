import {expect} from 'chai'
import {connect, endQuietly, rowOf, withClient, type Client} from '../../../src/lib/postgres/connection.ts'
import {countIn, readLiveCounts, type LiveCountOptions, type LiveCounts, type LiveTableCounts} from '../../../src/lib/postgres/live-counts.ts'
import type {BackupInstant} from '../../../src/lib/postgres/newer-rows.ts'
import {readingTable, withReadSnapshot} from '../../../src/lib/postgres/read-snapshot.ts'
import {parseTarget} from '../../../src/lib/postgres/target.ts'
import {serverMajors, testCluster, type TestCluster} from '../../support/cluster.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {until} from '../../support/until.ts'

const SCOPE = {excludeSchemas: ['dr_stage_*'], tenantColumn: 'tenantId', applicationName: 'dr diff test', connections: 2}

for (const major of serverMajors) {
  describe(`the rows now, on PostgreSQL ${major}`, function () {
    this.timeout(120_000)
    let cluster: TestCluster
    let url = ''
    let client: Client
    const options = (more: Partial<LiveCountOptions> = {}): LiveCountOptions => ({...SCOPE, signal: new AbortController().signal, ...more})
    const read = (more: Partial<LiveCountOptions> = {}): Promise<LiveCounts> => readLiveCounts(parseTarget(url), options(more))
    const one = (counts: LiveCounts, name: string): LiveTableCounts | undefined => counts.tables.find((table) => table.name === name)

    const instant = (): Promise<BackupInstant> => rowOf<{current: string; systemIdentifier: string; databaseOid: number}>(client, `
      SELECT pg_current_snapshot()::text AS current, (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier", oid::int8::float8 AS "databaseOid" FROM pg_database WHERE datname = current_database()`)

    before(async () => { cluster = await testCluster({major}) })
    beforeEach(async () => {
      url = await cluster.createDatabase('live_counts')
      client = await connect(url)
      await client.query(`
        CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text, "createdAt" timestamp(3), updated_at timestamptz, note text);
        INSERT INTO leads SELECT i, CASE WHEN i % 3 = 0 THEN 'a' WHEN i % 3 = 1 THEN 'b' END, timestamp '2026-01-01' + i * interval '1 day', timestamptz '2026-01-01 00:00+00', 'n' FROM generate_series(1, 30) i;
        CREATE TABLE parted (id int, part int) PARTITION BY LIST (part); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); INSERT INTO parted SELECT i, 1 FROM generate_series(1, 4) i`)
    })
    afterEach(() => endQuietly(client))
    after(() => cluster.drop('live_counts'))

    it('are counted by table and tenant, partitions by themselves, with the newest of each', async () => {
      await client.query(`UPDATE leads SET updated_at = '2026-03-05 12:00+05' WHERE id = 1; UPDATE leads SET "createdAt" = 'infinity' WHERE id = 2`)
      const counts = await read()
      expect(counts.tables.map(({name, rows, root}) => [name, rows, root?.name])).to.deep.equal([['leads', 30, undefined], ['parted_1', 4, 'parted']])
      expect(one(counts, 'leads')).to.deep.include({tenants: {'': 10, a: 10, b: 10}, newest: '2026-03-05T07:00:00.000Z'})
      expect(one(counts, 'leads')).not.to.have.property('newer')
      expect(counts.at).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    })

    it('of a large table are counted, and its newest row is looked for in an index alone', async () => {
      await client.query('CREATE INDEX ON leads ("createdAt")')
      const counts = await read({since: await instant(), largeBytes: -1})
      expect(one(counts, 'leads')).to.deep.include({rows: 30, tenants: {'': 10, a: 10, b: 10}, newest: '2026-01-31T00:00:00.000Z', newestSkipped: 'it is large, and updated_at has no index'})
      expect(one(counts, 'leads')).not.to.have.property('newer')
      expect(one(counts, 'parted_1')).not.to.have.any.keys('newest', 'newestSkipped')
    })

    it('are told from those of the backup by the transaction that wrote them', async () => {
      const since = await instant()
      await client.query(`INSERT INTO leads SELECT i, 'a' FROM generate_series(101, 105) i; UPDATE leads SET note = 'x' WHERE id <= 3; DELETE FROM leads WHERE id > 25 AND id <= 30`)
      for (const sql of ['VACUUM FULL leads', 'VACUUM FREEZE leads']) await client.query(sql)
      const counts = await read({since})
      expect(counts.newerUnknown).to.equal(undefined)
      expect(one(counts, 'leads')).to.deep.include({rows: 30, newer: 8, newerTenants: {'': 1, a: 6, b: 1}})
      expect(one(counts, 'parted_1')).to.include({newer: 0})
    })

    it('of a transaction that was open at that instant are newer than the backup', async () => {
      const writer = await connect(url)
      await writer.query('BEGIN; INSERT INTO leads (id) VALUES (201), (202)')
      const other = await connect(url)
      await other.query('INSERT INTO leads (id) VALUES (203)')
      const since = await instant()
      await writer.query('COMMIT')
      expect(one(await read({since}), 'leads')).to.include({rows: 33, newer: 2})
      await Promise.all([endQuietly(writer), endQuietly(other)])
    })

    it('are not told from a backup of another database, another server, or one that is to come', async () => {
      const since = await instant()
      const reasons = await Promise.all([{...since, databaseOid: 1}, {...since, systemIdentifier: '1'}, {current: since.current}, {...since, current: '1:999999999:'}, {...since, lsn: 'FF/0'}, {...since, timeline: 7}, {...since, current: 'nonsense'}].map((wrong) => read({since: wrong})))
      expect(reasons.map(({newerUnknown}) => newerUnknown)).to.deep.equal([
        'the backup is of another server or another database', 'the backup is of another server or another database', 'it is not known whether the backup is of this server',
        'the server is at an earlier point than the backup: it was recovered since, or is a copy', 'the server is at an earlier point than the backup: it was recovered since, or is a copy', 'the server was recovered or promoted: its timeline is 1, that of the backup 7', 'the backup does not say which transactions it saw',
      ])
      expect(one(reasons[0] ?? {database: '', at: '', tables: []}, 'leads')).not.to.have.property('newer')
    })

    it('are refused to a role that sees only a part, in words; of other tables they are not', async () => {
      await client.query(`DROP ROLE IF EXISTS half; CREATE ROLE half LOGIN PASSWORD 'half'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO half; ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON leads USING ("tenantId" = 'a')`)
      try {
        const target = parseTarget(cluster.url('live_counts', {name: 'half', password: 'half'}))
        const error = await drErrorOf(readLiveCounts(target, options()))
        expect(error).to.include({code: 'diff.row-security', exitCode: 3})
        expect(error.message).to.include('public.leads').and.include('would look deleted')
        const {tables} = await readLiveCounts(target, options({wanted: ({name}) => name !== 'leads'}))
        expect(tables.map(({name, rows}) => [name, rows])).to.deep.equal([['parted_1', 4]])
      } finally {
        await client.query('DROP OWNED BY half; DROP ROLE half')
      }
    })

    it('of a table that this role may not read are a trouble of that table', async () => {
      await client.query(`DROP ROLE IF EXISTS half; CREATE ROLE half LOGIN PASSWORD 'half'; GRANT SELECT ON leads TO half`)
      try {
        const {tables} = await readLiveCounts(parseTarget(cluster.url('live_counts', {name: 'half', password: 'half'})), options())
        expect(tables.map(({name, rows, trouble}) => [name, rows, trouble])).to.deep.equal([['leads', 30, undefined], ['parted_1', null, 'this role may not read it']])
      } finally {
        await client.query('DROP OWNED BY half; DROP ROLE half')
      }
    })

    it('of a table that somebody holds are given up soon, and the others counted', async () => {
      await client.query('BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE')
      const counts = await read()
      await client.query('ROLLBACK')
      expect(one(counts, 'leads')).to.deep.include({rows: null, trouble: 'canceling statement due to lock timeout'})
      expect(one(counts, 'parted_1')).to.include({rows: 4})
    })

    for (const [how, sql] of Object.entries({truncated: 'TRUNCATE leads', rewritten: 'ALTER TABLE leads ADD COLUMN x uuid DEFAULT gen_random_uuid()', dropped: 'DROP TABLE leads'})) {
      it(`of a table that is ${how} after the instant are not given out as none`, async () => {
        const counts = await withReadSnapshot(parseTarget(url), {applicationName: 'dr diff test', statementLimitMs: 0, signal: new AbortController().signal}, async (snapshot) => {
          await client.query(sql)
          return countIn(snapshot, parseTarget(url), options())
        })
        expect(one(counts, 'leads')?.rows).to.equal(null)
        expect(one(counts, 'leads')?.trouble).to.match(/truncated, rewritten or dropped|does not exist/)
        expect(one(counts, 'parted_1')).to.include({rows: 4})
      })
    }

    it('hold no lock on a table once it is counted, while the instant stays open', async () => {
      await withReadSnapshot(parseTarget(url), {applicationName: 'dr diff test', statementLimitMs: 0, signal: new AbortController().signal}, async (snapshot) => {
        const {oid} = await rowOf<{oid: number}>(client, "SELECT 'leads'::regclass::oid::int8::float8 AS oid")
        const count = () => readingTable(snapshot.client, oid, () => rowOf<{rows: number}>(snapshot.client, 'SELECT count(*)::int AS rows FROM public.leads'))
        expect(await count()).to.deep.equal({rows: 30})
        await client.query("SET lock_timeout = '5s'; BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE; DELETE FROM leads; COMMIT")
        expect(await count()).to.deep.equal({rows: 30})
      })
    })

    it('end with their sessions when it is interrupted', async () => {
      const controller = new AbortController()
      await client.query('BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE')
      const reading = read({signal: controller.signal})
      const failure = reading.catch((error: unknown) => error)
      await until(() => withClient(cluster.adminUrl, {}, async (admin) => (await admin.query("SELECT FROM pg_stat_activity WHERE application_name = 'dr diff test' AND wait_event_type = 'Lock'")).rowCount === 1))
      controller.abort(new Error('enough'))
      expect(await failure).to.have.property('message', 'enough')
      await client.query('ROLLBACK')
      await until(() => withClient(cluster.adminUrl, {}, async (admin) => (await admin.query("SELECT FROM pg_stat_activity WHERE application_name = 'dr diff test'")).rowCount === 0))
    })
  })
}
