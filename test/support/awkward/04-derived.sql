-- Views, rules, triggers, event triggers, publications, foreign data, large objects.
CREATE VIEW odd.words WITH (security_barrier, security_invoker) AS SELECT id, word FROM odd.indexed WHERE id < 100 WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW odd.numbers (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10;
CREATE MATERIALIZED VIEW odd.z_base AS SELECT id, word, body FROM odd.indexed WHERE id % 2 = 0;
CREATE UNIQUE INDEX z_base_id ON odd.z_base (id);
CREATE MATERIALIZED VIEW odd.a_on_z AS SELECT word, count(*) AS many, odd.first(id) AS first FROM odd.z_base GROUP BY word;
CREATE MATERIALIZED VIEW odd.unpopulated AS SELECT * FROM odd.a_on_z WITH NO DATA;
CREATE INDEX unpopulated_word ON odd.unpopulated (word);
COMMENT ON MATERIALIZED VIEW odd.unpopulated IS 'never refreshed';
CREATE FUNCTION odd.count_words() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM odd.words; END;

CREATE TABLE odd.log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
INSERT INTO odd.log (what) VALUES ('first');
CREATE TABLE odd.ruled (id int PRIMARY KEY, word text);
INSERT INTO odd.ruled SELECT n, 'r' || n FROM generate_series(1, 8) n;
CREATE RULE also_log AS ON INSERT TO odd.ruled DO ALSO INSERT INTO odd.log (what) VALUES ('rule ' || NEW.id);
CREATE RULE no_delete AS ON DELETE TO odd.ruled DO INSTEAD NOTHING;
ALTER TABLE odd.ruled DISABLE RULE no_delete;
CREATE VIEW odd.ruled_view AS SELECT * FROM odd.ruled;
CREATE RULE ruled_view_insert AS ON INSERT TO odd.ruled_view DO INSTEAD INSERT INTO odd.ruled VALUES (NEW.id, NEW.word);

CREATE FUNCTION odd.note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO odd.log (what) VALUES (TG_NAME); RETURN coalesce(NEW, OLD); END $$;
CREATE TABLE odd.triggered (id int PRIMARY KEY, word text);
INSERT INTO odd.triggered SELECT n, 'w' || n FROM generate_series(1, 8) n;
CREATE TRIGGER t_origin BEFORE INSERT OR UPDATE OF word ON odd.triggered FOR EACH ROW WHEN (NEW.id > 3) EXECUTE FUNCTION odd.note_change();
CREATE TRIGGER t_disabled AFTER INSERT ON odd.triggered FOR EACH ROW EXECUTE FUNCTION odd.note_change();
CREATE TRIGGER t_always AFTER INSERT ON odd.triggered FOR EACH ROW EXECUTE FUNCTION odd.note_change();
CREATE TRIGGER t_replica AFTER DELETE ON odd.triggered FOR EACH ROW EXECUTE FUNCTION odd.note_change();
CREATE TRIGGER t_statement AFTER UPDATE ON odd.triggered REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION odd.note_change();
CREATE CONSTRAINT TRIGGER t_constraint AFTER INSERT ON odd.triggered DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION odd.note_change();
ALTER TABLE odd.triggered DISABLE TRIGGER t_disabled, ENABLE ALWAYS TRIGGER t_always, ENABLE REPLICA TRIGGER t_replica;
CREATE TRIGGER on_partitions AFTER INSERT ON odd.hashed FOR EACH ROW EXECUTE FUNCTION odd.note_change();
ALTER TABLE odd.hashed_1 DISABLE TRIGGER on_partitions;

CREATE FUNCTION odd.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE DEBUG 'ddl: %', tg_tag; END $$;
CREATE EVENT TRIGGER ddl_enabled ON ddl_command_end EXECUTE FUNCTION odd.on_ddl();
CREATE EVENT TRIGGER ddl_disabled ON ddl_command_start WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION odd.on_ddl();
ALTER EVENT TRIGGER ddl_disabled DISABLE;
CREATE EVENT TRIGGER ddl_always ON sql_drop EXECUTE FUNCTION odd.on_ddl();
ALTER EVENT TRIGGER ddl_always ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER ddl_disabled IS 'stays disabled';

CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert, update');
CREATE PUBLICATION some_rows FOR TABLE odd.indexed (id, word) WHERE (id > 100), odd.tree;
CREATE PUBLICATION a_schema FOR TABLES IN SCHEMA "Mixed.Schema; --";

CREATE EXTENSION postgres_fdw;
CREATE SERVER far_away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'nowhere');
CREATE USER MAPPING FOR awkward_app SERVER far_away OPTIONS (user 'someone', password_required 'false');
CREATE FOREIGN TABLE odd.foreign_rows (id int OPTIONS (column_name 'ID') NOT NULL, word text) SERVER far_away OPTIONS (schema_name 'x', table_name 'y');
COMMENT ON FOREIGN TABLE odd.foreign_rows IS 'nobody answers there';

SELECT lo_from_bytea(424242, decode(repeat('00ff5c0a', 3000), 'hex'));
SELECT lo_from_bytea(424243, ''), lo_create(424244);
COMMENT ON LARGE OBJECT 424242 IS 'it''s; large';
CREATE TABLE odd.documents (id int PRIMARY KEY, body oid);
INSERT INTO odd.documents VALUES (1, 424242), (2, 424243);
