import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteIdent} from '../quote.ts'
import {from, iso, latestOf, ofTenant, type WholeTable} from './tables.ts'

export interface AroundOptions {
  transaction: string
  /** The instant of the backup: ISO. */
  backupAt?: string | undefined
  /** Holds for rows that were written after the backup's instant; absent where that is not known. */
  newer?: string | undefined
  /** Rows that were made later than this are taken for made after the transaction. */
  madeBy?: string | undefined
  tenant?: {column: string; id: string} | undefined
}

/** A table, seen from one transaction. What cannot be told is absent. */
export interface Around {
  rows: number
  /** It was the last to write them. */
  hit: number
  /** Of those: changed after the backup, and there before it, by the columns. */
  edited?: number
  /** Of those: made after the backup. */
  made?: number
  /** Last written between the backup and the transaction. */
  between?: number
  /** Last written by later transactions. */
  later: number
  /** Of those: made before the transaction. */
  laterOld?: number
  /** The latest time in rows that it or an earlier one wrote last. */
  before?: string
}

interface Row {
  rows: string
  hit: string
  edited: string | null
  made: string | null
  between: string | null
  later: string
  laterOld: string | null
  before: string | null
}

/** Counts around one transaction; reads the whole table. */
export async function aroundTransaction(client: Client, table: WholeTable, options: AroundOptions): Promise<Around> {
  const {transaction, tenant} = options
  const where = tenant === undefined ? '' : `WHERE ${ofTenant(tenant.column, '$4')}`
  const values = [transaction, options.backupAt ?? null, options.madeBy ?? null, ...(tenant === undefined ? [] : [tenant.id])]
  const row = await rowOf<Row>(client, `SELECT count(*)::text AS rows, ${figures(table, options)} FROM ${from(table)} ${where}`, values)
  return {
    rows: Number(row.rows), hit: Number(row.hit), later: Number(row.later), ...numbers(row),
    ...(row.before !== null && {before: row.before}),
  }
}

/** One transaction's ages are all counted from one instant, so two of them compare as their transactions do. */
const LATER = "age(xmin) < (SELECT age($1::text::xid))"
const HIT = 'xmin = $1::text::xid'

function figures(table: WholeTable, {backupAt, newer, madeBy}: AroundOptions): string {
  const [updated, created] = [latestOf(table.updated), latestOf(table.created)]
  const of = (condition: string | undefined) => (condition === undefined ? 'NULL' : `(count(*) FILTER (WHERE ${condition}))::text`)
  const hasBackup = backupAt !== undefined
  const made = `coalesce(${created} > $2::timestamptz, false)`
  return `${of(HIT)} AS hit, ${of(LATER)} AS later,
    ${of(hasBackup && table.updated.length > 0 ? `${HIT} AND ${updated} > $2::timestamptz AND NOT ${made}` : undefined)} AS edited,
    ${of(hasBackup && table.created.length > 0 ? `${HIT} AND ${made}` : undefined)} AS made,
    ${of(newer === undefined ? undefined : `${newer} AND NOT ${HIT} AND NOT ${LATER}`)} AS between,
    ${of(madeBy !== undefined && table.created.length > 0 ? `${LATER} AND ${created} <= $3::timestamptz` : undefined)} AS "laterOld",
    ${iso(`max(${latestOf([...table.updated, ...table.created])}) FILTER (WHERE NOT ${LATER})`)} AS before, $2::text AS given, $3::text AS also`
}

const numbers = ({edited, made, between, laterOld}: Row): Partial<Around> => ({
  ...(edited !== null && {edited: Number(edited)}), ...(made !== null && {made: Number(made)}),
  ...(between !== null && {between: Number(between)}), ...(laterOld !== null && {laterOld: Number(laterOld)}),
})

const SAMPLED = 2000

/** Types whose values are short enough to compare all of them. */
const COMPARED = "('bool', 'int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'text', 'varchar', 'bpchar', 'uuid', 'date', 'timestamp', 'timestamptz', 'time', 'interval')"

/**
 * Columns that have one value in every row of the transaction, and had others: by the values that the table had before, where
 * those are known, else by the other rows and the statistics of the last ANALYZE. What it set, most likely, or was limited to.
 * No value is returned. Reads the rows of the transaction.
 */
export async function setColumns(client: Client, table: WholeTable, transaction: string, earlier?: ReadonlyMap<string, ReadonlySet<string | null>>): Promise<string[]> {
  const candidates = await rowsOf<{column: string}>(client, `
    SELECT a.attname AS column FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype
    WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND (t.typtype = 'e' OR coalesce(b.typname, t.typname) IN ${COMPARED}) ORDER BY a.attnum`, [table.oid])
  const sampled = await oneValued(client, `(SELECT * FROM ${from(table)} WHERE ${HIT} LIMIT ${SAMPLED}) sample`, candidates.map(({column}) => column), 'true', transaction)
  const inAll = await oneValued(client, from(table), sampled, HIT, transaction)
  const had = inAll.filter((column) => earlier?.has(column))
  const now = await valuesOf(client, table, had, transaction)
  const elsewhere = await variedElsewhere(client, table, inAll.filter((column) => !had.includes(column)), transaction)
  return inAll.filter((column) => elsewhere.has(column) || (had.includes(column) && [...earlier?.get(column) ?? []].some((value) => value !== (now.get(column) ?? null))))
}

/** The one value that each of these columns has in the rows of the transaction. */
async function valuesOf(client: Client, table: WholeTable, columns: readonly string[], transaction: string): Promise<Map<string, string | null>> {
  if (columns.length === 0) return new Map()
  const {values} = await rowOf<{values: (string | null)[]}>(client, `SELECT ARRAY[${columns.map((column) => `${quoteIdent(column)}::text`).join(', ')}] AS values FROM ${from(table)} WHERE ${HIT} LIMIT 1`, [transaction])
  return new Map(columns.map((column, index) => [column, values[index] ?? null]))
}

/** Of these columns those with one value, or none, in all rows for which the condition holds. */
async function oneValued(client: Client, source: string, columns: readonly string[], condition: string, transaction: string): Promise<string[]> {
  if (columns.length === 0) return []
  const same = columns.map((column) => `(count(*) = 0 OR count(${quoteIdent(column)}) = 0 OR (count(${quoteIdent(column)}) = count(*) AND min(${quoteIdent(column)}::text) = max(${quoteIdent(column)}::text)))`)
  const {same: flags} = await rowOf<{same: boolean[]}>(client, `SELECT ARRAY[${same.join(', ')}] AS same, $1::text AS given FROM ${source} WHERE ${condition}`, [transaction])
  return columns.filter((_, index) => flags[index] === true)
}

/** Columns that differ in other rows, or of which the statistics know several values, NULL among them. */
async function variedElsewhere(client: Client, table: WholeTable, columns: readonly string[], transaction: string): Promise<Set<string>> {
  if (columns.length === 0) return new Set()
  const same = new Set(await oneValued(client, from(table), columns, 'true', transaction))
  const known = await rowsOf<{column: string}>(client, `
    SELECT attname AS column FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = ANY ($3::text[]) AND (n_distinct NOT IN (0, 1) OR (null_frac > 0 AND null_frac < 1))`, [table.schema, table.name, columns])
  return new Set([...columns.filter((column) => !same.has(column)), ...known.map(({column}) => column)])
}
