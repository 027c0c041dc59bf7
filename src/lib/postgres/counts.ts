import {rowOf, rowsOf, type Client} from './connection.ts'
import {qualified, quoteIdent} from './quote.ts'

/** What one table holds, in the snapshot of the connection that asks. */
export interface TableCounts {
  rows: number
  /** Rows per tenant, where the table has the tenant column; the empty text stands for NULL. */
  tenants?: Record<string, number>
}

export interface CountedTable {
  schema: string
  name: string
  kind: 'table' | 'partitioned'
  columns: readonly string[]
}

/** Exact counts of the table's own rows, without inheritance children; undefined for a partitioned parent, which has none. */
export async function countTable(client: Client, table: CountedTable, tenantColumn: string): Promise<TableCounts | undefined> {
  if (table.kind === 'partitioned') return undefined
  if (!table.columns.includes(tenantColumn)) {
    const {rows} = await rowOf<{rows: string}>(client, `SELECT count(*)::text AS rows FROM ONLY ${qualified(table)}`)
    return {rows: Number(rows)}
  }
  const groups = await rowsOf<{tenant: string | null; rows: string}>(client, `SELECT ${quoteIdent(tenantColumn)}::text AS tenant, count(*)::text AS rows FROM ONLY ${qualified(table)} GROUP BY 1`)
  const tenants = Object.fromEntries(groups.map(({tenant, rows}) => [tenant ?? '', Number(rows)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  return {rows: Object.values(tenants).reduce((sum, rows) => sum + rows, 0), tenants}
}

/**
 * An order-independent digest of a table's rows, equal on every server major from 13 on when the session has
 * `CANONICAL_SETTINGS`. Not `t::text`: in a table with a column t that would hash only that column. Undefined where it
 * cannot be taken (a row whose text passes 1 GB).
 */
export async function digestTable(client: Client, table: CountedTable): Promise<string | undefined> {
  if (table.kind === 'partitioned') return undefined
  const row = `ROW(${table.columns.map(quoteIdent).join(', ')})`
  const {digest} = await rowOf<{digest: string}>(client, `SELECT coalesce(sum(pg_catalog.hashtextextended(${row}::text, 0)::numeric), 0)::text AS digest FROM ONLY ${qualified(table)}`)
  return digest
}
