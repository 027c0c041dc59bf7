import {expect} from 'chai'
import {rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {sampleTables} from '../../../../src/lib/sandbox/database/schema/schema.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {Random} from '../../../support/random.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {contentsOf, differences, sampleFixture, type Contents} from './sample.ts'

const CASES = 21

/** What leans on tables beside the sample's own keys, views and policies. */
const MORE = `
  SET search_path = public;
  CREATE VIEW lost_leads AS SELECT l.id, c.name FROM leads l LEFT JOIN contacts c ON c.id = l."contactId" WHERE l.status = 'lost';
  CREATE VIEW lost_names AS SELECT DISTINCT name FROM lost_leads;
  CREATE FUNCTION title_of(l leads) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT l.title';
  CREATE POLICY by_leads ON calls USING (EXISTS (SELECT FROM leads l WHERE l.id = "leadId"));
  CREATE TABLE nothing_yet (id int PRIMARY KEY, "tenantId" text REFERENCES tenants); CREATE INDEX nothing_yet_tenant ON nothing_yet ("tenantId"); CREATE VIEW nothing_seen AS SELECT id FROM nothing_yet;
  CREATE TABLE borrowers (id bigint DEFAULT nextval('receipt_numbers_number_seq'), title text DEFAULT title_of(NULL));
  CREATE STATISTICS leads_status ON status, source FROM leads;
  COMMENT ON TABLE leads IS 'the leads'; COMMENT ON COLUMN leads.title IS 'its title'`

/** The owner may not write into its own \`exchange_rates\`. */
const NAMES = [...sampleTables.map(({name}) => name).filter((name) => name !== 'exchange_rates'), 'receipt_numbers', 'import_batches', 'event_log', 'Legacy Report.Item', 'tenant_logos']
const PARTITIONS = ['event_log_2026_01', 'event_log_2026_02', 'event_log_rest']

const quoted = (names: readonly string[]) => names.map((name) => `public."${name}"`).join(', ')

/** What else happens: rightful work, and damage that is not asked to be repaired. */
async function more(client: Client, random: Random, number: number): Promise<void> {
  const statements = [
    `UPDATE audit_logs SET action = 'edited ${number}' WHERE hashtextextended(id, ${random.below(1000)}) % 3 = 0`,
    `INSERT INTO webhook_events (id, "tenantId", provider, "eventType", "rawPayload", "idempotencyKey") SELECT 'later-${number}-' || i, NULL, 'p', 'e', '{}', 'later-${number}-' || i FROM generate_series(1, 5) i`,
    `UPDATE leads SET status = 'lost ${number}' WHERE hashtextextended(id, ${random.below(1000)}) % 5 = 0`,
    `UPDATE contacts SET name = 'x${number}' WHERE hashtextextended(id, ${random.below(1000)}) % 5 = 0`,
    `DELETE FROM attachments WHERE hashtextextended(id, ${random.below(1000)}) % 4 = 0`,
    `UPDATE calls SET "leadId" = NULL WHERE hashtextextended(id, ${random.below(1000)}) % 6 = 0`,
  ]
  for (const sql of random.shuffled(statements).slice(0, 3)) {
    const [, table = ''] = /^(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)/.exec(sql) ?? []
    // It may be one of those that are dropped.
    if ((await rowsOf(client, 'SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2', ['public', table])).length > 0) await client.query(sql)
  }
}

describe('tables that were dropped', function () {
  this.timeout(600_000)
  const sample = sampleFixture('dr_dropped', {rows: 600, tenants: 3, more: MORE})
  const url = () => sample.cluster.url('dr_dropped_live')
  const schema = () => schemaOf(url(), 17)
  const run = (wish: Parameters<typeof runPartial>[0]['wish'], way: 'missing' | 'changed' | 'exact', rest: Partial<Parameters<typeof runPartial>[0]> = {}) => runPartial({url: sample.url, directory: sample.directory, wish, way, ...rest})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const schemas = () => sample.live(async (client) => (await rowsOf<{name: string}>(client, "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'dr\\_%' ORDER BY 1")).map(({name}) => name))
  const forget = async () => { for (const name of await schemas()) await live(`DROP SCHEMA "${name}" CASCADE`) }
  let backup: Contents
  let whole: string

  before(async () => {
    await sample.anew()
    backup = await sample.live(contentsOf)
    whole = await schema()
  })

  it(`come back as in the backup with all that went with them, everything else as it was; and go again (${CASES} random cases, seed 5)`, async () => {
    const random = new Random(5)
    let lost: string[] = []
    const seen = {dropped: 0, together: 0, undone: 0}
    for (let number = 1; number <= CASES; number++) {
      const named = random.shuffled(NAMES.filter((name) => !lost.includes(name))).slice(0, 1 + random.below(4))
      const words = `seed 5, case ${number}: ${named.join(', ')}`
      await sample.live(async (client) => {
        await client.query('SET search_path = public')
        await more(client, random, number)
        await client.query(`DROP TABLE ${quoted(named)} CASCADE`)
        await more(client, random, 100 + number)
      })
      lost = [...lost, ...named]
      const damaged = {contents: await sample.live(contentsOf), schema: await schema()}
      const beside = random.chance(0.4) && !lost.includes('attachments') && !lost.some((name) => ['comments', 'users', 'tenants'].includes(name))
      const isMeant = (table: string) => lost.includes(table) || (lost.includes('event_log') && PARTITIONS.includes(table)) || (beside && table === 'attachments')
      const {error, state} = await run({tables: [...lost, ...(beside ? ['attachments'] : [])]}, random.pick(['missing', 'changed', 'exact'] as const))
      if (error) throw new Error(`${words}: ${error.message}`, {cause: error})
      const after = await sample.live(contentsOf)
      expect(state.findings.filter(({severity}) => severity !== 'ok'), words).to.deep.equal([])
      expect(differences(backup, after, isMeant), `${words}: the selection`).to.deep.equal({})
      expect(differences(damaged.contents, after, (table) => !isMeant(table)), `${words}: the rest`).to.deep.equal({})
      // All foreign keys are there, and validated.
      expect(firstDifference(await schema(), whole), words).to.equal(undefined)
      seen.dropped += named.length
      if (lost.length > 1) seen.together += 1
      if (number % 3 !== 0) lost = []
      else {
        const reverted = await runRevert(sample)
        if (reverted.error) throw new Error(`${words}, taken back: ${reverted.error.message}`, {cause: reverted.error})
        expect(reverted.state.reverted?.dropped.map(({name}) => name), words).to.include.members(lost)
        expect(differences(damaged.contents, await sample.live(contentsOf)), `${words}: taken back`).to.deep.equal({})
        expect(firstDifference(await schema(), damaged.schema), `${words}: taken back`).to.equal(undefined)
        seen.undone += 1
      }
      await forget()
    }
    expect(seen.dropped).to.be.above(CASES)
    expect(seen.together).to.be.above(CASES / 2)
    expect(seen.undone).to.equal(CASES / 3)
  })

  describe('and were made anew', () => {
    let damaged: {contents: Contents; schema: string}

    beforeEach(async () => {
      await sample.anew()
      await live('DROP TABLE leads CASCADE')
      damaged = {contents: await sample.live(contentsOf), schema: await schema()}
    })

    const isAsDamaged = async (words: string) => {
      expect(differences(damaged.contents, await sample.live(contentsOf)), words).to.deep.equal({})
      expect(firstDifference(await schema(), damaged.schema), words).to.equal(undefined)
    }

    it('go again when they are taken back, unless somebody has used them since: then what it is is named, and nothing is done', async () => {
      const {error} = await run({tables: ['leads']}, 'missing')
      if (error) throw error
      const repaired = await sample.live(contentsOf)
      const [lead] = await sample.live((client) => rowsOf<{id: string}>(client, 'SELECT min(id) AS id FROM public.leads'))
      const id = lead?.id ?? ''
      for (const [use, mend, named] of [
        [`INSERT INTO leads (id, "tenantId", title, "createdAt", "updatedAt") SELECT 'new', min(id), 'new', now(), now() FROM tenants`, "DELETE FROM leads WHERE id = 'new'", 'public.leads id new'],
        [`CREATE TABLE kept AS SELECT id, title FROM leads; UPDATE leads SET title = 'mine' WHERE id = '${id}'`, 'UPDATE leads l SET title = k.title FROM kept k WHERE k.id = l.id; DROP TABLE kept', `public.leads id ${id}`],
        [`CREATE TABLE kept AS SELECT * FROM calls ORDER BY id LIMIT 1; UPDATE kept SET id = 'new', "callIdExternal" = 'new', "leadId" = '${id}'; INSERT INTO calls SELECT * FROM kept`, "DELETE FROM calls WHERE id = 'new'; DROP TABLE kept", 'public.calls id new'],
        ['CREATE VIEW mine AS SELECT id FROM leads', 'DROP VIEW mine', 'view public.mine hangs on it'],
        ['CREATE INDEX mine ON leads (source, title)', 'DROP INDEX mine', 'index public.mine hangs on it'],
        ['CREATE TABLE mine (id text REFERENCES leads)', 'DROP TABLE mine', 'on table public.mine hangs on it'],
        ['ALTER TABLE leads ADD COLUMN mine int', 'ALTER TABLE leads DROP COLUMN mine', 'table public.leads was changed'],
        ["CREATE OR REPLACE FUNCTION title_of(l leads) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT l.id'", "CREATE OR REPLACE FUNCTION title_of(l leads) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT l.title'", 'function public.title_of(public.leads) was changed'],
        ['ALTER POLICY by_leads ON calls USING (true)', 'ALTER POLICY by_leads ON calls USING (EXISTS (SELECT FROM leads l WHERE l.id = "leadId"))', 'policy by_leads on public.calls was changed'],
      ] as const) {
        await live(use)
        const {error: refused} = await runRevert(sample)
        expect(refused, use).to.include({code: 'partial.changed-since', exitCode: 3})
        expect(refused?.message, use).to.include(named)
        await live(mend)
        // Had anything been taken back, it would be missing now.
        expect(differences(repaired, await sample.live(contentsOf)), use).to.deep.equal({})
      }
      expect(firstDifference(await schema(), whole)).to.equal(undefined)
      const {error: failed, state} = await runRevert(sample)
      if (failed) throw failed
      expect(state.reverted?.dropped).to.deep.equal([{schema: 'public', name: 'leads'}])
      await isAsDamaged('taken back')
      expect(await schemas()).to.deep.equal([])
    })

    it('go again when a later step fails, and so does all that went with them', async () => {
      for (const at of ['partial.merge', 'partial.recreate-rest', 'partial.scratch-drop']) {
        const controller = new AbortController()
        const {error} = await run({tables: ['leads']}, 'missing', {signal: controller.signal, onStep(step) { if (step === at) controller.abort(new Error(`stopped at ${at}`)) }})
        expect(error?.message, at).to.equal(`stopped at ${at}`)
        await isAsDamaged(at)
        expect(await schemas(), at).to.deep.equal([])
      }
    })

    it('come back with all that went with them, also one that has no row, and where all tables are published', async () => {
      await live('CREATE PUBLICATION everything FOR ALL TABLES; DROP TABLE nothing_yet CASCADE')
      await live('DROP PUBLICATION everything')
      const without = await schema()
      await live('CREATE PUBLICATION everything FOR ALL TABLES')
      const {error, state} = await run({tables: ['nothing_yet']}, 'missing')
      if (error) throw error
      expect(state.nothing).to.equal(undefined)
      await live('DROP PUBLICATION everything')
      await isAsDamaged('made anew')
      await live('CREATE PUBLICATION everything FOR ALL TABLES')
      const reverted = await runRevert(sample)
      if (reverted.error) throw reverted.error
      await live('DROP PUBLICATION everything')
      expect(firstDifference(await schema(), without)).to.equal(undefined)
    })

    /** The process ends between the COMMIT that has made the tables and its note in the journal. */
    const killed = async () => {
      const outcome = await run({tables: ['leads']}, 'missing', {killedAfter: 'partial.recreate'})
      if (outcome.error) throw outcome.error
      expect(await sample.live((client) => rowsOf(client, 'SELECT FROM public.leads'))).to.deep.equal([])
      expect((await schemas()).map((name) => name.slice(0, 8))).to.deep.equal(['dr_stage', 'dr_undo_'])
      return outcome
    }

    it('are known to whoever goes on with a run that was killed before its journal knew of them', async () => {
      const resumed = await killed()
      // The application goes on writing into what it finds.
      await live(`INSERT INTO leads (id, "tenantId", title, "createdAt", "updatedAt") SELECT 'new', min(id), 'new', now(), now() FROM tenants`)
      const {error, seen} = await run({tables: ['leads']}, 'missing', {resumed})
      if (error) throw error
      expect(seen.join('\n')).to.include('An earlier process of this run has made leads anew').and.include('partial.recreate: skip an earlier process of this run has made them')
      expect(firstDifference(await schema(), whole)).to.equal(undefined)
      await live("DELETE FROM leads WHERE id = 'new'")
      expect(differences(backup, await sample.live(contentsOf))).to.deep.equal({})
      const {error: refused} = await runRevert(sample)
      if (refused) throw refused
      await isAsDamaged('taken back')
      expect(await schemas()).to.deep.equal([])
    })

    it('go with a run that was killed before its journal knew of them, and is undone', async () => {
      const resumed = await killed()
      const stop = new AbortController()
      const {error} = await run({tables: ['leads']}, 'missing', {resumed, signal: stop.signal, onStep(step) { if (step === 'partial.compare') stop.abort(new Error('enough')) }})
      expect(error?.message).to.equal('enough')
      await isAsDamaged('undone')
      expect(await schemas()).to.deep.equal([])
    })

    it('are not taken for ours when only their names are', async () => {
      const resumed = await killed()
      const note = `dr_undo_${resumed.run.toLowerCase().replaceAll('-', '_')}`
      await live('DROP TABLE leads CASCADE; CREATE TABLE leads (id text PRIMARY KEY)')
      const after = await schema()
      const {error} = await run({tables: ['leads']}, 'missing', {resumed})
      expect(error?.message).to.include('Tables that this run had made anew are gone, or others by now: public.leads.')
      expect(firstDifference(await schema(), after)).to.equal(undefined)
      expect(await schemas()).to.include(note)
    })
  })
})
