import {messageOf, preflightError, usageError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {codeOf, isConnectionLost} from '../errors.ts'
import {quoteIdent, quoteLiteral} from '../quote.ts'
import type {Predicate, TableName} from './contract.ts'
import {rightsError} from './guard.ts'

export interface PredicateSide {
  side: 'live' | 'stage'
  /** Of whose rows the predicate speaks. */
  table: TableName
  /** Where the rows of a table are on this side: a quoted name, after FROM. */
  tableFor: (table: TableName) => string
  /** Where they are live, and what tells them apart: for `written-by` on the side `stage`. */
  liveFor?: (table: TableName) => string
  keyFor?: (table: TableName) => readonly string[] | undefined
  /** What tells the transaction that last wrote a live row `r`; else `r.xmin`. */
  xmin?: string
}

const XIDS = 2n ** 32n

/**
 * A condition on the row that is called `r`. Of `written-by` the lower 32 bits count, as `xmin` has no more; rows written under
 * a savepoint have that one's number. Throws `partial.key` for `written-by` of staged rows that nothing tells apart.
 */
export function predicateSql(predicate: Predicate, side: PredicateSide): string {
  switch (predicate.kind) {
    case 'all': return 'true'
    case 'equals': return `r.${quoteIdent(predicate.column)}::text = ${quoteLiteral(predicate.value)}`
    // A comment at the end of the operator's text must not swallow the parenthesis.
    case 'sql': return `(\n${predicate.text}\n)`
    case 'refers': return refersSql(predicate, side)
    case 'written-by': return writtenBySql(predicate.transaction, side)
    case 'any': return predicate.of.length === 0 ? 'false' : `(${predicate.of.map((one) => predicateSql(one, side)).join(' OR ')})`
    case 'every': return predicate.of.length === 0 ? 'true' : `(${predicate.of.map((one) => predicateSql(one, side)).join(' AND ')})`
  }
}

const rowOf = (columns: readonly string[]): string => `(${columns.map((column) => `r.${quoteIdent(column)}`).join(', ')})`
const listOf = (columns: readonly string[]): string => columns.map((column) => `r.${quoteIdent(column)}`).join(', ')

function refersSql({columns, table, targets, where}: Extract<Predicate, {kind: 'refers'}>, side: PredicateSide): string {
  return `${rowOf(columns)} IN (SELECT ${listOf(targets)} FROM ${side.tableFor(table)} AS r WHERE ${predicateSql(where, {...side, table})})`
}

function writtenBySql(transaction: string, {side, table, liveFor, keyFor, xmin = 'r.xmin'}: PredicateSide): string {
  const written = `${xmin} = '${BigInt(transaction) % XIDS}'::pg_catalog.xid`
  if (side === 'live') return written
  const key = keyFor?.(table)
  if (key === undefined || liveFor === undefined) {
    throw preflightError('partial.key', `${table.schema}.${table.name} has no key by which the rows that a transaction wrote are found in the backup.`, {hints: ['Select its rows by --where instead of --transaction.']})
  }
  return `${rowOf(key)} IN (SELECT ${listOf(key)} FROM ${liveFor(table)} AS r WHERE ${written})`
}

/** The transactions that a predicate names, as `xmin` shows them. */
export function transactionsOf(predicate: Predicate): string[] {
  if (predicate.kind === 'written-by') return [(BigInt(predicate.transaction) % XIDS).toString()]
  if (predicate.kind === 'any' || predicate.kind === 'every') return predicate.of.flatMap(transactionsOf)
  return predicate.kind === 'refers' ? transactionsOf(predicate.where) : []
}

/** Whether it holds SQL of the operator's own. */
export function hasSql(predicate: Predicate): boolean {
  if (predicate.kind === 'any' || predicate.kind === 'every') return predicate.of.some(hasSql)
  return predicate.kind === 'refers' ? hasSql(predicate.where) : predicate.kind === 'sql'
}

/** Proves that a condition is one, in one statement: the extended protocol takes no second one. Throws `partial.where` with the server's words. */
export async function assertCondition(client: Client, from: string, condition: string): Promise<void> {
  try {
    await client.query({text: `SELECT FROM ${from} AS r WHERE ${condition} LIMIT 0`, queryMode: 'extended'} as {text: string})
  } catch (error) {
    if (isConnectionLost(error)) throw error
    if (codeOf(error) === '42501') throw rightsError(error)
    throw usageError('partial.where', `The condition cannot be used: ${messageOf(error)}.`, {cause: error, hints: ['--where takes SQL of the columns of the table, as after WHERE.']})
  }
}
