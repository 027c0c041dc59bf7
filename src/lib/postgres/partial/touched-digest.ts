import {rowsOf, type Client} from '../connection.ts'
import type {Act, Entry, Plan, Planned} from './plan.ts'
import {shownName} from './names.ts'

/** Acts on live rows. What is only counted in one mode goes by the name of what another would do. */
type LiveAct = Exclude<Act, 'insert'>

/** One text for the live rows that these acts take, as they are: `0:0` of none. Without `entry`, those of all. */
export type TouchedDigest = (plan: Plan, acts: readonly LiveAct[], entry?: number) => string

const NONE = '0:0'

interface Row {
  plan: number
  entry: number
  act: LiveAct
  rows: string
  sum: string
}

/**
 * Which live rows the plans take, and in what form: number and sum of the 64-bit hashes of their before images. The same rows give
 * the same digest in a later session with the same settings.
 */
export async function touchedDigest(client: Client, {plans}: Planned): Promise<TouchedDigest> {
  const found = plans.length === 0 ? [] : await rowsOf<Row>(client, plans.map(({sql, relation: {columns}}, index) => `
    SELECT ${index} AS plan, entry, CASE act WHEN 'changed' THEN 'update' WHEN 'extra' THEN 'delete' ELSE act END AS act, count(*) AS rows,
      sum(pg_catalog.hashtextextended(ROW(${columns.map((_, place) => `p."b${place + 1}"`).join(', ')})::text COLLATE "C", 0::bigint)::numeric) AS sum
    FROM ${sql} p WHERE act NOT IN ('insert', 'missing', 'foreign') GROUP BY 1, 2, 3`).join(' UNION ALL '))
  return (plan, acts, entry) => {
    const rows = found.filter((row) => plans[row.plan] === plan && acts.includes(row.act) && (entry === undefined || row.entry === entry))
    const total = (value: (row: Row) => string) => rows.reduce((sum, row) => sum + BigInt(value(row)), 0n)
    return `${total((row) => row.rows)}:${total((row) => row.sum)}`
  }
}

/** Of the rows that an entry changes and deletes. */
export const entryDigest = (digest: TouchedDigest, {plan, index}: Entry): {changed: string; extra: string} =>
  ({changed: digest(plan, ['update', 'link'], index), extra: digest(plan, ['delete'], index)})

/** Of the rows that foreign keys take and change, table by table. */
export const cascadesDigest = (digest: TouchedDigest, {plans}: Planned): string =>
  plans.map((plan) => `${shownName(plan.relation.table)} ${digest(plan, ['cascade-delete'])} ${digest(plan, ['cascade-null'])}`).filter((one) => !one.endsWith(` ${NONE} ${NONE}`)).toSorted().join('; ')
