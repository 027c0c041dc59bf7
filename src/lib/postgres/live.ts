import {DrError, messageOf} from '../errors.ts'
import {rowsOf, withClient, type Client} from './connection.ts'
import {countTable} from './counts.ts'
import {codeOf} from './errors.ts'
import {qualified, quoteIdent} from './quote.ts'
import {inParallel} from './restore-parallel.ts'
import {CANONICAL_SETTINGS} from './snapshot.ts'
import {listTables, type TableRef, type TableScope} from './tables.ts'
import type {Target} from './target.ts'

export interface LiveTable {
  schema: string
  name: string
  /** Null where they may not be read. */
  rows: number | null
  /** The planner's estimate: counting took too long, or somebody holds the table. */
  estimated: boolean
  /** Rows that were inserted or changed since `sinceXid`, or by one of `alsoXids`. */
  written?: number
}

export interface LiveCounts {
  tables: LiveTable[]
  /** Different ones, over all tables with the tenant column that were counted. */
  tenants: number | undefined
  /** The youngest value of columns such as createdAt, where it costs nothing to find. */
  newest: {table: string; column: string; at: string} | undefined
  /** Why tables could not be read. */
  troubles: string[]
}

export interface LiveOptions extends TableScope {
  database: string
  applicationName: string
  tenantColumn: string
  /** For all the counting; what is not counted then is estimated. */
  budgetMs: number
  /** Count the rows that this transaction or a later one has written, too. */
  sinceXid?: string | undefined
  /** Earlier transactions whose rows are counted with them. */
  alsoXids?: readonly string[] | undefined
  signal: AbortSignal
  onCounted?: (done: number, total: number) => void
}

const CONNECTIONS = 2
const LOCK_MS = 500
/** A column without an index is read only in a table of fewer pages. */
const SMALL_PAGES = 2000
const NEWEST_COLUMNS = 60
const NEWEST_MS = 1000

/** Counts what a database holds now, without hurting whoever works in it: two connections, short waits for locks, a budget of time. */
export async function countLive(target: Target, options: LiveOptions): Promise<LiveCounts> {
  const {database, applicationName, budgetMs, signal} = options
  const deadline = performance.now() + budgetMs
  const settings = [`SET lock_timeout = ${LOCK_MS}`, 'SET row_security = off', ...CANONICAL_SETTINGS]
  const {refs, newest} = await withClient(target, {database, applicationName}, async (client) => {
    for (const setting of settings) await client.query(setting)
    return {refs: (await listTables(client, options, {sizes: false})).filter(({kind}) => kind === 'table'), newest: await newestRow(client)}
  })
  const tables: LiveTable[] = []
  const troubles: string[] = []
  const tenants = new Set<string>()
  const smallFirst = refs.toSorted((a, b) => a.estimatedRows - b.estimatedRows)
  await inParallel(smallFirst, {target, database, applicationName, connections: CONNECTIONS, settings, doing: 'Counting the rows', signal}, async (client, table) => {
    const {trouble, tenants: found, ...counted} = await countWithin(client, table, options, deadline)
    tables.push(counted)
    for (const tenant of found) if (tenant !== '') tenants.add(tenant)
    if (trouble !== undefined) troubles.push(trouble)
    options.onCounted?.(tables.length, refs.length)
  })
  const hasTenants = refs.some(({columns}) => columns.includes(options.tenantColumn))
  return {tables: tables.toSorted(byName), tenants: hasTenants ? tenants.size : undefined, newest, troubles}
}

const byName = (a: LiveTable, b: LiveTable) => (JSON.stringify([a.schema, a.name]) < JSON.stringify([b.schema, b.name]) ? -1 : 1)

async function countWithin(client: Client, table: TableRef, {tenantColumn, sinceXid, alsoXids = []}: LiveOptions, deadline: number): Promise<LiveTable & {tenants: string[]; trouble?: string}> {
  const {schema, name, estimatedRows} = table
  const left = Math.floor(deadline - performance.now())
  const estimate = {schema, name, rows: estimatedRows < 0 ? null : estimatedRows, estimated: true, tenants: []}
  if (left <= 0) return estimate
  try {
    await client.query(`SET statement_timeout = ${left}`)
    const counts = await countTable(client, table, tenantColumn)
    const written = sinceXid === undefined ? undefined : await writtenSince(client, table, sinceXid, alsoXids)
    return {schema, name, rows: counts?.rows ?? null, estimated: false, tenants: Object.keys(counts?.tenants ?? {}), ...(written !== undefined && {written})}
  } catch (error) {
    const code = codeOf(error) ?? ''
    // Dropped meanwhile: it is no longer there to be lost.
    if (['57014', '55P03', '42P01'].includes(code)) return estimate
    if (!/^(22|42|54|58|XX)/.test(code)) throw error
    return {...estimate, rows: null, estimated: false, trouble: `${schema}.${name}: ${messageOf(error)}`}
  }
}

async function writtenSince(client: Client, table: TableRef, xid: string, also: readonly string[]): Promise<number> {
  const [row] = await rowsOf<{rows: string}>(client, `SELECT count(*)::text AS rows FROM ONLY ${qualified(table)} WHERE age(xmin) BETWEEN 0 AND age($1::xid)${also.length === 0 ? '' : ' OR xmin = ANY ($2::xid[])'}`, [xid, ...(also.length === 0 ? [] : [also])])
  return Number(row?.rows ?? 0)
}

/** The transaction that last changed what the server notes of a database: for one that a swap has put aside, the swap. */
export async function lastChangeOf(client: Client, database: string): Promise<string | undefined> {
  return (await rowsOf<{xid: string}>(client, 'SELECT xmin::text AS xid FROM pg_catalog.pg_database WHERE datname = $1', [database]))[0]?.xid
}

interface TimeColumn {
  schema: string
  table: string
  column: string
  zoned: boolean
}

/** By the columns that applications keep for it, when an index or a small table makes it cheap. */
async function newestRow(client: Client): Promise<LiveCounts['newest']> {
  const columns = await rowsOf<TimeColumn>(client, `
    SELECT n.nspname AS schema, c.relname AS table, a.attname AS column, a.atttypid = 'timestamptz'::regtype AS zoned
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT a.attisdropped AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype)
      AND lower(replace(a.attname, '_', '')) IN ('createdat', 'updatedat', 'insertedat', 'modifiedat') AND has_table_privilege(c.oid, 'SELECT')
      AND (c.relpages < ${SMALL_PAGES} OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum))
    ORDER BY c.relpages DESC LIMIT ${NEWEST_COLUMNS}`)
  await client.query(`SET statement_timeout = ${NEWEST_MS}`)
  const found = []
  for (const one of columns) found.push(...await newestOf(client, one))
  return found.toSorted((a, b) => (a.at < b.at ? 1 : -1))[0]
}

async function newestOf(client: Client, {schema, table, column, zoned}: TimeColumn): Promise<{table: string; column: string; at: string}[]> {
  const value = `max(${quoteIdent(column)})${zoned ? " AT TIME ZONE 'UTC'" : ''}`
  const [row] = await rowsOf<{at: string | null}>(client, `SELECT to_char(${value}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at FROM ${qualified({schema, name: table})}`).catch((error: unknown) => {
    if (codeOf(error) === undefined || !/^(42|55|57014)/.test(codeOf(error) ?? '')) throw error
    return []
  })
  return row?.at !== undefined && row.at !== null && /^\d{4}-/.test(row.at) ? [{table: `${schema}.${table}`, column, at: row.at}] : []
}

/** Why a database cannot be read at all, for whoever wants to copy it first; undefined when the error says something else. */
export function unreadableBecause(error: unknown): string | undefined {
  if (!(error instanceof DrError)) return undefined
  if (codeOf(error.cause) === '55000') return 'it is closed to connections'
  return ['postgres.no-database', 'postgres.denied', 'postgres.corruption', 'postgres.permission'].includes(error.code) ? error.message.replace(/\.$/, '') : undefined
}
