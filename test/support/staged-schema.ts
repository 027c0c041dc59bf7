/** Tables of every kind that are staged, with rows. */
export const STAGED_SCHEMA = `
  CREATE TYPE status AS ENUM ('new', 'lost');
  CREATE TABLE tenants (id text PRIMARY KEY, name text);
  CREATE TABLE leads (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "tenantId" text NOT NULL REFERENCES tenants ON DELETE CASCADE, title text, upper text GENERATED ALWAYS AS (upper(title)) STORED, status status, payload jsonb, raw bytea);
  CREATE TABLE "Odd ""Name"" (x)" ("Tenant Id" text, "lead" int REFERENCES leads, "a,b" text, PRIMARY KEY ("Tenant Id", "a,b"));
  CREATE TABLE events (id int, day int NOT NULL, "tenantId" text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
  CREATE TABLE events_2 (day int NOT NULL, "tenantId" text, id int NOT NULL); ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (30);
  CREATE TABLE bare (v int, w text); CREATE TABLE nothing ();
  CREATE TABLE other (id int PRIMARY KEY, filler text);
  ALTER TABLE leads ENABLE ROW LEVEL SECURITY; ALTER TABLE leads FORCE ROW LEVEL SECURITY; CREATE POLICY p ON leads USING (false);
  INSERT INTO tenants SELECT 't' || i, E'tab\\t and \\\\ back' FROM generate_series(1, 4) i;
  INSERT INTO leads ("tenantId", title, status, payload, raw) SELECT 't' || 1 + i % 4, 'lead ' || i, 'new', jsonb_build_object('i', i, 'long', repeat('x', 3000)), decode(repeat('00ff', i), 'hex') FROM generate_series(1, 400) i;
  INSERT INTO "Odd ""Name"" (x)" SELECT 't' || 1 + i % 4, i, 'a' || i FROM generate_series(1, 50) i;
  INSERT INTO events SELECT i, i % 30, 't' || 1 + i % 4 FROM generate_series(1, 300) i;
  INSERT INTO bare SELECT i % 3, NULL FROM generate_series(1, 9) i; INSERT INTO nothing DEFAULT VALUES;
  INSERT INTO other SELECT i, md5(i::text) || md5((i + 1)::text) FROM generate_series(1, 20000) i;`

export const ODD = 'Odd "Name" (x)'
export const ALL = ['tenants', 'leads', ODD, 'events', 'bare', 'nothing']
