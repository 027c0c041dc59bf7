import {rowsOf, type Client} from './connection.ts'

/** A user's schema: not the system's, not excluded. `$1` are the excluded patterns. */
export const OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT n.nspname ~ ANY ($1::text[])"
export const NOT_OF_EXTENSION = (catalog: string, oid: string): string => `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`

/**
 * How many objects of each kind there are: what a restore has lost without a word shows here. Kinds are plural words.
 * Left out: what a server makes by itself, what belongs to extensions, and what differs between majors (NOT NULL
 * constraints are rows since 18).
 */
export async function readObjectCounts(client: Client, excluded: readonly string[]): Promise<Record<string, number>> {
  const rows = await rowsOf<{kind: string; count: string}>(client, COUNTS, [excluded])
  return Object.fromEntries(rows.map(({kind, count}) => [kind, Number(count)]))
}

const RELATIONS = `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OURS} AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}`
const relations = (kind: string) => `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = '${kind}' AND ${OURS} AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}`
/** What hangs on a relation; `x` is its catalog. */
const of = (catalog: string, column: string) => `${catalog} x JOIN pg_class c ON c.oid = x.${column} JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OURS} AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}`
/** Range types make functions of their own. */
const FUNCTIONS = `pg_proc x JOIN pg_namespace n ON n.oid = x.pronamespace WHERE ${OURS} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = x.oid AND d.deptype IN ('e', 'i'))`
/** Every table has a row type, every type an array. */
const TYPES = `pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace WHERE ${OURS} AND x.typtype <> 'm' AND ${NOT_OF_EXTENSION('pg_type', 'x.oid')}
  AND (x.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = x.typrelid AND c.relkind = 'c')) AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = x.oid)`
/** Of partitions only their own, not those that come with the parent. */
const CONSTRAINTS = `${of('pg_constraint', 'conrelid')} AND x.conparentid = 0`
const DOMAIN_CHECKS = `pg_constraint x JOIN pg_type t ON t.oid = x.contypid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE x.contype = 'c' AND ${OURS} AND ${NOT_OF_EXTENSION('pg_type', 't.oid')}`
const TRIGGERS = `${of('pg_trigger', 'tgrelid')} AND NOT x.tgisinternal AND x.tgparentid = 0`
const RULES = `${of('pg_rewrite', 'ev_class')} AND x.rulename <> '_RETURN'`
const POLICIES = of('pg_policy', 'polrelid')
const STATISTICS = `pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace WHERE ${OURS}`

const KINDS: Record<string, string> = {
  schemas: `pg_namespace n WHERE ${OURS} AND ${NOT_OF_EXTENSION('pg_namespace', 'n.oid')}`,
  tables: relations('r'), 'partitioned tables': relations('p'), 'foreign tables': relations('f'), views: relations('v'), 'materialized views': relations('m'), sequences: relations('S'),
  functions: `${FUNCTIONS} AND x.prokind IN ('f', 'w')`, procedures: `${FUNCTIONS} AND x.prokind = 'p'`, aggregates: `${FUNCTIONS} AND x.prokind = 'a'`,
  types: `${TYPES} AND x.typtype <> 'd'`, domains: `${TYPES} AND x.typtype = 'd'`,
  triggers: TRIGGERS, rules: RULES, policies: POLICIES, 'column defaults': of('pg_attrdef', 'adrelid'), 'extended statistics': STATISTICS,
  'primary keys': `${CONSTRAINTS} AND x.contype = 'p'`, 'unique constraints': `${CONSTRAINTS} AND x.contype = 'u'`, 'foreign keys': `${CONSTRAINTS} AND x.contype = 'f'`,
  'check constraints': `${CONSTRAINTS} AND x.contype = 'c'`, 'exclusion constraints': `${CONSTRAINTS} AND x.contype = 'x'`, 'domain checks': DOMAIN_CHECKS,
  publications: 'pg_publication', 'event triggers': `pg_event_trigger x WHERE ${NOT_OF_EXTENSION('pg_event_trigger', 'x.oid')}`,
}

/** Of what pg_dump writes comments for. */
const COMMENTED: Record<string, string> = {
  pg_class: `SELECT c.oid FROM ${RELATIONS} AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid AND NOT i.indisvalid)`,
  pg_proc: `SELECT x.oid FROM ${FUNCTIONS}`,
  pg_type: `SELECT x.oid FROM ${TYPES}`,
  pg_trigger: `SELECT x.oid FROM ${TRIGGERS}`,
  pg_rewrite: `SELECT x.oid FROM ${RULES}`,
  pg_policy: `SELECT x.oid FROM ${POLICIES}`,
  pg_statistic_ext: `SELECT x.oid FROM ${STATISTICS}`,
  pg_constraint: `SELECT x.oid FROM ${CONSTRAINTS} AND x.contype IN ('c', 'f', 'p', 'u', 'x') AND x.conislocal UNION ALL SELECT x.oid FROM ${DOMAIN_CHECKS}`,
}

const COMMENTS = `SELECT 'comments' AS kind, (${Object.entries(COMMENTED).map(([catalog, oids]) => `(SELECT count(*) FROM pg_description o WHERE o.classoid = '${catalog}'::regclass AND o.objoid IN (${oids}))`).join(' + ')})::text AS count`
const COUNTS = [...Object.entries(KINDS).map(([kind, from]) => `SELECT '${kind}' AS kind, count(*)::text AS count FROM ${from}`), COMMENTS].join('\nUNION ALL\n')
