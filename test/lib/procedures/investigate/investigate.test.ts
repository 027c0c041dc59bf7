import {expect} from 'chai'
import {connect, endQuietly, rowOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {Damage, Investigation} from '../../../../src/lib/report/investigation.ts'
import {investigationMarkdown} from '../../../../src/lib/report/investigation-markdown.ts'
import {investigationLines} from '../../../../src/lib/ui/investigation.ts'
import {textWidth} from '../../../../src/lib/ui/text.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {privateCluster, testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runInvestigation, type InvestigateSetting} from '../../../support/investigate.ts'
import {drErrorOf} from '../../../support/rejection.ts'

const SCHEMA = `
  CREATE TABLE tenants (id text PRIMARY KEY, name text NOT NULL, "createdAt" timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
  CREATE TABLE leads (id text PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, title text NOT NULL, status text NOT NULL, source text DEFAULT 'web', "createdAt" timestamp(3) NOT NULL, "updatedAt" timestamp(3) NOT NULL);
  CREATE TABLE calls (id int PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, "leadId" text REFERENCES leads ON DELETE SET NULL, "createdAt" timestamp(3) NOT NULL);
  CREATE TABLE lead_notes (id int PRIMARY KEY, "leadId" text NOT NULL REFERENCES leads ON DELETE CASCADE);
  CREATE TABLE jobs (id int PRIMARY KEY, "tenantId" text NOT NULL);
  CREATE TABLE webhook_events (id int PRIMARY KEY, "tenantId" text REFERENCES tenants ON DELETE SET NULL, "createdAt" timestamp(3) NOT NULL);
  CREATE TABLE events (id int, part text, "tenantId" text, note text, "updatedAt" timestamptz, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
  CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a'); CREATE TABLE events_rest PARTITION OF events DEFAULT;
  CREATE TABLE rates (currency text PRIMARY KEY, rate numeric, kind text);
  CREATE TABLE audit_logs (id serial PRIMARY KEY, "tenantId" text, "userId" text, action text NOT NULL, resource text, "resourceId" text, "createdAt" timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
  INSERT INTO tenants SELECT 't' || i, 'Tenant ' || i, timestamp '2026-01-01' FROM generate_series(1, 4) i;
  INSERT INTO leads SELECT 'lead-' || i, 't' || (i % 4 + 1), 'canary ' || i, (ARRAY['new', 'open', 'won'])[i % 3 + 1], 'web', timestamp '2026-01-01' + i * interval '1 minute', timestamp '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 4000) i;
  INSERT INTO calls SELECT i, 't' || (i % 4 + 1), 'lead-' || i, timestamp '2026-01-01' FROM generate_series(1, 2000) i;
  INSERT INTO lead_notes SELECT i, 'lead-' || i FROM generate_series(3001, 3400) i; INSERT INTO jobs SELECT i, 't' || (i % 4 + 1) FROM generate_series(1, 40) i;
  INSERT INTO webhook_events SELECT i, 't' || (i % 4 + 1), timestamp '2026-01-01' FROM generate_series(1, 800) i;
  INSERT INTO events SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 't1', 'note ' || i % 5, '2026-01-01' FROM generate_series(1, 1000) i;
  INSERT INTO rates SELECT 'c' || i, i, 'k' || i % 3 FROM generate_series(1, 50) i;
  ANALYZE`

const NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"
/** Each in a transaction of its own, as an application writes. */
const edit = (client: Client, from: number, to: number) => client.query(`DO $$ BEGIN FOR i IN ${from}..${to} LOOP UPDATE leads SET title = title || '!', "updatedAt" = ${NOW} WHERE id = 'lead-' || i; COMMIT; END LOOP; END $$`)
const insert = (client: Client, from: number, to: number) => client.query(`DO $$ BEGIN FOR i IN ${from}..${to} LOOP INSERT INTO leads VALUES ('lead-' || i, 't1', 'fresh', 'new', 'web', ${NOW}, ${NOW}); COMMIT; END LOOP; END $$`)
/** The transaction that did it. */
const transactionOf = async (client: Client, sql: string): Promise<string> => {
  await client.query('BEGIN')
  await client.query(sql)
  const {xid} = await rowOf<{xid: string}>(client, "SELECT (pg_current_xact_id()::text::numeric % 4294967296)::text AS xid")
  await client.query('COMMIT')
  return xid
}
const clock = async (client: Client) => (await rowOf<{at: string}>(client, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`)).at

for (const commitTimestamps of [true, false]) {
  describe(`an investigation with track_commit_timestamp ${commitTimestamps ? 'on' : 'off'}`, function () {
    this.timeout(180_000)
    let cluster: TestCluster
    let directory = ''
    let url = ''
    let client: Client
    const labels: string[] = []

    before(async () => {
      cluster = commitTimestamps ? await privateCluster(17) : await testCluster()
      if (commitTimestamps) {
        await withClient(cluster.adminUrl, {}, (admin) => admin.query('ALTER SYSTEM SET track_commit_timestamp = on'))
        await cluster.crash()
      }
    })
    beforeEach(async () => {
      url = await cluster.createDatabase('damaged')
      directory = await temporaryFolder('investigate')
      client = await connect(url)
      await client.query(SCHEMA)
      labels.length = 0
    })
    afterEach(async () => {
      await endQuietly(client)
      await cluster.drop('damaged')
      await removeFolder(directory)
    })
    after(() => (commitTimestamps ? cluster.stop() : undefined))

    const backup = async () => {
      const {error, state} = await runBackup({url, directory})
      if (error) throw error
      labels.unshift(state.label ?? '')
    }
    const look = async (more: Partial<InvestigateSetting> = {}): Promise<Investigation> => (await runInvestigation({url, directory, ...more})).investigation
    const only = (found: Investigation): Damage => {
      expect(found.damages.map(({kind, table, tenant}) => `${kind} ${table?.name ?? tenant ?? ''}`)).to.have.length(1)
      const [damage] = found.damages
      if (damage === undefined) throw new Error('no damage')
      return damage
    }
    const isExact = ({when: {from, to}}: Damage) => from === to

    it('names the UPDATE without WHERE, the rows at risk and the commands', async () => {
      await backup()
      await edit(client, 1, 500)
      const before = await clock(client)
      const xid = await transactionOf(client, "UPDATE leads SET status = 'lost'")
      const after = await clock(client)
      await edit(client, 3001, 3600)
      await insert(client, 5001, 5300)
      const found = await look()
      const damage = only(found)
      expect(damage).to.deep.include({kind: 'overwritten', table: {schema: 'public', name: 'leads'}, transaction: xid, certainty: 'likely', rows: 3400, columns: ['status']})
      expect(damage.risk).to.deep.equal({edited: 500, made: 0, between: 0, later: 900, laterOld: 600})
      expect(damage.source?.label).to.equal(labels[0])
      expect(damage.when.from > (found.backups[0]?.at ?? ''), JSON.stringify(damage.when)).to.equal(true)
      expect([before <= damage.when.to, damage.when.from <= after, isExact(damage)]).to.deep.equal([true, true, commitTimestamps])
      if (commitTimestamps) expect([before <= damage.when.from, damage.when.witness]).to.deep.equal([true, 'commit'])
      expect(Date.parse(damage.point)).to.be.below(Date.parse(damage.when.to))
      expect(damage.commands.map(({command}) => command)).to.deep.equal([`dr partial --table leads --columns status --transaction ${xid} --from ${labels[0] ?? ''} --merge changed`, `dr pitr --to '${damage.point}'`])
      expect(damage.commands[1]?.purpose).to.include('exact source')
      // The same when the table is named, and what is said fits a narrow terminal, save the commands.
      expect(only(await look({tables: ['leads']})).risk).to.deep.equal(damage.risk)
      const lines = [...investigationLines(found, {width: 60})]
      expect(lines.filter((line) => textWidth(line) > 60 && !/dr (partial|pitr) /.test(line))).to.deep.equal([])
      expect(lines.join(' ').replaceAll(/\s+/g, ' ')).to.include('500 rows had been changed between the backup and the damage').and.include('900 rows were written since the damage')
      const markdown = investigationMarkdown(found, {run: 'r'})
      expect(markdown).to.include(`--transaction ${xid}`).and.include('500 rows had been changed')
      expect(JSON.stringify(found) + markdown).not.to.include('canary')
    })

    it('finds the deleted tenant, between which backups, and the transaction by the rows that it has detached', async () => {
      await backup()
      await edit(client, 1, 20)
      await backup()
      const xid = await transactionOf(client, "DELETE FROM tenants WHERE id = 't2'")
      await edit(client, 1, 20)
      await backup()
      for (const found of [await look(), await look({tenant: 't2'})]) {
        const damage = only(found)
        expect(damage).to.deep.include({kind: 'tenant-gone', tenant: 't2', rows: 1700, transaction: xid, certainty: 'likely'})
        expect(damage.source?.label).to.equal(labels[1])
        expect(damage.evidence.join(' ')).to.include('webhook_events.tenantId to NULL in 200 rows')
        if (found.scope.tenant === undefined) expect(damage.evidence.join(' ')).to.include('lead_notes lost 100 rows')
        expect([isExact(damage), damage.when.from >= (found.backups[1]?.at ?? ''), damage.when.to <= (found.backups[0]?.at ?? '')]).to.deep.equal([commitTimestamps, true, true])
        expect(damage.commands[0]?.command).to.equal(`dr partial --tenant t2 --from ${labels[1] ?? ''} --merge missing`)
        expect(only(await look({tables: ['calls']})).evidence.join(' ')).to.include('Tenant t2 has lost 500 rows of the named tables: dr investigate --tenant t2 ')
        expect(found.tenants[0]).to.deep.equal({tenant: 't2', rows: 10, history: [10, 1710, 1710]})
      }
    })

    it('finds a table that was dropped, and one that was truncated', async () => {
      await backup()
      await client.query('DROP TABLE rates')
      const xid = await transactionOf(client, 'TRUNCATE events_a, events_rest')
      const found = await look()
      expect(found.damages.map(({kind, table, rows}) => [kind, table?.name, rows])).to.deep.equal([['emptied', 'events', 1000], ['table-gone', 'rates', 50]])
      const [emptied, gone] = found.damages
      expect([emptied?.transaction, emptied && isExact(emptied)]).to.deep.equal([xid, commitTimestamps])
      expect(gone?.commands.map(({command}) => command)).to.deep.equal([`dr partial --table rates --from ${labels[0] ?? ''} --merge missing`, `dr pitr --to '${gone?.point ?? ''}'`])
      expect(gone?.when).to.deep.equal({from: found.backups[0]?.at, to: found.at, witness: 'backups'})
      expect(only(await look({tables: ['rates']})).kind).to.equal('table-gone')
      expect(await drErrorOf(look({tables: ['ratse']}))).to.include({code: 'diff.table-unknown', exitCode: 2})
    })

    it('finds rows that were deleted, and their transaction by the links that were set to NULL', async () => {
      await backup()
      const xid = await transactionOf(client, "DELETE FROM leads WHERE id IN (SELECT 'lead-' || i FROM generate_series(1, 1500) i)")
      const found = await look()
      const damage = only(found)
      expect(damage).to.deep.include({kind: 'rows-gone', table: {schema: 'public', name: 'leads'}, rows: 1500, transaction: xid})
      expect(damage.evidence.join(' ')).to.include('calls.leadId to NULL in 1,500 rows')
      expect(damage.commands[0]?.command).to.equal(`dr partial --table leads --from ${labels[0] ?? ''} --merge missing --relink`)
    })

    it('takes an older backup when the newest holds the damage already', async () => {
      await backup()
      const xid = await transactionOf(client, "UPDATE leads SET status = 'lost'")
      await edit(client, 1, 5)
      await backup()
      // Nothing live tells any more that the column had other values: only the backup does.
      await client.query('ANALYZE leads')
      const damage = only(await look())
      expect(damage).to.deep.include({transaction: xid, columns: ['status'], source: {label: labels[1], at: damage.source?.at}})
      const found = await look()
      expect(damage.when.to <= (found.backups[0]?.at ?? '')).to.equal(true)
      expect((await look({since: found.at})).damages).to.deep.equal([])
    })
  })
}
