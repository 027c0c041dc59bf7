import {expect} from 'chai'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {dropUndo, mergeCommitted, undoSchemas} from '../../../../src/lib/postgres/partial/undo-schema.ts'
import {partialFixture, selecting} from '../../../support/partial-fixture.ts'
import {digestOf, relinkCalls, stagedFrom, table, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'

describe('a reverted merge', function () {
  this.timeout(300_000)
  const fixture = partialFixture('partial_revert')

  const change = async (harm: string): Promise<{error: Awaited<ReturnType<typeof drErrorOf>>; before: Record<string, string>}> => {
    await fixture.client.query(harm)
    const before = await digestOf(fixture.client)
    const error = await drErrorOf(fixture.undo())
    expect(await digestOf(fixture.client)).to.deep.equal(before)
    return {error, before}
  }
  beforeEach(async () => {
    await fixture.client.query(`DELETE FROM leads WHERE id IN ('t1d1', 't1d2'); UPDATE leads SET status = 'x' WHERE id = 't2d1'; INSERT INTO leads (id, "tenantId") VALUES ('t3x', 't3'); DELETE FROM notes WHERE "tenantId" = 't1'; INSERT INTO notes VALUES ('t1', 'extra', 1), ('t1', 'extra', 1)`)
    await fixture.merge(selecting(tableSelection('leads'), relinkCalls(), tableSelection('notes')), 'exact')
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
      if (!named.startsWith('public.calls id ') || what === 'a link that was moved') expect(error.hints.join(' ')).to.include('dr_undo_test')
    })
  }

  it('stops at a row that a newer merge has written again, though it looks as this one left it, and names that run', async () => {
    const {client} = fixture
    await client.query("UPDATE leads SET status = 'worse' WHERE id = 't2d1'; UPDATE events SET body = 'bad' WHERE id = 1")
    const damaged = await digestOf(client)
    await fixture.merge(selecting(tableSelection('leads')), 'changed', {undoSchema: 'dr_undo_newer'})
    await fixture.merge(selecting(tableSelection('events')), 'changed', {undoSchema: 'dr_undo_other'})
    const error = await drErrorOf(fixture.undo())
    expect(error).to.include({code: 'partial.changed-since', exitCode: 3})
    expect(error.message).to.equal('1 row was written again by the newer partial restore newer: public.leads id t2d1.')
    expect(error.hints[0]).to.include('dr undo newer')
    await fixture.undo('dr_undo_newer')
    await fixture.undo('dr_undo_other')
    expect(await digestOf(client)).to.include({leads: damaged.leads, events: damaged.events})
    await client.query("UPDATE leads SET status = 'open' WHERE id = 't2d1'")
    expect((await drErrorOf(fixture.undo())).message).to.include('public.leads id t2d1')
  })

  it('stops at a row without key, and at one of a partition, that a newer merge has written again', async () => {
    const {client} = fixture
    await client.query("DELETE FROM notes WHERE \"tenantId\" = 't1' AND n = 1")
    await fixture.merge(selecting(tableSelection('notes')), 'missing', {undoSchema: 'dr_undo_newer'})
    expect((await drErrorOf(fixture.undo())).message).to.include('newer partial restore newer: public.notes ')
    await fixture.undo('dr_undo_newer')
    await client.query("UPDATE events SET body = 'bad'")
    await fixture.merge(selecting(tableSelection('events_2025', {kind: 'sql', text: "at < '2026-01-01'"})), 'changed', {undoSchema: 'dr_undo_part', staged: stagedFrom(['events']).map((one) => ({...one, table: table('events_2025')}))})
    await client.query("UPDATE events SET body = 'bad' WHERE id = 2")
    await fixture.merge(selecting(tableSelection('events')), 'changed', {undoSchema: 'dr_undo_whole'})
    expect((await drErrorOf(fixture.undo('dr_undo_part'))).message).to.include('newer partial restore whole: public.events_2025 ')
  })

  it('keeps the schema, marked, when somebody made a view of what is in it', async () => {
    await fixture.client.query('CREATE VIEW mine AS SELECT * FROM dr_undo_test.manifest')
    try {
      await fixture.undo()
      expect((await undoSchemas(fixture.client)).map(({schema, undone}) => ({schema, undone}))).to.deep.equal([{schema: 'dr_undo_test', undone: true}])
      expect(await drErrorOf(fixture.undo())).to.include({code: 'partial.undo-unknown', exitCode: 3})
    } finally {
      await fixture.client.query('DROP VIEW mine')
    }
  })

  it('touches no schema that is not proven ours', async () => {
    await fixture.client.query(`COMMENT ON SCHEMA dr_undo_test IS 'mine'`)
    expect(await drErrorOf(fixture.undo())).to.include({code: 'partial.undo-unknown'})
    expect(await mergeCommitted(fixture.client, 'dr_undo_test')).to.equal(false)
    expect(await drErrorOf(revertMerge(fixture.client, 'public', {signal: new AbortController().signal, lockTimeoutMs: 100}))).to.include({code: 'partial.undo-unknown'})
  })

  it('keeps the images from whoever may read every table, and is not seen by them', async () => {
    const {client, cluster} = fixture
    await client.query(`CREATE ROLE partial_reader LOGIN PASSWORD 'p' IN ROLE pg_read_all_data`)
    try {
      await withClient(cluster.url('partial_revert', {name: 'partial_reader', password: 'p'}), {}, async (own) => {
        const images = await rowsOf<{name: string}>(own, `SELECT relname AS name FROM pg_class WHERE relnamespace = 'dr_undo_test'::regnamespace AND relkind = 'r'`)
        expect(images).to.have.length.above(2)
        for (const {name} of images) expect(await rowsOf(own, `SELECT FROM dr_undo_test.${name}`), name).to.deep.equal([])
        expect(await undoSchemas(own)).to.deep.equal([])
      })
      expect(await undoSchemas(client)).to.have.lengthOf(1)
      await fixture.undo()
    } finally {
      await client.query('DROP ROLE partial_reader')
    }
  })

  it('runs nothing of a role that made a schema of this name and mark', async () => {
    const {client, cluster} = fixture
    await client.query(`CREATE ROLE partial_evil LOGIN PASSWORD 'p'; GRANT CREATE ON DATABASE partial_revert TO partial_evil`)
    const evil = (what: string) => withClient(cluster.url('partial_revert', {name: 'partial_evil', password: 'p'}), {}, (own) => own.query(what))
    try {
      await evil(`
        CREATE SCHEMA dr_undo_evil; COMMENT ON SCHEMA dr_undo_evil IS 'dr partial evil, undo'; GRANT USAGE ON SCHEMA dr_undo_evil TO PUBLIC;
        CREATE FUNCTION dr_undo_evil.f() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE partial_evil CREATEROLE; RETURN now(); END $$;
        CREATE VIEW dr_undo_evil.manifest AS SELECT dr_undo_evil.f() AS at, 'exact' AS mode, 'public' AS schema, 'leads' AS name, 't0' AS images, '{id}'::text[] AS columns, '{id}'::text[] AS inserted, '{id}'::text[] AS key, 1::bigint AS rows`)
      expect((await undoSchemas(client)).map(({schema}) => schema)).to.deep.equal(['dr_undo_test'])
      expect(await drErrorOf(fixture.undo('dr_undo_evil'))).to.include({code: 'partial.undo-unknown', exitCode: 3})
      expect(await drErrorOf(dropUndo(client, 'dr_undo_evil'))).to.include({code: 'partial.undo-unknown'})
      expect(await rowsOf(client, `SELECT rolcreaterole FROM pg_roles WHERE rolname = 'partial_evil'`)).to.deep.equal([{rolcreaterole: false}])
      await client.query(`ALTER SCHEMA dr_undo_evil OWNER TO postgres`)
      expect(await mergeCommitted(client, 'dr_undo_evil'), 'the view of another').to.equal(false)
      await client.query(`ALTER VIEW dr_undo_evil.manifest OWNER TO postgres`)
      expect(await mergeCommitted(client, 'dr_undo_evil'), 'a view').to.equal(false)
      await client.query(`DROP VIEW dr_undo_evil.manifest; CREATE TABLE dr_undo_evil.manifest (LIKE dr_undo_test.manifest); ALTER TABLE dr_undo_evil.manifest OWNER TO partial_evil`)
      expect(await mergeCommitted(client, 'dr_undo_evil'), 'a table of another').to.equal(false)
      await client.query(`ALTER SCHEMA dr_undo_evil OWNER TO partial_evil; ALTER TABLE dr_undo_evil.manifest OWNER TO partial_evil`)
      expect(await mergeCommitted(client, 'dr_undo_evil'), 'all of another').to.equal(false)
      await client.query(`ALTER SCHEMA dr_undo_evil OWNER TO postgres; ALTER TABLE dr_undo_evil.manifest OWNER TO postgres`)
      expect(await mergeCommitted(client, 'dr_undo_evil'), 'what would be ours').to.equal(true)
    } finally {
      await client.query('DROP OWNED BY partial_evil CASCADE; DROP ROLE partial_evil')
    }
  })
})
