import type {Catalog, ForeignKeyShape, MergeRequest, Predicate, StagedTable, TableName, TableShape} from './contract.ts'
import {distinctTables, keyOf, nameOf, sameTable, shapeOf} from './names.ts'
import {touchedTables} from './plan.ts'
import {familyOf} from './relations.ts'

/** What of the live tables a comparison reads. */
export interface MirrorPlan {
  /** With all columns; of a partition that is meant, the whole it is of, too. */
  whole: TableShape[]
  /** Only looked up through foreign keys. */
  named: {table: TableName; columns: string[]}[]
}

/** Tables that a predicate looks into. */
export function lookedInto(predicate: Predicate): TableName[] {
  if (predicate.kind === 'refers') return [nameOf(predicate.table), ...lookedInto(predicate.where)]
  return predicate.kind === 'any' || predicate.kind === 'every' ? predicate.of.flatMap(lookedInto) : []
}

/** `lost`: named in the selection, and not live any more; of them only the parents of their rows are looked up. */
export function mirrorPlan(request: Pick<MergeRequest, 'live' | 'backup' | 'selection' | 'mode'> & {staged: readonly Pick<StagedTable, 'table'>[]}, lost: readonly TableName[]): MirrorPlan {
  const {live, backup, staged, selection} = request
  const isLost = (table: TableName) => lost.some((one) => sameTable(one, table))
  const tables = selection.tables.filter(({table}) => !isLost(table))
  const wanted = [
    ...touchedTables({...request, selection: {...selection, tables}} as MergeRequest), ...staged.map(({table}) => nameOf(table)), ...tables.flatMap(({where}) => lookedInto(where)),
  ]
  const families = distinctTables(wanted.map((table) => familyOf(live, table)))
  const whole = distinctTables([...families, ...wanted]).flatMap((table) => shapeOf(live, table) ?? [])
  const inside = (table: TableName) => families.some((one) => sameTable(one, familyOf(live, table)))
  const named = new Map<string, {table: TableName; columns: Set<string>}>()
  const name = (table: TableName, columns: readonly string[]) => {
    const root = familyOf(live, table)
    if (inside(table) || shapeOf(live, root) === undefined) return
    const found = named.get(keyOf(root)) ?? {table: nameOf(root), columns: new Set()}
    for (const column of columns) found.columns.add(column)
    named.set(keyOf(root), found)
  }
  for (const key of live.foreignKeys) {
    if (inside(key.table)) name(key.references, key.referencedColumns)
    if (inside(key.references)) name(key.table, key.columns)
  }
  for (const key of backup.foreignKeys) if (isLost(key.table)) name(key.references, key.referencedColumns)
  return {whole, named: [...named.values()].map(({table, columns}) => ({table, columns: [...columns]}))}
}

/** Foreign keys that a comparison by this plan follows. */
export const followedKeys = ({whole}: MirrorPlan, live: Catalog): ForeignKeyShape[] =>
  live.foreignKeys.filter(({table, references}) => whole.some((one) => sameTable(one, table) || sameTable(one, references)))
