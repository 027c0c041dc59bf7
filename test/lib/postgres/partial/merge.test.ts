import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {analyzeTables, proveLinks, refreshViews} from '../../../../src/lib/postgres/partial/aftermath.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {Catalog, MergeRequest, MergeResult, Selection} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {mergeCommitted, undoSchemas} from '../../../../src/lib/postgres/partial/undo-schema.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {startLoad} from '../../../support/load.ts'
import {catalogOf, createPartial, digestOf, learnColumns, readState, relinkCalls, requestOf, resetPartial, stagedFrom, table, tableNames, tableSelection, tenantSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {until} from '../../../support/until.ts'

const DATABASE = 'partial_merge'

describe('a merge', function () {
  this.timeout(300_000)
  const options = {signal: new AbortController().signal}
  let cluster: TestCluster
  let url: string
  let client: Client
  let live: Catalog

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase(DATABASE)
    client = await connect(url)
    await createPartial(client)
    await learnColumns(client)
    live = await catalogOf(client)
  })
  after(async () => {
    await endQuietly(client)
    await cluster.drop(DATABASE)
  })
  beforeEach(() => resetPartial(client))
  afterEach(async () => {
    for (const {schema} of await rowsOf<{schema: string}>(client, "SELECT nspname AS schema FROM pg_namespace WHERE nspname LIKE 'dr_%'")) await client.query(`DROP SCHEMA ${schema} CASCADE`)
  })

  const one = (...tables: Selection['tables']): Selection => ({tables})
  const merge = (selection: Selection, mode: MergeRequest['mode'], more: Partial<MergeRequest> = {}): Promise<MergeResult> => mergeSelection(client, requestOf(live, selection, mode, more), options)
  const undo = () => revertMerge(client, 'dr_undo_test', {...options, lockTimeoutMs: 2000})
  const counts = (result: MergeResult, name: string) => { const {inserted, updated, deleted} = result.tables.find((each) => each.name === name) ?? {inserted: -1, updated: -1, deleted: -1}; return [inserted, updated, deleted] }

  describe('of a deleted tenant', () => {
    it('brings back its rows in every table and attaches what was detached, and touches nobody else', async () => {
      const base = await readState(client)
      await client.query(`DELETE FROM incomes WHERE "tenantId" = 't2'; DELETE FROM tenants WHERE id = 't2'; UPDATE leads SET title = 'rightful' WHERE "tenantId" = 't1'`)
      const before = await readState(client)
      const compared = await compareSelection(client, requestOf(live, tenantSelection('t2'), 'missing'))
      expect(compared.tables.find(({name}) => name === 'leads')).to.include({missing: 8, changed: 0, extra: 0, identical: 0})
      expect(compared.tables.filter(({name}) => name === 'webhook_events').map(({role, missing, changed}) => ({role, missing, changed}))).to.deep.equal([{role: 'rows', missing: 0, changed: 4}, {role: 'links', missing: 0, changed: 4}])
      const result = await merge(tenantSelection('t2'), 'missing')
      expect(counts(result, 'leads')).to.deep.equal([8, 0, 0])
      expect(counts(result, 'webhook_events')).to.deep.equal([0, 4, 0])
      const after = await readState(client)
      for (const name of tableNames) expect(after[name]?.filter((row) => JSON.stringify(row).includes('t2')), name).to.deep.equal(base[name]?.filter((row) => JSON.stringify(row).includes('t2')))
      expect(after.leads?.filter(({tenantId}) => tenantId === 't1')).to.deep.equal(before.leads?.filter(({tenantId}) => tenantId === 't1'))
      await undo()
      expect(await readState(client)).to.deep.equal(before)
    })

    it('works with what a tenant only has staged', async () => {
      await client.query("CREATE SCHEMA dr_stage_test")
      for (const name of tableNames) await client.query(`CREATE TABLE dr_stage_test."${name}" AS SELECT * FROM base."${name}" r WHERE to_jsonb(r)::text LIKE '%t3%'`)
      const base = await digestOf(client)
      await client.query(`DELETE FROM incomes WHERE "tenantId" = 't3'; DELETE FROM tenants WHERE id = 't3'`)
      await merge(tenantSelection('t3'), 'exact', {staged: stagedFrom(tableNames, 'dr_stage_test')})
      await client.query('DROP SCHEMA dr_stage_test CASCADE; ')
      expect({...await digestOf(client), schemas: ''}).to.deep.equal({...base, schemas: ''})
    })

    it('is refused where a key is held by another tenant’s row', async () => {
      await client.query(`DELETE FROM leads WHERE id = 't1d1'; UPDATE leads SET id = 't1d1' WHERE id = 't2d1'`)
      const before = await digestOf(client)
      const {tables} = await compareSelection(client, requestOf(live, tenantSelection('t1'), 'changed'))
      expect(tables.find(({name}) => name === 'leads')?.conflicts).to.deep.equal([{key: {id: 't1d1'}, index: 'leads_pkey', holder: {id: 't1d1'}}])
      expect(await drErrorOf(merge(tenantSelection('t1'), 'changed'))).to.include({code: 'partial.conflict', exitCode: 3})
      expect(await digestOf(client)).to.deep.equal(before)
    })
  })

  describe('compares', () => {
    it('to the byte, column by column, and says which changed since the backup', async () => {
      const {snapshot} = await rowOf<{snapshot: string}>(client, 'SELECT pg_current_snapshot()::text AS snapshot')
      await client.query(`UPDATE leads SET amount = amount + 0.000 WHERE id = 't1d1'`)
      const compared = await compareSelection(client, requestOf(live, one(tableSelection('leads')), 'changed', {backupSnapshot: snapshot}))
      expect(compared.tables[0]).to.deep.include({missing: 0, changed: 1, extra: 0, identical: 31, changedSince: 1, sample: [{key: {id: 't1d1'}, columns: [{name: 'amount', live: '1.500', backup: '1.50'}, {name: 'updatedAt', live: '1999-01-01 00:00:00', backup: '2026-11-22 10:00:01'}]}]})
    })

    it('counts no change of the selected transaction, nor one from before the backup, as rightful', async () => {
      const {xid} = await rowOf<{xid: string}>(client, `WITH u AS (UPDATE leads SET status = 'lost' WHERE id LIKE 't1%' RETURNING 1) SELECT pg_current_xact_id()::text AS xid, count(*) FROM u`)
      await client.query(`UPDATE leads SET status = 'won' WHERE id = 't1d3'`)
      const {snapshot} = await rowOf<{snapshot: string}>(client, 'SELECT pg_current_snapshot()::text AS snapshot')
      const of = async (backupSnapshot: string, selection: Selection) => (await compareSelection(client, requestOf(live, selection, 'changed', {backupSnapshot}))).tables[0]
      expect(await of('3:3:', one(tableSelection('leads', {kind: 'written-by', transaction: xid})))).to.include({changed: 7, changedSince: 0})
      expect(await of('3:3:', one(tableSelection('leads')))).to.include({changed: 8, changedSince: 8})
      expect(await of(snapshot, one(tableSelection('leads')))).to.include({changed: 8, changedSince: 0})
    })

    it('finds parents that are gone, rows that were detached and rows that went along', async () => {
      await client.query(`DELETE FROM contacts WHERE id = 't1c1'; DELETE FROM leads WHERE id IN ('t1d1', 't1d5', 't2d2'); DELETE FROM users WHERE id = 't3u1' AND false`)
      const compared = await compareSelection(client, requestOf(live, one(tableSelection('leads')), 'missing'))
      expect(compared.closure).to.deep.include({foreignKey: 'leads_contactId_fkey', kind: 'parent-missing', table: table('leads'), references: table('contacts'), columns: ['contactId'], rows: 2})
      expect(compared.closure).to.deep.include({foreignKey: 'calls_leadId_fkey', kind: 'detached', table: table('calls'), references: table('leads'), columns: ['leadId'], rows: 6})
      await client.query(`DELETE FROM user_auth_links WHERE id = 't1u2l'; DELETE FROM incomes WHERE "managerId" = 't2u2'; DELETE FROM users WHERE id = 't2u2'`)
      const gone = await compareSelection(client, requestOf(live, one(tableSelection('users')), 'missing'))
      expect(gone.closure.filter(({kind}) => kind === 'gone-child').map(({foreignKey, rows}) => ({foreignKey, rows}))).to.deep.equal([{foreignKey: 'incomes_managerId_fkey', rows: 1}, {foreignKey: 'user_auth_links_userId_fkey', rows: 1}])
    })

    it('says beforehand what `exact` takes elsewhere, and what lets it not', async () => {
      await client.query(`
        INSERT INTO contacts (id, "tenantId") VALUES ('t1extra', 't1'); UPDATE leads SET "contactId" = 't1extra' WHERE id IN ('t1d1', 't2d1'); UPDATE calls SET "contactId" = 't1extra' WHERE id IN (SELECT min(id) FROM calls)`)
      const compared = await compareSelection(client, requestOf(live, one(tableSelection('contacts')), 'exact'))
      expect(compared.cascades).to.deep.equal([{table: table('leads'), deleted: 0, updated: 2}, {table: table('calls'), deleted: 0, updated: 1}])
      const before = await readState(client)
      const result = await merge(one(tableSelection('contacts')), 'exact')
      expect(result.cascades).to.have.deep.members(compared.cascades)
      await undo()
      expect(await readState(client)).to.deep.equal(before)
      await client.query(`INSERT INTO users VALUES ('t1extra', 't1'); INSERT INTO incomes ("tenantId", "managerId") VALUES ('t1', 't1extra')`)
      const refused = await compareSelection(client, requestOf(live, one(tableSelection('users')), 'exact'))
      expect(refused.refusals).to.deep.equal([{foreignKey: 'incomes_managerId_fkey', table: table('incomes'), references: table('users'), rows: 1}])
      expect(await drErrorOf(merge(one(tableSelection('users')), 'exact'))).to.include({code: 'partial.restricted', exitCode: 3})
    })

    it('lists rows whose other unique key is held, and who holds it', async () => {
      await client.query(`DELETE FROM incomes; DELETE FROM users WHERE id = 't1u1'; INSERT INTO users VALUES ('t1new', 't1', 'user1@t1')`)
      const {tables} = await compareSelection(client, requestOf(live, one(tableSelection('users')), 'missing'))
      expect(tables[0]?.conflicts).to.deep.equal([{key: {id: 't1u1'}, index: 'users_tenantId_email_key', holder: {id: 't1new'}}])
      const error = await drErrorOf(merge(one(tableSelection('users')), 'missing'))
      expect(error).to.include({code: 'partial.conflict', exitCode: 3})
      expect(error.message).to.include('id t1u1').and.include('id t1new')
      expect(counts(await merge(one(tableSelection('users')), 'exact'), 'users'), 'the holder goes first').to.deep.equal([1, 0, 1])
    })

    it('tables whose types differ by now after a cast, or says which values do not fit', async () => {
      await client.query(`CREATE SCHEMA dr_stage_test; CREATE TABLE dr_stage_test.leads AS SELECT id, "tenantId", title || repeat('x', 30) AS status, "contactId", amount::float8 AS amount, metadata::text AS metadata FROM base.leads; UPDATE leads SET metadata = '{}' WHERE id = 't1d1'`)
      const staged = [{table: table('leads'), stage: {schema: 'dr_stage_test', name: 'leads'}, columns: ['id', 'tenantId', 'contactId', 'metadata', 'amount', 'status'], key: ['id'], rows: 32}]
      const found = await compareSelection(client, requestOf(live, one(tableSelection('leads', undefined, {columns: ['metadata']})), 'changed', {staged}))
      expect(found.tables[0]).to.include({changed: 1, identical: 31})
      expect(await drErrorOf(merge(one(tableSelection('leads', undefined, {columns: ['status']})), 'changed', {staged})), 'nothing is cut off').to.include({code: 'partial.types', exitCode: 3})
      await client.query(`UPDATE dr_stage_test.leads SET metadata = 'no json'`)
      const error = await drErrorOf(compareSelection(client, requestOf(live, one(tableSelection('leads')), 'changed', {staged})))
      expect(error).to.include({code: 'partial.types', exitCode: 3})
      expect(error.message).to.include('metadata: text, now jsonb')
    })

    it('takes no second statement for a condition', async () => {
      for (const text of ['true); DROP TABLE notes; SELECT (true', 'nonsense = 1']) {
        expect(await drErrorOf(compareSelection(client, requestOf(live, one(tableSelection('leads', {kind: 'sql', text})), 'changed')))).to.include({code: 'partial.where', exitCode: 3})
        expect(await drErrorOf(merge(one(tableSelection('leads', {kind: 'sql', text})), 'changed'))).to.include({code: 'partial.where'})
      }
    })
  })

  describe('writes', () => {
    it('only the rows of one transaction, and only the columns that are named', async () => {
      const {xid} = await rowOf<{xid: string}>(client, `WITH u AS (UPDATE leads SET status = 'lost', title = 'x' RETURNING 1) SELECT pg_current_xact_id()::text AS xid, count(*) FROM u`)
      await client.query(`UPDATE leads SET status = 'won' WHERE id IN ('t1d3', 't2d4'); INSERT INTO leads (id, "tenantId", status) VALUES ('t1new', 't1', 'open')`)
      const result = await merge(one(tableSelection('leads', {kind: 'written-by', transaction: xid}, {columns: ['status']})), 'changed')
      expect(counts(result, 'leads')[1]).to.be.within(15, 30)
      const wrong = await rowsOf(client, `SELECT FROM leads l JOIN base.leads b USING (id) WHERE l.title <> 'x' OR l.status <> CASE WHEN l.id IN ('t1d3', 't2d4') THEN 'won' ELSE b.status END`)
      expect(wrong).to.deep.equal([])
      expect(await rowOf(client, `SELECT status FROM leads WHERE id = 't1new'`)).to.deep.equal({status: 'open'})
      expect((await merge(one(tableSelection('leads', {kind: 'written-by', transaction: xid}, {columns: ['status']})), 'changed', {undoSchema: 'dr_undo_second'})).nothing).to.equal(true)
    })

    it('leaves updatedAt to the backup and user triggers in the state that they had', async () => {
      const before = await digestOf(client)
      await client.query(`UPDATE leads SET status = 'lost'`)
      await merge(one(tableSelection('leads')), 'changed')
      expect({...await digestOf(client), schemas: ''}).to.deep.equal({...before, schemas: ''})
    })

    it('one partition, and the whole through its root', async () => {
      const base = await readState(client)
      await client.query(`DELETE FROM events WHERE id > 3; UPDATE events SET body = 'x'`)
      const part = {table: table('events_2026'), stage: {schema: 'base', name: 'events'}, columns: ['id', 'tenantId', 'at', 'body'], key: ['id', 'at'], rows: 0}
      const only = {kind: 'sql' as const, text: `r.at >= '2026-01-01'`}
      expect(counts(await merge(one(tableSelection('events_2026', only)), 'exact', {staged: [part]}), 'events_2026')).to.deep.equal([4, 8, 0])
      const now = (await readState(client)).events
      expect(now?.filter(({at}) => at !== undefined && at >= '2026')).to.deep.equal(base.events?.filter(({at}) => at !== undefined && at >= '2026'))
      expect(now?.filter(({at, body}) => at !== undefined && at < '2026' && body === 'x')).to.have.length(4)
      await merge(one(tableSelection('events')), 'exact', {undoSchema: 'dr_undo_second'})
      expect((await readState(client)).events).to.deep.equal(base.events)
    })

    it('big values as they were', async () => {
      await client.query(`CREATE TABLE big (id int PRIMARY KEY, j jsonb, b bytea); ALTER TABLE big ALTER b SET STORAGE EXTERNAL;
        INSERT INTO big SELECT 1, jsonb_build_object('a', repeat('xyz', 2000000), 'b', (SELECT jsonb_agg(i) FROM generate_series(1, 20000) i)), decode(repeat(md5('1'), 400000), 'hex'); CREATE TABLE base.big AS SELECT * FROM big`)
      try {
        const catalog = await catalogOf(client)
        const staged = [{table: table('big'), stage: {schema: 'base', name: 'big'}, columns: ['id', 'j', 'b'], key: ['id'], rows: 1}]
        for (const harm of [`UPDATE big SET b = b || '\\x00', j = j || '{"c": 1}'`, 'DELETE FROM big']) {
          await client.query(harm)
          const request = requestOf(catalog, one(tableSelection('big')), 'changed', {staged, undoSchema: `dr_undo_${harm.slice(0, 6).toLowerCase()}`})
          const {tables} = await compareSelection(client, request)
          expect((tables[0]?.sample[0]?.columns ?? []).every(({live: value}) => (value ?? '').length <= 201)).to.equal(true)
          await mergeSelection(client, request, options)
          expect(await rowsOf(client, 'SELECT FROM big JOIN base.big c ON big.j = c.j AND big.b = c.b')).to.have.length(1)
        }
      } finally {
        await client.query('DROP TABLE big, base.big')
      }
    })

    it('moves sequences past the data, and never back', async () => {
      await client.query(`DELETE FROM incomes; SELECT setval('incomes_id_seq', 3); DELETE FROM calls; SELECT setval(pg_get_serial_sequence('calls', 'id'), 1000)`)
      const {sequences} = await merge(one(tableSelection('incomes')), 'missing')
      expect(sequences).to.deep.equal([{schema: 'public', name: 'incomes_id_seq', value: '20'}])
      expect((await merge(one(tableSelection('calls')), 'missing', {undoSchema: 'dr_undo_second'})).sequences).to.deep.equal([])
    })

    it('says that nothing is to be done, and makes nothing', async () => {
      expect(await merge(tenantSelection('t1'), 'exact')).to.include({nothing: true, undoSchema: ''})
      expect(await undoSchemas(client)).to.deep.equal([])
    })

    it('not more than was agreed to', async () => {
      await client.query(`INSERT INTO leads (id, "tenantId") VALUES ('t1x', 't1'); UPDATE leads SET status = 'x' WHERE id = 't1d1'`)
      const request = requestOf(live, one(tableSelection('leads')), 'exact')
      const expected = await compareSelection(client, request)
      await client.query(`INSERT INTO leads (id, "tenantId") VALUES ('t1y', 't1')`)
      const before = await digestOf(client)
      const error = await drErrorOf(mergeSelection(client, request, {...options, expected}))
      expect(error).to.include({code: 'partial.moved-on', exitCode: 3})
      expect(error.message).to.include('2 rows of public.leads would be deleted')
      expect(await digestOf(client)).to.deep.equal(before)
      await client.query(`DELETE FROM leads WHERE id = 't1y'`)
      expect(counts(await mergeSelection(client, request, {...options, expected}), 'leads')).to.deep.equal([0, 1, 1])
    })

    it('is taken back when something else was written than what was planned', async () => {
      await client.query(`CREATE FUNCTION also() RETURNS int LANGUAGE sql AS $$ UPDATE notes SET n = n + 1; SELECT 1 $$; CREATE TABLE odd (id int PRIMARY KEY, v int, CHECK (also() = 1)); CREATE TABLE base.odd AS SELECT 1 AS id, 1 AS v`)
      try {
        const before = await digestOf(client)
        const error = await drErrorOf(mergeSelection(client, requestOf(await catalogOf(client), one(tableSelection('odd')), 'missing', {staged: [{table: table('odd'), stage: {schema: 'base', name: 'odd'}, columns: ['id', 'v'], key: ['id'], rows: 1}]}), options))
        expect(error).to.include({code: 'partial.proof', exitCode: 4})
        expect(error.message).to.include('public.notes')
        expect(await digestOf(client)).to.deep.equal(before)
      } finally {
        await client.query('DROP TABLE odd, base.odd; DROP FUNCTION also')
      }
    })

    it('is taken back when a row is not the tenant’s', async () => {
      await client.query(`UPDATE calls SET "leadId" = NULL`)
      const selection = {...one(tableSelection('leads', {kind: 'equals', column: 'tenantId', value: 't1'}), relinkCalls({kind: 'equals', column: 'tenantId', value: 't1'})), tenant: {id: 't2', column: 'tenantId'}}
      const before = await digestOf(client)
      expect(await drErrorOf(merge(selection, 'changed'))).to.include({code: 'partial.proof', exitCode: 4})
      expect(await digestOf(client)).to.deep.equal(before)
    })
  })

  describe('under load', () => {
    it('lets clients insert, read and lock in any order without an error, and is exact for its selection', async () => {
      await client.query(`DELETE FROM leads WHERE "tenantId" = 't1'; INSERT INTO leads (id, "tenantId") SELECT 't1e' || i, 't1' FROM generate_series(1, 50) i`)
      const base = await readState(client, 'base')
      const insert = `INSERT INTO leads (id, "tenantId", title) SELECT gen_random_uuid()::text, 't2', 'new'`
      const loads = [
        startLoad({url, clients: 3, statements: [insert, `SELECT count(*) FROM leads WHERE "tenantId" = 't1'`, `BEGIN; UPDATE calls SET tags = '{b}' WHERE "tenantId" = 't3'; ${insert}; COMMIT`]}),
        startLoad({url, clients: 2, statements: [`BEGIN; ${insert}; UPDATE calls SET tags = '{c}' WHERE "tenantId" = 't4'; UPDATE tenants SET name = name WHERE id = 't1'; COMMIT`]}),
      ]
      const results: MergeResult[] = []
      try {
        for (let round = 0; round < 6; round++) {
          const at = loads.map(({rounds}) => rounds)
          await until(() => loads.every(({rounds}, index) => rounds > (at[index] ?? 0) + 5), 60_000)
          const selection = one(tableSelection('leads', {kind: 'equals', column: 'tenantId', value: 't1'}), relinkCalls({kind: 'equals', column: 'tenantId', value: 't1'}))
          results.push(await mergeSelection(client, requestOf(live, selection, 'exact', {undoSchema: `dr_undo_${round}`}), options))
          expect((await readState(client)).leads?.filter(({tenantId}) => tenantId === 't1')).to.deep.equal(base.leads?.filter(({tenantId}) => tenantId === 't1'))
          await revertMerge(client, `dr_undo_${round}`, {...options, lockTimeoutMs: 2000})
        }
      } finally {
        const reports = (await Promise.all(loads.map((load) => load.stop()))).flat()
        expect(reports.map(({errors}) => errors)).to.deep.equal(reports.map(() => ({})))
      }
      expect(results.map((result) => counts(result, 'leads'))).to.deep.equal(results.map(() => [8, 0, 50]))
    })

    it('gives up, naming who is in the way, and has kept nobody waiting for long', async () => {
      await client.query(`UPDATE leads SET status = 'x'`)
      const before = await digestOf(client)
      await withClient(url, {applicationName: 'a migration'}, async (other) => {
        await other.query('BEGIN; LOCK TABLE leads IN ROW EXCLUSIVE MODE')
        const waits: string[] = []
        const error = await drErrorOf(mergeSelection(client, requestOf(live, one(tableSelection('leads')), 'changed', {lockTimeoutMs: 100}), {...options, onWaiting: (why) => { waits.push(why) }}))
        expect(error).to.include({code: 'partial.busy', exitCode: 6})
        expect(error.message).to.include('public.leads by a migration')
        expect(waits.length).to.be.above(1)
      })
      expect(await digestOf(client)).to.deep.equal(before)
    })
  })

  describe('reverted', () => {
    const change = async (harm: string): Promise<{error: Awaited<ReturnType<typeof drErrorOf>>; before: Record<string, string>}> => {
      await client.query(harm)
      const before = await digestOf(client)
      const error = await drErrorOf(undo())
      expect(await digestOf(client)).to.deep.equal(before)
      return {error, before}
    }
    beforeEach(async () => {
      await client.query(`DELETE FROM leads WHERE id IN ('t1d1', 't1d2'); UPDATE leads SET status = 'x' WHERE id = 't2d1'; INSERT INTO leads (id, "tenantId") VALUES ('t3x', 't3'); DELETE FROM notes WHERE "tenantId" = 't1'; INSERT INTO notes VALUES ('t1', 'extra', 1), ('t1', 'extra', 1)`)
      await merge(one(tableSelection('leads'), relinkCalls(), tableSelection('notes')), 'exact')
    })

    for (const [what, harm, named] of [
      ['a changed row', `UPDATE leads SET title = 'mine' WHERE id = 't2d1'`, 'public.leads id t2d1'],
      ['a row that came back and was changed', `UPDATE leads SET title = 'mine' WHERE id = 't1d1'`, 'public.leads id t1d1'],
      ['a row that is gone again', `DELETE FROM leads WHERE id = 't1d2'`, 'public.leads id t1d2'],
      ['a deleted row that somebody made again', `INSERT INTO leads (id, "tenantId") VALUES ('t3x', 't3')`, 'public.leads id t3x'],
      ['a link that was moved', `UPDATE calls SET "leadId" = 't1d2' WHERE "leadId" = 't1d1' AND id = (SELECT min(id) FROM calls WHERE "leadId" = 't1d1')`, 'public.calls id '],
      ['a row without key', `UPDATE notes SET n = 77 WHERE "tenantId" = 't1' AND n = 1`, 'public.notes '],
      ['a row that refers to one that came back', `INSERT INTO calls ("tenantId", "leadId") VALUES ('t1', 't1d1')`, 'public.calls id '],
    ] as const) {
      it(`stops at ${what}, and names it`, async () => {
        const {error} = await change(harm)
        expect(error).to.include({code: 'partial.changed-since', exitCode: 3})
        expect(error.message).to.include(named)
      })
    }

    it('keeps the schema, marked, when somebody made a view of what is in it', async () => {
      await client.query('CREATE VIEW mine AS SELECT * FROM dr_undo_test.manifest')
      try {
        await undo()
        expect((await undoSchemas(client)).map(({schema, undone}) => ({schema, undone}))).to.deep.equal([{schema: 'dr_undo_test', undone: true}])
        expect(await drErrorOf(undo())).to.include({code: 'partial.undo-unknown', exitCode: 3})
      } finally {
        await client.query('DROP VIEW mine')
      }
    })

    it('touches no schema that is not proven ours', async () => {
      await client.query(`COMMENT ON SCHEMA dr_undo_test IS 'mine'`)
      expect(await drErrorOf(undo())).to.include({code: 'partial.undo-unknown'})
      expect(await mergeCommitted(client, 'dr_undo_test')).to.equal(false)
      expect(await drErrorOf(revertMerge(client, 'public', {...options, lockTimeoutMs: 100}))).to.include({code: 'partial.undo-unknown'})
    })
  })

  it('shows its undo tables to nobody, whatever default privileges say', async () => {
    await client.query(`DO $$ BEGIN CREATE ROLE partial_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO partial_app, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO partial_app, PUBLIC; UPDATE leads SET status = 'x'`)
    try {
      await merge(one(tableSelection('leads')), 'changed')
      const seen = await rowsOf(client, `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'dr_undo_test' AND c.relkind = 'r' AND (has_table_privilege('partial_app', c.oid, 'SELECT') OR has_schema_privilege('partial_app', n.oid, 'USAGE'))`)
      expect(seen).to.deep.equal([])
    } finally {
      await client.query(`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM partial_app, PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SCHEMAS FROM partial_app, PUBLIC`)
    }
  })

  it('is followed by proofs of links, refreshed views in order, and statistics', async () => {
    await client.query(`CREATE MATERIALIZED VIEW a_late AS SELECT 1 AS one WITH NO DATA; CREATE MATERIALIZED VIEW z_first AS SELECT "tenantId", count(*) FROM leads GROUP BY 1; CREATE UNIQUE INDEX ON z_first ("tenantId");
      CREATE VIEW between_them AS SELECT * FROM z_first; CREATE MATERIALIZED VIEW a_second AS SELECT sum(count) AS all FROM between_them; CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM notes;
      CREATE MATERIALIZED VIEW empty AS SELECT * FROM leads WITH NO DATA`)
    try {
      await client.query(`DELETE FROM leads WHERE "tenantId" = 't1'; REFRESH MATERIALIZED VIEW z_first; REFRESH MATERIALIZED VIEW a_second`)
      await merge(one(tableSelection('leads')), 'missing')
      expect(await refreshViews(client, [table('leads')])).to.deep.equal([{schema: 'public', name: 'empty', skipped: 'it holds nothing yet'}, {schema: 'public', name: 'z_first'}, {schema: 'public', name: 'a_second'}])
      expect(await rowOf(client, 'SELECT "all"::int FROM a_second')).to.deep.equal({all: 32})
      expect(await analyzeTables(client, [table('leads')])).to.deep.equal([table('leads')])
      expect((await proveLinks(client, live, [table('leads')])).map(({foreignKey, orphans}) => ({foreignKey, orphans}))).to.have.deep.members(['leads_tenantId_fkey', 'leads_contactId_fkey', 'calls_leadId_fkey'].map((foreignKey) => ({foreignKey, orphans: 0})))
      await client.query(`SET session_replication_role = replica; DELETE FROM leads WHERE id = 't1d1'; RESET session_replication_role`)
      expect((await proveLinks(client, live, [table('leads')])).find(({foreignKey}) => foreignKey === 'calls_leadId_fkey')?.orphans).to.equal(2)
    } finally {
      await client.query('DROP MATERIALIZED VIEW a_late, z_first, other, empty CASCADE')
    }
  })
})
