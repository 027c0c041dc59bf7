import {rowOf, type Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {ClosureFinding, ForeignKeyShape, MergeRequest, TableName} from './contract.ts'
import {sameTable, shapeOf} from './names.ts'

type Sides = Pick<MergeRequest, 'live' | 'backup' | 'staged' | 'selection'>

/** Rows of tables that are not live any more, and are to be made anew, that refer to rows that are neither live nor to come back: their foreign keys could not hold. */
export async function lostParents(client: Client, sides: Sides, lost: readonly TableName[]): Promise<ClosureFinding[]> {
  const isLost = (table: TableName) => lost.some((one) => sameTable(one, table))
  const keys = sides.backup.foreignKeys.filter((key) => key.validated && isLost(key.table) && !isLost(key.references) && shapeOf(sides.live, key.references) !== undefined)
  const found: ClosureFinding[] = []
  for (const key of keys) {
    const rows = await orphans(client, sides, key)
    if (rows > 0) found.push({kind: 'parent-missing', foreignKey: key.name, table: key.table, references: key.references, columns: key.columns, rows})
  }
  return found
}

/** Values are compared as text: a type may be on one side alone. */
async function orphans(client: Client, {staged, selection}: Sides, key: ForeignKeyShape): Promise<number> {
  const stageOf = (table: TableName) => staged.find((one) => sameTable(one.table, table))
  const own = stageOf(key.table)
  if (own === undefined || !key.columns.every((name) => own.columns.includes(name))) return 0
  const comesBack = selection.tables.some(({table, role, columns}) => sameTable(table, key.references) && role !== 'links' && columns === undefined)
  const parents = [key.references, ...(comesBack ? [stageOf(key.references)?.stage ?? []] : [])].flat()
  const same = key.columns.map((name, index) => `p.${quoteIdent(key.referencedColumns[index] ?? '')}::text = s.${quoteIdent(name)}::text`).join(' AND ')
  await client.query('BEGIN READ ONLY; SET LOCAL row_security = off')
  try {
    const {count} = await rowOf<{count: string}>(client, `
      SELECT count(*) FROM ${qualified(own.stage)} s WHERE ${key.columns.map((name) => `s.${quoteIdent(name)} IS NOT NULL`).join(' AND ')}
        ${parents.map((table) => `AND NOT EXISTS (SELECT FROM ${qualified(table)} p WHERE ${same})`).join(' ')}`)
    return Number(count)
  } catch (error) {
    // What may not be read, or is not all seen, tells nothing; the foreign key itself will.
    if (codeOf(error) === '42501') return 0
    throw error
  } finally {
    await client.query('ROLLBACK').catch(() => undefined)
  }
}
