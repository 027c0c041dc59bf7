import {rowsOf, type Client} from './connection.ts'

/** A relation that the dump locks: an ordinary or a partitioned table. */
export interface TableRef {
  oid: number
  schema: string
  name: string
  kind: 'table' | 'partitioned'
  /** Bytes on disk with TOAST, without indexes; 0 for a partitioned parent. */
  bytes: number
  /** The planner's estimate; -1 when never analyzed. */
  estimatedRows: number
  /** In order, without dropped and generated columns. */
  columns: string[]
}

/**
 * Schemas that are never dumped; patterns as pg_dump reads them (`*`, `?`). By default those where a partial restore stages rows
 * (`dr_stage_*`), and those that hold rows as they were before it (`dr_undo_*`): a restored database is not the one that an
 * undo would fit.
 */
export interface TableScope {
  excludeSchemas: readonly string[]
}

/** A pattern of pg_dump's as a regular expression for `~`. */
export const schemaPattern = (pattern: string): string => `^${pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '.*').replaceAll('?', '.')}$`

/** The same pattern for pg_dump, which folds case and reads regular expressions unless the text is quoted. */
export const dumpPattern = (pattern: string): string => pattern.replaceAll(/[^*?]+/g, (literal) => `"${literal.replaceAll('"', '""')}"`)

/** Relations of these kinds (`pg_class.relkind`) that are not the system's, not temporary, and not an extension's own. `$1` are the excluded patterns. */
export const listed = (kinds: readonly string[]): string => `
  c.relkind IN (${kinds.map((kind) => `'${kind}'`).join(', ')}) AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT n.nspname ~ ANY ($1::text[])
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND NOT c.oid = ANY (coalesce(e.extconfig, '{}')))`

/**
 * Every table whose rows pg_dump would write: not the system's, not temporary, not an extension's own (save those that
 * the extension declares as configuration).
 */
export const LISTED = listed(['r', 'p'])

/** Sizes touch the tables themselves, and wait where someone has locked one: ask for them only under locks of our own. */
export async function listTables(client: Client, scope: TableScope, {sizes}: {sizes: boolean}): Promise<TableRef[]> {
  const rows = await rowsOf<{oid: number; schema: string; name: string; relkind: string; bytes: string; estimate: number; columns: string[]}>(client, `
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind, c.reltuples::float8 AS estimate,
      ${sizes ? "CASE c.relkind WHEN 'r' THEN coalesce(pg_catalog.pg_table_size(c.oid), 0) ELSE 0 END" : '0'}::text AS bytes,
      ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE ${LISTED} ORDER BY n.nspname, c.relname`, [scope.excludeSchemas.map(schemaPattern)])
  return rows.map(({oid, schema, name, relkind, bytes, estimate, columns}) => ({
    oid, schema, name, kind: relkind === 'p' ? 'partitioned' as const : 'table' as const, bytes: Number(bytes), estimatedRows: estimate, columns,
  }))
}
