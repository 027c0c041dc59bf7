GRANT MAINTAIN ON odd.t TO awkward_app;
CREATE COLLATION odd.builtin (PROVIDER = builtin, LOCALE = 'C.UTF-8');
CREATE TABLE odd.identity_partitioned (id int GENERATED ALWAYS AS IDENTITY, part int) PARTITION BY LIST (part);
CREATE TABLE odd.identity_partitioned_1 PARTITION OF odd.identity_partitioned FOR VALUES IN (1);
INSERT INTO odd.identity_partitioned (part) SELECT 1 FROM generate_series(1, 6);
