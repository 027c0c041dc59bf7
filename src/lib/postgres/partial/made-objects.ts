import {rowOf, rowsOf, type Client} from '../connection.ts'

/** An object of a database, as it was when it was made. */
export interface MadeObject {
  /** The number of its catalog, and its own. */
  catalog: number
  oid: number
  /** `table public.leads`, as the server describes it. */
  name: string
  /** A digest of what it is defined by; of what has no definition of its own, of nothing. */
  definition: string
}

/** Whatever entries of an archive, and extensions, can make. */
const CATALOGS = [
  'pg_class', 'pg_type', 'pg_proc', 'pg_constraint', 'pg_trigger', 'pg_policy', 'pg_rewrite', 'pg_attrdef', 'pg_namespace', 'pg_extension', 'pg_statistic_ext', 'pg_collation', 'pg_conversion', 'pg_publication_rel',
  'pg_operator', 'pg_opclass', 'pg_opfamily', 'pg_amop', 'pg_amproc', 'pg_cast', 'pg_language', 'pg_event_trigger', 'pg_ts_config', 'pg_ts_dict', 'pg_ts_parser', 'pg_ts_template',
]
const FIRST_OF_USERS = 16_384

const inCatalogs = (where: string): string => CATALOGS.map((name) => `SELECT 'pg_catalog.${name}'::regclass::oid AS catalog, oid FROM pg_catalog.${name} WHERE ${where}`).join(' UNION ALL ')
const AS_NUMBERS = 'catalog::int8::float8 AS catalog, oid::int8::float8 AS oid'

export type ObjectNumber = Pick<MadeObject, 'catalog' | 'oid'>
export const numberOf = ({catalog, oid}: ObjectNumber): string => `${catalog}:${oid}`
export const numbers = (objects: readonly ObjectNumber[]): [number[], number[]] => [objects.map(({catalog}) => catalog), objects.map(({oid}) => oid)]

/** Everything that is there and not the system's own. */
export async function objectsThere(client: Client): Promise<ReadonlySet<string>> {
  return new Set((await rowsOf<ObjectNumber>(client, `SELECT ${AS_NUMBERS} FROM (${inCatalogs(`oid >= ${FIRST_OF_USERS}`)}) o`)).map(numberOf))
}

/** What this transaction has made and not only changed: it bears its number, and was not there before. */
export async function objectsMade(client: Client, before: ReadonlySet<string>): Promise<ObjectNumber[]> {
  const touched = await rowsOf<ObjectNumber>(client, `SELECT ${AS_NUMBERS} FROM (${inCatalogs('xmin = pg_catalog.pg_current_xact_id()::xid')}) o`)
  return touched.filter((one) => !before.has(numberOf(one)))
}

/** By the catalog that an object is of. The session's search_path decides how names are written. */
const DEFINITIONS: Readonly<Record<string, string>> = {
  pg_class: `SELECT CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid)
    WHEN c.relkind IN ('r', 'p') THEN concat_ws(' ', c.relrowsecurity, c.relforcerowsecurity, c.relpersistence, pg_get_expr(c.relpartbound, c.oid),
      (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) END FROM pg_class c WHERE c.oid = o.oid`,
  pg_proc: "SELECT CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END FROM pg_proc p WHERE p.oid = o.oid",
  // Once the rows that stood in its way are repaired, a key is validated as dr has said.
  pg_constraint: "SELECT replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') FROM pg_constraint c WHERE c.oid = o.oid",
  pg_trigger: 'SELECT pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger t WHERE t.oid = o.oid AND NOT t.tgisinternal',
  pg_policy: 'SELECT concat_ws(chr(10), p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) FROM pg_policy p WHERE p.oid = o.oid',
  pg_attrdef: 'SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.oid = o.oid',
  pg_rewrite: 'SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.oid = o.oid',
  pg_type: 'SELECT string_agg(e.enumlabel, chr(10) ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = o.oid',
  pg_statistic_ext: 'SELECT pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s WHERE s.oid = o.oid',
}
const DEFINITION = `CASE o.catalog ${Object.entries(DEFINITIONS).map(([name, sql]) => `WHEN 'pg_catalog.${name}'::regclass::oid THEN (${sql})`).join(' ')} END`

/** Names are written with their schema, whatever the search_path is otherwise. */
export async function withFullNames<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const {path} = await rowOf<{path: string}>(client, "SELECT pg_catalog.current_setting('search_path') AS path")
  // What holds for a transaction alone would be made to hold for the session.
  if (path === 'pg_catalog') return work()
  await client.query("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)")
  try {
    return await work()
  } finally {
    // A transaction that has failed takes it back itself.
    await client.query("SELECT set_config('search_path', $1, false)", [path]).catch(() => undefined)
  }
}

/** Of these objects those that are there, as they are now. */
export async function described(client: Client, objects: readonly ObjectNumber[]): Promise<MadeObject[]> {
  const [catalogs, oids] = numbers(objects)
  return withFullNames(client, () => rowsOf<MadeObject>(client, `
    WITH o AS MATERIALIZED (SELECT f.catalog, f.oid FROM (${inCatalogs('oid = ANY ($2::oid[])')}) f JOIN unnest($1::oid[], $2::oid[]) w (catalog, oid) ON f.catalog = w.catalog AND f.oid = w.oid)
    SELECT o.catalog::int8::float8 AS catalog, o.oid::int8::float8 AS oid, i.type || ' ' || i.identity AS name, encode(sha256(convert_to(coalesce(${DEFINITION}, ''), 'UTF8')), 'hex') AS definition
    FROM o CROSS JOIN LATERAL pg_identify_object(o.catalog, o.oid, 0) i ORDER BY o.oid DESC`, [catalogs, oids]))
}
