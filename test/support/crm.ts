import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from './backup.ts'
import {privateCluster, type ServerMajor, type TestCluster} from './cluster.ts'
import {runRestore, type RestoreOutcome, type RestoreSetting} from './restore.ts'
import type {StandingOutcome, StandingSetting} from './swap.ts'

/** Owns `crm` through `crm_owner`, and is no superuser. */
export const MASTER = {name: 'crm_master', password: 'm'}
/** Works under row-level security. */
export const APP = {name: 'crm_app', password: 'a'}

export function succeeded<T extends RestoreOutcome | StandingOutcome>(outcome: T): T {
  if (outcome.error) throw outcome.error
  return outcome
}

/** A live database `crm` with roles, settings and row-level security, a backup of it, and what it has become since. */
export interface Crm {
  readonly cluster: TestCluster
  readonly admin: Client
  /** Holds the repository. */
  readonly directory: string
  readonly label: string
  /** Names of all databases but those that came with the server. */
  all: () => Promise<string[]>
  /** Restores the backup and swaps it in. */
  restore: (more?: Partial<RestoreSetting>) => Promise<RestoreOutcome>
  standing: (more?: Partial<StandingSetting>) => StandingSetting
  /** Of every row of a database. */
  digest: (database: string) => Promise<{leads: string; calls: string}>
  /** Tenants whose rows the application sees while it works for one. */
  seenBy: (tenant: string, database?: string) => Promise<string[]>
}

/** For one suite: a server of its own; before each test `crm` is made anew, as it was backed up and then changed. */
export function crmFixture(major: ServerMajor = 17): Crm {
  let cluster: TestCluster
  let admin: Client
  let directory = ''
  let label = ''
  const all = () => rowsOf<{name: string}>(admin, 'SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> $1 ORDER BY 1', ['postgres']).then((rows) => rows.map(({name}) => name))

  before(async () => {
    cluster = await privateCluster(major)
    admin = await connect(cluster.adminUrl)
    await admin.query(`
      CREATE ROLE crm_owner; CREATE ROLE crm_app LOGIN PASSWORD 'a'; CREATE ROLE crm_reader;
      CREATE ROLE crm_master LOGIN CREATEDB PASSWORD 'm'; GRANT crm_owner, crm_app TO crm_master`)
    directory = await temporaryFolder('swap')
    await makeLive(cluster, admin)
    const {error, state} = await runBackup({url: cluster.url('crm'), directory, toolsMajor: 17, digest: true})
    if (error) throw error
    label = state.label ?? ''
  })
  after(async () => {
    await endQuietly(admin)
    await cluster.stop()
    await removeFolder(directory)
  })
  beforeEach(async () => {
    for (const name of await all()) await cluster.drop(name)
    await makeLive(cluster, admin)
    await withClient(cluster.url('crm'), {}, (client) => client.query("DELETE FROM public.leads WHERE id % 10 = 0; UPDATE public.leads SET title = 'changed' WHERE id % 7 = 0; INSERT INTO public.leads SELECT i, 't1', 'new' FROM generate_series(5000, 5099) i"))
  })
  return {
    get cluster() { return cluster },
    get admin() { return admin },
    get directory() { return directory },
    get label() { return label },
    all,
    restore: (more = {}) => runRestore({url: cluster.url('crm'), directory, backup: label, swap: {}, ...more}),
    standing: (more = {}) => ({url: cluster.url('crm'), directory, ...more}),
    digest: (database) => withClient(cluster.url(database), {}, (client) => rowOf<{leads: string; calls: string}>(client, `
      SELECT (SELECT count(*) || ' ' || sum(hashtextextended(l::text, 0)::numeric) FROM public.leads l) AS leads, (SELECT count(*) || ' ' || sum(hashtextextended(c::text, 0)::numeric) FROM public.calls c) AS calls`)),
    seenBy: (tenant, database = 'crm') => withClient(cluster.url(database, APP), {}, async (client) => {
      await client.query(`SET app.current_tenant = '${tenant}'`)
      return (await rowsOf<{tenantId: string}>(client, 'SELECT DISTINCT "tenantId" FROM public.leads')).map(({tenantId}) => tenantId)
    }),
  }
}

async function makeLive(cluster: TestCluster, admin: Client): Promise<void> {
  await admin.query('CREATE DATABASE crm OWNER crm_owner TEMPLATE template0')
  await admin.query(`
    REVOKE ALL ON DATABASE crm FROM PUBLIC; GRANT CONNECT ON DATABASE crm TO crm_app, crm_reader; GRANT TEMPORARY ON DATABASE crm TO crm_reader WITH GRANT OPTION;
    COMMENT ON DATABASE crm IS 'dr''s own "customer"'; ALTER DATABASE crm CONNECTION LIMIT 77; ALTER DATABASE crm SET work_mem = '9MB'; ALTER DATABASE crm SET search_path = app, public`)
  await withClient(cluster.url('crm'), {}, (client) => client.query(`
    SET ROLE crm_owner; SET search_path = public;
    CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO crm_app;
    CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text NOT NULL, title text, "createdAt" timestamp(3) DEFAULT '2026-11-22 10:00:00');
    CREATE INDEX ON leads ("createdAt"); INSERT INTO leads SELECT i, 't' || i % 3, 'lead ' || i FROM generate_series(1, 1000) i;
    CREATE TABLE calls (id int PRIMARY KEY, "tenantId" text NOT NULL); INSERT INTO calls SELECT i, 't' || i % 3 FROM generate_series(1, 300) i;
    ALTER TABLE leads ENABLE ROW LEVEL SECURITY;
    CREATE POLICY leads_isolation_policy ON leads USING ("tenantId" = current_setting('app.current_tenant', true));
    GRANT SELECT, INSERT, UPDATE, DELETE ON leads, calls TO crm_app; RESET ROLE`))
}
