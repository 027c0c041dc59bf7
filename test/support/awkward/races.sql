-- What a parallel pg_restore loses now and then by itself.
-- Indexes of partitions below partitions: two ALTER INDEX … ATTACH PARTITION deadlock.
CREATE TABLE odd.nested (id int, at date, value numeric, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE odd.nested_2026 PARTITION OF odd.nested FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (at);
CREATE TABLE odd.nested_2026_a PARTITION OF odd.nested_2026 FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE odd.nested_2026_rest PARTITION OF odd.nested_2026 DEFAULT;
CREATE TABLE odd.nested_rest PARTITION OF odd.nested DEFAULT;
INSERT INTO odd.nested SELECT n, date '2025-12-01' + n * 5, n / 3.0, 'n' || n FROM generate_series(1, 60) n;
CREATE INDEX nested_value ON odd.nested (value) INCLUDE (note);
CREATE INDEX nested_note ON odd.nested (note);
-- A privilege passed on by a grantee: granted before that role may use the schema, it is refused.
CREATE TABLE odd.passed_on (id int);
GRANT SELECT ON odd.passed_on TO awkward_app WITH GRANT OPTION;
SET ROLE awkward_app;
GRANT SELECT ON odd.passed_on TO awkward_reader;
RESET ROLE;
