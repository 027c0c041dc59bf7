import {messageOf} from '../errors.ts'
import {rowOf, rowsOf, withClient, type Client} from './connection.ts'
import {codeOf, isConnectionLost} from './errors.ts'
import {qualified, quoteIdent} from './quote.ts'
import {inParallel} from './restore-parallel.ts'
import {listed} from './tables.ts'
import type {Target} from './target.ts'

export type PartKind = 'table' | 'toast' | 'index'

/** What lies in files of its own: rows of a table, its TOAST table (with that one's index), an index. */
export interface WarmPart {
  oid: number
  kind: PartKind
  /** Of the table that it belongs to. */
  schema: string
  table: string
  /** `public.leads`, `public.leads (TOAST)`, `public.leads_pkey`. */
  name: string
  bytes: number
}

/** One that was not read, or not to its end. */
export interface UnreadPart extends Pick<WarmPart, 'kind' | 'name' | 'bytes'> {
  why: string
  hint?: string
}

export interface WarmOptions {
  /** Only so many tables, those that are scanned most, then the largest; else all. */
  top?: number
  /** Of `readHeat`: a restored instance itself knows only the scans of dr. */
  heat: ReadonlyMap<string, number>
  connections: number
  applicationName: string
  /** What the operator calls the database, for hints. */
  namedBy: string
  /** Bytes behind it, and in all; parts likewise. */
  onRead?: (done: number, total: number, parts: {done: number; total: number}) => void
  signal: AbortSignal
}

export interface Warmed {
  /** Tables, TOAST tables and indexes that were read to the end. */
  relations: number
  /** What was read of all of them, also of those that failed half-way. */
  bytes: number
  /** Left out: by this role or without pg_prewarm they cannot be read. */
  skipped: UnreadPart[]
  failed: UnreadPart[]
}

/** Whole rows come off the disk only by a scan of the table itself; a lock that somebody holds is not waited for. */
const SETTINGS = [
  'SET search_path = pg_catalog', 'SET default_transaction_read_only = on', 'SET statement_timeout = 0', "SET lock_timeout = '2s'", 'SET row_security = off', 'SET max_parallel_workers_per_gather = 0',
  'SET enable_indexscan = off', 'SET enable_indexonlyscan = off', 'SET enable_bitmapscan = off',
]
/** What one statement reads: after so much there is progress, and Ctrl-C is heard. */
const PIECE_BYTES = 64 * 1024 * 1024
/** Before it a condition on ctid reads the whole table. */
const TID_RANGE_MAJOR = 14

interface Server {
  major: number
  blockBytes: number
  /** Where pg_prewarm is installed; null: it is not. */
  prewarm: string | null
}

interface Piece {
  part: WarmPart
  /** Blocks, both included. */
  first: number
  last: number
  bytes: number
}

const heatKey = ({schema, name}: {schema: string; name: string}): string => JSON.stringify([schema, name])

/** How often each table was scanned since the statistics began. */
export async function readHeat(target: Target, {applicationName}: Pick<WarmOptions, 'applicationName'>): Promise<Map<string, number>> {
  const rows = await withClient(target, {applicationName}, (client) => rowsOf<{schema: string; name: string; heat: number}>(client, `
    SELECT schemaname::text AS schema, relname::text AS name, (coalesce(seq_scan, 0) + coalesce(idx_scan, 0))::float8 AS heat FROM pg_catalog.pg_stat_user_tables`))
  return new Map(rows.map((row) => [heatKey(row), row.heat]))
}

/** Reads every block of tables, TOAST tables and indexes once. Changes nothing; what the server refuses of one leaves the others. */
export async function warmDatabase(target: Target, options: WarmOptions): Promise<Warmed> {
  const {applicationName, namedBy, connections, signal, onRead} = options
  const {server, parts, skipped, failed} = await withClient(target, {applicationName, namedBy}, (client) => partsToRead(client, options))
  const pieces = parts.map((part) => piecesOf(part, server))
  const total = parts.reduce((sum, part) => sum + part.bytes, 0)
  const left = new Map(parts.map((part, index) => [part, pieces[index]?.length ?? 0]))
  const broken = new Set<WarmPart>()
  let [bytes, done, ended] = [0, 0, parts.filter((part) => left.get(part) === 0).length]
  await inParallel(pieces.flat(), {target, database: target.database, applicationName, connections, settings: SETTINGS, doing: 'Reading the tables', signal}, async (client, piece) => {
    const {part} = piece
    const trouble = broken.has(part) ? undefined : await told(() => readPiece(client, piece, server))
    if (trouble !== undefined) {
      broken.add(part)
      failed.push({...plain(part), why: trouble})
    } else if (!broken.has(part)) bytes += piece.bytes
    done += piece.bytes
    left.set(part, (left.get(part) ?? 0) - 1)
    if (left.get(part) === 0) ended += 1
    onRead?.(done, total, {done: ended, total: parts.length})
  })
  return {relations: parts.length - broken.size, bytes, skipped, failed}
}

const plain = ({kind, name, bytes}: WarmPart): Pick<WarmPart, 'kind' | 'name' | 'bytes'> => ({kind, name, bytes})

/** What the server said against it; undefined when it is done. */
async function told(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (codeOf(error) === undefined || isConnectionLost(error)) throw error
    return messageOf(error)
  }
}

interface TableRow {
  oid: number
  schema: string
  name: string
  readable: boolean
  parts: {oid: number; kind: 'toast' | 'index'; schema: string; name: string}[]
}

/** Hottest first, then largest. */
async function partsToRead(client: Client, {top, heat, signal}: WarmOptions): Promise<{server: Server; parts: WarmPart[]; skipped: UnreadPart[]; failed: UnreadPart[]}> {
  for (const setting of SETTINGS) await client.query(setting)
  const server = await readServer(client)
  const skipped: UnreadPart[] = []
  const failed: UnreadPart[] = []
  const measured: {heat: number; bytes: number; readable: boolean; parts: WarmPart[]}[] = []
  for (const {readable, ...table} of await readTables(client)) {
    signal.throwIfAborted()
    const trouble = await told(async () => {
      const parts = await measure(client, table)
      measured.push({heat: heat.get(heatKey(table)) ?? 0, readable, parts, bytes: parts.reduce((sum, part) => sum + part.bytes, 0)})
    })
    if (trouble !== undefined) failed.push({kind: 'table', name: `${table.schema}.${table.name}`, bytes: 0, why: trouble})
  }
  const chosen = measured.toSorted((a, b) => b.heat - a.heat || b.bytes - a.bytes).slice(0, top)
  const parts = chosen.flatMap((table) => table.parts.filter((part) => {
    const reason = reasonAgainst(part, table.readable, server)
    if (reason !== undefined && part.bytes > 0) skipped.push({...plain(part), ...reason})
    return reason === undefined
  }))
  return {server, parts, skipped, failed}
}

function reasonAgainst({kind}: WarmPart, readable: boolean, {prewarm}: Server): Pick<UnreadPart, 'why' | 'hint'> | undefined {
  if (!readable) return {why: 'this role may not read it', hint: 'Use the role that owns the tables.'}
  return kind === 'table' || prewarm !== null ? undefined : {why: 'only pg_prewarm reads it whole, and that is not installed', hint: 'CREATE EXTENSION pg_prewarm, there or in the source, then dr pitr warm again.'}
}

async function readServer(client: Client): Promise<Server> {
  return rowOf<Server>(client, `
    SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('block_size')::int AS "blockBytes",
      (SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_prewarm') AS prewarm`)
}

/** Takes no locks. Unlogged tables are empty after a recovery, and a view without its rows has none. */
const readTables = (client: Client): Promise<TableRow[]> => rowsOf(client, `
  SELECT c.oid::int8::float8 AS oid, n.nspname::text AS schema, c.relname::text AS name,
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable,
    coalesce((SELECT jsonb_agg(jsonb_build_object('oid', p.oid::int8, 'kind', p.kind, 'schema', p.schema, 'name', p.name)) FROM (
      SELECT c.reltoastrelid AS oid, 'toast' AS kind, n.nspname AS schema, c.relname AS name WHERE c.reltoastrelid <> 0
      UNION ALL
      SELECT i.indexrelid, CASE WHEN i.indrelid = c.oid THEN 'index' ELSE 'toast' END, n.nspname, CASE WHEN i.indrelid = c.oid THEN x.relname ELSE c.relname END
      FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid IN (c.oid, nullif(c.reltoastrelid, 0)) AND i.indisvalid) p), '[]') AS parts
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${listed(['r', 'm'])} AND c.relispopulated ORDER BY 2, 3`, [[]])

/** Locks each for a moment: the server's sizes of what is cut or rewritten just now are none. */
async function measure(client: Client, {oid, schema, name, parts}: Omit<TableRow, 'readable'>): Promise<WarmPart[]> {
  const all: Omit<WarmPart, 'bytes'>[] = [{oid, kind: 'table', schema, table: name, name: `${schema}.${name}`}, ...parts.map((part) => ({oid: part.oid, kind: part.kind, schema, table: name, name: `${part.schema}.${part.name}${part.kind === 'toast' ? ' (TOAST)' : ''}`}))]
  const sizes = await rowsOf<{oid: number; bytes: number | null}>(client, 'SELECT o.oid::float8 AS oid, pg_relation_size(o.oid::oid::regclass)::float8 AS bytes FROM unnest($1::int8[]) AS o(oid)', [all.map((part) => part.oid)])
  const sizeOf = new Map(sizes.map((size) => [size.oid, size.bytes ?? 0]))
  return all.map((part) => ({...part, bytes: sizeOf.get(part.oid) ?? 0}))
}

function piecesOf(part: WarmPart, {major, blockBytes, prewarm}: Server): Piece[] {
  const blocks = Math.ceil(part.bytes / blockBytes)
  const each = prewarm === null && major < TID_RANGE_MAJOR ? blocks : PIECE_BYTES / blockBytes
  return Array.from({length: blocks === 0 ? 0 : Math.ceil(blocks / each)}, (_, index): Piece => {
    const [first, last] = [index * each, Math.min(blocks, (index + 1) * each) - 1]
    return {part, first, last, bytes: (last - first + 1) * blockBytes}
  })
}

async function readPiece(client: Client, {part, first, last}: Piece, {major, prewarm}: Server): Promise<void> {
  if (prewarm !== null) {
    // It may have been cut since: to read behind the end is refused.
    await client.query(`
      SELECT CASE WHEN s.blocks > $2::int8 THEN ${quoteIdent(prewarm)}.pg_prewarm($1::oid::regclass, 'read', 'main', $2::int8, least($3::int8, s.blocks - 1)) END
      FROM (SELECT pg_relation_size($1::oid::regclass) / current_setting('block_size')::int8 AS blocks) s`, [part.oid, first, last])
    return
  }
  const range = major < TID_RANGE_MAJOR ? '' : ` WHERE ctid >= '(${first},0)'::tid AND ctid < '(${last + 1},0)'::tid`
  await client.query(`SELECT count(*) FROM ONLY ${qualified({schema: part.schema, name: part.table})}${range}`)
}
