import {rowsOf, type Client} from './connection.ts'
import {LISTED, schemaPattern, type TableScope} from './tables.ts'

/** A table as the catalog shows it, with what a comparison of rows wants to know. */
export interface LiveTableRef {
  oid: number
  schema: string
  name: string
  kind: 'table' | 'partitioned'
  /** Of the heap, as the last VACUUM or ANALYZE saw it; nothing is locked for it. */
  bytes: number
  /** In order, without dropped and generated columns. */
  columns: string[]
  /** Columns that say when a row was written: `createdAt`, `updated_at` and the like. */
  times: {column: string; indexed: boolean}[]
  /** Of a partition: the partitioned table at the top. */
  root?: {schema: string; name: string}
  /** This role may read it; what has been dropped meanwhile says so when it is read. */
  readable: boolean
}

const TIMES = '^(created|updated|inserted|modified|changed)_?(at|on|date|time)?$'

interface Row {
  oid: number
  schema: string
  name: string
  relkind: string
  bytes: string
  columns: string[]
  times: {column: string; indexed: boolean}[]
  rootSchema: string | null
  rootName: string | null
  readable: boolean
}

/** Every table that a backup would hold, partitioned parents too. Takes no locks. */
export async function liveTables(client: Client, scope: TableScope): Promise<LiveTableRef[]> {
  const rows = await rowsOf<Row>(client, `
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind, (greatest(c.relpages, 0)::int8 * current_setting('block_size')::int8)::text AS bytes,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) AS columns,
      coalesce((SELECT jsonb_agg(jsonb_build_object('column', a.attname, 'indexed', EXISTS (
          SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
          WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indisvalid AND m.amname = 'btree')) ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) AND a.attname ~* '${TIMES}'), '[]') AS times,
      rn.nspname AS "rootSchema", r.relname AS "rootName", coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), true) AS readable
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
    WHERE ${LISTED} ORDER BY n.nspname, c.relname`, [scope.excludeSchemas.map(schemaPattern)])
  return rows.map(({relkind, bytes, rootSchema, rootName, ...rest}) => ({
    ...rest, kind: relkind === 'p' ? 'partitioned' as const : 'table' as const, bytes: Number(bytes),
    ...(rootSchema !== null && rootName !== null && {root: {schema: rootSchema, name: rootName}}),
  }))
}
