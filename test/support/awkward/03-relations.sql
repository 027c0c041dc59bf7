-- CHECK functions that read other tables: true for all rows here, whatever order the tables are loaded in.
CREATE TABLE odd.forbidden (word text PRIMARY KEY);
INSERT INTO odd.forbidden VALUES ('never'), ('no');
CREATE FUNCTION odd.is_allowed(value text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT NOT EXISTS (SELECT FROM odd.forbidden WHERE word = value)';
CREATE TABLE odd.a_checked (id int PRIMARY KEY, word text CONSTRAINT word_allowed CHECK (odd.is_allowed(word)));
INSERT INTO odd.a_checked SELECT n, 'word ' || n FROM generate_series(1, 25) n;

-- A cycle of deferrable keys, both NOT NULL, and a self reference.
CREATE TABLE odd.chicken (id int PRIMARY KEY, egg_id int NOT NULL);
CREATE TABLE odd.egg (id int PRIMARY KEY, chicken_id int NOT NULL REFERENCES odd.chicken DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE odd.chicken ADD CONSTRAINT chicken_egg_fkey FOREIGN KEY (egg_id) REFERENCES odd.egg DEFERRABLE INITIALLY IMMEDIATE;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO odd.chicken SELECT n, n FROM generate_series(1, 10) n;
INSERT INTO odd.egg SELECT n, 11 - n FROM generate_series(1, 10) n;
COMMIT;
CREATE TABLE odd.tree (id int PRIMARY KEY, parent_id int REFERENCES odd.tree ON DELETE CASCADE, UNIQUE (id, parent_id) DEFERRABLE);
INSERT INTO odd.tree SELECT n, nullif(n / 2, 0) FROM generate_series(1, 31) n;

-- Inheritance: the parent's later column comes last in the child, and elsewhere after a restore.
CREATE TABLE odd.parent (id int, name text);
CREATE TABLE odd.child (extra int) INHERITS (odd.parent);
CREATE TABLE odd.grandchild (own text) INHERITS (odd.child);
ALTER TABLE odd.parent ADD COLUMN added_later text;
INSERT INTO odd.parent SELECT n, 'parent', 'p' FROM generate_series(1, 5) n;
INSERT INTO odd.child SELECT n, 'child', n, 'c' FROM generate_series(1, 6) n;
INSERT INTO odd.grandchild (id, name, own, added_later) SELECT n, 'grandchild', 'g', 'later' FROM generate_series(1, 4) n;

-- Partitions: attached with another column order and a dropped column, a default one, a level below, and keys to and from.
CREATE TABLE odd.measured (id int, at date, value numeric, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE odd.measured_2025 (note text, gone int, value numeric, at date NOT NULL, id int NOT NULL);
ALTER TABLE odd.measured_2025 DROP COLUMN gone;
ALTER TABLE odd.measured ATTACH PARTITION odd.measured_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE odd.measured_2026 PARTITION OF odd.measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE odd.measured_rest PARTITION OF odd.measured DEFAULT;
INSERT INTO odd.measured SELECT n, date '2024-12-01' + n * 5, n / 3.0, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END FROM generate_series(1, 200) n;
CREATE INDEX measured_value ON odd.measured (value) INCLUDE (note);
CREATE TABLE odd.reading (id int PRIMARY KEY, measured_id int, measured_at date, FOREIGN KEY (measured_id, measured_at) REFERENCES odd.measured ON DELETE SET NULL (measured_id));
INSERT INTO odd.reading SELECT id, id, at FROM odd.measured WHERE id % 4 = 0;
CREATE TABLE odd.deep (id int, part text) PARTITION BY LIST (part);
CREATE TABLE odd.deep_a PARTITION OF odd.deep FOR VALUES IN ('a', NULL) PARTITION BY RANGE (id);
CREATE TABLE odd.deep_a_low PARTITION OF odd.deep_a FOR VALUES FROM (MINVALUE) TO (50);
CREATE TABLE odd.deep_a_rest PARTITION OF odd.deep_a DEFAULT;
CREATE TABLE odd.deep_rest PARTITION OF odd.deep DEFAULT;
INSERT INTO odd.deep SELECT n, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END FROM generate_series(1, 90) n;
CREATE TABLE odd.hashed (id int PRIMARY KEY, word text) PARTITION BY HASH (id);
CREATE TABLE odd.hashed_0 PARTITION OF odd.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE odd.hashed_1 PARTITION OF odd.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO odd.hashed SELECT n, 'w' || n FROM generate_series(1, 40) n;

-- Constraints and indexes.
CREATE TABLE odd.booking (room int, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0));
INSERT INTO odd.booking SELECT n % 4 + 1, tstzrange(timestamptz '2026-01-01 00:00+00' + n * interval '2 hours', timestamptz '2026-01-01 00:00+00' + n * interval '2 hours' + interval '1 hour') FROM generate_series(1, 60) n;
CREATE TABLE odd.indexed (id int NOT NULL, word text COLLATE odd.plain, body jsonb, vector tsvector, place point, at timestamptz NOT NULL, maybe int, CONSTRAINT nulls_equal UNIQUE NULLS NOT DISTINCT (id, maybe));
INSERT INTO odd.indexed SELECT n, 'Word ' || n % 50, jsonb_build_object('n', n, 'tags', jsonb_build_array('a', n % 5)), to_tsvector('simple', 'text ' || n), point(n, n), timestamptz '2026-01-01 00:00+00' + n * interval '1 minute', nullif(n % 3, 0) FROM generate_series(1, 500) n;
CREATE INDEX indexed_lower ON odd.indexed (lower(word) COLLATE "C" text_pattern_ops, (body ->> 'n') DESC) WHERE id > 10;
CREATE INDEX indexed_gin ON odd.indexed USING gin (body jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX indexed_vector ON odd.indexed USING gin (vector);
CREATE INDEX indexed_place ON odd.indexed USING gist (place);
CREATE INDEX indexed_quad ON odd.indexed USING spgist (place);
CREATE INDEX indexed_at ON odd.indexed USING brin (at) WITH (pages_per_range = 4);
CREATE INDEX indexed_hash ON odd.indexed USING hash (word);
CREATE UNIQUE INDEX indexed_identity ON odd.indexed (id);
ALTER TABLE odd.indexed REPLICA IDENTITY USING INDEX indexed_identity, CLUSTER ON indexed_identity;
ALTER INDEX odd.indexed_lower ALTER COLUMN 2 SET STATISTICS 55;
ALTER TABLE odd.tree REPLICA IDENTITY FULL;
ALTER TABLE odd.booking REPLICA IDENTITY NOTHING;
ALTER TABLE odd.t ADD CONSTRAINT not_checked_yet CHECK (x > 10) NOT VALID;
ALTER TABLE odd.serials ADD CONSTRAINT dangling FOREIGN KEY (shared) REFERENCES odd.empty_table NOT VALID;
ALTER TABLE odd.parent ADD CONSTRAINT only_here CHECK (id < 1000) NO INHERIT;

CREATE STATISTICS odd.indexed_stat (ndistinct, dependencies, mcv) ON id, word, maybe FROM odd.indexed;
CREATE STATISTICS odd.indexed_expression ON (id % 10), (lower(word)) FROM odd.indexed;
ALTER STATISTICS odd.indexed_stat SET STATISTICS 300;
COMMENT ON CONSTRAINT dangling ON odd.serials IS 'points nowhere';
