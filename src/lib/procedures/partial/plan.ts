import type {Catalog, Predicate, TableName, TableShape} from '../../postgres/partial/contract.ts'
import type {StageWish} from './options.ts'

/** One table to stage. */
export interface PlannedTable {
  table: TableShape
  live: TableShape | undefined
  /** Rows for which this holds are wanted. */
  where: Predicate
  /** What tells the rows apart. */
  key: string[] | undefined
  /** Of the staging table. */
  name: string
}

const keyOf = ({schema, name}: TableName) => JSON.stringify([schema, name])
const shapeOf = ({tables}: Catalog, wanted: TableName) => tables.find((table) => keyOf(table) === keyOf(wanted))

/**
 * Each table once, with the rows that any of its entries wants; tables that a predicate looks into are staged, too. What the
 * backup does not have is left out.
 */
export function stagePlan({selection, also = []}: StageWish, {live, backup}: {live: Catalog; backup: Catalog}): PlannedTable[] {
  const wanted = new Map<string, {table: TableName; parts: Predicate[]}>()
  const want = (table: TableName, part: Predicate) => {
    const found = wanted.get(keyOf(table)) ?? {table, parts: []}
    found.parts.push(part)
    wanted.set(keyOf(table), found)
  }
  for (const {table, where} of selection.tables) {
    want(table, where)
    for (const inner of referredTo(where)) want(inner.table, inner.where)
  }
  for (const table of also) want(table, {kind: 'all'})
  const names = stageNames([...wanted.values()].map(({table}) => table))
  return [...wanted].flatMap(([key, {table, parts}]) => {
    const shape = shapeOf(backup, table)
    if (shape === undefined) return []
    const now = shapeOf(live, table)
    return [{table: shape, live: now, where: anyOf(parts), key: rowKey(shape, now), name: names.get(key) ?? table.name}]
  })
}

function anyOf(parts: readonly Predicate[]): Predicate {
  const [only] = parts
  if (parts.some(({kind}) => kind === 'all')) return {kind: 'all'}
  return parts.length === 1 && only ? only : {kind: 'any', of: [...parts]}
}

function referredTo(predicate: Predicate): {table: TableName; where: Predicate}[] {
  if (predicate.kind === 'refers') return [{table: predicate.table, where: predicate.where}, ...referredTo(predicate.where)]
  return predicate.kind === 'any' || predicate.kind === 'every' ? predicate.of.flatMap(referredTo) : []
}

/** One that holds on both sides, the primary key before others; of a table that is not live, the backup's own. */
function rowKey(backup: TableShape, live: TableShape | undefined): string[] | undefined {
  const strict = backup.keys.filter((key) => key.strict)
  if (live === undefined) return strict[0]?.columns
  const alike = (one: readonly string[], other: readonly string[]) => one.length === other.length && one.every((column) => other.includes(column))
  return strict.find(({columns}) => live.keys.some((key) => key.strict && alike(key.columns, columns)))?.columns
}

/** The tables' own names, for whoever works with them by hand; numbered where two schemas have the same. */
function stageNames(tables: readonly TableName[]): Map<string, string> {
  const taken = new Set<string>()
  return new Map(tables.map((table) => {
    let name = table.name
    for (let number = 2; taken.has(name); number += 1) name = `${table.name.slice(0, 24)}_${number}`
    taken.add(name)
    return [keyOf(table), name]
  }))
}
