import {rowOf, rowsOf, type Client} from './connection.ts'
import {codeOf} from './errors.ts'
import {NOT_OF_EXTENSION, OURS, readObjectCounts} from './object-counts.ts'
import {schemaPattern, type TableScope} from './tables.ts'

export type Grant = {
  /** `table public.leads`, `column public.leads(title)`, `schema app`, `function app.f(text)` … */
  object: string
  grantee: string
  privileges: string[]
}

/** What a schema is besides its rows: read in the backup's snapshot, and again after a restore. */
export interface SchemaFacts {
  extensions: {name: string; version: string; schema: string}[]
  rowSecurity: {schema: string; table: string; enabled: boolean; forced: boolean}[]
  policies: {schema: string; table: string; name: string; definition: string}[]
  grants: Grant[]
  indexes: {count: number; invalid: string[]}
  constraints: {count: number; notValidated: string[]}
  materializedViews: {schema: string; name: string; populated: boolean}[]
  largeObjects: number
  /** By kind, in plural words: `triggers`. */
  objects: Record<string, number>
}

type Values = readonly [readonly string[]]
type Readers = {[K in keyof SchemaFacts]: (client: Client, excluded: Values) => Promise<SchemaFacts[K]>}

const READERS: Readers = {
  extensions: (client) => rowsOf(client, 'SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1'),
  rowSecurity: (client, excluded) => rowsOf(client, `SELECT n.nspname AS schema, c.relname AS table, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OURS} AND c.relkind IN ('r', 'p') AND (c.relrowsecurity OR c.relforcerowsecurity) ORDER BY 1, 2`, excluded),
  policies: (client, excluded) => rowsOf(client, POLICIES, excluded),
  grants: (client, excluded) => rowsOf(client, GRANTS, excluded),
  indexes: async (client, excluded) => {
    const {count, bad} = await validity(client, excluded, INDEXES)
    return {count, invalid: bad}
  },
  constraints: async (client, excluded) => {
    const {count, bad} = await validity(client, excluded, CONSTRAINTS)
    return {count, notValidated: bad}
  },
  materializedViews: (client, excluded) => rowsOf(client, `SELECT n.nspname AS schema, c.relname AS name, c.relispopulated AS populated
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OURS} AND c.relkind = 'm' ORDER BY 1, 2`, excluded),
  largeObjects: async (client) => Number((await rowOf<{count: string}>(client, 'SELECT count(*)::text AS count FROM pg_largeobject_metadata')).count),
  objects: (client, [excluded]) => readObjectCounts(client, excluded),
}

const NOTHING: SchemaFacts = {extensions: [], rowSecurity: [], policies: [], grants: [], indexes: {count: 0, invalid: []}, constraints: {count: 0, notValidated: []}, materializedViews: [], largeObjects: 0, objects: {}}

/** Reads every fact over a connection whose session has `CANONICAL_SETTINGS`. `onRefused` goes on, with an empty fact, where the server refuses to tell. */
export async function readSchemaFacts(client: Client, scope: TableScope, onRefused?: (fact: keyof SchemaFacts, error: unknown) => void): Promise<SchemaFacts> {
  const facts = {...NOTHING}
  const read = async (fact: keyof SchemaFacts): Promise<void> => {
    try {
      Object.assign(facts, {[fact]: await READERS[fact](client, [scope.excludeSchemas.map(schemaPattern)])})
    } catch (error) {
      if (onRefused === undefined || codeOf(error) === undefined) throw error
      onRefused(fact, error)
    }
  }
  for (const fact of Object.keys(READERS) as (keyof SchemaFacts)[]) await read(fact)
  return facts
}

async function validity(client: Client, values: readonly unknown[], sql: string): Promise<{count: number; bad: string[]}> {
  const {count, bad} = await rowOf<{count: string; bad: string[]}>(client, sql, values)
  return {count: Number(count), bad: bad.toSorted()}
}

const POLICIES = `
  SELECT n.nspname AS schema, c.relname AS table, p.polname AS name,
    format('%s %s TO %s USING (%s) WITH CHECK (%s)', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, p.polcmd,
      (SELECT string_agg(role, ', ' ORDER BY role) FROM (SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r)::text END AS role FROM unnest(p.polroles) r) roles),
      coalesce(pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')) AS definition
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OURS} ORDER BY 1, 2, 3`

const INDEXES = `
  SELECT count(*)::text AS count, coalesce(array_agg(format('%I.%I', n.nspname, c.relname)) FILTER (WHERE NOT i.indisvalid), '{}') AS bad
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${OURS} AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}`

/** NOT NULL constraints are counted apart since 18 made them constraints. */
const CONSTRAINTS = `
  SELECT count(*)::text AS count, coalesce(array_agg(format('%s: %I', c.conrelid::regclass, c.conname)) FILTER (WHERE NOT c.convalidated), '{}') AS bad
  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE ${OURS} AND c.conrelid <> 0 AND c.contype <> 'n' AND c.contype <> 't'`

/** Privileges with the owner's own written out, so that one revoked from the owner shows. */
const GRANTS = `
  WITH objects AS (
    SELECT format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname) AS object,
      coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}
    UNION ALL
    SELECT format('column %I.%I(%I)', n.nspname, c.relname, a.attname), a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${OURS} AND a.attacl IS NOT NULL AND NOT a.attisdropped AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}
    UNION ALL
    SELECT format('schema %I', n.nspname), coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n WHERE ${OURS}
    UNION ALL
    SELECT format('function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ${OURS} AND ${NOT_OF_EXTENSION('pg_proc', 'p.oid')}
    UNION ALL
    SELECT format('default privileges for %I%s on %s', pg_get_userbyid(d.defaclrole), coalesce(' in schema ' || quote_ident(n.nspname), ''), d.defaclobjtype), d.defaclacl
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE d.defaclnamespace = 0 OR (${OURS})
    UNION ALL
    SELECT format('large object %s', l.oid), coalesce(l.lomacl, acldefault('L', l.lomowner)) FROM pg_largeobject_metadata l
  )
  SELECT object, CASE WHEN x.grantee = 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END AS grantee,
    array_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END ORDER BY x.privilege_type) AS privileges
  FROM objects, aclexplode(objects.acl) x GROUP BY object, x.grantee ORDER BY 1, 2`
