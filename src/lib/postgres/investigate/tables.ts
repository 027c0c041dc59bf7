import {rowsOf, type Client} from '../connection.ts'
import {liveTables, type LiveTableRef} from '../live-tables.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {TableScope} from '../tables.ts'

/** A table as people speak of it: a partitioned one with all its partitions. */
export interface WholeTable {
  oid: number
  schema: string
  name: string
  kind: 'table' | 'partitioned'
  columns: readonly string[]
  /** Those of its rows: itself, or its partitions. */
  parts: readonly LiveTableRef[]
  /** On disk, all parts, as the last VACUUM or ANALYZE saw them. */
  bytes: number
  readable: boolean
  /** Columns that say when a row was last written, and when it was made; names as they are configured. */
  updated: readonly string[]
  created: readonly string[]
}

/** Of a configured column: its name says that it is set once. */
export const isOfCreation = (column: string): boolean => /creat|insert/i.test(column)

/** Every table that a backup would hold, partitions joined to what they are partitions of. Takes no locks. */
export async function wholeTables(client: Client, scope: TableScope, timestampColumns: readonly string[]): Promise<WholeTable[]> {
  const all = await liveTables(client, scope)
  const times = await timesOf(client, timestampColumns)
  return all.filter(({root}) => root === undefined).map((table) => {
    const {oid, schema, name, kind, columns} = table
    const parts = kind === 'table' ? [table] : all.filter(({root, kind: own}) => own === 'table' && root?.schema === schema && root.name === name)
    const own = times.get(oid) ?? []
    return {
      oid, schema, name, kind, columns, parts, bytes: parts.reduce((sum, {bytes}) => sum + bytes, 0), readable: table.readable,
      updated: own.filter((column) => !isOfCreation(column)), created: own.filter(isOfCreation),
    }
  })
}

/** By table, in the order of the configuration. */
async function timesOf(client: Client, names: readonly string[]): Promise<Map<number, string[]>> {
  const rows = await rowsOf<{oid: number; columns: string[]}>(client, `
    SELECT a.attrelid::int8::float8 AS oid, array_agg(a.attname::text ORDER BY array_position($1::text[], a.attname::text)) AS columns
    FROM pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) AND a.attname = ANY ($1::text[])
    GROUP BY a.attrelid`, [names])
  return new Map(rows.map(({oid, columns}) => [oid, columns]))
}

/** What to read from, so that each row is read once. */
export const from = ({kind, ...table}: Pick<WholeTable, 'kind' | 'schema' | 'name'>): string => `${kind === 'table' ? 'ONLY ' : ''}${qualified(table)}`

/** The latest of these columns, as SQL; NULL without any. What lies in the future or is infinite counts for nothing. A time without a zone is taken for UTC. */
export function latestOf(columns: readonly string[]): string {
  if (columns.length === 0) return 'NULL::timestamptz'
  const finite = columns.map((column) => `CASE WHEN isfinite(${quoteIdent(column)}) AND ${quoteIdent(column)}::timestamptz <= statement_timestamp() THEN ${quoteIdent(column)}::timestamptz END`)
  return finite.length === 1 ? (finite[0] ?? '') : `greatest(${finite.join(', ')})`
}

/** As ISO text, UTC, to the microsecond. */
export const iso = (time: string): string => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** Rows of one tenant; `$n` is its id. */
export const ofTenant = (tenantColumn: string, parameter: string): string => `${quoteIdent(tenantColumn)}::text = ${parameter}`
