import type {ComparedColumn, ComparedKey, ComparedTable} from '../../postgres/compared-tables.ts'
import {keyForm, type DigestQuery, type KeyForm} from '../../postgres/digest-rows.ts'
import {quoteIdent, quoteLiteral, qualified} from '../../postgres/quote.ts'

/** One table on both sides, and how its rows are told apart. */
export interface TablePair {
  schema: string
  name: string
  live?: ComparedTable
  backup?: ComparedTable
  key: {name: string; form: KeyForm}[]
  /** What the digest covers: the columns that both have. */
  columns: string[]
  /** Rows of one tenant only: a condition on the table called `r`. */
  where?: string
  notes: string[]
}

export interface PairOptions {
  tenantColumn: string
  tenant?: string | undefined
  /** By name; else every table. */
  wanted?: ((table: {schema: string; name: string}) => boolean) | undefined
}

export interface Pairs {
  pairs: TablePair[]
  /** Tables that have no way to the tenant. */
  leftOut: {schema: string; name: string}[]
}

type Named = Pick<ComparedTable, 'schema' | 'name'>
const idOf = ({schema, name}: Named) => JSON.stringify([schema, name])

/** Partitioned tables are compared as wholes: rows move between partitions, and partitions come and go. */
export function pairTables(live: readonly ComparedTable[], backup: readonly ComparedTable[], options: PairOptions): Pairs {
  const sides = [live, backup].map((tables) => new Map(unitsOf(tables, options).map((table) => [idOf(table), table])))
  const [ours = new Map<string, ComparedTable>(), theirs = new Map<string, ComparedTable>()] = sides
  const result: Pairs = {pairs: [], leftOut: []}
  for (const id of new Set([...ours.keys(), ...theirs.keys()])) {
    const [one, other] = [ours.get(id), theirs.get(id)]
    const table = one ?? other
    if (table === undefined) continue
    const where = options.tenant === undefined ? undefined : ofTenant(table, one === undefined ? backup : live, options.tenantColumn, options.tenant)
    if (options.tenant !== undefined && where === undefined) result.leftOut.push({schema: table.schema, name: table.name})
    else result.pairs.push({...pairOf(one, other), ...(where !== undefined && {where})})
  }
  return result
}

/** A partition by itself only where it is named. */
function unitsOf(tables: readonly ComparedTable[], {wanted}: PairOptions): ComparedTable[] {
  return tables.filter((table) => (table.root === undefined ? wanted?.(table) !== false : wanted !== undefined && wanted(table) && !wanted(table.root)))
}

function pairOf(live: ComparedTable | undefined, backup: ComparedTable | undefined): TablePair {
  const {schema = '', name = ''} = live ?? backup ?? {}
  if (live === undefined || backup === undefined) {
    const only = live ?? backup
    const key = chooseKey(only, only)
    return {schema, name, ...(live && {live}), ...(backup && {backup}), key, columns: digested(only), notes: []}
  }
  const columns = digested(backup).filter((column) => digested(live).includes(column))
  return {schema, name, live, backup, key: chooseKey(live, backup), columns, notes: columnNotes(live, backup)}
}

/** Without generated columns: the others make them. */
const digested = (table: ComparedTable | undefined): string[] => (table?.columns ?? []).filter(({generated}) => !generated).map(({name}) => name)

/** The backup's key, else the live one's, if both sides have its columns. */
function chooseKey(live: ComparedTable | undefined, backup: ComparedTable | undefined): TablePair['key'] {
  if (live === undefined || backup === undefined) return []
  const keys = [...backup.keys, ...live.keys]
  const has = (key: ComparedKey) => key.columns.every((name) => columnOf(live, name) && columnOf(backup, name))
  const key = keys.find((one) => one.primary && has(one)) ?? keys.find((one) => one.unique && has(one)) ?? keys.find(has)
  return (key?.columns ?? []).flatMap((name) => {
    const [one, other] = [columnOf(live, name), columnOf(backup, name)]
    return one && other ? [{name, form: keyForm(one, other)}] : []
  })
}

const columnOf = (table: ComparedTable, name: string): ComparedColumn | undefined => table.columns.find((column) => column.name === name)

function columnNotes(live: ComparedTable, backup: ComparedTable): string[] {
  const [now, then] = [digested(live), digested(backup)]
  const onlyLive = now.filter((column) => !then.includes(column))
  const onlyBackup = then.filter((column) => !now.includes(column))
  const types = live.columns.flatMap(({name, type}) => {
    const before = columnOf(backup, name)?.type
    return before === undefined || before === type ? [] : [`${name} is ${type} and was ${before}`]
  })
  return [
    ...(onlyLive.length > 0 ? [`not compared, because the backup has no such column: ${onlyLive.join(', ')}`] : []),
    ...(onlyBackup.length > 0 ? [`not compared, because the live table has no such column: ${onlyBackup.join(', ')}`] : []),
    ...(types.length > 0 ? [`the type has changed: ${types.join('; ')}`] : []),
  ]
}

/** Rows of a tenant: by the tenant column, by a foreign key to a table that has it, or the tenant's own row. */
function ofTenant(table: ComparedTable, tables: readonly ComparedTable[], tenantColumn: string, tenant: string): string | undefined {
  const is = (alias: string, column: string) => `${alias}.${quoteIdent(column)}::text = ${quoteLiteral(tenant)}`
  if (columnOf(table, tenantColumn)) return is('r', tenantColumn)
  for (const {columns, schema, name, targets} of table.links) {
    const target = tables.find((one) => one.schema === schema && one.name === name)
    if (target === undefined || idOf(target) === idOf(table) || !columnOf(target, tenantColumn)) continue
    const joined = columns.map((column, place) => `p.${quoteIdent(targets[place] ?? '')} = r.${quoteIdent(column)}`)
    return `EXISTS (SELECT FROM ${qualified(target)} p WHERE ${joined.join(' AND ')} AND ${is('p', tenantColumn)})`
  }
  const own = tables.flatMap(({links}) => links).find(({columns, targets, ...target}) => idOf(target) === idOf(table) && columns.length === 1 && columns[0] === tenantColumn && targets.length === 1)
  return own?.targets[0] === undefined ? undefined : is('r', own.targets[0])
}

/** The query of one side. */
export function queryOf(pair: TablePair, side: ComparedTable, order: DigestQuery['order']): DigestQuery {
  const key = pair.key.flatMap(({name, form}) => {
    const column = columnOf(side, name)
    return column ? [{column, form}] : []
  })
  const names = pair.key.map(({name}) => name)
  const unique = side.keys.some((one) => one.unique && one.columns.every((column) => names.includes(column)))
  return {table: side, key, unique, columns: pair.columns, order, ...(pair.where !== undefined && {where: pair.where})}
}
