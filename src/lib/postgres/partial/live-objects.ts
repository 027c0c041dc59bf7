import type {ArchiveEntry} from '../archive.ts'
import {rowsOf, type Client} from '../connection.ts'

/** What kinds of entries are told apart by, as they are found in the catalogs. */
const CLASSES: Readonly<Record<string, string>> = {
  TABLE: 'relation', VIEW: 'relation', 'MATERIALIZED VIEW': 'relation', SEQUENCE: 'relation', INDEX: 'relation', 'FOREIGN TABLE': 'relation',
  TYPE: 'type', DOMAIN: 'type', 'SHELL TYPE': 'type', FUNCTION: 'routine', PROCEDURE: 'routine', AGGREGATE: 'routine',
  CONSTRAINT: 'constraint', 'FK CONSTRAINT': 'constraint', 'CHECK CONSTRAINT': 'constraint', TRIGGER: 'trigger', POLICY: 'policy', RULE: 'rule', DEFAULT: 'default',
  SCHEMA: 'schema', EXTENSION: 'extension', STATISTICS: 'statistics', 'PUBLICATION TABLE': 'publication table', COLLATION: 'collation',
}

/** By what an entry's object is found again; undefined of what only goes with another (privileges, comments). */
export function identityOf({kind, schema, tag}: Pick<ArchiveEntry, 'kind' | 'schema' | 'tag'>): string | undefined {
  const found = CLASSES[kind]
  return found === undefined ? undefined : JSON.stringify([found, ['schema', 'extension'].includes(found) ? '' : (schema ?? ''), tag])
}

/** pg_dump tags what belongs to a table as `table name`, and a routine by its signature; its session names every type that is not of pg_catalog with its schema. */
const OBJECTS = `
  SELECT 'relation' AS class, n.nspname::text AS schema, c.relname::text AS tag FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'f')
  UNION ALL SELECT 'type', n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  UNION ALL SELECT 'routine', n.nspname, p.proname || '(' || array_to_string(ARRAY(SELECT format_type(a.type, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY a (type, place) ORDER BY a.place), ', ') || ')' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  UNION ALL SELECT 'constraint', n.nspname, c.relname || ' ' || o.conname FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'trigger', n.nspname, c.relname || ' ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'policy', n.nspname, c.relname || ' ' || p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'rule', n.nspname, c.relname || ' ' || r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'default', n.nspname, c.relname || ' ' || a.attname FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'schema', '', nspname FROM pg_namespace UNION ALL SELECT 'extension', '', extname FROM pg_extension
  UNION ALL SELECT 'statistics', n.nspname, s.stxname FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
  UNION ALL SELECT 'collation', n.nspname, l.collname FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
  UNION ALL SELECT 'publication table', n.nspname, p.pubname || ' ' || c.relname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace`

/** Identities of everything that is there. The session's search_path is pg_catalog alone. */
export async function liveObjects(client: Client): Promise<ReadonlySet<string>> {
  const rows = await rowsOf<{class: string; schema: string; tag: string}>(client, OBJECTS)
  return new Set(rows.map(({class: found, schema, tag}) => JSON.stringify([found, schema, tag])))
}
