import {rowOf, rowsOf, type Client} from '../../src/lib/postgres/connection.ts'
import {readCatalog} from '../../src/lib/postgres/partial/catalog.ts'
import type {Catalog, MergeRequest, Predicate, SelectedTable, Selection, StagedTable, TableName} from '../../src/lib/postgres/partial/contract.ts'
import {qualified, quoteIdent} from '../../src/lib/postgres/quote.ts'

/** A small database like the CRM's, with whatever merging is known to get wrong; and `base`, its state at the backup. */
export const PARTIAL_SCHEMA = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE TABLE tenants (id text PRIMARY KEY, name text NOT NULL, settings jsonb);
  CREATE TABLE users (id text PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, email text, mood mood, UNIQUE ("tenantId", email));
  CREATE TABLE user_auth_links (id text PRIMARY KEY, "userId" text NOT NULL REFERENCES users ON DELETE CASCADE, provider text);
  CREATE TABLE contacts (id text PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, name text, position point, place int, UNIQUE ("tenantId", place));
  CREATE TABLE leads (id text PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, title text, status varchar(20), "contactId" text REFERENCES contacts ON DELETE SET NULL,
    amount numeric, metadata jsonb, "updatedAt" timestamp(3), "titleLength" int GENERATED ALWAYS AS (length(title)) STORED);
  CREATE TABLE calls (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, "leadId" text REFERENCES leads ON DELETE SET NULL,
    "contactId" text REFERENCES contacts ON DELETE SET NULL, recording bytea, raw json, tags text[]);
  CREATE TABLE incomes (id serial PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, "managerId" text NOT NULL REFERENCES users ON DELETE RESTRICT,
    related int REFERENCES incomes ON DELETE SET NULL, amount double precision);
  CREATE TABLE webhook_events (id text PRIMARY KEY, "tenantId" text REFERENCES tenants ON DELETE SET NULL, payload json, turn int NOT NULL DEFAULT (1000000 + random() * 1000000000)::int UNIQUE);
  CREATE TABLE "Team Boards" ("tenantId" text REFERENCES tenants ON DELETE CASCADE, "No" int, "Lead" text NOT NULL, title text, PRIMARY KEY ("tenantId", "No"));
  CREATE TABLE "Team Members" ("tenantId" text, code text, board int NOT NULL, PRIMARY KEY ("tenantId", code), FOREIGN KEY ("tenantId", board) REFERENCES "Team Boards" ON DELETE CASCADE);
  ALTER TABLE "Team Boards" ADD FOREIGN KEY ("tenantId", "Lead") REFERENCES "Team Members";
  CREATE TABLE events (id int, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, at date, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE events_2026 (body text, at date NOT NULL, "tenantId" text NOT NULL, id int NOT NULL);
  ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE TABLE notes ("tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, note text, n int);
  CREATE FUNCTION forbidden() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."updatedAt" := '1999-01-01'; RETURN NEW; END $$;
  CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION forbidden();
  CREATE TRIGGER stamp_always BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION forbidden();
  CREATE TRIGGER stamp_replica BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION forbidden();
  CREATE TRIGGER stamp_off BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION forbidden();
  ALTER TABLE leads ENABLE ALWAYS TRIGGER stamp_always, ENABLE REPLICA TRIGGER stamp_replica, DISABLE TRIGGER stamp_off`

export const TENANTS = ['t1', 't2', 't3', 't4'] as const

const DATA = `
  INSERT INTO tenants SELECT 't' || i, 'Tenant ' || i, jsonb_build_object('plan', i) FROM generate_series(1, 4) i;
  INSERT INTO users SELECT t.id || 'u' || i, t.id, 'user' || i || '@' || t.id, (ARRAY['sad', 'ok', 'happy'])[i]::mood FROM tenants t, generate_series(1, 3) i;
  INSERT INTO user_auth_links SELECT u.id || 'l', u.id, 'google' FROM users u;
  INSERT INTO contacts SELECT t.id || 'c' || i, t.id, 'Contact ' || i, point(i, i), i FROM tenants t, generate_series(1, 3) i;
  INSERT INTO leads SELECT t.id || 'd' || i, t.id, 'Lead ' || i, (ARRAY['open', 'won', 'lost'])[1 + i % 3], CASE WHEN i % 4 > 0 THEN t.id || 'c' || i % 4 END, i * 1.50, jsonb_build_object('n', i, 'long', repeat('x', 50)), '2026-11-22 10:00'::timestamp + i * interval '1 second' FROM tenants t, generate_series(1, 8) i;
  INSERT INTO calls ("tenantId", "leadId", "contactId", recording, raw, tags) SELECT l."tenantId", l.id, l."contactId", decode(md5(l.id || i), 'hex'), json_build_object('i', i), ARRAY['a', l.id] FROM leads l, generate_series(1, 2) i;
  INSERT INTO incomes ("tenantId", "managerId", related, amount) SELECT t.id, t.id || 'u' || 1 + i % 3, NULL, i / 3.0 FROM tenants t, generate_series(1, 5) i;
  UPDATE incomes i SET related = (SELECT min(id) FROM incomes j WHERE j."tenantId" = i."tenantId" AND j.id > i.id) WHERE amount < 1.5;
  INSERT INTO webhook_events SELECT t.id || 'w' || i, t.id, json_build_object('a', i, 'b', t.id), 4 * substr(t.id, 2)::int + i FROM tenants t, generate_series(1, 4) i;
  WITH b AS (INSERT INTO "Team Boards" SELECT t.id, i, 'm' || i, 'Board ' || i FROM tenants t, generate_series(1, 2) i)
    INSERT INTO "Team Members" SELECT t.id, 'm' || i, 1 + i % 2 FROM tenants t, generate_series(1, 4) i;
  INSERT INTO events SELECT i, t.id, CASE WHEN i % 2 = 0 THEN date '2025-06-01' ELSE date '2026-06-01' END + substr(t.id, 2)::int, 'event ' || i FROM tenants t, generate_series(1, 6) i;
  INSERT INTO notes SELECT t.id, 'note', i % 2 FROM tenants t, generate_series(1, 5) i`

/** All tables with rows, roots of partitions only, in an order in which rows can be inserted. `where`: of a tenant's rows. */
const CLOSURE: {name: string; group: number; key?: string[]; where?: (tenant: string) => Predicate}[] = [
  {name: 'tenants', group: 0, key: ['id'], where: (tenant) => ({kind: 'equals', column: 'id', value: tenant})},
  {name: 'users', group: 1, key: ['id']},
  {name: 'user_auth_links', group: 2, key: ['id'], where: (tenant) => ({kind: 'refers', columns: ['userId'], table: table('users'), targets: ['id'], where: {kind: 'equals', column: 'tenantId', value: tenant}})},
  {name: 'contacts', group: 3, key: ['id']},
  {name: 'leads', group: 4, key: ['id']},
  {name: 'calls', group: 5, key: ['id']},
  {name: 'incomes', group: 6, key: ['id']},
  {name: 'webhook_events', group: 7, key: ['id']},
  {name: 'Team Boards', group: 8, key: ['tenantId', 'No']},
  {name: 'Team Members', group: 8, key: ['tenantId', 'code']},
  {name: 'events', group: 9, key: ['id', 'at']},
  {name: 'notes', group: 10},
]

export function table(name: string): TableName {
  return {schema: 'public', name}
}
export const tableNames: readonly string[] = CLOSURE.map(({name}) => name)
export const keyOf = (name: string): string[] | undefined => CLOSURE.find((one) => one.name === name)?.key

/** Makes the tables, their rows, and `base`: the rows at the time of the backup. */
export async function createPartial(client: Client): Promise<void> {
  await client.query(`${PARTIAL_SCHEMA}; SET session_replication_role = replica; ${DATA}; RESET session_replication_role; CREATE SCHEMA base`)
  await client.query(CLOSURE.map(({name, key}) => `CREATE TABLE base.${quoteIdent(name)} AS SELECT ${ROWS(name)} FROM ${quoteIdent(name)}; ${key ? `CREATE UNIQUE INDEX ON base.${quoteIdent(name)} (${key.map(quoteIdent).join(', ')})` : ''}`).join(';'))
}

const COLUMNS: Record<string, string[]> = {leads: ['id', 'tenantId', 'title', 'status', 'contactId', 'amount', 'metadata', 'updatedAt']}
const ROWS = (name: string): string => COLUMNS[name]?.map(quoteIdent).join(', ') ?? '*'

/** Everything as at the backup. */
export async function resetPartial(client: Client): Promise<void> {
  await client.query(`
    SET session_replication_role = replica; TRUNCATE ${CLOSURE.map(({name}) => quoteIdent(name)).join(', ')};
    ${CLOSURE.map(({name}) => `INSERT INTO ${quoteIdent(name)} ${COLUMNS[name] ? `(${ROWS(name)})` : ''} OVERRIDING SYSTEM VALUE SELECT ${ROWS(name)} FROM base.${quoteIdent(name)}`).join(';')};
    RESET session_replication_role`)
}

/** A row as it is shown as text, under what tells it apart. */
export type State = Record<string, Record<string, string>[]>

/** Every row of every table, as text column by column; in an order of their own. */
export async function readState(client: Client, schema = 'public'): Promise<State> {
  const {state} = await rowOf<{state: State}>(client, `SELECT jsonb_build_object(${CLOSURE.map(({name}) => `'${name}', (SELECT coalesce(jsonb_agg(x.j ORDER BY x.j::text), '[]') FROM (SELECT (SELECT jsonb_object_agg(e.key, e.value) FROM json_each_text(row_to_json(t)) e) AS j FROM (SELECT ${ROWS(name)} FROM ${qualified({schema, name})}) t) x)`).join(', ')}) AS state`)
  return state
}

/** One number for every table's rows, sequences and triggers; not for schemas of dr's own. */
export async function digestOf(client: Client): Promise<Record<string, string>> {
  const rows = await rowsOf<{name: string; digest: string}>(client, `
    ${CLOSURE.map(({name}) => `SELECT '${name}' AS name, count(*) || ' ' || coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0) AS digest FROM ${quoteIdent(name)} t`).join(' UNION ALL ')}
    UNION ALL SELECT 'triggers', string_agg(tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text, ', ' ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'schemas', string_agg(nspname, ', ' ORDER BY 1) FROM pg_namespace WHERE nspname !~ '^pg_'`)
  return Object.fromEntries(rows.map(({name, digest}) => [name, digest]))
}

export const catalogOf = (client: Client): Promise<Catalog> => readCatalog(client, {excludeSchemas: ['base', 'dr_*']})

/** The whole of `base` as what was staged; `schema`: another one with the same tables. */
export const stagedFrom = (names: readonly string[] = tableNames, schema = 'base'): StagedTable[] => names.map((name) => {
  const key = keyOf(name)
  return {table: table(name), stage: {schema, name}, columns: stagedColumns[name] ?? [], ...(key && {key}), rows: stagedRows[name] ?? 0}
})

/** Filled by `learnColumns`. */
const stagedColumns: Record<string, string[]> = {}
export const stagedRows: Record<string, number> = {}
export async function learnColumns(client: Client): Promise<void> {
  for (const {name, columns} of await rowsOf<{name: string; columns: string[]}>(client, "SELECT table_name AS name, array_agg(column_name::text) AS columns FROM information_schema.columns WHERE table_schema = 'base' GROUP BY 1")) {
    stagedColumns[name] = columns
    stagedRows[name] = (await rowsOf<{rows: number}>(client, `SELECT count(*)::int AS rows FROM base.${client.escapeIdentifier(name)}`))[0]?.rows ?? 0
  }
}

/** One tenant's rows in every table, and the webhook events that its deletion detaches. */
export function tenantSelection(tenant: string): Selection {
  const tables = CLOSURE.flatMap(({name, group, where}): (SelectedTable & {group: number})[] => {
    const rows = {table: table(name), where: where?.(tenant) ?? {kind: 'equals' as const, column: 'tenantId', value: tenant}, role: 'rows' as const, group}
    const links = {table: table(name), where: {kind: 'refers' as const, columns: ['tenantId'], table: table('tenants'), targets: ['id'], where: {kind: 'equals' as const, column: 'id', value: tenant}}, role: 'links' as const, columns: ['tenantId'], group}
    return name === 'webhook_events' ? [rows, links] : [rows]
  })
  return {tables, tenant: {id: tenant, column: 'tenantId'}}
}

export const tableSelection = (name: string, where: Predicate = {kind: 'all'}, more: Partial<SelectedTable> = {}): Selection['tables'][number] => ({table: table(name), where, role: 'rows', group: 0, ...more})

/** `--relink` of what deleted leads detach. */
export const relinkCalls = (where: Predicate = {kind: 'all'}): Selection['tables'][number] =>
  ({table: table('calls'), where: {kind: 'refers', columns: ['leadId'], table: table('leads'), targets: ['id'], where}, role: 'links', columns: ['leadId'], group: 1})

export const requestOf = (live: Catalog, selection: Selection, mode: MergeRequest['mode'], more: Partial<MergeRequest> = {}): MergeRequest =>
  ({live, backup: live, staged: stagedFrom(), selection, mode, undoSchema: 'dr_undo_test', lockTimeoutMs: 2000, sample: 3, timestampColumns: ['updatedAt', 'createdAt'], ...more})
