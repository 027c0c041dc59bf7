import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {rowOf, rowsOf, type Client} from '../../src/lib/postgres/connection.ts'

const ROOM = new URL('../../src/lib/postgres/partial/', import.meta.url).pathname

/** Every function of the server that the SQL of this room calls by its name, whether with its schema or without. */
async function calledNames(client: Client): Promise<string[]> {
  const texts = await Promise.all((await readdir(ROOM)).filter((name) => name.endsWith('.ts')).map((name) => readFile(join(ROOM, name), 'utf8')))
  const words = [...new Set(texts.flatMap((text) => [...text.matchAll(/\b([a-z]\w*)\(/g)].map(([, word]) => word ?? '')))]
  return (await rowsOf<{name: string}>(client, 'SELECT DISTINCT proname::text AS name FROM pg_catalog.pg_proc WHERE proname = ANY ($1::text[]) AND pronamespace = \'pg_catalog\'::regnamespace ORDER BY 1', [words])).map(({name}) => name)
}

export interface Planted {
  functions: number
  operators: number
}

/**
 * Puts a twin of each function that partial restores call, and of each operator of the server, into `public`, before the server's own in
 * the search_path of the database: whatever is called without its schema while the application's search_path holds is the twin, which
 * fails. Types of arguments for which nobody can write a function are left out.
 */
export async function plantTwins(client: Client, database: string): Promise<Planted> {
  await client.query(`SET search_path = pg_catalog; ALTER DATABASE ${database} SET search_path = public, pg_catalog`)
  await client.query(`
    CREATE TEMPORARY TABLE planted (what text);
    CREATE FUNCTION pg_temp.plant(what text, made text) RETURNS void LANGUAGE plpgsql AS $do$ BEGIN EXECUTE made; INSERT INTO planted VALUES (what); EXCEPTION WHEN OTHERS THEN NULL; END $do$`)
  await client.query(`
    SELECT pg_temp.plant('function', pg_catalog.format('CREATE FUNCTION public.%I(%s) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE USING MESSAGE = %L; END $$', p.proname, pg_catalog.oidvectortypes(p.proargtypes), 'the twin of ' || p.proname || ' was called'))
    FROM pg_catalog.pg_proc p WHERE p.proname = ANY ($1::text[]) AND p.pronamespace = 'pg_catalog'::regnamespace`, [await calledNames(client)])
  await client.query(`
    SELECT pg_temp.plant('function', pg_catalog.format('CREATE FUNCTION public.%I(text, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE USING MESSAGE = %L; END $$', name, 'the twin of ' || name || ' was called')) FROM unnest($1::text[]) name`, [await calledNames(client)])
  await client.query(`
    SELECT pg_temp.plant('function', pg_catalog.format('CREATE FUNCTION public.%I(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE USING MESSAGE = ''the twin of an operator was called''; END $$', 'operator_' || o.oid, o.oprleft::regtype, o.oprright::regtype)),
      pg_temp.plant('operator', pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', o.oprname, o.oprleft::regtype, o.oprright::regtype, 'operator_' || o.oid))
    FROM pg_catalog.pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '||', '~', '!~') AND o.oprleft <> 0`)
  // Nobody of the server has operators between these types: they are chosen where the server would have to change a type first.
  await client.query(`
    SELECT pg_temp.plant('function', pg_catalog.format('CREATE FUNCTION public.%I(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE USING MESSAGE = ''the twin of an operator was called''; END $$', pg_catalog.concat('mixed_', n, '_', place), one, other)),
      pg_temp.plant('operator', pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', name, one, other, pg_catalog.concat('mixed_', n, '_', place)))
    FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=']) WITH ORDINALITY x (name, n), (VALUES (1, 'varchar', 'varchar'), (2, 'varchar', 'text'), (3, 'text', 'varchar'), (4, 'numeric', 'int'), (5, 'numeric', 'bigint'), (6, 'name', 'varchar')) v (place, one, other)`)
  return rowOf<Planted>(client, "SELECT (count(*) FILTER (WHERE what = 'function'))::int AS functions, (count(*) FILTER (WHERE what = 'operator'))::int AS operators FROM planted")
}
