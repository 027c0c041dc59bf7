import {rowOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {ForeignKeyShape} from './contract.ts'
import {equals} from './relations.ts'

/** How many rows name a row that is not there: none of the columns is NULL, as MATCH SIMPLE reads a key. */
export async function orphansOf(client: Client, key: ForeignKeyShape): Promise<number> {
  const {table, columns, references, referencedColumns} = key
  const pairs = columns.map((column, at) => `o.${quoteIdent(column)} ${equals(key, at)} p.${quoteIdent(referencedColumns[at] ?? '')}`)
  return (await rowOf<{rows: number}>(client, `
    SELECT count(*)::float8 AS rows FROM ${qualified(table)} AS o
    WHERE ${columns.map((column) => `o.${quoteIdent(column)} IS NOT NULL`).join(' AND ')} AND NOT EXISTS (SELECT FROM ${qualified(references)} AS p WHERE ${pairs.join(' AND ')})`)).rows
}
