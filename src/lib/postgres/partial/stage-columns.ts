import {preflightError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {ColumnShape, TableName, TableShape} from './contract.ts'

export interface StageColumns {
  columns: {name: string; type: string}[]
  /** Those whose type is not live any more. */
  asText: {name: string; type: string}[]
  /** What the operator must know of them. */
  notices: string[]
}

/** Live columns that take any text. */
const TEXTS = /^(text|character varying(\(\d+\))?)$/

/**
 * The columns of a staging table, in the backup's types. A type that is not live any more (a dropped enum) becomes text where
 * the live column is a text, or is not there at all. Throws `partial.type-missing` (exit 3) where the rows could not go back.
 */
export async function stageColumns(client: Client, table: TableShape, live: TableShape | undefined): Promise<StageColumns> {
  const written = table.columns.filter(({generated}) => !generated)
  const missing = await missingTypes(client, written.map(({type}) => type))
  const asText: StageColumns['asText'] = []
  const columns = written.map((column): {name: string; type: string} => {
    const {name, type} = column
    if (!missing.has(type)) return {name, type}
    const now = live?.columns.find((one) => one.name === name)
    if (now !== undefined && !TEXTS.test(now.type)) throw typeMissing(table, column, now)
    asText.push({name, type})
    return {name, type: 'text'}
  })
  return {columns, asText, notices: asText.map(({name, type}) => `${table.schema}.${table.name}, column ${name}: its type ${type} is not live any more; its values are taken as text.`)}
}

/** Gives staged values their own type where it has been made again since. */
export async function retypeStaged(client: Client, staged: readonly {stage: TableName; name: string; type: string}[]): Promise<void> {
  const missing = await missingTypes(client, staged.map(({type}) => type))
  for (const {stage, name, type} of staged) if (!missing.has(type)) await client.query(`ALTER TABLE ${qualified(stage)} ALTER ${quoteIdent(name)} TYPE ${type} USING ${quoteIdent(name)}::${type}`)
}

/** By the session's search_path, which is pg_catalog alone: others carry their schema. */
async function missingTypes(client: Client, types: readonly string[]): Promise<Set<string>> {
  const rows = await rowsOf<{type: string}>(client, 'SELECT type FROM unnest($1::text[]) AS type WHERE to_regtype(type) IS NULL', [[...new Set(types)]])
  return new Set(rows.map(({type}) => type))
}

function typeMissing({schema, name}: TableShape, column: ColumnShape, now: ColumnShape): Error {
  return preflightError('partial.type-missing', `${schema}.${name}, column ${column.name}: in the backup it is a ${column.type}, a type that is not live any more; live it is a ${now.type}.`, {
    hints: ['Make the type again as it was, or restore the backup into a database of its own: dr restore', '--columns names the columns that are to be put back.'],
  })
}
