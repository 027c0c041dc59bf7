/** What the application keeps besides its tables: extension, schema `app` with its functions, types. Before the tables. */
export const PREAMBLE = `
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'tenant context for row-level security';
CREATE TYPE "TaskPriority" AS ENUM ('low', 'normal', 'high');
CREATE FUNCTION app.current_tenant_id() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.current_tenant', true), '')::uuid $$;
CREATE FUNCTION app.current_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.current_user', true), '')::uuid $$;
CREATE FUNCTION app.set_tenant_context(tenant uuid, app_user uuid DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  SELECT set_config('app.current_tenant', tenant::text, false), set_config('app.current_user', coalesce(app_user::text, ''), false)
$$;
CREATE FUNCTION app.clear_tenant_context() RETURNS void LANGUAGE sql AS $$
  SELECT set_config('app.current_tenant', '', false), set_config('app.current_user', '', false)
$$;
CREATE FUNCTION app.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."updatedAt" := CURRENT_TIMESTAMP; RETURN NEW; END $$;
CREATE TABLE "_prisma_migrations" (
  id varchar(36) PRIMARY KEY,
  checksum varchar(64) NOT NULL,
  finished_at timestamptz,
  migration_name varchar(255) NOT NULL,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz NOT NULL DEFAULT now(),
  applied_steps_count integer NOT NULL DEFAULT 0
)`

/** Objects that backups get wrong, a kind each. Filled at once: they are small. */
export const AWKWARD = `
CREATE TABLE receipt_numbers (number bigserial PRIMARY KEY, "tenantId" text NOT NULL, "issuedAt" timestamp(3) NOT NULL);
INSERT INTO receipt_numbers ("tenantId", "issuedAt") SELECT t.id, timestamp '2026-01-01' + n * interval '1 hour' FROM tenants t, generate_series(1, 25) n ORDER BY t.id, n;

CREATE TABLE import_batches (id integer GENERATED ALWAYS AS IDENTITY (START WITH 1000 INCREMENT BY 5) PRIMARY KEY, "tenantId" text NOT NULL, source text NOT NULL, "rowCount" integer NOT NULL);
INSERT INTO import_batches ("tenantId", source, "rowCount") SELECT id, 'xlsx', 10 FROM tenants ORDER BY id;

CREATE TABLE event_log (id text NOT NULL, "tenantId" text NOT NULL, kind text NOT NULL, "createdAt" timestamp(3) NOT NULL, PRIMARY KEY (id, "createdAt")) PARTITION BY RANGE ("createdAt");
CREATE TABLE event_log_2026_01 PARTITION OF event_log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_log_2026_02 PARTITION OF event_log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE event_log_rest PARTITION OF event_log DEFAULT;
CREATE INDEX "event_log_tenantId_createdAt_idx" ON event_log ("tenantId", "createdAt");
CREATE INDEX "event_log_kind_idx" ON event_log (kind);
INSERT INTO event_log SELECT 'event-' || t.id || '-' || n, t.id, 'kind-' || n % 3, timestamp '2026-01-10' + n * interval '2 days' FROM tenants t, generate_series(1, 40) n;

CREATE TABLE "Legacy Report.Item" ("Id" integer PRIMARY KEY, "Some ""quoted"" Name" text, "select" text, "naïve; column" text);
INSERT INTO "Legacy Report.Item" SELECT n, 'it''s ' || n, 'back\\slash', E'tab\\there' FROM generate_series(1, 50) n;

CREATE TABLE tenant_logos ("tenantId" text PRIMARY KEY, logo oid NOT NULL);
INSERT INTO tenant_logos SELECT id, lo_from_bytea(0, decode(repeat(md5(id), 400), 'hex')) FROM tenants ORDER BY id LIMIT 3;

CREATE TABLE exchange_rates (currency text PRIMARY KEY, rate numeric(14,4) NOT NULL, "validFrom" date NOT NULL);
INSERT INTO exchange_rates VALUES ('USD', 12650.0000, '2026-01-01'), ('EUR', 13800.5000, '2026-01-01'), ('RUB', 140.2500, '2026-01-01');
COMMENT ON TABLE exchange_rates IS 'written by a superuser''s job only';
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON exchange_rates FROM CURRENT_USER`

/** After keys: what reads the tables. */
export const DERIVED = `
CREATE VIEW active_users AS SELECT id, "tenantId", name, email FROM users WHERE "isActive";
CREATE MATERIALIZED VIEW tenant_daily_calls AS
  SELECT "tenantId", date_trunc('day', "startedAt") AS day, count(*) AS calls, sum(duration) AS seconds FROM calls GROUP BY 1, 2;
CREATE UNIQUE INDEX "tenant_daily_calls_tenantId_day_idx" ON tenant_daily_calls ("tenantId", day);
CREATE INDEX tenant_daily_calls_day_idx ON tenant_daily_calls (day);
CREATE TRIGGER customers_touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION app.touch_updated_at();
CREATE INDEX "contacts_lower_email_idx" ON contacts (lower(email)) WHERE email IS NOT NULL`

const MIGRATIONS = ['init', 'auth_links', 'integrations', 'calls', 'row_level_security', 'incomes', 'telegram', 'audit_indexes', 'pipelines', 'invoices', 'webhooks', 'reports']

/** Rows as Prisma leaves them: one failed try that was rolled back, and its second try. */
export const MIGRATION_ROWS = `INSERT INTO "_prisma_migrations" (id, checksum, finished_at, migration_name, logs, rolled_back_at, started_at, applied_steps_count) VALUES\n${[
  ...MIGRATIONS.map((name, index) => migration(name, index, true)),
  migration('reports', MIGRATIONS.length - 1, false),
].join(',\n')}`

function migration(name: string, index: number, finished: boolean): string {
  const day = String(index + 1).padStart(2, '0')
  const at = `2026-${day}-01 09:00:0`
  const id = `md5('${name}${finished ? '' : ' failed'}')::uuid::text`
  const end = finished ? `'${at}2+00', '2026${day}01090000_${name}', NULL, NULL` : `NULL, '2026${day}01090000_${name}', 'relation "report_kinds" does not exist', '${at}1+00'`
  return `(${id}, encode(sha256('${name}'), 'hex'), ${end}, '${at}0+00', ${finished ? 1 : 0})`
}

/** Privileges of the application and of readers, future tables included. Roles are given as quoted identifiers. */
export const grants = (app: string, reader: string): string => `
GRANT USAGE ON SCHEMA public, app TO ${app};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${app};
REVOKE INSERT, UPDATE, DELETE ON exchange_rates, "_prisma_migrations" FROM ${app};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO ${app};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO ${app};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${app};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO ${app};
GRANT USAGE ON SCHEMA public TO ${reader};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${reader};
REVOKE SELECT ON users, api_keys, sessions, integrations FROM ${reader};
GRANT SELECT (id, "tenantId", name) ON users TO ${reader}`
