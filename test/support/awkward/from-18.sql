CREATE TABLE odd.virtual (id int PRIMARY KEY, doubled int GENERATED ALWAYS AS (id * 2) VIRTUAL, checked int CONSTRAINT hopeful CHECK (checked > 5) NOT ENFORCED);
INSERT INTO odd.virtual (id, checked) SELECT n, n FROM generate_series(1, 9) n;
CREATE TABLE odd.temporal (id int, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
INSERT INTO odd.temporal VALUES (1, '[2026-01-01,2026-02-01)'), (1, '[2026-02-01,2026-03-01)');
CREATE TABLE odd.temporal_child (id int, during daterange, FOREIGN KEY (id, PERIOD during) REFERENCES odd.temporal (id, PERIOD during));
INSERT INTO odd.temporal_child VALUES (1, '[2026-01-10,2026-02-10)');
ALTER TABLE odd.t ADD CONSTRAINT t_not_null NOT NULL t NOT VALID;
