import {rowsOf, type Client} from './connection.ts'
import {LISTED, schemaPattern, type TableScope} from './tables.ts'

export interface ComparedColumn {
  name: string
  /** As in DDL: `character varying(40)`. */
  type: string
  /** The type's own name, of a domain that of its base: `int4`. */
  base: string
  /** A text that sorts by the database's own collation. */
  defaultCollation: boolean
  generated: boolean
}

/** What may tell one row from another. */
export interface ComparedKey {
  columns: string[]
  primary: boolean
  /** No column may be NULL: then no two rows are alike in it. */
  unique: boolean
}

/** A table whose rows can be compared: an ordinary one, or a partitioned one with all its partitions. */
export interface ComparedTable {
  oid: number
  schema: string
  name: string
  kind: 'table' | 'partitioned'
  /** Of a partition: the partitioned table at the top. */
  root?: {schema: string; name: string}
  columns: ComparedColumn[]
  /** The best first: the primary key, then unique indexes. */
  keys: ComparedKey[]
  /** Foreign keys. */
  links: {columns: string[]; schema: string; name: string; targets: string[]}[]
  readable: boolean
  /** The planner's guess, for a progress. */
  estimatedRows: number
}

interface Row extends Omit<ComparedTable, 'kind' | 'root'> {
  relkind: string
  rootSchema: string | null
  rootName: string | null
}

/** What a database's text is sorted by where no collation is named, and its encoding. */
export interface TextOrder {
  utf8: boolean
  /** By its bytes, as `COLLATE "C"`: an index can then give the order. */
  bytewise: boolean
}

const columnNames = (relation: string, numbers: string) => `ARRAY(SELECT a.attname::text FROM unnest(${numbers}) WITH ORDINALITY k (attnum, place) JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.attnum ORDER BY k.place)`

const COLUMNS = `coalesce((
  SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'base', b.typname, 'defaultCollation', a.attcollation = 100, 'generated', a.attgenerated <> '') ORDER BY a.attnum)
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')`

/** Not of a part of the rows, not of expressions, and finished. */
const KEYS = `coalesce((
  SELECT jsonb_agg(jsonb_build_object('columns', k.columns, 'primary', k.indisprimary, 'unique', k.strict) ORDER BY NOT k.indisprimary, NOT k.strict, cardinality(k.columns), k.columns)
  FROM (
    SELECT i.indisprimary, ${columnNames('c.oid', '(i.indkey::int2[])[0:i.indnkeyatts - 1]')} AS columns,
      NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT a.attnotnull) AS strict
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) k), '[]')`

const LINKS = `coalesce((
  SELECT jsonb_agg(jsonb_build_object('columns', ${columnNames('f.conrelid', 'f.conkey')}, 'schema', tn.nspname, 'name', t.relname, 'targets', ${columnNames('f.confrelid', 'f.confkey')}) ORDER BY f.conname)
  FROM pg_constraint f JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE f.contype = 'f' AND f.conrelid = c.oid AND NOT t.relispartition), '[]')`

export async function comparedTables(client: Client, scope: TableScope): Promise<ComparedTable[]> {
  const rows = await rowsOf<Row>(client, `
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind, ${COLUMNS} AS columns, ${KEYS} AS keys, ${LINKS} AS links,
      rn.nspname AS "rootSchema", r.relname AS "rootName", greatest(c.reltuples, 0)::float8 AS "estimatedRows",
      coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), true) AS readable
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
    WHERE ${LISTED} ORDER BY n.nspname, c.relname`, [scope.excludeSchemas.map(schemaPattern)])
  return rows.map(({relkind, rootSchema, rootName, ...rest}) => ({
    ...rest, kind: relkind === 'p' ? 'partitioned' as const : 'table' as const,
    ...(rootSchema !== null && rootName !== null && {root: {schema: rootSchema, name: rootName}}),
  }))
}

export async function textOrder(client: Client, major: number): Promise<TextOrder> {
  const provider = major >= 15 ? 'd.datlocprovider::text' : "'c'"
  const [row] = await rowsOf<{utf8: boolean; bytewise: boolean}>(client, `
    SELECT pg_encoding_to_char(d.encoding) = 'UTF8' AS utf8, ${provider} = 'b' AND ${major >= 17 ? 'd.datlocale' : "''"} IN ('C', 'C.UTF-8') OR ${provider} = 'c' AND d.datcollate IN ('C', 'POSIX') AS bytewise
    FROM pg_database d WHERE d.datname = current_database()`)
  return {utf8: row?.utf8 ?? false, bytewise: row?.bytewise ?? false}
}
