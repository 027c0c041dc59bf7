import type {Catalog, TableName} from './contract.ts'
import {sameTable} from './names.ts'
import {keysTo} from './relations.ts'

/** Tables, besides these, whose rows a DELETE in these would take or change: through ON DELETE CASCADE, SET NULL and SET DEFAULT. */
export function cascadedFrom(live: Catalog, tables: readonly TableName[]): TableName[] {
  const deleted: TableName[] = [...tables]
  const changed: TableName[] = []
  for (const table of deleted) {
    for (const {table: child, onDelete} of keysTo(live, table)) {
      if (onDelete === 'cascade' && !deleted.some((one) => sameTable(one, child))) deleted.push(child)
      if (onDelete === 'set null' || onDelete === 'set default') changed.push(child)
    }
  }
  return [...deleted.slice(tables.length), ...changed]
}
