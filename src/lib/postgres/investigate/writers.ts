import {rowsOf, type Client} from '../connection.ts'
import {commitTimes, type Witnesses} from './transactions.ts'
import {from, iso, latestOf, ofTenant, type WholeTable} from './tables.ts'

/** The rows of one table that one transaction was the last to write. */
export interface Writer {
  /** As `xmin` shows it: 32 bits. */
  transaction: string
  rows: number
  /** Older than everything that the table has not frozen: its number stands there still, its age is not told by it. */
  frozen: boolean
  /** Of the rows' columns for the last change and for the creation, where the table has some: ISO, UTC. */
  updatedFrom?: string
  updatedTo?: string
  createdFrom?: string
  createdTo?: string
  /** Where the server keeps it. */
  committedAt?: string
}

export interface WritersOptions {
  witnesses: Witnesses
  /** Only rows for which this holds; may speak of `xmin`. */
  condition?: string | undefined
  tenant?: {column: string; id: string} | undefined
  /** So many writers, those of most rows first. */
  limit: number
}

interface Row {
  transaction: string
  rows: string
  frozen: boolean
  updatedFrom: string | null
  updatedTo: string | null
  createdFrom: string | null
  createdTo: string | null
}

/** Groups the rows by the transaction that wrote them last, those of most rows first. Reads the whole table, once. */
export async function writersOf(client: Client, table: WholeTable, {witnesses, condition, tenant, limit}: WritersOptions): Promise<Writer[]> {
  const [updated, created] = [latestOf(table.updated), latestOf(table.created)]
  const where = [...(condition === undefined ? [] : [condition]), ...(tenant === undefined ? [] : [ofTenant(tenant.column, '$3')])]
  const rows = await rowsOf<Row>(client, `
    SELECT xmin::text AS transaction, count(*)::text AS rows, xmin::text IN ('1', '2') OR age(xmin) > (SELECT max(age(relfrozenxid)) FROM pg_class WHERE oid = ANY ($1::int8[]::oid[])) AS frozen,
      ${iso(`min(${updated})`)} AS "updatedFrom", ${iso(`max(${updated})`)} AS "updatedTo", ${iso(`min(${created})`)} AS "createdFrom", ${iso(`max(${created})`)} AS "createdTo"
    FROM ${from(table)}${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`}
    GROUP BY xmin ORDER BY count(*) DESC, xmin::text::int8 DESC LIMIT $2`, [table.parts.map(({oid}) => oid), limit, ...(tenant === undefined ? [] : [tenant.id])])
  const times = await commitTimes(client, rows.map(({transaction}) => transaction), witnesses)
  return rows.map(({rows: count, ...row}) => {
    const committedAt = times.get(row.transaction)
    return {...present(row), transaction: row.transaction, frozen: row.frozen, rows: Number(count), ...(committedAt !== undefined && {committedAt})}
  })
}

const present = ({updatedFrom, updatedTo, createdFrom, createdTo}: Pick<Row, 'updatedFrom' | 'updatedTo' | 'createdFrom' | 'createdTo'>): Partial<Writer> => ({
  ...(updatedFrom !== null && {updatedFrom}), ...(updatedTo !== null && {updatedTo}), ...(createdFrom !== null && {createdFrom}), ...(createdTo !== null && {createdTo}),
})
