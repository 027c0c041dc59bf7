import {closest} from '../../config/problem.ts'
import {usageError} from '../../errors.ts'
import type {TableShape} from './contract.ts'
import {shownName, type NamedTable} from './names.ts'

/** Of --columns: refuses what a table has not, on either side, and what cannot be written or tells its rows apart. */
export function assertColumns(columns: readonly string[], tables: readonly NamedTable[]): void {
  for (const {backup, live} of tables) for (const column of columns) assertColumn(column, backup, live)
}

function assertColumn(column: string, backup: TableShape, live: TableShape | undefined): void {
  const table = shownName(backup)
  if (live === undefined) throw usageError('partial.columns', `${table} is not live: it comes back whole, not column by column.`, {hints: ['Leave out --columns.']})
  for (const [shape, where] of [[backup, 'in the backup'], [live, 'live']] as const) {
    const found = shape.columns.find(({name}) => name === column)
    if (found === undefined) throw unknownColumn(column, shape, where)
    if (found.generated) throw usageError('partial.columns', `${table}.${column} is generated: it follows from the other columns.`, {hints: ['Leave it out of --columns.']})
  }
  if (live.columns.find(({name}) => name === column)?.identity === 'always') throw usageError('partial.columns', `${table}.${column} is GENERATED ALWAYS AS IDENTITY: a row that is there keeps its number.`, {hints: ['Leave it out of --columns.']})
  if (backup.keys[0]?.columns.includes(column) === true) throw usageError('partial.columns', `${table}.${column} is of the key by which rows are told apart: it cannot be put back.`, {hints: ['Leave it out of --columns.']})
}

function unknownColumn(column: string, shape: TableShape, where: string): Error {
  const names = shape.columns.map(({name}) => name)
  const near = closest(column, names)
  return usageError('partial.column-unknown', `${shownName(shape)} has no column ${column} ${where}.`, {hints: [near === undefined ? `It has ${names.join(', ')}.` : `Did you mean ${near}?`]})
}
