import {expect} from 'chai'
import {rowOf, rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {undoSchemas} from '../../../../src/lib/postgres/partial/undo-schema.ts'
import {countsOf, partialFixture, running, selecting} from '../../../support/partial-fixture.ts'
import {catalogOf, digestOf, readState, requestOf, resetPartial, stagedFrom, stagedRows, table, tableNames, tableSelection, tenantSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'

describe('a merge', function () {
  this.timeout(300_000)
  const fixture = partialFixture('partial_merge')

  describe('of a deleted tenant', () => {
    it('brings back its rows in every table and attaches what was detached, and touches nobody else', async () => {
      const base = await readState(fixture.client)
      await fixture.client.query(`DELETE FROM incomes WHERE "tenantId" = 't2'; DELETE FROM tenants WHERE id = 't2'; UPDATE leads SET title = 'rightful' WHERE "tenantId" = 't1'`)
      const before = await readState(fixture.client)
      const compared = await compareSelection(fixture.client, requestOf(fixture.live, tenantSelection('t2'), 'missing'))
      expect(compared.tables.find(({name}) => name === 'leads')).to.include({missing: 8, changed: 0, extra: 0, identical: 0})
      expect(compared.tables.filter(({name}) => name === 'webhook_events').map(({role, missing, changed}) => ({role, missing, changed}))).to.deep.equal([{role: 'rows', missing: 0, changed: 4}, {role: 'links', missing: 0, changed: 4}])
      const result = await fixture.merge(tenantSelection('t2'), 'missing')
      expect(countsOf(result, 'leads')).to.deep.equal([8, 0, 0])
      expect(countsOf(result, 'webhook_events')).to.deep.equal([0, 4, 0])
      const after = await readState(fixture.client)
      for (const name of tableNames) expect(after[name]?.filter((row) => JSON.stringify(row).includes('t2')), name).to.deep.equal(base[name]?.filter((row) => JSON.stringify(row).includes('t2')))
      expect(after.leads?.filter(({tenantId}) => tenantId === 't1')).to.deep.equal(before.leads?.filter(({tenantId}) => tenantId === 't1'))
      await fixture.undo()
      expect(await readState(fixture.client)).to.deep.equal(before)
    })

    it('works with what a tenant only has staged', async () => {
      await fixture.client.query("CREATE SCHEMA dr_stage_test")
      for (const name of tableNames) await fixture.client.query(`CREATE TABLE dr_stage_test."${name}" AS SELECT * FROM base."${name}" r WHERE to_jsonb(r)::text LIKE '%t3%'`)
      const staged = stagedFrom(tableNames, 'dr_stage_test')
      for (const one of staged) one.rows = (await rowOf<{rows: number}>(fixture.client, `SELECT count(*)::int AS rows FROM dr_stage_test."${one.stage.name}"`)).rows
      const base = await digestOf(fixture.client)
      await fixture.client.query(`DELETE FROM incomes WHERE "tenantId" = 't3'; DELETE FROM tenants WHERE id = 't3'`)
      await fixture.merge(tenantSelection('t3'), 'exact', {staged})
      await fixture.client.query('DROP SCHEMA dr_stage_test CASCADE; ')
      expect({...await digestOf(fixture.client), schemas: ''}).to.deep.equal({...base, schemas: ''})
    })

    for (const mode of ['missing', 'changed', 'exact'] as const) {
      it(`is refused where what is reached through a foreign key is another tenant’s by now: ${mode}`, async () => {
        await fixture.client.query(`UPDATE user_auth_links SET "userId" = 't2u1' WHERE id = 't1u1l'`)
        const {tables} = await compareSelection(fixture.client, requestOf(fixture.live, tenantSelection('t1'), mode))
        expect(tables.find(({name}) => name === 'user_auth_links')).to.deep.include({changed: 0, missing: 0, identical: 2, conflicts: [{key: {id: 't1u1l'}, index: 'user_auth_links_pkey', holder: {id: 't1u1l'}}]})
        const before = await digestOf(fixture.client)
        expect(await drErrorOf(fixture.merge(tenantSelection('t1'), mode))).to.include({code: 'partial.conflict', exitCode: 3})
        expect(await digestOf(fixture.client)).to.deep.equal(before)
      })
    }

    it('deletes no row that the backup has of another tenant, with a tenant’s column or without', async () => {
      await fixture.client.query(`UPDATE user_auth_links SET "userId" = 't1u1' WHERE id = 't2u1l'; UPDATE leads SET "tenantId" = 't1' WHERE id = 't2d1'`)
      const before = await digestOf(fixture.client)
      const {tables} = await compareSelection(fixture.client, requestOf(fixture.live, tenantSelection('t1'), 'exact'))
      expect(tables.filter(({extra, conflicts}) => extra + conflicts.length > 0).map(({name, extra, conflicts}) => [name, extra, conflicts.map(({key}) => key.id)])).to.deep.equal([['user_auth_links', 0, ['t2u1l']], ['leads', 0, ['t2d1']]])
      expect(await drErrorOf(fixture.merge(tenantSelection('t1'), 'exact'))).to.include({code: 'partial.conflict', exitCode: 3})
      expect(await digestOf(fixture.client)).to.deep.equal(before)
      expect(await fixture.merge(tenantSelection('t1'), 'changed')).to.include({nothing: true})
    })

    it('is taken back where a row would hang on another tenant’s', async () => {
      await fixture.client.query(`UPDATE users SET "tenantId" = 't2', email = 'moved' WHERE id = 't1u1'; DELETE FROM user_auth_links WHERE id = 't1u1l'`)
      const before = await digestOf(fixture.client)
      const {tables, ...rest} = tenantSelection('t1')
      const error = await drErrorOf(fixture.merge({...rest, tables: [tableSelection('users', {kind: 'equals', column: 'id', value: 't1u1'}, {role: 'parent'}), ...tables.filter(({table: {name}}) => name === 'user_auth_links')]}, 'missing'))
      expect(error).to.include({code: 'partial.proof', exitCode: 4})
      expect(error.message).to.include('1 rows of public.user_auth_links are not of tenant t1')
      expect(await digestOf(fixture.client)).to.deep.equal(before)
    })

    it('is refused where a key is held by another tenant’s row', async () => {
      await fixture.client.query(`DELETE FROM calls; DELETE FROM leads WHERE id = 't1d1'; UPDATE leads SET id = 't1d1' WHERE id = 't2d1'`)
      const before = await digestOf(fixture.client)
      const {tables} = await compareSelection(fixture.client, requestOf(fixture.live, tenantSelection('t1'), 'changed'))
      expect(tables.find(({name}) => name === 'leads')?.conflicts).to.deep.equal([{key: {id: 't1d1'}, index: 'leads_pkey', holder: {id: 't1d1'}}])
      expect(await drErrorOf(fixture.merge(tenantSelection('t1'), 'changed'))).to.include({code: 'partial.conflict', exitCode: 3})
      expect(await digestOf(fixture.client)).to.deep.equal(before)
    })
  })

  describe('writes', () => {
    it('only the rows of one transaction, and only the columns that are named', async () => {
      const {xid} = await rowOf<{xid: string}>(fixture.client, `WITH u AS (UPDATE leads SET status = 'lost', title = 'x' RETURNING 1) SELECT pg_current_xact_id()::text AS xid, count(*) FROM u`)
      await fixture.client.query(`UPDATE leads SET status = 'won' WHERE id IN ('t1d3', 't2d4'); INSERT INTO leads (id, "tenantId", status) VALUES ('t1new', 't1', 'open')`)
      const result = await fixture.merge(selecting(tableSelection('leads', {kind: 'written-by', transaction: xid}, {columns: ['status']})), 'changed')
      expect(countsOf(result, 'leads')[1]).to.be.within(15, 30)
      const wrong = await rowsOf(fixture.client, `SELECT FROM leads l JOIN base.leads b USING (id) WHERE l.title <> 'x' OR l.status <> CASE WHEN l.id IN ('t1d3', 't2d4') THEN 'won' ELSE b.status END`)
      expect(wrong).to.deep.equal([])
      expect(await rowOf(fixture.client, `SELECT status FROM leads WHERE id = 't1new'`)).to.deep.equal({status: 'open'})
      expect((await fixture.merge(selecting(tableSelection('leads', {kind: 'written-by', transaction: xid}, {columns: ['status']})), 'changed', {undoSchema: 'dr_undo_second'})).nothing).to.equal(true)
    })

    it('leaves updatedAt to the backup and user triggers in the state that they had', async () => {
      const before = await digestOf(fixture.client)
      await fixture.client.query(`UPDATE leads SET status = 'lost'`)
      await fixture.merge(selecting(tableSelection('leads')), 'changed')
      expect({...await digestOf(fixture.client), schemas: ''}).to.deep.equal({...before, schemas: ''})
    })

    it('one partition, and the whole through its root', async () => {
      const base = await readState(fixture.client)
      await fixture.client.query(`DELETE FROM events WHERE id > 3; UPDATE events SET body = 'x'`)
      const part = {table: table('events_2026'), stage: {schema: 'base', name: 'events'}, columns: ['id', 'tenantId', 'at', 'body'], key: ['id', 'at'], rows: stagedRows.events ?? 0}
      const only = {kind: 'sql' as const, text: `r.at >= '2026-01-01'`}
      expect(countsOf(await fixture.merge(selecting(tableSelection('events_2026', only)), 'exact', {staged: [part]}), 'events_2026')).to.deep.equal([4, 8, 0])
      const now = (await readState(fixture.client)).events
      expect(now?.filter(({at}) => at !== undefined && at >= '2026')).to.deep.equal(base.events?.filter(({at}) => at !== undefined && at >= '2026'))
      expect(now?.filter(({at, body}) => at !== undefined && at < '2026' && body === 'x')).to.have.length(4)
      await fixture.merge(selecting(tableSelection('events')), 'exact', {undoSchema: 'dr_undo_second'})
      expect((await readState(fixture.client)).events).to.deep.equal(base.events)
    })

    it('big values as they were', async () => {
      await fixture.client.query(`CREATE TABLE big (id int PRIMARY KEY, j jsonb, b bytea); ALTER TABLE big ALTER b SET STORAGE EXTERNAL;
        INSERT INTO big SELECT 1, jsonb_build_object('a', repeat('xyz', 2000000), 'b', (SELECT jsonb_agg(i) FROM generate_series(1, 20000) i)), decode(repeat(md5('1'), 400000), 'hex'); CREATE TABLE base.big AS SELECT * FROM big`)
      try {
        const catalog = await catalogOf(fixture.client)
        const staged = [{table: table('big'), stage: {schema: 'base', name: 'big'}, columns: ['id', 'j', 'b'], key: ['id'], rows: 1}]
        for (const harm of [`UPDATE big SET b = b || '\\x00', j = j || '{"c": 1}'`, 'DELETE FROM big']) {
          await fixture.client.query(harm)
          const request = requestOf(catalog, selecting(tableSelection('big')), 'changed', {staged, undoSchema: `dr_undo_${harm.slice(0, 6).toLowerCase()}`})
          const {tables} = await compareSelection(fixture.client, request)
          expect((tables[0]?.sample[0]?.columns ?? []).every(({live: value}) => (value ?? '').length <= 201)).to.equal(true)
          await mergeSelection(fixture.client, request, running)
          expect(await rowsOf(fixture.client, 'SELECT FROM big JOIN base.big c ON big.j = c.j AND big.b = c.b')).to.have.length(1)
        }
      } finally {
        await fixture.client.query('DROP TABLE big, base.big')
      }
    })

    it('moves sequences past the data, and never back', async () => {
      await fixture.client.query(`DELETE FROM incomes; SELECT setval('incomes_id_seq', 3); DELETE FROM calls; SELECT setval(pg_get_serial_sequence('calls', 'id'), 1000)`)
      const {sequences} = await fixture.merge(selecting(tableSelection('incomes')), 'missing')
      expect(sequences).to.deep.equal([{schema: 'public', name: 'incomes_id_seq', value: '20'}])
      expect((await fixture.merge(selecting(tableSelection('calls')), 'missing', {undoSchema: 'dr_undo_second'})).sequences).to.deep.equal([])
    })

    it('says that nothing is to be done, and makes nothing', async () => {
      expect(await fixture.merge(tenantSelection('t1'), 'exact')).to.include({nothing: true, undoSchema: ''})
      expect(await undoSchemas(fixture.client)).to.deep.equal([])
    })

    it('not more than was agreed to: what came in since stays, and is counted', async () => {
      await fixture.client.query(`INSERT INTO leads (id, "tenantId") VALUES ('t1x', 't1'); UPDATE leads SET status = 'x' WHERE id = 't1d1'; INSERT INTO notes VALUES ('t1', 'note', 1), ('t1', 'other', 0); DELETE FROM notes WHERE "tenantId" = 't2'`)
      const request = requestOf(fixture.live, selecting(tableSelection('leads'), tableSelection('notes')), 'exact')
      const expected = await compareSelection(fixture.client, request)
      // Of equal rows without a key there are by now three that are too many, two of them agreed to; and one that was missing.
      await fixture.client.query(`INSERT INTO leads (id, "tenantId") VALUES ('t1y', 't1'), ('t1z', 't1'); INSERT INTO notes VALUES ('t1', 'note', 1), ('t2', 'note', 1)`)
      const damaged = await digestOf(fixture.client)
      const result = await mergeSelection(fixture.client, request, {...running, expected})
      expect([countsOf(result, 'leads'), countsOf(result, 'notes')]).to.deep.equal([[0, 1, 1], [4, 0, 2]])
      expect(result.tables.map(({name, late}) => [name, late])).to.deep.equal([['leads', 2], ['notes', 1]])
      expect(await rowOf(fixture.client, `SELECT string_agg(id, ' ' ORDER BY id) AS late, (SELECT count(*)::int FROM notes) AS notes FROM leads WHERE id IN ('t1x', 't1y', 't1z')`)).to.deep.equal({late: 't1y t1z', notes: 21})
      const again = await compareSelection(fixture.client, {...request, comparedAt: expected.snapshot ?? ''})
      expect(again.tables.map(({missing, changed, extra, late}) => [missing, changed, extra, late])).to.deep.equal([[0, 0, 0, 2], [0, 0, 0, 1]])
      await fixture.undo()
      expect(await digestOf(fixture.client)).to.deep.equal(damaged)
    })

    it('no other rows than those that were shown, though they are as many, and none that was edited since', async () => {
      const damaged = `UPDATE contacts SET name = 'x' WHERE id = 't1c1'; UPDATE leads SET status = 'x' WHERE id IN ('t1d1', 't1d2'); INSERT INTO contacts (id, "tenantId") VALUES ('t1x', 't1'); UPDATE leads SET "contactId" = 't1x' WHERE id = 't2d1'; DELETE FROM leads WHERE id = 't1d8'`
      for (const [meanwhile, selection, mode, words] of [
        [`UPDATE contacts SET name = 'Contact 1' WHERE id = 't1c1'; UPDATE contacts SET name = 'rightful' WHERE id = 't1c2'`, selecting(tableSelection('contacts')), 'changed', 'public.contacts that would be changed'],
        [`UPDATE leads SET status = 'rightful' WHERE id = 't1d1'`, selecting(tableSelection('leads')), 'changed', 'public.leads that would be changed'],
        [`DELETE FROM contacts WHERE id = 't1x'; INSERT INTO contacts (id, "tenantId") VALUES ('t1rightful', 't1')`, selecting(tableSelection('contacts')), 'exact', 'public.contacts that would be deleted'],
        [`UPDATE contacts SET name = 'rightful' WHERE id = 't1x'`, selecting(tableSelection('contacts')), 'exact', 'public.contacts that would be deleted'],
        [`INSERT INTO leads (id, "tenantId", "contactId") VALUES ('t1late', 't1', 't1x')`, selecting(tableSelection('contacts')), 'exact', 'By now 2 rows of public.leads would be changed by cascade'],
        [`UPDATE leads SET "contactId" = 't1c1' WHERE id = 't2d1'; UPDATE leads SET "contactId" = 't1x' WHERE id = 't2d2'`, selecting(tableSelection('contacts')), 'exact', 'public.leads that would be deleted or changed by cascade'],
        [`DELETE FROM leads WHERE id = 't1d7'`, selecting(tableSelection('leads')), 'missing', 'By now 2 rows of public.leads would be inserted'],
      ] as const) {
        await resetPartial(fixture.client)
        await fixture.client.query(damaged)
        const request = requestOf(fixture.live, selection, mode)
        const expected = await compareSelection(fixture.client, request)
        await fixture.client.query(meanwhile)
        const before = await digestOf(fixture.client)
        const error = await drErrorOf(mergeSelection(fixture.client, request, {...running, expected}))
        expect(error, meanwhile).to.include({code: 'partial.moved-on', exitCode: 3})
        expect(error.message).to.include(words)
        expect(await digestOf(fixture.client)).to.deep.equal(before)
      }
    })

    it('is taken back when something else was written than what was planned', async () => {
      await fixture.client.query(`CREATE FUNCTION also() RETURNS int LANGUAGE sql AS $$ UPDATE notes SET n = n + 1; SELECT 1 $$; CREATE TABLE odd (id int PRIMARY KEY, v int, CHECK (also() = 1)); CREATE TABLE base.odd AS SELECT 1 AS id, 1 AS v`)
      try {
        const before = await digestOf(fixture.client)
        const error = await drErrorOf(mergeSelection(fixture.client, requestOf(await catalogOf(fixture.client), selecting(tableSelection('odd')), 'missing', {staged: [{table: table('odd'), stage: {schema: 'base', name: 'odd'}, columns: ['id', 'v'], key: ['id'], rows: 1}]}), running))
        expect(error).to.include({code: 'partial.proof', exitCode: 4})
        expect(error.message).to.include('public.notes')
        expect(await digestOf(fixture.client)).to.deep.equal(before)
      } finally {
        await fixture.client.query('DROP TABLE odd, base.odd; DROP FUNCTION also')
      }
    })

    it('is taken back when a row is not the tenant’s', async () => {
      await fixture.client.query(`DELETE FROM leads WHERE "tenantId" = 't1'`)
      const selection = {...selecting(tableSelection('leads', {kind: 'equals', column: 'tenantId', value: 't1'})), tenant: {id: 't2', column: 'tenantId'}}
      const before = await digestOf(fixture.client)
      expect(await drErrorOf(mergeSelection(fixture.client, requestOf(fixture.live, selection, 'missing'), running))).to.include({code: 'partial.proof', exitCode: 4})
      expect(await digestOf(fixture.client)).to.deep.equal(before)
    })
  })

  it('shows its undo tables to nobody, whatever default privileges say', async () => {
    await fixture.client.query(`DO $$ BEGIN CREATE ROLE partial_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO partial_app, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO partial_app, PUBLIC; UPDATE leads SET status = 'x'`)
    try {
      await fixture.merge(selecting(tableSelection('leads')), 'changed')
      const seen = await rowsOf(fixture.client, `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'dr_undo_test' AND c.relkind = 'r' AND (has_table_privilege('partial_app', c.oid, 'SELECT') OR has_schema_privilege('partial_app', n.oid, 'USAGE'))`)
      expect(seen).to.deep.equal([])
    } finally {
      await fixture.client.query(`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM partial_app, PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SCHEMAS FROM partial_app, PUBLIC`)
    }
  })
})
