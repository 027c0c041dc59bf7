import {rowOf, rowsOf, type Client} from './connection.ts'
import {qualified, quoteIdent} from './quote.ts'

/** What one table holds, in the snapshot of the connection that asks. */
export interface TableCounts {
  rows: number
  /** Rows per tenant, where the table has the tenant column; the empty text stands for NULL too. */
  tenants?: Record<string, number>
}

export interface CountedTable {
  schema: string
  name: string
  kind: 'table' | 'partitioned'
  columns: readonly string[]
}

/**
 * Exact counts of the table's own rows, without inheritance children; undefined for a partitioned parent, which has none,
 * and for an unlogged table of a standby, which cannot be read there.
 */
export async function countTable(client: Client, table: CountedTable, tenantColumn: string): Promise<TableCounts | undefined> {
  if (table.kind === 'partitioned' || (await isUnreadable(client, table))) return undefined
  if (!table.columns.includes(tenantColumn)) {
    const {rows} = await rowOf<{rows: string}>(client, `SELECT count(*)::text AS rows FROM ONLY ${qualified(table)}`)
    return {rows: Number(rows)}
  }
  const groups = await rowsOf<{tenant: string | null; rows: string}>(client, `SELECT ${quoteIdent(tenantColumn)}::text AS tenant, count(*)::text AS rows FROM ONLY ${qualified(table)} GROUP BY 1`)
  const tenants = new Map<string, number>()
  for (const {tenant, rows} of groups) tenants.set(tenant ?? '', (tenants.get(tenant ?? '') ?? 0) + Number(rows))
  return {rows: groups.reduce((sum, {rows}) => sum + Number(rows), 0), tenants: Object.fromEntries([...tenants].toSorted(([a], [b]) => (a < b ? -1 : 1)))}
}

/** Asked beforehand: the error would end the transaction that holds the snapshot. */
async function isUnreadable(client: Client, {schema, name}: CountedTable): Promise<boolean> {
  const rows = await rowsOf(client, `
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE pg_catalog.pg_is_in_recovery() AND c.relpersistence = 'u' AND n.nspname = $1 AND c.relname = $2`, [schema, name])
  return rows.length > 0
}

/**
 * An order-independent digest of a table's rows, equal on every server major from 13 on when the session has
 * `CANONICAL_SETTINGS`. Not `t::text`: in a table with a column t that would hash only that column. Undefined where it
 * cannot be taken (a row whose text passes 1 GB).
 */
export async function digestTable(client: Client, table: CountedTable): Promise<string | undefined> {
  if (table.kind === 'partitioned' || (await isUnreadable(client, table))) return undefined
  const row = `ROW(${table.columns.map(quoteIdent).join(', ')})`
  const {digest} = await rowOf<{digest: string}>(client, `SELECT coalesce(sum(pg_catalog.hashtextextended(${row}::text, 0)::numeric), 0)::text AS digest FROM ONLY ${qualified(table)}`)
  return digest
}
