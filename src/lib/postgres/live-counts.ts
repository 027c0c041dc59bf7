import {rowsOf, type Client} from './connection.ts'
import {codeOf, isConnectionLost} from './errors.ts'
import {messageOf, preflightError} from '../errors.ts'
import {liveTables, type LiveTableRef} from './live-tables.ts'
import {newerThan, type BackupInstant} from './newer-rows.ts'
import {qualified, quoteIdent} from './quote.ts'
import {forget, readingTable, withReadSnapshot, type ReadSnapshot} from './read-snapshot.ts'
import {inParallel} from './restore-parallel.ts'
import {tablesFilteredByRls} from './server.ts'
import type {TableScope} from './tables.ts'
import type {Target} from './target.ts'

export interface LiveCountOptions extends TableScope {
  /** Instead of the target's own. */
  database?: string
  tenantColumn: string
  applicationName: string
  /** Besides the one that holds the instant. */
  connections: number
  /** To tell rows that are newer than a backup. */
  since?: BackupInstant
  /** Else every table. */
  wanted?: (table: LiveTableRef) => boolean
  /** Of a table that takes more than this on disk only what an index answers is asked besides the count; else 16 GB. */
  largeBytes?: number
  onCounted?: (done: number, total: number) => void
  signal: AbortSignal
}

/** One table now. Partitioned parents are left out: their rows are in the partitions. */
export interface LiveTableCounts {
  schema: string
  name: string
  columns: readonly string[]
  root?: {schema: string; name: string}
  /** Exact; null where it could not be counted: see `trouble`. */
  rows: number | null
  /** Rows per tenant, where the table has the tenant column; the empty text stands for NULL too. */
  tenants?: Record<string, number>
  /** Rows written after the backup, new or changed. Absent where that is not known. */
  newer?: number
  newerTenants?: Record<string, number>
  /** The newest `createdAt`, `updatedAt` or the like: ISO, UTC. A time without a zone is taken for UTC. */
  newest?: string
  /** Why the newest row was not looked for. */
  newestSkipped?: string
  /** Why it could not be counted. */
  trouble?: string
}

export interface LiveCounts {
  database: string
  /** The one instant of all counts: the server's clock, ISO, UTC. */
  at: string
  /** Why rows newer than the backup are not known. */
  newerUnknown?: string
  tables: LiveTableCounts[]
}

/** A count reads the table as every nightly dump does; one that is not done by then is given up. */
const STATEMENT_LIMIT_MS = 10 * 60_000
const LARGE_BYTES = 16e9

/** Counts the rows of every table in one instant, over a few connections, holding no table's lock for longer than its count. */
export async function readLiveCounts(target: Target, options: LiveCountOptions): Promise<LiveCounts> {
  const {applicationName, database, signal} = options
  return withReadSnapshot(target, {applicationName, signal, statementLimitMs: STATEMENT_LIMIT_MS, ...(database !== undefined && {database})}, (snapshot) => countIn(snapshot, target, options))
}

/** The same in an instant that is held already. */
export async function countIn(snapshot: ReadSnapshot, target: Target, options: LiveCountOptions): Promise<LiveCounts> {
  const {since, wanted = () => true, applicationName, connections, signal, onCounted} = options
  const database = options.database ?? target.database
  const tables = (await liveTables(snapshot.client, options)).filter((table) => table.kind === 'table' && wanted(table))
  await refuseFiltered(snapshot.client, options, tables)
  const newer = since === undefined ? {reason: 'it was not asked for'} : await newerThan(snapshot.client, since)
  const counted = new Map<LiveTableRef, LiveTableCounts>()
  const largestFirst = tables.toSorted((a, b) => b.bytes - a.bytes)
  await inParallel(largestFirst, {target, database, applicationName, connections, settings: snapshot.settings, doing: 'Counting the rows', signal}, async (client, table) => {
    counted.set(table, await countOne(client, table, options, 'condition' in newer ? newer.condition : undefined))
    onCounted?.(counted.size, tables.length)
  })
  return {
    database, at: snapshot.at, ...(since !== undefined && 'reason' in newer && {newerUnknown: newer.reason}),
    tables: tables.flatMap((table) => counted.get(table) ?? []),
  }
}

/** Rows that a role does not see would look as if they were gone. */
export async function refuseFiltered(client: Client, scope: TableScope, tables: readonly {schema: string; name: string}[]): Promise<void> {
  const filtered = (await tablesFilteredByRls(client, scope)).filter(({schema, name}) => tables.some((table) => table.schema === schema && table.name === name))
  const [first] = filtered
  if (first === undefined) return
  const more = filtered.length === 1 ? '' : ` and ${filtered.length - 1} more`
  throw preflightError('diff.row-security', `Row-level security hides rows of ${first.schema}.${first.name}${more} from this role: what it does not see would look deleted.`, {
    hints: [`Connect as ${first.owner}, who owns the table, or with a role that has BYPASSRLS.`, '--table compares only tables that this role sees whole.'],
  })
}

async function countOne(client: Client, table: LiveTableRef, options: LiveCountOptions, newer: string | undefined): Promise<LiveTableCounts> {
  const {schema, name, columns, root, readable} = table
  const known = {schema, name, columns, ...(root && {root})}
  if (!readable) return {...known, rows: null, trouble: 'this role may not read it'}
  try {
    const counts = await readingTable(client, table.oid, () => countsOf(client, table, options, newer))
    return counts === undefined ? {...known, rows: null, trouble: 'it was truncated, rewritten or dropped while it was counted'} : {...known, ...counts}
  } catch (error) {
    if (codeOf(error) === undefined || isConnectionLost(error)) throw error
    await forget(client)
    return {...known, rows: null, trouble: messageOf(error)}
  }
}

interface Group {
  tenant: string | null
  rows: string
  newer: string | null
  newest: string | null
}

type Counts = Omit<LiveTableCounts, 'schema' | 'name' | 'columns' | 'root' | 'trouble'>

async function countsOf(client: Client, table: LiveTableRef, {tenantColumn, largeBytes = LARGE_BYTES}: LiveCountOptions, newer: string | undefined): Promise<Counts> {
  const large = table.bytes > largeBytes
  const byTenant = table.columns.includes(tenantColumn)
  const condition = large ? undefined : newer
  const groups = await rowsOf<Group>(client, `
    SELECT ${byTenant ? `${quoteIdent(tenantColumn)}::text` : 'NULL'} AS tenant, count(*)::text AS rows,
      ${condition === undefined ? 'NULL' : `(count(*) FILTER (WHERE ${condition}))::text`} AS newer, ${large ? 'NULL' : newestOf(table)} AS newest
    FROM ONLY ${qualified(table)} ${byTenant ? 'GROUP BY 1' : ''}`)
  const newest = large ? await newestByIndex(client, table) : groups.flatMap((group) => group.newest ?? []).toSorted().at(-1)
  return {
    rows: sum(groups, 'rows'),
    ...(byTenant && {tenants: perTenant(groups, 'rows')}),
    ...(condition !== undefined && {newer: sum(groups, 'newer'), ...(byTenant && {newerTenants: perTenant(groups, 'newer')})}),
    ...(newest !== undefined && {newest}),
    ...(large && table.times.some(({indexed}) => !indexed) && {newestSkipped: `it is large, and ${table.times.filter(({indexed}) => !indexed).map(({column}) => column).join(', ')} has no index`}),
  }
}

const iso = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
/** The session's zone is UTC, so a time without one becomes the same time in UTC. */
const finite = (column: string) => `isfinite(${quoteIdent(column)})`

function newestOf({times}: LiveTableRef): string {
  if (times.length === 0) return 'NULL'
  return iso(`greatest(${times.map(({column}) => `(max(${quoteIdent(column)}) FILTER (WHERE ${finite(column)}))::timestamptz`).join(', ')})`)
}

async function newestByIndex(client: Client, table: LiveTableRef): Promise<string | undefined> {
  const times = table.times.filter(({indexed}) => indexed)
  if (times.length === 0) return undefined
  const latest = times.map(({column}) => `(SELECT ${quoteIdent(column)}::timestamptz FROM ONLY ${qualified(table)} WHERE ${finite(column)} ORDER BY ${quoteIdent(column)} DESC LIMIT 1)`)
  const [row] = await rowsOf<{newest: string | null}>(client, `SELECT ${iso(`greatest(${latest.join(', ')})`)} AS newest`)
  return row?.newest ?? undefined
}

const sum = (groups: readonly Group[], what: 'rows' | 'newer') => groups.reduce((total, group) => total + Number(group[what]), 0)

function perTenant(groups: readonly Group[], what: 'rows' | 'newer'): Record<string, number> {
  const tenants = new Map<string, number>()
  for (const group of groups) tenants.set(group.tenant ?? '', (tenants.get(group.tenant ?? '') ?? 0) + Number(group[what]))
  return Object.fromEntries([...tenants].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
