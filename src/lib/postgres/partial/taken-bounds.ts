import {rowsOf, type Client} from '../connection.ts'
import {qualified} from '../quote.ts'
import type {Catalog, TableName, TableShape} from './contract.ts'
import {nameOf, sameTable, shapeOf} from './names.ts'

/** Rows that stand in another partition, and belong to one that is to be made anew: the server attaches it only where none of its rows is elsewhere. */
export interface TakenBound {
  lost: TableName
  root: TableName
  /** The condition that the rows hold, of bare columns. */
  bound: string
  by: TableName
  /** It is the default partition, or one of its parts: rows that no other takes. */
  isDefault: boolean
  rows: number
  /** Of the root that can be written. */
  columns: string[]
  /** Live tables with foreign keys to the root. */
  referring: TableName[]
}

/** By hash there is no default partition, and the bound names a table by its number. */
const boundOf = ({partition}: TableShape): string | undefined => (partition?.bound?.includes('satisfies_hash_partition') === true ? undefined : partition?.bound)

/** Of partitions that are lost, of tables that are live. Rows that row security hides are not counted. */
export async function takenBounds(client: Client, lost: readonly TableName[], {live, backup}: {live: Catalog; backup: Catalog}): Promise<TakenBound[]> {
  const found: TakenBound[] = []
  for (const table of lost.filter((one) => shapeOf(live, one) === undefined)) {
    const shape = shapeOf(backup, table)
    const root = shape?.root && shapeOf(live, shape.root)
    const bound = shape && boundOf(shape)
    if (root?.kind !== 'partitioned' || bound === undefined) continue
    const columns = root.columns.filter(({generated}) => !generated).map(({name}) => name)
    const referring = live.foreignKeys.filter(({references}) => sameTable(references, root)).map((key) => key.table)
    const rows = await rowsOf<TableName & {isDefault: boolean; rows: number}>(client, `
      SELECT n.nspname AS schema, c.relname AS name, r.rows::float8 AS rows,
        EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) a.relid WHERE pg_catalog.pg_get_expr(x.relpartbound, x.oid) OPERATOR(pg_catalog.=) 'DEFAULT') AS "isDefault"
      FROM (SELECT tableoid AS part, pg_catalog.count(*) AS rows FROM ${qualified(root)} WHERE ${bound} GROUP BY 1) r JOIN pg_catalog.pg_class c ON c.oid = r.part JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 3 DESC, 1, 2`)
    found.push(...rows.map((one) => ({lost: nameOf(table), root: nameOf(root), bound, by: nameOf(one), isDefault: one.isDefault, rows: one.rows, columns, referring})))
  }
  return found
}
