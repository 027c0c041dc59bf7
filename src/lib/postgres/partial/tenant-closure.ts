import type {Catalog, ForeignKeyShape, Predicate, SelectedTable, TableName, TableShape} from './contract.ts'
import {keyOf, nameOf, sameTable, shapeOf} from './names.ts'

export interface TenantClosure {
  /** Whose rows are the tenant's; in no order. */
  rows: SelectedTable[]
  /** Rows that the tenant's deletion does not take but detaches: only these columns come back. */
  links: SelectedTable[]
}

/**
 * The tables that hold a tenant's rows, by the catalog alone: those with the tenant column, the tenant's own row (what the tenant
 * column refers to), and those that are reached only through foreign keys: by a key that goes with its row (CASCADE) or that must
 * not be NULL. What SET NULL merely detaches is put back as links.
 */
export function tenantClosure(id: string, column: string, {tables, foreignKeys}: Catalog): TenantClosure {
  const whole = tables.filter(({root}) => root === undefined)
  const tenants = ownTable(column, foreignKeys)
  const has = (table: TableShape) => table.columns.some(({name}) => name === column)
  const known = new Map<string, {table: TableShape; direct?: Predicate}>()
  for (const table of whole) {
    if (tenants && sameTable(table, tenants.references)) known.set(keyOf(table), {table, direct: {kind: 'equals', column: tenants.referencedColumns[0] ?? '', value: id}})
    else if (has(table)) known.set(keyOf(table), {table, direct: {kind: 'equals', column, value: id}})
  }
  if (tenants === undefined && known.size === 0) return {rows: [], links: []}
  reach(whole, foreignKeys, known)
  const where = predicates(foreignKeys, known)
  const rows = [...known.values()].map(({table}): SelectedTable => ({table: nameOf(table), where: where(table), role: 'rows'}))
  return {rows, links: detached(column, {tables: whole, foreignKeys}, rows)}
}

/** The foreign key through which most tables name their tenant. */
function ownTable(column: string, foreignKeys: readonly ForeignKeyShape[]): ForeignKeyShape | undefined {
  const naming = foreignKeys.filter(({columns, referencedColumns}) => columns.length === 1 && columns[0] === column && referencedColumns.length === 1)
  const byTarget = Map.groupBy(naming, ({references, referencedColumns}) => JSON.stringify([references.schema, references.name, referencedColumns[0]]))
  return [...byTarget.values()].toSorted((one, other) => other.length - one.length)[0]?.[0]
}

/** Adds what hangs on what is known, until nothing is added. */
function reach(tables: readonly TableShape[], foreignKeys: readonly ForeignKeyShape[], known: Map<string, {table: TableShape; direct?: Predicate}>): void {
  for (let size = -1; size !== known.size;) {
    size = known.size
    for (const key of foreignKeys) {
      const table = tables.find((one) => sameTable(one, key.table))
      if (table && !known.has(keyOf(table)) && known.has(keyOf(key.references)) && belongs(key, table)) known.set(keyOf(table), {table})
    }
  }
}

/** Whether a row cannot outlast the one that it names. */
const belongs = ({columns, onDelete}: ForeignKeyShape, table: TableShape): boolean =>
  onDelete === 'cascade' || columns.every((column) => table.columns.find(({name}) => name === column)?.notNull === true)

/** Of a table that is reached through others: any of the keys that lead to them; never in a circle. */
function predicates(foreignKeys: readonly ForeignKeyShape[], known: ReadonlyMap<string, {table: TableShape; direct?: Predicate}>): (table: TableName) => Predicate {
  const predicateOf = (table: TableName, path: readonly string[]): Predicate | undefined => {
    const one = known.get(keyOf(table))
    if (one === undefined || path.includes(keyOf(table))) return undefined
    if (one.direct) return one.direct
    const leading = foreignKeys.filter((key) => sameTable(key.table, table) && belongs(key, one.table))
    const through = leading.flatMap(({columns, references, referencedColumns}): Predicate[] => {
      const where = predicateOf(references, [...path, keyOf(table)])
      return where === undefined ? [] : [refersTo({columns, references, referencedColumns}, where)]
    })
    return anyOf(through)
  }
  return (table) => predicateOf(table, []) ?? {kind: 'any', of: []}
}

/** The rows that name those for which `where` holds. What they name by the very column that it speaks of needs no look at the other table. */
function refersTo({columns, references, referencedColumns}: Pick<ForeignKeyShape, 'columns' | 'references' | 'referencedColumns'>, where: Predicate): Predicate {
  const [column, ...others] = columns
  if (column !== undefined && others.length === 0 && where.kind === 'equals' && where.column === referencedColumns[0]) return {...where, column}
  return {kind: 'refers', columns, table: nameOf(references), targets: referencedColumns, where}
}

export const anyOf = (of: readonly Predicate[]): Predicate | undefined => (of.length > 1 ? {kind: 'any', of: [...of]} : of[0])
export const every = (...of: readonly Predicate[]): Predicate => (of.length === 1 && of[0] ? of[0] : {kind: 'every', of: [...of]})

/** The tenant column itself where its deletion nulls it, and keys to the tenant's rows in tables that have no tenant. */
function detached(column: string, catalog: Catalog, rows: readonly SelectedTable[]): SelectedTable[] {
  const isTenants = (table: TableName) => shapeOf(catalog, table)?.columns.some(({name}) => name === column) === true
  return linksTo(rows, catalog, (key) => key.columns.includes(column) || (!isTenants(key.table) && !rows.some(({table}) => sameTable(table, key.table))))
}

/** Rows whose foreign key was set to NULL, or to its default, when a selected row went, of each such key that is wanted. */
export function linksTo(rows: readonly SelectedTable[], catalog: Catalog, wanted: (key: ForeignKeyShape) => boolean): SelectedTable[] {
  const nulled = catalog.foreignKeys.filter((key) => (key.onDelete === 'set null' || key.onDelete === 'set default') && wanted(key) && shapeOf(catalog, key.table)?.root === undefined)
  return nulled.flatMap((key) => {
    const parent = rows.find(({table, role}) => role === 'rows' && sameTable(table, key.references))
    const columns = nullable(key, shapeOf(catalog, key.table))
    if (parent === undefined || columns.length === 0) return []
    return [{table: nameOf(key.table), where: refersTo(key, parent.where), role: 'links' as const, columns}]
  })
}

const nullable = ({setColumns, columns, onDelete}: ForeignKeyShape, table: TableShape | undefined): string[] =>
  (setColumns ?? columns).filter((column) => table?.columns.some(({name, notNull}) => name === column && (!notNull || onDelete === 'set default')) === true)
