import {expect} from 'chai'
import {rowOf} from '../../../../src/lib/postgres/connection.ts'
import {readCatalog} from '../../../../src/lib/postgres/partial/catalog.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {MergeRequest, Selection} from '../../../../src/lib/postgres/partial/contract.ts'
import {countsOf, partialFixture, selecting} from '../../../support/partial-fixture.ts'
import {readState, relinkCalls, requestOf, table, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'

describe('a comparison of staged rows', function () {
  this.timeout(300_000)
  const fixture = partialFixture('partial_compare')

  it('to the byte, column by column, and says which changed since the backup', async () => {
    const {snapshot} = await rowOf<{snapshot: string}>(fixture.client, 'SELECT pg_current_snapshot()::text AS snapshot')
    await fixture.client.query(`UPDATE leads SET amount = amount + 0.000 WHERE id = 't1d1'`)
    const compared = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads')), 'changed', {backupSnapshot: snapshot}))
    expect(compared.tables[0]).to.deep.include({missing: 0, changed: 1, extra: 0, identical: 31, changedSince: 1, sample: [{key: {id: 't1d1'}, columns: [{name: 'amount', live: '1.500', backup: '1.50'}, {name: 'updatedAt', live: '1999-01-01 00:00:00', backup: '2026-11-22 10:00:01'}]}]})
  })

  it('counts no change of the selected transaction, nor one from before the backup, as rightful', async () => {
    const {xid} = await rowOf<{xid: string}>(fixture.client, `WITH u AS (UPDATE leads SET status = 'lost' WHERE id LIKE 't1%' RETURNING 1) SELECT pg_current_xact_id()::text AS xid, count(*) FROM u`)
    await fixture.client.query(`UPDATE leads SET status = 'won' WHERE id = 't1d3'`)
    const {snapshot} = await rowOf<{snapshot: string}>(fixture.client, 'SELECT pg_current_snapshot()::text AS snapshot')
    const of = async (backupSnapshot: string, selection: Selection) => (await compareSelection(fixture.client, requestOf(fixture.live, selection, 'changed', {backupSnapshot}))).tables[0]
    expect(await of('3:3:', selecting(tableSelection('leads', {kind: 'written-by', transaction: xid})))).to.include({changed: 7, changedSince: 0})
    expect(await of('3:3:', selecting(tableSelection('leads')))).to.include({changed: 8, changedSince: 8})
    expect(await of(snapshot, selecting(tableSelection('leads')))).to.include({changed: 8, changedSince: 0})
  })

  it('finds parents that are gone, rows that were detached and rows that went along', async () => {
    await fixture.client.query(`DELETE FROM contacts WHERE id = 't1c1'; DELETE FROM leads WHERE id IN ('t1d1', 't1d5', 't2d2'); DELETE FROM users WHERE id = 't3u1' AND false`)
    const compared = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads')), 'missing'))
    expect(compared.closure).to.deep.include({foreignKey: 'leads_contactId_fkey', kind: 'parent-missing', table: table('leads'), references: table('contacts'), columns: ['contactId'], rows: 2})
    expect(compared.closure).to.deep.include({foreignKey: 'calls_leadId_fkey', kind: 'detached', table: table('calls'), references: table('leads'), columns: ['leadId'], rows: 6})
    await fixture.client.query(`DELETE FROM user_auth_links WHERE id = 't1u2l'; DELETE FROM incomes WHERE "managerId" = 't2u2'; DELETE FROM users WHERE id = 't2u2'`)
    const gone = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('users')), 'missing'))
    expect(gone.closure.filter(({kind}) => kind === 'gone-child').map(({foreignKey, rows}) => ({foreignKey, rows}))).to.deep.equal([{foreignKey: 'incomes_managerId_fkey', rows: 2}, {foreignKey: 'user_auth_links_userId_fkey', rows: 1}])
  })

  it('tells links that the deletion of a row took away, though it is back already, from those that somebody took away', async () => {
    const {at} = await rowOf<{at: string}>(fixture.client, 'SELECT now()::text AS at')
    const {n} = await rowOf<{n: number}>(fixture.client, `SELECT count(*)::int AS n FROM calls WHERE "leadId" = 't1d1'`)
    await fixture.client.query(`DELETE FROM leads WHERE id = 't1d1'`)
    await fixture.merge(selecting(tableSelection('leads')), 'missing')
    await fixture.client.query(`UPDATE leads SET title = 'edited' WHERE id IN ('t1d1', 't1d2')`)
    const {rowCount} = await fixture.client.query(`UPDATE calls SET "leadId" = NULL WHERE id = (SELECT min(id) FROM calls WHERE "leadId" = 't1d2')`)
    const selection = selecting(tableSelection('leads'), relinkCalls({kind: 'all'}))
    const compareSince = (backupAt: string) => compareSelection(fixture.client, requestOf(fixture.live, selection, 'missing', {backupAt}))
    const compared = await compareSince(at)
    expect(n).to.be.greaterThan(0)
    expect(compared.tables.find(({role}) => role === 'links')).to.include({changed: n})
    expect(compared.closure.filter(({kind}) => kind === 'unlinked').map(({rows}) => rows)).to.deep.equal([rowCount])
    // What was brought back before the backup is no loss since.
    const {late} = await rowOf<{late: string}>(fixture.client, 'SELECT clock_timestamp()::text AS late')
    expect((await compareSince(late)).closure.filter(({kind}) => kind === 'unlinked').map(({rows}) => rows)).to.deep.equal([n + (rowCount ?? 0)])
  })

  it('says beforehand what `exact` takes elsewhere, and what lets it not', async () => {
    await fixture.client.query(`
      INSERT INTO contacts (id, "tenantId") VALUES ('t1extra', 't1'); UPDATE leads SET "contactId" = 't1extra' WHERE id IN ('t1d1', 't2d1'); UPDATE calls SET "contactId" = 't1extra' WHERE id IN (SELECT min(id) FROM calls)`)
    const compared = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('contacts')), 'exact'))
    expect(compared.cascades).to.have.deep.members([{table: table('leads'), deleted: 0, updated: 2}, {table: table('calls'), deleted: 0, updated: 1}])
    const before = await readState(fixture.client)
    const result = await fixture.merge(selecting(tableSelection('contacts')), 'exact')
    expect(result.cascades).to.have.deep.members(compared.cascades)
    await fixture.undo()
    expect(await readState(fixture.client)).to.deep.equal(before)
    await fixture.client.query(`INSERT INTO users VALUES ('t1extra', 't1'); INSERT INTO incomes ("tenantId", "managerId") VALUES ('t1', 't1extra')`)
    const refused = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('users')), 'exact'))
    expect(refused.refusals).to.deep.equal([{foreignKey: 'incomes_managerId_fkey', table: table('incomes'), references: table('users'), rows: 1}])
    expect(await drErrorOf(fixture.merge(selecting(tableSelection('users')), 'exact'))).to.include({code: 'partial.restricted', exitCode: 3})
  })

  it('lists rows whose other unique key is held, and who holds it', async () => {
    await fixture.client.query(`DELETE FROM incomes; DELETE FROM users WHERE id = 't1u1'; INSERT INTO users VALUES ('t1new', 't1', 'user1@t1')`)
    const {tables} = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('users')), 'missing'))
    expect(tables[0]?.conflicts).to.deep.equal([{key: {id: 't1u1'}, index: 'users_tenantId_email_key', holder: {id: 't1new'}}])
    const error = await drErrorOf(fixture.merge(selecting(tableSelection('users')), 'missing'))
    expect(error).to.include({code: 'partial.conflict', exitCode: 3})
    expect(error.message).to.include('id t1u1').and.include('id t1new')
    expect(countsOf(await fixture.merge(selecting(tableSelection('users')), 'exact'), 'users'), 'the holder goes first').to.deep.equal([1, 0, 1])
  })

  it('tables whose types differ by now after a cast, or says which values do not fit', async () => {
    await fixture.client.query(`CREATE SCHEMA dr_stage_test; CREATE TABLE dr_stage_test.leads AS SELECT id, "tenantId", title || repeat('x', 30) AS status, "contactId", amount::float8 AS amount, metadata::text AS metadata FROM base.leads; UPDATE leads SET metadata = '{}' WHERE id = 't1d1'`)
    const staged = [{table: table('leads'), stage: {schema: 'dr_stage_test', name: 'leads'}, columns: ['id', 'tenantId', 'contactId', 'metadata', 'amount', 'status'], key: ['id'], rows: 32}]
    const found = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads', undefined, {columns: ['metadata']})), 'changed', {staged}))
    expect(found.tables[0]).to.include({changed: 1, identical: 31})
    expect(await drErrorOf(fixture.merge(selecting(tableSelection('leads', undefined, {columns: ['status']})), 'changed', {staged})), 'nothing is cut off').to.include({code: 'partial.types', exitCode: 3})
    await fixture.client.query(`UPDATE dr_stage_test.leads SET metadata = 'no json'`)
    const error = await drErrorOf(compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads')), 'changed', {staged})))
    expect(error).to.include({code: 'partial.types', exitCode: 3})
    expect(error.message).to.include('metadata: text, now jsonb')
  })

  it('says how many were edited since, of the rows of a condition, and under keys of another type, by the columns that are configured', async () => {
    await fixture.client.query(`UPDATE leads SET status = 'gone' WHERE id LIKE 't1%'`)
    const {tables: [leads]} = await compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads', {kind: 'sql', text: `id > '' AND status = 'gone' AND "updatedAt" IS NOT NULL`})), 'changed'))
    expect(leads).to.include({changed: 8, editedSince: 8})
    await fixture.client.query(`CREATE SCHEMA dr_live; CREATE TABLE dr_live.t (id text PRIMARY KEY, v text, updated_at timestamp); INSERT INTO dr_live.t SELECT i, 'new', '2026-11-27' FROM generate_series(1, 3) i;
      CREATE SCHEMA dr_stage_test; CREATE TABLE dr_stage_test.t AS SELECT id::int AS id, CASE id WHEN '1' THEN v ELSE 'old' END AS v, updated_at - CASE id WHEN '2' THEN interval '1s' ELSE interval '0' END AS updated_at FROM dr_live.t`)
    const [name, live] = [{schema: 'dr_live', name: 't'}, await readCatalog(fixture.client, {excludeSchemas: []})]
    const byColumns = async (timestampColumns: string[]) => (await compareSelection(fixture.client, requestOf(live, selecting({...tableSelection('t'), table: name}), 'changed', {timestampColumns, staged: [{table: name, stage: {schema: 'dr_stage_test', name: 't'}, columns: ['id', 'v', 'updated_at'], key: ['id'], rows: 3}]}))).tables[0]
    expect(await byColumns(['inserted_at', 'updated_at', 'v'])).to.include({changed: 2, identical: 1, editedSince: 1})
    for (const columns of [['updatedAt'], ['v'], []]) expect(await byColumns(columns)).to.include({changed: 2}).and.not.have.property('editedSince')
  })

  it('lists the very rows that it counts as changed since, by their keys, and says how many it leaves out', async () => {
    await fixture.client.query(`UPDATE leads SET status = 'early' WHERE id IN ('t1d1', 't1d2')`)
    const {snapshot} = await rowOf<{snapshot: string}>(fixture.client, 'SELECT pg_current_snapshot()::text AS snapshot')
    const quietly = `ALTER TABLE leads DISABLE TRIGGER USER; UPDATE leads SET status = 'quiet' WHERE id = 't2d1'; ALTER TABLE leads ENABLE TRIGGER USER`
    await fixture.client.query(`UPDATE leads SET status = 'late' WHERE id LIKE 't3%'; ${quietly}; DELETE FROM leads WHERE id = 't3d1'; UPDATE calls SET "leadId" = NULL WHERE "leadId" LIKE 't3%'`)
    const of = async (more: Partial<MergeRequest>) => compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads'), tableSelection('webhook_events')), 'changed', more))
    const {tables: [leads], since: [listed, ...others] = []} = await of({backupSnapshot: snapshot, list: 1000})
    const keys = (which: 'written' | 'edited') => listed?.rows.filter((row) => row[which] === true).map(({key}) => key.id)
    const late = [2, 3, 4, 5, 6, 7, 8].map((number) => `t3d${number}`)
    expect(keys('written'), 'those that are known to be edited come first').to.deep.equal([...late, 't2d1']).and.to.have.length(leads?.changedSince ?? -1)
    expect(keys('edited')).to.deep.equal(['t1d1', 't1d2', ...late]).and.to.have.length(leads?.editedSince ?? -1)
    expect(listed).to.include({total: 10, listed: 10, timeColumn: 'updatedAt'})
    expect(listed?.rows.find(({key}) => key.id === 't2d1')).to.deep.include({written: true, edited: false})
    expect(others.map(({name, total, rows}) => ({name, total, rows})), 'nothing was changed there').to.deep.equal([{name: 'webhook_events', total: 0, rows: []}])
    const {since: [cut] = []} = await of({backupSnapshot: snapshot, list: 3})
    expect(cut).to.deep.include({total: 10, listed: 3, rows: listed?.rows.slice(0, 3)})
    const {since: [byTime] = []} = await of({list: 1000})
    expect(byTime?.rows.map(({key, written}) => [key.id, written])).to.deep.equal(['t1d1', 't1d2', ...late].map((id) => [id, null]))
    expect(await of({list: 1000, timestampColumns: []}), 'nothing tells it').to.deep.include({since: []})
    expect(await of({}), 'nobody has asked').not.to.have.property('since')
  })

  it('takes no second statement for a condition', async () => {
    for (const text of ['true); DROP TABLE notes; SELECT (true', 'nonsense = 1']) {
      expect(await drErrorOf(compareSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads', {kind: 'sql', text})), 'changed')))).to.include({code: 'partial.where', exitCode: 2})
      expect(await drErrorOf(fixture.merge(selecting(tableSelection('leads', {kind: 'sql', text})), 'changed'))).to.include({code: 'partial.where'})
    }
  })
})
