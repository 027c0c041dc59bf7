import {rowsOf, type Client} from '../connection.ts'
import type {TableName} from './contract.ts'
import {sameTable} from './names.ts'
import type {Plan} from './plan.ts'

/** A unique index as the server has it: of columns, of expressions, of all rows or a part of them. */
export interface UniqueIndex {
  name: string
  /** As SQL of bare columns; `column` where it is no more than that. `operator`: by which the index takes values for equal, with its schema. */
  keys: {sql: string; column: string | null; operator: string; collation: string | null}[]
  /** Of bare columns: which rows it holds. */
  predicate: string | null
  /** Columns that keys and predicate are made of. */
  reads: string[]
  /** Each row is looked at when it is written, and not at the end of the statement. */
  immediate: boolean
  /** NULLS NOT DISTINCT. */
  nullsEqual: boolean
}

const OPERATOR = `(
  SELECT quote_ident(n.nspname) || '.' || o.oprname FROM pg_opclass oc JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3 AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
  JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE oc.oid = i.indclass[k - 1])`

/** Those of each table, as they are now. With `pg_catalog` as search_path: their SQL means the same only under it. */
export async function readUniqueIndexes(client: Client, tables: readonly TableName[]): Promise<(table: TableName) => UniqueIndex[]> {
  const rows = await rowsOf<UniqueIndex & {schema: string; table: string}>(client, `
    SELECT w.schema, w.name AS table, ic.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS predicate, i.indimmediate AS immediate, coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) AS "nullsEqual",
      (SELECT jsonb_agg(jsonb_build_object('sql', pg_get_indexdef(i.indexrelid, k, false), 'column', a.attname, 'operator', ${OPERATOR},
        'collation', (SELECT quote_ident(n.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co JOIN pg_namespace n ON n.oid = co.collnamespace WHERE co.oid = i.indcollation[k - 1] AND co.collname <> 'default')) ORDER BY k)
      FROM generate_series(1, i.indnkeyatts) k LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum > 0) AS keys,
      ARRAY(SELECT DISTINCT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND (a.attnum = ANY (i.indkey::int2[]) OR a.attnum IN (
        SELECT d.refobjsubid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid))) AS reads
    FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND NOT i.indisexclusion JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree'
    ORDER BY ic.relname`, [tables.map(({schema}) => schema), tables.map(({name}) => name)])
  return (table) => rows.filter((row) => sameTable({schema: row.schema, name: row.table}, table)).map(({name, keys, predicate, reads, immediate, nullsEqual}) => ({name, keys, predicate, reads, immediate, nullsEqual}))
}

/** The catalog has the others as keys. */
export const isSpecial = ({keys, predicate, nullsEqual}: UniqueIndex): boolean => predicate !== null || nullsEqual || keys.some(({column}) => column === null)

/** What its keys are computed from is in the plan: no generated column is. */
export const isPlanned = ({reads}: UniqueIndex, {relation}: Plan): boolean => reads.every((name) => relation.columns.some((one) => one.name === name))

/** Its keys, of rows under the alias `r`; for `heldAlike`. */
export const keyList = ({keys}: UniqueIndex): string => keys.map(({sql}, place) => `(${sql}) AS k${place}`).join(', ')

/** That two rows with `keyList` cannot both be in it. */
export const heldAlike = ({keys, nullsEqual}: UniqueIndex, one: string, other: string): string => keys.map(({operator, collation}, place) => {
  const alike = `${one}.k${place} OPERATOR(${operator}) ${other}.k${place}${collation === null ? '' : ` COLLATE ${collation}`}`
  return nullsEqual ? `(${alike} OR ${one}.k${place} IS NULL AND ${other}.k${place} IS NULL)` : alike
}).join(' AND ')
