-- Row-level security, owners, privileges.
CREATE TABLE odd.secured (id int PRIMARY KEY, tenant text NOT NULL, body text);
INSERT INTO odd.secured SELECT n, 'tenant ' || n % 3, 'b' || n FROM generate_series(1, 30) n;
ALTER TABLE odd.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY isolation ON odd.secured USING (tenant = current_setting('app.tenant', true)) WITH CHECK (tenant = current_setting('app.tenant', true));
CREATE POLICY readers ON odd.secured AS RESTRICTIVE FOR SELECT TO awkward_reader, awkward_app USING (id IN (SELECT id FROM odd.triggered));
CREATE TABLE odd.forced (id int PRIMARY KEY, tenant text NOT NULL);
INSERT INTO odd.forced SELECT n, 'tenant ' || n % 3 FROM generate_series(1, 30) n;
ALTER TABLE odd.forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY forced_isolation ON odd.forced FOR UPDATE TO PUBLIC USING (tenant = 'tenant 1');
CREATE TABLE odd.policy_without_rls (id int);
CREATE POLICY sleeping ON odd.policy_without_rls USING (false);
COMMENT ON POLICY isolation ON odd.secured IS 'by tenant';

ALTER TABLE odd.forced OWNER TO awkward_owner;
ALTER TABLE odd.serials OWNER TO awkward_owner;
ALTER MATERIALIZED VIEW odd.a_on_z OWNER TO awkward_owner;
GRANT SELECT ON odd.z_base TO awkward_owner;
ALTER FUNCTION odd.is_even(int) OWNER TO "awkward; other";
GRANT USAGE, CREATE ON SCHEMA odd TO "awkward; other";
ALTER TABLE odd.documents OWNER TO "awkward; other";
ALTER LARGE OBJECT 424243 OWNER TO awkward_owner;

-- The owner may not insert: a restore that applies privileges before the data leaves it empty.
CREATE TABLE odd.frozen (id int PRIMARY KEY, word text);
INSERT INTO odd.frozen SELECT n, 'frozen ' || n FROM generate_series(1, 10) n;
ALTER TABLE odd.frozen OWNER TO awkward_owner;
REVOKE INSERT, UPDATE ON odd.frozen FROM awkward_owner;

GRANT USAGE ON SCHEMA odd TO awkward_app, awkward_reader;
GRANT SELECT, INSERT ON odd.secured TO awkward_app WITH GRANT OPTION;
GRANT SELECT (id, word), UPDATE (word) ON odd.indexed TO awkward_reader;
GRANT INSERT (id) ON odd.empty_table TO PUBLIC;
GRANT SELECT ON odd.t TO PUBLIC;
REVOKE ALL ON odd.log FROM CURRENT_USER;
GRANT USAGE ON SEQUENCE odd.lonely TO awkward_app;
REVOKE EXECUTE ON FUNCTION odd.count_words() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION odd.count_words() TO awkward_reader;
REVOKE USAGE ON TYPE odd.mood FROM PUBLIC;
GRANT USAGE ON TYPE odd.mood TO awkward_app;
GRANT USAGE ON FOREIGN SERVER far_away TO awkward_app;
GRANT SELECT, UPDATE ON LARGE OBJECT 424242 TO awkward_reader;

ALTER DEFAULT PRIVILEGES FOR ROLE awkward_owner IN SCHEMA odd GRANT SELECT ON TABLES TO awkward_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE awkward_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO awkward_app;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO awkward_app;
