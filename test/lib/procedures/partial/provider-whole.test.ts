import {expect} from 'chai'
import {rowOf, rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import type {Way} from '../../../../src/lib/report/partial-lines.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {startProvider, type Provider} from '../../../support/provider.ts'
import {contentsOf, differences, type Contents} from './sample.ts'

/** What needs an order, or triggers that rest, where nobody may set session_replication_role. */
const MORE = `
  SET ROLE crm_owner;
  INSERT INTO tenants (id, name, "createdAt") VALUES ('tenant-c', 'tenant-c', '2026-01-01');
  INSERT INTO leads (id, "tenantId", title, "createdAt") SELECT 'c' || i, 'tenant-c', 'lead c' || i, '2026-01-01' FROM generate_series(1, 40) i;
  INSERT INTO calls ("tenantId", "leadId", duration) SELECT "tenantId", id, 7 FROM leads WHERE "tenantId" = 'tenant-c';
  CREATE TABLE webhook_events (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "tenantId" text REFERENCES tenants ON DELETE SET NULL, parent int REFERENCES webhook_events, kind text, loud text GENERATED ALWAYS AS (upper(kind)) STORED);
  INSERT INTO webhook_events ("tenantId", parent, kind) SELECT t.id, nullif(i, 1) - 1, 'k' || i FROM tenants t, generate_series(1, 9) i;
  CREATE TABLE boards (id text PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, lead text NOT NULL);
  CREATE TABLE members (id text PRIMARY KEY, board text NOT NULL REFERENCES boards ON DELETE CASCADE);
  ALTER TABLE boards ADD FOREIGN KEY (lead) REFERENCES members;
  WITH b AS (INSERT INTO boards SELECT id || '-b', id, id || '-m1' FROM tenants) INSERT INTO members SELECT id || '-m' || i, id || '-b' FROM tenants, generate_series(1, 3) i;
  CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := 'stamped'; RETURN NEW; END $$;
  CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION stamp();
  CREATE TRIGGER stamp_always BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION stamp(); ALTER TABLE leads ENABLE ALWAYS TRIGGER stamp_always;
  RESET ROLE`

const DAMAGE = `
  SET ROLE crm_owner;
  ALTER TABLE leads DISABLE TRIGGER stamp, DISABLE TRIGGER stamp_always;
  DELETE FROM leads WHERE "tenantId" <> 'tenant-c' AND hashtextextended(title, 1) % 3 = 0; UPDATE leads SET title = 'x' WHERE "tenantId" <> 'tenant-c' AND hashtextextended(title, 2) % 5 = 0;
  INSERT INTO leads (id, "tenantId", title, "createdAt") VALUES ('extra', 'tenant-a', 'extra', '2026-02-02'); INSERT INTO calls (id, "tenantId", "leadId", duration) VALUES (9999, 'tenant-a', 'extra', 1);
  DELETE FROM calls WHERE "tenantId" = 'tenant-c'; DELETE FROM tenants WHERE id = 'tenant-c';
  ALTER TABLE leads ENABLE TRIGGER stamp, ENABLE ALWAYS TRIGGER stamp_always;
  RESET ROLE`

const TENANT = 'tenant-c'
const LEADS = {tables: ['leads'], where: `"tenantId" <> '${TENANT}'`}

describe('a whole partial restore on a server as providers rent it out', function () {
  this.timeout(300_000)
  let provider: Provider
  let directory = ''
  let pristine: Contents
  let damaged: Contents

  before(async () => {
    provider = await startProvider(17)
    directory = await temporaryFolder('partial-provider')
    await withClient(provider.masterUrl(), {}, (client) => client.query(MORE))
    const {error} = await runBackup({url: provider.masterUrl(), directory, toolsMajor: 17})
    if (error) throw error
    pristine = await contents()
    await withClient(provider.masterUrl(), {}, (client) => client.query(DAMAGE))
    damaged = await contents()
  })
  after(async () => {
    await provider.stop()
    await removeFolder(directory)
  })

  const asSuperuser = () => provider.cluster.url('crm')
  const contents = () => withClient(asSuperuser(), {}, contentsOf)
  const schemas = () => withClient(asSuperuser(), {}, async (client) => (await rowsOf<{name: string}>(client, "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'dr\\_%' ORDER BY 1")).map(({name}) => name))
  const triggers = () => withClient(asSuperuser(), {}, (client) => rowsOf(client, 'SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1'))
  /** What it has done, and what is there then; taken back afterwards. */
  const restored = async (url: string, wish: PartialSetting['wish'], way: Way, stage?: PartialSetting['stage']) => {
    const switches = await triggers()
    const {state, error} = await runPartial({url, directory, wish, way, ...(stage && {stage})})
    if (error) throw error
    const there = await contents()
    expect(await triggers()).to.deep.equal(switches)
    const {error: trouble} = await runRevert({url, directory})
    if (trouble) throw trouble
    expect(differences(damaged, await contents()), 'taken back').to.deep.equal({})
    expect(await schemas()).to.deep.equal([])
    return {there, tables: state.merged?.tables, cascades: state.merged?.cascades, findings: state.findings.filter(({code}) => code !== 'partial.sequences')}
  }

  for (const [way, wish, touched] of [
    ['missing', {...LEADS, relink: true}, ['leads', 'calls']], ['changed', LEADS, ['leads']], ['exact', {...LEADS, relink: true}, ['leads', 'calls']],
    ['missing', {tenant: TENANT}, ['tenants', 'leads', 'calls', 'boards', 'members', 'webhook_events']], ['exact', {tenant: TENANT}, ['tenants', 'leads', 'calls', 'boards', 'members', 'webhook_events']],
  ] as const satisfies readonly (readonly [Way, PartialSetting['wish'], readonly string[]])[]) {
    it(`does and takes back as the master what a superuser does: ${'tenant' in wish ? 'a tenant' : 'a table'}, ${way}`, async () => {
      const [byMaster, bySuperuser] = [await restored(provider.masterUrl(), wish, way), await restored(asSuperuser(), wish, way)]
      expect(differences(bySuperuser.there, byMaster.there)).to.deep.equal({})
      expect({...byMaster, there: undefined}).to.deep.equal({...bySuperuser, there: undefined})
      expect(byMaster.findings.filter(({severity}) => severity !== 'ok')).to.deep.equal([])
      expect(Object.keys(differences(damaged, byMaster.there))).to.have.members([...touched])
      if ('tenant' in wish) expect(differences(pristine, byMaster.there, (table, tenant) => tenant === TENANT || ['members', 'webhook_events'].includes(table))).to.deep.equal({})
    })
  }

  it('does so by way of a database beside, too', async () => {
    const wish = {...LEADS, relink: true}
    const [beside, inside] = [await restored(provider.masterUrl(), wish, 'exact', 'database'), await restored(provider.masterUrl(), wish, 'exact')]
    expect(differences(inside.there, beside.there)).to.deep.equal({})
    expect({...beside, there: undefined}).to.deep.equal({...inside, there: undefined})
    expect(Object.keys(differences(damaged, beside.there))).to.have.members(['leads', 'calls'])
  })

  it('leaves the rows beside, as the master, for itself alone', async () => {
    const {state, error} = await runPartial({url: provider.masterUrl(), directory, wish: LEADS, way: 'side'})
    if (error) throw error
    expect(differences(damaged, await contents())).to.deep.equal({})
    const stage = state.staged?.find(({table: {name}}) => name === 'leads')?.stage.schema ?? ''
    expect(await withClient(provider.masterUrl(), {}, (client) => rowOf(client, `SELECT count(*)::int AS rows, has_table_privilege('crm_app', '${stage}.leads', 'SELECT') AS app FROM ${stage}.leads`))).to.deep.equal({rows: 440, app: false})
    await withClient(provider.masterUrl(), {}, (client) => client.query(`DROP SCHEMA ${stage} CASCADE`))
  })

  it('a role that lacks a right is told which, one after the other, and has changed nothing', async () => {
    const told = async (wish: PartialSetting['wish'], way: Way = 'missing', stage: PartialSetting['stage'] = 'schema') => {
      const {error} = await runPartial({url: provider.url('crm_app'), directory, wish, way, stage})
      expect(differences(damaged, await contents())).to.deep.equal({})
      expect(await schemas()).to.deep.equal([])
      return {code: error?.code, exitCode: error?.exitCode, message: error?.message, hint: error?.hints?.[0]}
    }
    expect(await told(LEADS)).to.deep.equal({code: 'partial.rights', exitCode: 3, message: 'The role crm_app may not make schemas and temporary tables in crm.', hint: 'GRANT CREATE, TEMPORARY ON DATABASE "crm" TO "crm_app"'})
    await provider.support('GRANT CREATE, TEMPORARY ON DATABASE crm TO crm_app')
    const createdb = await told(LEADS)
    expect(createdb).to.include({code: 'restore.createdb', exitCode: 3})
    expect(createdb.hint).to.include('ALTER ROLE "crm_app" CREATEDB')
    await provider.support('ALTER ROLE crm_app CREATEDB')
    expect(await told(LEADS)).to.include({code: 'partial.row-security', exitCode: 3})
    expect(await told(LEADS, 'missing', 'database')).to.include({code: 'partial.row-security', exitCode: 3})
    expect(await told({tables: ['webhook_events'], withParents: true}, 'changed')).to.include({code: 'partial.rights', exitCode: 3, message: 'Role crm_app may not INSERT, UPDATE, DELETE in public.tenants.', hint: 'Connect as crm_owner, or as the superuser: GRANT "crm_owner" TO "crm_app"'})
  })
})
