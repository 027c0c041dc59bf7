import type {Catalog, Predicate, SelectedTable, TableName} from './contract.ts'
import {keyOf, nameOf, sameTable, shapeOf} from './names.ts'
import {keysFrom} from './relations.ts'
import {anyOf} from './tenant-closure.ts'

/**
 * The rows that selected ones refer to, and those that these refer to in turn, of tables that are not selected themselves. Only
 * missing ones come back.
 */
export function parentsOf(rows: readonly SelectedTable[], catalog: Catalog): SelectedTable[] {
  const selected = new Map(rows.map((one) => [keyOf(one.table), one.where]))
  const parents = reached(rows.map(({table}) => table), catalog).filter((table) => !selected.has(keyOf(table)))
  const inSight = [...rows.map(({table}) => nameOf(table)), ...parents].toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
  const whereOf = (table: TableName, path: readonly string[]): Predicate | undefined => {
    const own = selected.get(keyOf(table))
    if (own !== undefined) return own
    if (path.includes(keyOf(table))) return undefined
    const children = inSight.filter((child) => !sameTable(child, table))
    return anyOf(children.flatMap((child) => keysFrom(catalog, child).filter(({references}) => sameTable(references, table)).flatMap((key): Predicate[] => {
      const where = whereOf(child, [...path, keyOf(table)])
      return where === undefined ? [] : [{kind: 'refers', columns: key.referencedColumns, table: child, targets: key.columns, where}]
    })))
  }
  return parents.flatMap((table) => {
    const where = whereOf(table, [])
    return where === undefined ? [] : [{table, where, role: 'parent' as const}]
  })
}

/** The tables that these refer to, and so on, in the order in which they are met. Partitions count as their whole. */
function reached(from: readonly TableName[], catalog: Catalog): TableName[] {
  const met = new Map<string, TableName>()
  const open = [...from]
  for (let table = open.shift(); table !== undefined; table = open.shift()) {
    for (const {references} of keysFrom(catalog, table)) {
      const whole = shapeOf(catalog, references)?.root ?? references
      if (met.has(keyOf(whole)) || shapeOf(catalog, whole) === undefined) continue
      met.set(keyOf(whole), nameOf(whole))
      open.push(whole)
    }
  }
  return [...met.values()]
}
