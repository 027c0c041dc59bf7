import {rowsOf, type Client} from '../connection.ts'
import {quoteIdent} from '../quote.ts'
import {among} from './plan.ts'
import type {Catalog, TableName} from './contract.ts'
import {sameTable, shapeOf} from './names.ts'
import {column, familyOf} from './relations.ts'
import {undoSchemas} from './undo-schema.ts'

/** Rows of a table that a merge has inserted: where its undo schema keeps their keys. */
export interface BroughtBack extends TableName {
  /** The table of the images, quoted. */
  images: string
  /** In that table, what the columns of the key are called. */
  key: {name: string; image: string}[]
}

/** What merges since this instant have inserted that were not taken back. Of an unknown instant: nothing. */
export async function readBroughtBack(client: Client, since: string | undefined): Promise<BroughtBack[]> {
  if (since === undefined) return []
  const found: BroughtBack[] = []
  for (const {schema} of (await undoSchemas(client)).filter(({undone}) => !undone)) {
    const tables = await rowsOf<TableName & {images: string; columns: string[]; key: string[]}>(client, `SELECT schema, name, images, columns, key FROM ${quoteIdent(schema)}.manifest WHERE key IS NOT NULL AND at > $1::timestamptz`, [since])
    found.push(...tables.map(({images, columns, key, ...table}) => ({...table, images: `${quoteIdent(schema)}.${quoteIdent(images)}`, key: key.map((name) => ({name, image: `a${columns.indexOf(name) + 1}`}))})))
  }
  return found
}

/** Whether the row `alias` of a live table is one of them. */
export function isBroughtBack(brought: readonly BroughtBack[], live: Catalog, table: TableName, alias: string): string {
  const family = familyOf(live, table)
  const named = (name: string) => shapeOf(live, family)?.columns.some((one) => one.name === name) === true
  const own = brought.filter((one) => sameTable(familyOf(live, one), family) && one.key.every(({name}) => named(name)))
  const texts = (values: readonly string[]) => values.map((value) => `${value}::text COLLATE "C"`).join(', ')
  return own.map(({images, key}) => `(${texts(key.map(({name}) => column(alias, name)))}) IN (SELECT ${texts(key.map(({image}) => column('u', image)))} FROM ${images} AS u WHERE u.act ${among(['insert'])})`).join(' OR ') || 'false'
}
