import {connect, endQuietly, rowOf, withClient, type Client} from '../../src/lib/postgres/connection.ts'
import {quoteIdent} from '../../src/lib/postgres/quote.ts'
import {privateCluster, type ServerMajor, type TestCluster} from './cluster.ts'

/**
 * A server as providers rent it out (RDS): the superuser `rdsadmin` owns what initdb made, keeps a session in its own
 * database, and lets nobody else be a superuser. Its customer has the role `crm_master`: CREATEDB, CREATEROLE, member of
 * `rds_superuser`. The database `crm` belongs to `crm_owner`, and roles of the application use it under row-level security.
 */
export interface Provider {
  readonly cluster: TestCluster
  readonly major: ServerMajor
  readonly database: 'crm'
  /** The customer's connection string; database `crm` unless told otherwise. */
  masterUrl(database?: string): string
  /** Of `crm_app` or `crm_report`, whose password is their name. */
  url(role: ProviderLogin, database?: string): string
  /** Opens a session of the superuser rdsadmin in a database; it stays until the function that comes back is called, or the provider stops. */
  stay(database?: string): Promise<() => Promise<void>>
  /** Runs statements as the superuser rdsadmin, as a support engineer of the provider would. */
  support(sql: string, database?: string): Promise<void>
  /** Drops databases that are there, sessions in them or not. */
  drop(...names: string[]): Promise<void>
  stop(): Promise<void>
}

export type ProviderLogin = 'crm_app' | 'crm_report'

/** Two tenants; `crm_app` sees the rows of the one that `app.current_tenant` names. */
export const PROVIDER_TENANTS = ['tenant-a', 'tenant-b'] as const
const MASTER = 'crm_master'
const RDSADMIN = 'rdsadmin'
const PASSWORD = 'provider'

export async function startProvider(major: ServerMajor): Promise<Provider> {
  const cluster = await privateCluster(major)
  const sessions = new Set<Client>()
  const urlOf = (name: string, database = 'crm', password = name) => cluster.url(database, {name, password})
  const stay = async (database = 'crm') => {
    const client = await connect(urlOf(RDSADMIN, database, PASSWORD), {applicationName: 'rdsadmin'})
    sessions.add(client)
    return async () => {
      sessions.delete(client)
      await endQuietly(client)
    }
  }
  const support = (sql: string, database = 'crm') => run(urlOf(RDSADMIN, database, PASSWORD), sql)
  await giveSuperuserItsName(cluster)
  await support(SERVER, 'postgres')
  await support('CREATE DATABASE rdsadmin', 'postgres')
  await support('REVOKE CONNECT ON DATABASE rdsadmin FROM PUBLIC', 'postgres')
  await stay(RDSADMIN)
  await run(urlOf(MASTER, 'postgres', PASSWORD), ROLES)
  await run(urlOf(MASTER, 'postgres', PASSWORD), 'CREATE DATABASE crm OWNER crm_owner')
  await run(urlOf(MASTER, 'crm', PASSWORD), `${DATABASE}; ${SCHEMA}`)
  return {
    cluster, major, database: 'crm', stay, support,
    masterUrl: (database) => urlOf(MASTER, database, PASSWORD),
    url: (role, database) => urlOf(role, database),
    drop: (...names) => cluster.drop(...names),
    async stop() {
      for (const client of sessions) await endQuietly(client)
      await cluster.stop()
    },
  }
}

const run = (url: string, sql: string): Promise<void> => withClient(url, {}, async (client) => { await client.query(sql) })

/** The role that initdb made becomes rdsadmin, and `postgres` another superuser, by which the cluster's helpers connect. */
async function giveSuperuserItsName(cluster: TestCluster): Promise<void> {
  const url = (name: string) => cluster.url('postgres', {name, password: name === 'postgres' ? decodeURIComponent(new URL(cluster.adminUrl).password) : PASSWORD})
  await run(url('postgres'), `CREATE ROLE other SUPERUSER LOGIN PASSWORD '${PASSWORD}'`)
  await run(url('other'), `ALTER ROLE postgres RENAME TO ${RDSADMIN}; ALTER ROLE ${RDSADMIN} PASSWORD '${PASSWORD}'`)
  await withClient(url(RDSADMIN), {}, async (client) => {
    const {oid} = await rowOf<{oid: number}>(client, 'SELECT oid::int FROM pg_roles WHERE rolname = current_user')
    if (oid !== 10) throw new Error(`${RDSADMIN} is not the role that initdb made`)
    await client.query(`ALTER ROLE other RENAME TO postgres; ALTER ROLE postgres PASSWORD ${client.escapeLiteral(decodeURIComponent(new URL(cluster.adminUrl).password))}`)
  })
}

const SERVER = `
  CREATE ROLE rds_superuser; CREATE ROLE rds_password; CREATE ROLE rds_replication;
  GRANT pg_monitor, pg_signal_backend, pg_read_all_data, pg_write_all_data, rds_password, rds_replication TO rds_superuser WITH ADMIN OPTION;
  CREATE ROLE ${quoteIdent(MASTER)} LOGIN CREATEDB CREATEROLE PASSWORD '${PASSWORD}' VALID UNTIL 'infinity';
  GRANT rds_superuser TO ${quoteIdent(MASTER)} WITH ADMIN OPTION`

/** From 16 on whoever makes a role may administer it, and not more. */
const ROLES = `
  CREATE ROLE crm_owner; GRANT crm_owner TO CURRENT_USER;
  CREATE ROLE crm_reader; CREATE ROLE crm_app LOGIN PASSWORD 'crm_app'; CREATE ROLE crm_report LOGIN PASSWORD 'crm_report' CONNECTION LIMIT 5;
  GRANT crm_reader TO crm_app, crm_report`

const DATABASE = `
  REVOKE ALL ON DATABASE crm FROM PUBLIC; GRANT CONNECT ON DATABASE crm TO crm_app, crm_reader; GRANT CREATE, CONNECT, TEMPORARY ON DATABASE crm TO ${quoteIdent(MASTER)};
  ALTER DATABASE crm SET work_mem = '8MB'; ALTER DATABASE crm CONNECTION LIMIT 40; COMMENT ON DATABASE crm IS 'the customer''s database'`

const SCHEMA = `
  SET ROLE crm_owner;
  CREATE EXTENSION pgcrypto;
  CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO crm_app, crm_reader;
  CREATE FUNCTION app.current_tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('app.current_tenant', true) $$;
  ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner GRANT SELECT ON TABLES TO crm_reader;
  ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner IN SCHEMA app REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
  CREATE TABLE public.tenants (id text PRIMARY KEY, name text NOT NULL, "createdAt" timestamp(3) NOT NULL DEFAULT now());
  CREATE TABLE public.leads (id text PRIMARY KEY DEFAULT gen_random_uuid()::text, "tenantId" text NOT NULL REFERENCES public.tenants ON DELETE CASCADE, title text, secret bytea, "createdAt" timestamp(3) NOT NULL DEFAULT now());
  CREATE INDEX leads_tenant ON public.leads ("tenantId", "createdAt");
  CREATE TABLE public.calls (id serial PRIMARY KEY, "tenantId" text NOT NULL REFERENCES public.tenants, "leadId" text REFERENCES public.leads ON DELETE SET NULL, duration int CHECK (duration >= 0));
  INSERT INTO public.tenants (id, name) VALUES ${PROVIDER_TENANTS.map((id) => `('${id}', '${id}')`).join(', ')};
  INSERT INTO public.leads ("tenantId", title, secret) SELECT (ARRAY['${PROVIDER_TENANTS.join("', '")}'])[1 + i % 2], 'lead ' || i, digest(i::text, 'sha256') FROM generate_series(1, 400) i;
  INSERT INTO public.calls ("tenantId", "leadId", duration) SELECT "tenantId", id, length(title) FROM public.leads;
  ALTER TABLE public.leads ENABLE ROW LEVEL SECURITY; ALTER TABLE public.calls ENABLE ROW LEVEL SECURITY;
  CREATE POLICY leads_isolation_policy ON public.leads TO crm_app USING ("tenantId" = app.current_tenant()) WITH CHECK ("tenantId" = app.current_tenant());
  CREATE POLICY calls_isolation_policy ON public.calls USING ("tenantId" = app.current_tenant());
  CREATE POLICY calls_of_reports ON public.calls FOR SELECT TO crm_report, crm_reader USING (true);
  GRANT SELECT, INSERT, UPDATE, DELETE ON public.leads, public.calls TO crm_app; GRANT SELECT ON public.tenants TO crm_app WITH GRANT OPTION;
  GRANT UPDATE (title) ON public.leads TO crm_report; GRANT USAGE ON SEQUENCE public.calls_id_seq TO crm_app;
  GRANT EXECUTE ON FUNCTION app.current_tenant() TO crm_app, crm_reader;
  CREATE VIEW public.lead_counts AS SELECT "tenantId", count(*) FROM public.leads GROUP BY 1;
  RESET ROLE; ALTER ROLE crm_app IN DATABASE crm SET statement_timeout = '20s'`
