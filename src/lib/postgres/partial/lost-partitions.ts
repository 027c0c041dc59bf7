import {rowOf, type Client} from '../connection.ts'
import type {Catalog, StrayRows, TableName, TableShape} from './contract.ts'
import {nameOf, sameTable} from './names.ts'
import {after, among, type Entry, type Planned} from './plan.ts'
import {quoteIdent} from '../quote.ts'

/** Rows by hash go to no default partition, and their bounds name a table by its number. */
const isTold = ({partition}: TableShape): boolean => partition?.bound?.includes('satisfies_hash_partition') !== true

const leavesOf = ({tables}: Catalog, root: TableName): TableShape[] => tables.filter((one) => one.kind === 'table' && one.root && sameTable(one.root, root))

/**
 * Rows to be written through a partitioned table that stood in a partition of the backup which is none of it live: they would go
 * to the default partition unasked, or to none. Those that another live partition takes go there rightly.
 */
export async function strayRows(client: Client, planned: Planned): Promise<StrayRows[]> {
  const found: StrayRows[] = []
  for (const entry of planned.entries.filter(({selected: {role}}) => role !== 'links')) {
    const {table} = entry.selected
    const live = leavesOf(planned.live, table)
    const lost = leavesOf(planned.request.backup, table).filter((one) => !live.some((other) => sameTable(one, other)))
    if (live.some((one) => !isTold(one))) continue
    for (const leaf of lost) {
      const rows = leaf.partition?.bound && isTold(leaf) ? await countIn(client, entry, leaf.partition.bound, live) : 0
      const into = live.find(({partition}) => partition?.isDefault)
      if (rows > 0) found.push({table, leaf: nameOf(leaf), rows, ...(into && {into: nameOf(into)}), isLive: planned.live.tables.some((one) => sameTable(one, leaf))})
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
