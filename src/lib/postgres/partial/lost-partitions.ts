import {rowOf, type Client} from '../connection.ts'
import type {Catalog, StrayRows, TableName, TableShape} from './contract.ts'
import {ancestorsOf, distinctTables, nameOf, sameTable, shapeOf} from './names.ts'
import {after, among, type Entry, type Planned} from './plan.ts'
import {quoteIdent} from '../quote.ts'

/** Rows by hash go to no default partition, and their bounds name a table by its number. */
const isTold = ({partition}: TableShape): boolean => partition?.bound?.includes('satisfies_hash_partition') !== true

const isWithin = (catalog: Catalog, table: TableName, whole: TableName): boolean => ancestorsOf(catalog, table).some((one) => sameTable(one, whole))
const leavesOf = (catalog: Catalog, whole: TableName): TableShape[] => catalog.tables.filter((one) => one.kind === 'table' && isWithin(catalog, one, whole))

/** Partitions that have to come back for the leaves of the backup to be there: what hangs on a lost one comes with it. */
function lostOnes(whole: TableName, {live, backup}: {live: Catalog; backup: Catalog}): TableShape[] {
  const apart = leavesOf(backup, whole).flatMap((leaf) => {
    const ancestors = ancestorsOf(backup, leaf)
    const below = [nameOf(leaf), ...ancestors.slice(0, ancestors.findIndex((one) => sameTable(one, whole)))]
    return below.findLast((one) => !isWithin(live, one, whole)) ?? []
  })
  return distinctTables(apart).flatMap((one) => shapeOf(backup, one) ?? [])
}

/** A partition of the backup that cannot be attached again, because what it was a partition of is not live either: the topmost such. */
export function lostAncestors(lost: readonly TableName[], {live, backup}: {live: Catalog; backup: Catalog}): {table: TableName; lost: TableName}[] {
  return lost.flatMap((table) => {
    const topmost = ancestorsOf(backup, table).findLast((one) => shapeOf(live, one) === undefined)
    return topmost === undefined ? [] : [{table, lost: topmost}]
  })
}

/**
 * Rows to be written through a partitioned table that stood in a partition of the backup which is none of it live: they would go
 * to the default partition unasked, or to none. Those that another live partition takes go there rightly.
 */
export async function strayRows(client: Client, planned: Planned): Promise<StrayRows[]> {
  const found: StrayRows[] = []
  for (const entry of planned.entries.filter(({selected: {role}}) => role !== 'links')) {
    const {table} = entry.selected
    const live = leavesOf(planned.live, table)
    if (live.some((one) => !isTold(one))) continue
    for (const lost of lostOnes(table, {live: planned.live, backup: planned.request.backup})) {
      const rows = lost.partition?.bound && isTold(lost) ? await countIn(client, entry, lost.partition.bound, live) : 0
      const into = planned.live.tables.find(({partition, parent}) => partition?.isDefault && parent && lost.parent && sameTable(parent, lost.parent))
      if (rows > 0) found.push({table, lost: nameOf(lost), rows, ...(into && {into: nameOf(into)}), isLive: shapeOf(planned.live, lost) !== undefined})
    }
  }
  return found
}

/** The server writes bounds with the bare names of columns. */
async function countIn(client: Client, {plan, index}: Entry, bound: string, live: readonly TableShape[]): Promise<number> {
  const image = plan.relation.columns.map(({name}) => `${after(plan, name)} AS ${quoteIdent(name)}`).join(', ')
  const elsewhere = live.flatMap(({partition}) => (partition?.bound !== undefined && !partition.isDefault ? [`coalesce((${partition.bound}), false)`] : []))
  const {count} = await rowOf<{count: string}>(client, `
    SELECT count(*) FROM (SELECT ${image} FROM ${plan.sql} p WHERE p.entry = ${index} AND p.act ${among(['insert', 'update'])}) r WHERE (${bound})${elsewhere.map((one) => ` AND NOT ${one}`).join('')}`)
  return Number(count)
}
