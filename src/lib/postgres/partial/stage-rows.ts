import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {from} from 'pg-copy-streams'
import {rowOf, type Client} from '../connection.ts'
import {copyOut} from '../copy-out.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent, quoteLiteral} from '../quote.ts'
import {columnList} from './copy-columns.ts'
import type {Predicate, TableName} from './contract.ts'
import {CANONICAL_SETTINGS} from '../snapshot.ts'

/** Where rows go, and which of them are wanted. */
export interface StageInto {
  stage: TableName
  /** As the source gives them. */
  columns: readonly string[]
  /** A condition on one row, without a name before its columns. */
  where?: string | undefined
}

/** Settings of the session that stages: nothing may end a long load, and what the text of values means must not depend on the database. */
export const STAGING_SETTINGS: readonly string[] = [
  ...CANONICAL_SETTINGS, 'SET statement_timeout = 0', 'SET idle_in_transaction_session_timeout = 0', 'SET default_transaction_read_only = off', 'SET synchronous_commit = off', "SET lock_timeout = '5s'", 'SET row_security = off',
  "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')",
  "SET client_encoding = 'UTF8'",
]

/** Rows of one table's member of an archive, decompressed: text as COPY writes it. Resolves to how many came in. The encoding is the archive's. */
export async function stageText(client: Client, {stage, columns, where}: StageInto, text: AsyncIterable<Buffer>, {encoding, signal}: {encoding: string; signal: AbortSignal}): Promise<number> {
  // pg_dump writes money as the database is set to.
  await client.query('SET lc_monetary TO DEFAULT')
  const rows = await copyBytes(client, `COPY ${qualified(stage)}${columnList(columns)} FROM STDIN (FORMAT text, ENCODING ${quoteLiteral(encoding).trim()})${where === undefined ? '' : ` WHERE ${where}`}`, text, signal)
  await client.query("SET lc_monetary = 'C'")
  return rows
}

/** Rows of a table of another database, streamed from one connection to the other. Both have the same settings for the text of values. */
export async function stageQuery(client: Client, {stage, columns}: StageInto, source: {client: Client; query: string}, signal: AbortSignal): Promise<number> {
  return copyBytes(client, `COPY ${qualified(stage)}${columnList(columns)} FROM STDIN`, pieces(copyOut(source.client, `COPY (${source.query}) TO STDOUT`)), signal)
}

/** The query that reads these columns of a table: of a partitioned one with all of its partitions. */
export function rowsQuery(table: TableName & {kind: 'table' | 'partitioned'}, columns: readonly string[], where?: string): string {
  return `SELECT ${columns.map(quoteIdent).join(', ')} FROM ${table.kind === 'table' ? 'ONLY ' : ''}${qualified(table)}${where === undefined ? '' : ` WHERE ${where}`}`
}

/** A piece of `copyOut` is gone when the next one is asked for; what is written to a socket may wait longer. */
async function* pieces(chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield Buffer.from(next.value)
}

async function copyBytes(client: Client, sql: string, source: AsyncIterable<Buffer>, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted()
  const stream = client.query(from(sql))
  await pipeline(Readable.from(source, {objectMode: false}), stream, {signal}).catch((error: unknown) => {
    signal.throwIfAborted()
    throw error
  })
  return stream.rowCount
}

/**
 * The part of a predicate that one row tells by itself, as a condition of COPY; undefined when there is none. It never leaves
 * out a row that the predicate holds for.
 */
export function rowCondition(predicate: Predicate): string | undefined {
  switch (predicate.kind) {
    case 'equals': return `${quoteIdent(predicate.column)}::text = ${quoteLiteral(predicate.value)}`
    case 'every': {
      const parts = predicate.of.map(rowCondition).filter((part) => part !== undefined)
      return parts.length === 0 ? undefined : parts.map((part) => `(${part})`).join(' AND ')
    }
    case 'any': {
      const parts = predicate.of.map(rowCondition)
      if (parts.length === 0) return 'false'
      return parts.every((part) => part !== undefined) ? parts.map((part) => `(${part})`).join(' OR ') : undefined
    }
    default: return undefined
  }
}

/** Whether staged rows have to be looked at again once all tables are there. */
export const needsOthers = (predicate: Predicate): boolean =>
  predicate.kind === 'refers' || ((predicate.kind === 'any' || predicate.kind === 'every') && predicate.of.some(needsOthers))

/**
 * The predicate on staged rows, called `name`: tables that it refers to are looked up among the staged ones. What the live rows
 * may decide (`written-by`, and `sql`: of a damaged row only the live one may fit) holds here for every row; so does what
 * refers to a table that is not staged.
 */
export function stagedCondition(predicate: Predicate, name: string, stageOf: (table: TableName) => TableName | undefined, depth = 0): string {
  const inner = (part: Predicate) => stagedCondition(part, name, stageOf, depth)
  switch (predicate.kind) {
    case 'all': case 'sql': case 'written-by': return 'true'
    case 'equals': return `${name}.${quoteIdent(predicate.column)}::text = ${quoteLiteral(predicate.value)}`
    case 'any': return predicate.of.length === 0 ? 'false' : `(${predicate.of.map(inner).join(' OR ')})`
    case 'every': return predicate.of.length === 0 ? 'true' : `(${predicate.of.map(inner).join(' AND ')})`
    case 'refers': {
      const stage = stageOf(predicate.table)
      if (stage === undefined) return 'true'
      const other = `o${depth + 1}`
      const pairs = predicate.columns.map((column, at) => `${name}.${quoteIdent(column)} = ${other}.${quoteIdent(predicate.targets[at] ?? '')}`)
      return `EXISTS (SELECT FROM ${qualified(stage)} AS ${other} WHERE ${[...pairs, stagedCondition(predicate.where, other, stageOf, depth + 1)].join(' AND ')})`
    }
  }
}

/** So many keys are asked for one by one; with more all rows come. */
const KEYS = 1_000_000

/**
 * A condition, of unnamed columns, on rows of the backup whose key a live row of the selection bears: whose they were is then
 * known. Kept to what COPY and another server take. `liveOf`: where a table is live.
 */
export async function liveKeysCondition(client: Client, {table, key, where, sameTypes}: {table: TableName; key: readonly string[]; where: Predicate; sameTypes: boolean}, liveOf: (table: TableName) => TableName | undefined): Promise<string> {
  if (!sameTypes) return 'true'
  const textOf = (prefix: string) => `ARRAY[${key.map((name) => `${prefix}${quoteIdent(name)}::text`).join(', ')}]::text`
  const {count, keys} = await rowOf<{count: number; keys: string | null}>(client, `
    SELECT count(*)::float8 AS count, CASE WHEN count(*) <= ${KEYS} THEN jsonb_object_agg(k, 0)::text END AS keys
    FROM (SELECT ${textOf('r.')} AS k FROM ${qualified(table)} AS r WHERE ${stagedCondition(where, 'r', liveOf)} LIMIT ${KEYS + 1}) AS found`)
  if (count > KEYS) return 'true'
  return `${quoteLiteral(keys ?? '{}').trim()}::jsonb ? ${textOf('')}`
}

/** Deletes staged rows for which the predicate does not hold. Resolves to how many went. */
export async function narrowStage(client: Client, stage: TableName, condition: string): Promise<number> {
  const {rowCount} = await client.query(`DELETE FROM ${qualified(stage)} AS s WHERE NOT coalesce((${condition}), false)`)
  return rowCount ?? 0
}

/** An index on what tells the rows apart, and what the planner wants to know. A type without an order has no index. */
export async function finishStage(client: Client, stage: TableName, key: readonly string[] | undefined): Promise<number> {
  if (key && key.length > 0) {
    await client.query(`CREATE INDEX ON ${qualified(stage)} (${key.map(quoteIdent).join(', ')})`).catch((error: unknown) => {
      if (codeOf(error) !== '42704') throw error
    })
  }
  await client.query(`ANALYZE ${qualified(stage)}`)
  return (await rowOf<{rows: number}>(client, `SELECT count(*)::float8 AS rows FROM ${qualified(stage)}`)).rows
}
