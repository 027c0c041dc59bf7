import {usageError} from '../../errors.ts'
import type {Catalog, ForeignKeyShape, Predicate, SelectedTable, Selection, TableName} from './contract.ts'
import {inInsertOrder} from './foreign-key-order.ts'
import {keyOf, nameOf, namedTables, sameTable, shapeOf, shownName, type NamedTable} from './names.ts'
import {keysFrom} from './relations.ts'
import {parentsOf} from './missing-parents.ts'
import {assertColumns} from './selected-columns.ts'
import {every, linksTo, tenantClosure} from './tenant-closure.ts'

/** What the operator wants back. */
export interface SelectionWish {
  /** With or without their schema. */
  tables: readonly string[]
  tenant?: string | undefined
  /** SQL of the columns of the one table that is named. */
  where?: string | undefined
  /** A transaction id: rows that it was the last to write. */
  transaction?: string | undefined
  /** What is put back of rows that are still there; nothing else is then done. */
  columns?: readonly string[] | undefined
  relink: boolean
  withParents: boolean
}

export interface SelectionSources {
  live: Catalog
  backup: Catalog
  tenantColumn: string
}

export interface Selected {
  selection: Selection
  /** In the backup and named, but not live: they have to be made anew. */
  lost: TableName[]
  /** What the operator has to know about the choice. */
  notes: string[]
}

/** The rows that are meant, table by table, in an order in which they can be inserted. Pure; refuses in words. */
export function selectRows(wish: SelectionWish, sources: SelectionSources): Selected {
  assertWish(wish)
  const catalog = joined(sources)
  const notes: string[] = []
  const {rows, links, lost} = wish.tenant === undefined ? ofTables(wish, sources, catalog) : ofTenant(wish, wish.tenant, sources, catalog, notes)
  const parents = wish.withParents ? parentsOf(rows, catalog).filter(({table}) => shapeOf(sources.live, table) !== undefined || lost.some((one) => sameTable(one, table))) : []
  const relinked = [...links, ...(wish.relink ? relinks(wish, rows, links, catalog, sources.tenantColumn) : [])].filter(({table}) => inBoth(table, sources))
  if (wish.relink && relinked.length === 0) notes.push('--relink changes nothing: no foreign key that a deletion would set to NULL names what is selected.')
  const keys = catalog.foreignKeys.flatMap((key) => [key, ...ofPartitions(key, rows, catalog)])
  return {
    selection: {tables: inInsertOrder([...rows, ...parents, ...relinked], keys), ...(wish.tenant !== undefined && {tenant: {id: wish.tenant, column: sources.tenantColumn}})},
    lost, notes,
  }
}

/** What is wrong whatever there is. */
export function assertWish({tables, tenant, where, transaction, columns, relink, withParents}: SelectionWish): void {
  if (tenant === '') throw usageError('usage', '--tenant names no tenant.', {hints: ['dr diff --all lists the tenants.']})
  if (tables.length === 0 && tenant === undefined) throw usageError('partial.nothing-selected', 'Nothing is selected.', {hints: ['Name what is to come back: --table NAME, or --tenant ID. dr investigate finds the damage.']})
  if (where !== undefined && tables.length !== 1) throw usageError('partial.where', '--where speaks of the columns of one table.', {hints: ['Name it: --table NAME, exactly once.']})
  if (where?.trim() === '') throw usageError('partial.where', '--where is empty.', {hints: ['Leave it out to take the whole table.']})
  if (transaction !== undefined && !/^\d{1,20}$/.test(transaction)) throw usageError('partial.transaction', `--transaction ${transaction} is no number of a transaction.`, {hints: ['dr investigate --table NAME shows which transactions wrote its rows.']})
  if (columns?.length === 0) throw usageError('partial.columns', '--columns names no column.', {hints: ['Name those that are to be put back, --columns status,score; or leave it out.']})
  if (columns !== undefined && (relink || withParents)) throw usageError('partial.columns', `--columns puts back these columns of rows that are still there; ${relink ? '--relink' : '--with-parents'} is about others.`, {hints: ['Run them one after the other.']})
}

interface Chosen {
  rows: SelectedTable[]
  links: SelectedTable[]
  lost: TableName[]
}

function ofTables(wish: SelectionWish, {live, backup}: SelectionSources, catalog: Catalog): Chosen {
  const named = namedTables(wish.tables, live, backup)
  assertLive(named, wish)
  if (wish.columns) assertColumns(wish.columns, named)
  const rows = named.map(({table}): SelectedTable => ({table, where: narrowed({kind: 'all'}, wish), role: 'rows', ...(wish.columns && {columns: [...wish.columns]})}))
  return {rows: rows.toSorted((a, b) => (keyOf(a.table) < keyOf(b.table) ? -1 : 1)), links: [], lost: named.filter(({table}) => shapeOf(live, table) === undefined && shapeOf(catalog, table)).map(({table}) => table)}
}

/** What is not live has no rows that a transaction wrote. */
function assertLive(named: readonly NamedTable[], {transaction, where}: SelectionWish): void {
  const gone = named.find(({live}) => live === undefined)
  if (gone === undefined || (transaction === undefined && where === undefined)) return
  throw usageError('partial.table-lost', `${shownName(gone.table)} is not live: it comes back whole.`, {hints: [`Leave out ${transaction === undefined ? '--where' : '--transaction'}.`]})
}

/** Both narrow each other when tables are named, too. */
function ofTenant(wish: SelectionWish, id: string, sources: SelectionSources, catalog: Catalog, notes: string[]): Chosen {
  const {live, backup, tenantColumn} = sources
  const closure = tenantClosure(id, tenantColumn, catalog)
  const named = wish.tables.length > 0 ? namedTables(wish.tables, live, backup) : undefined
  if (closure.rows.length === 0) throw usageError('partial.no-tenants', `No table has a column ${tenantColumn}.`, {hints: ['database.tenantColumn names the column that says whose a row is.']})
  if (named && wish.columns) assertColumns(wish.columns, named)
  if (!named && wish.columns) throw usageError('partial.columns', '--columns needs to know of which table.', {hints: ['Add --table NAME.']})
  const gone = closure.rows.filter(({table}) => shapeOf(live, table) === undefined && !isNamed(table, named))
  const young = closure.rows.filter(({table}) => shapeOf(backup, table) === undefined)
  if (gone.length > 0) notes.push(`Not live any more, so left out: ${gone.map(({table}) => shownName(table)).join(', ')}. To bring it back whole: --table NAME.`)
  if (young.length > 0) notes.push(`Not in the backup: ${young.map(({table}) => shownName(table)).join(', ')}.`)
  const there = closure.rows.filter((one) => !gone.includes(one) && !young.includes(one))
  const rows = named === undefined ? there : named.map((one) => tenantsPart(one, there, catalog))
  const lost = rows.filter(({table}) => shapeOf(live, table) === undefined).map(({table}) => table)
  if (lost[0] !== undefined) throw usageError('partial.table-lost', `${shownName(lost[0])} is not live: it comes back whole, not one tenant's part of it.`, {hints: ['Leave out --tenant.']})
  return {rows: rows.map((one) => ({...one, where: narrowed(one.where, wish), ...(wish.columns && {columns: [...wish.columns]})})), links: wish.transaction === undefined && !wish.columns && wish.where === undefined ? closure.links.filter(({table}) => named === undefined || isNamed(table, named)) : [], lost: []}
}

const isNamed = (table: TableName, named: readonly NamedTable[] | undefined): boolean => named?.some((one) => sameTable(one.table, table)) === true

/** A partition holds the tenant's part of its whole. */
function tenantsPart({table, backup}: NamedTable, closure: readonly SelectedTable[], catalog: Catalog): SelectedTable {
  const found = closure.find((one) => sameTable(one.table, table)) ?? closure.find((one) => backup.root !== undefined && sameTable(one.table, backup.root))
  if (found === undefined) throw usageError('partial.no-tenant-rows', `Nothing leads from ${shownName(table)} to a tenant.`, {hints: [`Tables that hold tenants' rows: ${closure.slice(0, 8).map((one) => shownName(one.table)).join(', ')}${closure.length > 8 ? ', …' : ''}`]})
  return {...found, table: nameOf(shapeOf(catalog, table) ?? table)}
}

function narrowed(where: Predicate, {where: text, transaction}: SelectionWish): Predicate {
  const more: Predicate[] = [...(text === undefined ? [] : [{kind: 'sql' as const, text}]), ...(transaction === undefined ? [] : [{kind: 'written-by' as const, transaction}])]
  if (more.length === 0) return where
  return where.kind === 'all' ? every(...more) : every(where, ...more)
}

/** A tenant's rows stay the tenant's own: a link that another one's row has to them is not followed. */
function relinks({tenant}: SelectionWish, rows: readonly SelectedTable[], links: readonly SelectedTable[], catalog: Catalog, column: string): SelectedTable[] {
  const known = new Set(links.map(({table, columns}) => JSON.stringify([keyOf(table), columns])))
  return linksTo(rows, catalog, () => true).filter((link) => !known.has(JSON.stringify([keyOf(link.table), link.columns]))).map((link) => {
    const own = tenant !== undefined && shapeOf(catalog, link.table)?.columns.some(({name}) => name === column) === true
    return own ? {...link, where: every({kind: 'equals', column, value: tenant}, link.where)} : link
  })
}

const inBoth = (table: TableName, {live, backup}: SelectionSources): boolean => shapeOf(live, table) !== undefined && shapeOf(backup, table) !== undefined

/** Both together: what is live counts, and what was lost with its tables. */
function joined({live, backup}: SelectionSources): Catalog {
  const lost = backup.tables.filter((table) => shapeOf(live, table) === undefined)
  const known = new Set(live.foreignKeys.map(({name, table}) => JSON.stringify([keyOf(table), name])))
  return {
    tables: [...live.tables, ...lost],
    foreignKeys: [...live.foreignKeys, ...backup.foreignKeys.filter(({name, table}) => !known.has(JSON.stringify([keyOf(table), name])))],
  }
}

/** For the order alone: a selected partition depends on what its whole depends on. */
function ofPartitions(key: ForeignKeyShape, rows: readonly SelectedTable[], catalog: Catalog): ForeignKeyShape[] {
  return rows.flatMap(({table}) => (shapeOf(catalog, table)?.root !== undefined && keysFrom(catalog, table).includes(key) && !sameTable(key.table, table) ? [{...key, table}] : []))
}
