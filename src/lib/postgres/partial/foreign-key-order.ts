import {keyOf} from './names.ts'
import type {ForeignKeyShape, TableName} from './contract.ts'

/**
 * The tables in an order in which rows can be inserted: whoever is named by a foreign key comes before whoever names it.
 * Tables of a cycle stand side by side, with the same group; a table that only names itself is a group of its own. Among
 * tables that do not depend on each other the order is that of their names.
 */
export function inInsertOrder<T extends {table: TableName}>(entries: readonly T[], foreignKeys: readonly ForeignKeyShape[]): (T & {group: number})[] {
  const byTable = Map.groupBy(entries, ({table}) => keyOf(table))
  const names = [...byTable.keys()].toSorted()
  const parents = new Map(names.map((name) => [name, new Set<string>()]))
  for (const {table, references} of foreignKeys) if (byTable.has(keyOf(references))) parents.get(keyOf(table))?.add(keyOf(references))
  const groups = stronglyConnected(names, (name) => [...parents.get(name) ?? []].toSorted())
  return groups.flatMap((group, index) => group.flatMap((name) => (byTable.get(name) ?? []).map((entry) => ({...entry, group: index}))))
}

interface Visit {
  index: number
  low: number
  open: boolean
}

/** Tarjan's: each group after those that its members lead to, which here are their parents. */
function stronglyConnected(names: readonly string[], leadsTo: (name: string) => readonly string[]): string[][] {
  const visits = new Map<string, Visit>()
  const stack: string[] = []
  const groups: string[][] = []
  const visit = (name: string): Visit => {
    const own: Visit = {index: visits.size, low: visits.size, open: true}
    visits.set(name, own)
    stack.push(name)
    for (const next of leadsTo(name)) {
      const known = visits.get(next)
      if (known === undefined) own.low = Math.min(own.low, visit(next).low)
      else if (known.open) own.low = Math.min(own.low, known.index)
    }
    if (own.low === own.index) groups.push(closed(stack, name, visits))
    return own
  }
  for (const name of names) if (!visits.has(name)) visit(name)
  return groups
}

function closed(stack: string[], root: string, visits: ReadonlyMap<string, Visit>): string[] {
  const group = stack.splice(stack.indexOf(root))
  for (const name of group) {
    const visit = visits.get(name)
    if (visit) visit.open = false
  }
  return group.toSorted()
}
