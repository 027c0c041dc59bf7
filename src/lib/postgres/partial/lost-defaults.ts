import {rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {TableName} from './contract.ts'
import {withFullNames} from './made-objects.ts'

/** A default of a living table that the backup has and the live column has not. No entry of the archive makes it: it stands in that of its table. */
export interface LostDefault {
  table: TableName
  column: string
  /** With full names. */
  expression: string
  /** `sequence public.leads_id_seq`: what it needs, and went with, as the server describes it. */
  leansOn: string[]
}

const DEFAULTS = `
  SELECT jsonb_build_object('schema', n.nspname, 'name', c.relname) AS table, a.attname::text AS column, pg_get_expr(d.adbin, d.adrelid) AS expression, o.names AS "leansOn"
  FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN pg_catalog.pg_class c ON c.oid = d.adrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT array_agg(i.type || ' ' || i.identity) AS names FROM pg_catalog.pg_depend p CROSS JOIN LATERAL pg_identify_object(p.refclassid, p.refobjid, 0) i
    WHERE p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid AND p.deptype = 'n') o
  WHERE a.attgenerated = '' AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND o.names IS NOT NULL AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY n.nspname, c.relname, a.attnum`

/** Defaults of the source that lean on something, as far as `stillLost`. */
export async function lostDefaults(source: Client, live: Client): Promise<LostDefault[]> {
  return stillLost(live, await withFullNames(source, () => rowsOf<LostDefault>(source, DEFAULTS)))
}

/** Of these the ones whose live column has no default. */
export async function stillLost(live: Client, defaults: readonly LostDefault[]): Promise<LostDefault[]> {
  const found = await rowsOf<{place: number}>(live, `
    SELECT w.place::int AS place FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY w (schema, name, col, place) JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT a.attisdropped AND NOT a.atthasdef AND a.attidentity = '' ORDER BY w.place`,
  [defaults.map(({table}) => table.schema), defaults.map(({table}) => table.name), defaults.map(({column}) => column)])
  return found.flatMap(({place}) => defaults[place - 1] ?? [])
}

/** Of this table alone: partitions have defaults of their own. */
export const defaultSql = ({table, column, expression}: LostDefault): string => `ALTER TABLE ONLY ${qualified(table)} ALTER COLUMN ${quoteIdent(column)} SET DEFAULT ${expression}`
