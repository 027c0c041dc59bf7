import {expect} from 'chai'
import {connect, endQuietly, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {Catalog, MergeMode} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {damage} from '../../../support/partial-damage.ts'
import {catalogOf, createPartial, digestOf, learnColumns, requestOf, resetPartial, tableSelection, tenantSelection} from '../../../support/partial.ts'
import {Random} from '../../../support/random.ts'
import {drErrorOf} from '../../../support/rejection.ts'

const DATABASE = 'partial_rights'
const OWNER = {name: 'partial_owner', password: 'owner'}
const OTHER = {name: 'partial_other', password: 'other'}

describe('a merge by a role that is no superuser', function () {
  this.timeout(300_000)
  const options = {signal: new AbortController().signal}
  let cluster: TestCluster
  let admin: Client
  let live: Catalog

  before(async () => {
    cluster = await testCluster({major: 17})
    const url = await cluster.createDatabase(DATABASE)
    admin = await connect(url)
    for (const {name, password} of [OWNER, OTHER]) await admin.query(`DO $$ BEGIN CREATE ROLE ${name} LOGIN NOSUPERUSER PASSWORD '${password}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
    await createPartial(admin)
    await learnColumns(admin)
    await admin.query(`
      ALTER DATABASE ${DATABASE} OWNER TO ${OWNER.name}; ALTER TYPE mood OWNER TO ${OWNER.name};
      DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'base'::regnamespace) AND relkind IN ('r', 'p') LOOP EXECUTE format('ALTER TABLE %s OWNER TO ${OWNER.name}', t); END LOOP; END $$;
      GRANT USAGE ON SCHEMA base TO ${OWNER.name}, ${OTHER.name}; GRANT CREATE ON DATABASE ${DATABASE} TO ${OTHER.name};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, base TO ${OTHER.name};
      ALTER TABLE leads ENABLE ROW LEVEL SECURITY; ALTER TABLE calls ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON leads USING ("tenantId" = current_setting('app.tenant', true)); CREATE POLICY own ON calls USING ("tenantId" = current_setting('app.tenant', true))`)
    live = await catalogOf(admin)
  })
  after(async () => {
    await endQuietly(admin)
    await cluster.drop(DATABASE)
    await withClient(cluster.adminUrl, {}, (client) => client.query(`DROP ROLE IF EXISTS ${OWNER.name}, ${OTHER.name}`))
  })
  beforeEach(() => resetPartial(admin))

  const as = <T>(role: typeof OWNER, work: (client: Client) => Promise<T>): Promise<T> => withClient(cluster.url(DATABASE, role), {}, work)

  for (const mode of ['missing', 'changed', 'exact'] as const satisfies MergeMode[]) {
    it(`does as the owner what a superuser does: ${mode}`, async () => {
      const harmed = async () => {
        await resetPartial(admin)
        await damage(admin, new Random(7), ['t1'])
        await admin.query(`DELETE FROM leads WHERE "tenantId" = 't1' AND id LIKE '%1'; UPDATE leads SET title = 'x' WHERE id = 't1d2'; INSERT INTO leads (id, "tenantId") VALUES ('t1extra', 't1')`)
      }
      const request = requestOf(live, tenantSelection('t1'), mode)
      await harmed()
      const before = await digestOf(admin)
      const expected = await compareSelection(admin, request)
      const bySuperuser = await mergeSelection(admin, request, options)
      const wanted = await digestOf(admin)
      await revertMerge(admin, 'dr_undo_test', {...options, lockTimeoutMs: 1000})
      await harmed()
      await as(OWNER, async (client) => {
        expect({...await compareSelection(client, request), snapshot: expected.snapshot}).to.deep.equal(expected)
        expect({...await mergeSelection(client, request, options), ms: 0, sequences: []}).to.deep.equal({...bySuperuser, ms: 0, sequences: []})
        expect(await digestOf(admin)).to.deep.equal(wanted)
        await revertMerge(client, 'dr_undo_test', {...options, lockTimeoutMs: 1000})
      })
      expect(await digestOf(admin)).to.deep.equal(before)
    })
  }

  it('moves a sequence that a default takes numbers from, and says so where it may not', async () => {
    await admin.query(`CREATE SEQUENCE apart; ALTER TABLE notes ALTER n SET DEFAULT nextval('apart'); DELETE FROM notes WHERE "tenantId" = 't1'`)
    try {
      const request = requestOf(await catalogOf(admin), {tables: [tableSelection('notes')]}, 'missing')
      const [denied] = (await as(OWNER, (client) => mergeSelection(client, request, options))).sequences
      expect(denied).to.deep.equal({schema: 'public', name: 'apart', value: '1', denied: true})
      await admin.query(`ALTER SEQUENCE apart OWNER TO ${OWNER.name}; DELETE FROM notes WHERE "tenantId" = 't1'`)
      const [moved] = (await as(OWNER, (client) => mergeSelection(client, {...request, undoSchema: 'dr_undo_second'}, options))).sequences
      expect(moved).to.deep.equal({schema: 'public', name: 'apart', value: '1'})
    } finally {
      await admin.query('ALTER TABLE notes ALTER n DROP DEFAULT; DROP SEQUENCE apart; DROP SCHEMA IF EXISTS dr_undo_test, dr_undo_second CASCADE')
    }
  })

  it('refuses with the name of the table and the remedy where rows are hidden', async () => {
    await admin.query(`DELETE FROM leads WHERE id = 't1d1'`)
    const before = await digestOf(admin)
    const request = requestOf(live, {tables: [tableSelection('leads')]}, 'missing')
    await as(OTHER, async (client) => {
      const error = await drErrorOf(mergeSelection(client, request, options))
      expect(error).to.include({code: 'partial.row-security', exitCode: 3})
      expect(error.message).to.include('public.leads')
      expect(error.hints.join()).to.include('GRANT "partial_owner" TO "partial_other"')
      expect(await drErrorOf(compareSelection(client, request))).to.include({code: 'partial.row-security', exitCode: 3})
    })
    await admin.query('ALTER TABLE leads FORCE ROW LEVEL SECURITY')
    try {
      const error = await as(OWNER, (client) => drErrorOf(mergeSelection(client, request, options)))
      expect(error).to.include({code: 'partial.row-security'})
      expect(error.hints.join()).to.include('NO FORCE ROW LEVEL SECURITY')
    } finally {
      await admin.query('ALTER TABLE leads NO FORCE ROW LEVEL SECURITY')
    }
    expect(await digestOf(admin)).to.deep.equal(before)
  })

  it('refuses where triggers cannot be switched off, or a privilege is missing; does without owning what has none', async () => {
    await admin.query(`DELETE FROM notes WHERE "tenantId" = 't1'; ALTER TABLE leads DISABLE ROW LEVEL SECURITY; UPDATE leads SET status = 'x'`)
    try {
      await as(OTHER, async (client) => {
        const triggers = await drErrorOf(mergeSelection(client, requestOf(live, {tables: [tableSelection('leads')]}, 'changed'), options))
        expect(triggers).to.include({code: 'partial.rights', exitCode: 3})
        expect(triggers.message).to.include('public.leads').and.include('stamp')
        expect((await mergeSelection(client, requestOf(live, {tables: [tableSelection('notes')]}, 'missing'), options)).tables[0]).to.include({inserted: 5})
        await admin.query(`REVOKE UPDATE ON contacts FROM ${OTHER.name}`)
        const privilege = await drErrorOf(mergeSelection(client, requestOf(live, {tables: [tableSelection('contacts')]}, 'changed', {undoSchema: 'dr_undo_other'}), options))
        expect(privilege).to.include({code: 'partial.rights', exitCode: 3})
        expect(privilege.message).to.include('may not UPDATE in public.contacts')
        await admin.query(`REVOKE CREATE ON DATABASE ${DATABASE} FROM ${OTHER.name}`)
        const schema = await drErrorOf(mergeSelection(client, requestOf(live, {tables: [tableSelection('notes')]}, 'missing', {undoSchema: 'dr_undo_other'}), options))
        expect(schema).to.include({code: 'partial.rights'})
        expect(schema.hints.join()).to.include('GRANT CREATE ON DATABASE')
      })
    } finally {
      await admin.query('ALTER TABLE leads ENABLE ROW LEVEL SECURITY; DROP SCHEMA IF EXISTS dr_undo_test CASCADE')
    }
  })
})
