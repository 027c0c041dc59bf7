import {closest} from '../../config/problem.ts'
import {usageError} from '../../errors.ts'
import type {Catalog, TableName, TableShape} from './contract.ts'

/** One text for one table, to find it by. */
export const keyOf = ({schema, name}: TableName): string => JSON.stringify([schema, name])
export const sameTable = (one: TableName, other: TableName): boolean => one.schema === other.schema && one.name === other.name
export const shownName = ({schema, name}: TableName): string => `${schema}.${name}`
export const nameOf = ({schema, name}: TableName): TableName => ({schema, name})

/** Each of them once, in their order. */
export const distinctTables = (tables: readonly TableName[]): TableName[] => tables.filter((table, index) => tables.findIndex((one) => sameTable(one, table)) === index)

export const shapeOf = ({tables}: Catalog, table: TableName): TableShape | undefined => tables.find((one) => sameTable(one, table))

/** Of a partition: its parent, the parent of that, and so on to the top. */
export function ancestorsOf(catalog: Catalog, table: TableName): TableName[] {
  const parent = shapeOf(catalog, table)?.parent
  return parent === undefined ? [] : [parent, ...ancestorsOf(catalog, parent)]
}

/** A table as it was named: where it is now, and where it was. */
export interface NamedTable {
  table: TableName
  live: TableShape | undefined
  backup: TableShape
}

/** The tables that these names mean, with or without their schema. Refuses, in words, what is misspelled, ambiguous or not in the backup. */
export function namedTables(names: readonly string[], live: Catalog, backup: Catalog): NamedTable[] {
  const found = new Map<string, NamedTable>()
  for (const name of names) {
    const one = namedTable(name, live, backup)
    found.set(keyOf(one.table), one)
  }
  return [...found.values()].filter(({table}) => !ancestorsOf(backup, table).some((one) => found.has(keyOf(one))))
}

function namedTable(name: string, live: Catalog, backup: Catalog): NamedTable {
  const [here, there] = [meant(name, live), meant(name, backup)]
  const candidates = new Map([...here, ...there].map((table) => [keyOf(table), table]))
  const [table, ...others] = [...candidates.values()]
  if (table === undefined) throw unknownTable(name, live, backup)
  if (others.length > 0) throw usageError('partial.table-ambiguous', `There are ${candidates.size} tables ${name}.`, {hints: [`Name one of them: ${[table, ...others].map((one) => `--table ${shownName(one)}`).join(', ')}`]})
  const saved = shapeOf(backup, table)
  if (saved === undefined) throw usageError('partial.table-not-in-backup', `${shownName(table)} is live, but not in the backup.`, {hints: ['dr list shows the backups; --from names another one.']})
  return {table: nameOf(table), live: shapeOf(live, table), backup: saved}
}

/** A name that has a dot may be a whole one, or that of a table. */
function meant(name: string, {tables}: Catalog): TableShape[] {
  const whole = tables.filter((table) => shownName(table) === name)
  return whole.length > 0 ? whole : tables.filter((table) => table.name === name)
}

function unknownTable(name: string, live: Catalog, backup: Catalog): Error {
  const near = closest(name, [...live.tables, ...backup.tables].flatMap((table) => (name.includes('.') ? [shownName(table)] : [table.name])))
  return usageError('partial.table-unknown', `There is no table ${name}, live or in the backup.`, {hints: [near === undefined ? 'Write --table NAME or --table SCHEMA.NAME, as dr diff --all shows them.' : `Did you mean --table ${near}?`]})
}
