import {rowOf, rowsOf, type Client} from '../connection.ts'
import {LISTED, schemaPattern, type TableScope} from '../tables.ts'
import type {Catalog, ForeignKeyShape, KeyRule, TableName, TableShape} from './contract.ts'

type TableRow = Omit<TableShape, 'kind' | 'root' | 'parent' | 'partition'> & {relkind: string; root: TableName | null; parent: TableName | null; bound: string | null; isDefault: boolean | null}

interface ForeignKeyRow {
  name: string
  schema: string
  table: string
  columns: string[]
  referencedSchema: string
  referencedTable: string
  referencedColumns: string[]
  rule: string
  updateRule: string
  setColumns: string[] | null
  deferrable: boolean
  validated: boolean
  operators: string[] | null
}

const columnNames = (relation: string, numbers: string) => `ARRAY(SELECT a.attname::text FROM unnest(${numbers}) WITH ORDINALITY k (attnum, place) JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.attnum ORDER BY k.place)`

const COLUMNS = `coalesce((
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull, 'generated', a.attgenerated <> '',
    'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'default' END)) ORDER BY a.attnum)
  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')`

/** Not of a part of the rows, not of expressions, and finished. Those that nothing can be put in twice come first: NULLs can. */
const KEYS = `coalesce((
  SELECT jsonb_agg(jsonb_build_object('name', k.name, 'columns', k.columns, 'primary', k.indisprimary, 'strict', k.strict) ORDER BY NOT k.indisprimary, NOT k.strict, cardinality(k.columns), k.name)
  FROM (
    SELECT ic.relname AS name, i.indisprimary, ${columnNames('c.oid', '(i.indkey::int2[])[0:i.indnkeyatts - 1]')} AS columns,
      NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT a.attnotnull) AS strict
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) k), '[]')`

const TRIGGERS = `coalesce((
  SELECT jsonb_agg(jsonb_build_object('name', t.tgname, 'enabled', CASE t.tgenabled WHEN 'O' THEN 'origin' WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'disabled' END) ORDER BY t.tgname)
  FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), '[]')`

/** Those that a column owns, and those that its default takes numbers from. */
const SEQUENCES = `coalesce((
  SELECT jsonb_agg(jsonb_build_object('column', a.attname, 'schema', sn.nspname, 'name', s.relname) ORDER BY a.attnum, s.relname)
  FROM (
    SELECT d.objid AS sequence, d.refobjsubid AS attnum FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    UNION SELECT d.refobjid, f.adnum FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass WHERE f.adrelid = c.oid) u
  JOIN pg_class s ON s.oid = u.sequence AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum), '[]')`

const tableName = (oid: string): string => `(SELECT jsonb_build_object('schema', tn.nspname, 'name', t.relname) FROM pg_class t JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE t.oid = ${oid})`

const TABLES = `
  SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind,
    CASE WHEN c.relispartition THEN ${tableName('pg_partition_root(c.oid)')} END AS root, CASE WHEN c.relispartition THEN ${tableName('(SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid)')} END AS parent,
    pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' AS "isDefault", CASE WHEN pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' THEN pg_get_partition_constraintdef(c.oid) END AS bound,
    ${COLUMNS} AS columns, ${KEYS} AS keys, c.relrowsecurity AS "rowSecurity", c.relforcerowsecurity AS "forcedRowSecurity", pg_get_userbyid(c.relowner)::text AS owner,
    greatest(c.reltuples, 0)::float8 AS "estimatedRows", ${TRIGGERS} AS triggers, ${SEQUENCES} AS sequences
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${LISTED} ORDER BY n.nspname, c.relname`

/** Of a type of an extension (citext); null where all are the server's own. */
const OPERATORS = `(
  SELECT array_agg(quote_ident(n.nspname) || '.' || o.oprname ORDER BY k.place) FROM unnest(f.conpfeqop) WITH ORDINALITY k (operator, place) JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace n ON n.oid = o.oprnamespace
  HAVING bool_or(n.nspname <> 'pg_catalog'))`

/** What a partition has from its root, on either end, has a parent. */
const foreignKeysSql = (major: number) => `
  SELECT f.conname AS name, n.nspname AS schema, c.relname AS table, ${columnNames('f.conrelid', 'f.conkey')} AS columns,
    tn.nspname AS "referencedSchema", t.relname AS "referencedTable", ${columnNames('f.confrelid', 'f.confkey')} AS "referencedColumns", f.confdeltype AS rule, f.confupdtype AS "updateRule",
    ${major >= 15 ? `CASE WHEN f.confdelsetcols IS NOT NULL THEN ${columnNames('f.conrelid', 'f.confdelsetcols')} END` : 'NULL::text[]'} AS "setColumns",
    f.condeferrable AS deferrable, f.convalidated AS validated, ${OPERATORS} AS operators
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE f.contype = 'f' AND f.conparentid = 0 AND ${LISTED} ORDER BY n.nspname, c.relname, f.conname`

const RULES: Readonly<Record<string, KeyRule>> = {a: 'no action', r: 'restrict', c: 'cascade', n: 'set null', d: 'set default'}

/**
 * The tables of the database that this session is in and the foreign keys between them, as one statement each sees them: run
 * it in a REPEATABLE READ transaction where they must agree. Types outside of pg_catalog carry their schema. The session's
 * search_path is afterwards as it was.
 */
export async function readCatalog(client: Client, scope: TableScope): Promise<Catalog> {
  const {path, major} = await rowOf<{path: string; major: number}>(client, "SELECT pg_catalog.current_setting('search_path') AS path, pg_catalog.current_setting('server_version_num')::int OPERATOR(pg_catalog./) 10000 AS major")
  const excluded = [scope.excludeSchemas.map(schemaPattern)]
  const setPath = (value: string) => client.query("SELECT pg_catalog.set_config('search_path', $1, false)", [value])
  await setPath('pg_catalog')
  try {
    const tables = (await rowsOf<TableRow>(client, TABLES, excluded)).map(tableOf)
    const known = new Set(tables.map(({schema, name}) => JSON.stringify([schema, name])))
    const foreignKeys = (await rowsOf<ForeignKeyRow>(client, foreignKeysSql(major), excluded)).map(foreignKeyOf)
    return {tables, foreignKeys: foreignKeys.filter(({references: {schema, name}}) => known.has(JSON.stringify([schema, name])))}
  } finally {
    // In a transaction that failed the path goes back with it.
    await setPath(path).catch(() => {})
  }
}

function tableOf({relkind, root, parent, bound, isDefault, ...rest}: TableRow): TableShape {
  return {...rest, kind: relkind === 'p' ? 'partitioned' : 'table', ...(root !== null && parent !== null && {root, parent, partition: {...(bound !== null && {bound}), isDefault: isDefault === true}})}
}

function foreignKeyOf({name, schema, table, columns, referencedSchema, referencedTable, referencedColumns, rule, updateRule, setColumns, deferrable, validated, operators}: ForeignKeyRow): ForeignKeyShape {
  return {
    name, table: {schema, name: table}, columns, references: {schema: referencedSchema, name: referencedTable}, referencedColumns,
    onDelete: RULES[rule] ?? 'no action', onUpdate: RULES[updateRule] ?? 'no action', ...(setColumns !== null && {setColumns}), deferrable, validated, ...(operators !== null && {operators}),
  }
}
