-- Extensions, types, functions: everything that tables lean on.
CREATE EXTENSION btree_gist;
CREATE EXTENSION pgcrypto;
COMMENT ON EXTENSION pgcrypto IS 'a comment that only the extension''s owner may set';
CREATE SCHEMA odd AUTHORIZATION awkward_owner;
CREATE SCHEMA "Mixed.Schema; --";
COMMENT ON SCHEMA odd IS 'back\slash, ''quote'' and
a second line';

CREATE TYPE odd.mood AS ENUM ('sad', 'ok', 'it''s; "fine"');
ALTER TYPE odd.mood ADD VALUE 'between' BEFORE 'ok';
CREATE TYPE odd.address AS (street text, house int, "odd column" odd.mood);
CREATE TYPE odd.price_range AS RANGE (subtype = numeric);

CREATE FUNCTION odd.is_even(value int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN value % 2 = 0; END $$;
CREATE DOMAIN odd.even AS int CONSTRAINT must_be_even CHECK (odd.is_even(VALUE));
CREATE DOMAIN odd.even_list AS odd.even[] DEFAULT '{}' NOT NULL;
CREATE DOMAIN odd.code AS text COLLATE "C" CHECK (VALUE ~ '^[A-Z;.]+$');
CREATE COLLATION odd.plain FROM "C";

CREATE FUNCTION odd.first_of(state anyelement, next anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT coalesce(state, next)';
CREATE AGGREGATE odd.first(anyelement) (SFUNC = odd.first_of, STYPE = anyelement);
CREATE FUNCTION odd.distance(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT abs(a - b)';
CREATE OPERATOR odd.<~> (LEFTARG = int, RIGHTARG = int, FUNCTION = odd.distance, COMMUTATOR = OPERATOR(odd.<~>));
CREATE FUNCTION odd.mood_number(odd.mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1::text)';
CREATE CAST (odd.mood AS int) WITH FUNCTION odd.mood_number(odd.mood) AS ASSIGNMENT;
CREATE TEXT SEARCH CONFIGURATION odd.plain_words (COPY = simple);
CREATE PROCEDURE odd.nothing(INOUT times int DEFAULT 1) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$ BEGIN times := times + 1; END $$;
