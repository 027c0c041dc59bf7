import type {Catalog, TableName, TableShape} from './contract.ts'
import {ancestorsOf, nameOf, sameTable, shapeOf} from './names.ts'

/** An index or sequence of a table that is to be made anew, which a live table has by now: mostly the table itself, renamed. */
export interface TakenName {
  lost: TableName
  name: string
  kind: 'index' | 'sequence'
  /** That has it. */
  by: TableName
}

const namesOf = ({schema, keys, sequences}: TableShape): {kind: TakenName['kind']; schema: string; name: string}[] => [
  ...keys.map(({name}) => ({kind: 'index' as const, schema, name})), ...sequences.map((one) => ({kind: 'sequence' as const, schema: one.schema, name: one.name})),
]

/** The first such name of each table that is lost, and of its partitions. A sequence that several tables take numbers from is nobody's. Pure. */
export function takenNames(lost: readonly TableName[], {live, backup}: {live: Catalog; backup: Catalog}): TakenName[] {
  const isLost = (table: TableName) => lost.some((one) => sameTable(one, table))
  const made = backup.tables.filter((table) => (isLost(table) || ancestorsOf(backup, table).some(isLost)) && shapeOf(live, table) === undefined)
  const shared = new Set(backup.tables.flatMap((table) => table.sequences.map(({schema, name}) => ({table, key: JSON.stringify([schema, name])}))).filter(({table, key}, _, all) => all.some((other) => other.key === key && other.table !== table)).map(({key}) => key))
  return made.flatMap((table): TakenName[] => {
    for (const {kind, schema, name} of namesOf(table)) {
      if (kind === 'sequence' && shared.has(JSON.stringify([schema, name]))) continue
      const by = live.tables.find((one) => namesOf(one).some((other) => other.kind === kind && other.schema === schema && other.name === name))
      if (by) return [{lost: nameOf(table), name, kind, by: nameOf(by)}]
    }
    return []
  })
}
