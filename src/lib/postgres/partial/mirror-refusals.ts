import {messageOf, preflightError, type DrError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {codeOf, isConnectionLost, statementError} from '../errors.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {othersIn, type PlanNode} from './condition.ts'
import type {Catalog, MergeMode, TableShape} from './contract.ts'
import {rightsError} from './guard.ts'
import {followedKeys, type MirrorPlan} from './mirror-plan.ts'
import {shownName} from './names.ts'
import {assertOwnNames, readColumns} from './relations.ts'
import {isBuiltin, sideTypes} from './side-types.ts'

const refused = (message: string, cause?: unknown): DrError =>
  preflightError('partial.stage-database', `${message}.`, {cause, hints: ['--stage schema compares them in the live database itself.']})

/**
 * Refuses, with `partial.stage-database` (exit 3), before anything is made, what a comparison beside the live database would judge
 * otherwise than the merge in it: there are none of its types, collations, functions and defaults.
 */
export async function assertMirrorable(client: Client, plan: MirrorPlan, live: Catalog, mode: MergeMode): Promise<void> {
  const keys = followedKeys(plan, live)
  const fallback = mode === 'exact' ? keys.find(({onDelete}) => onDelete === 'set default') : undefined
  if (fallback) throw refused(`What ON DELETE SET DEFAULT of ${fallback.name} would write follows from defaults of ${shownName(fallback.table)}, which a database beside has not`)
  const columnsOf = await readColumns(client, plan.whole)
  for (const table of plan.whole) assertOwnNames(table, columnsOf(table) ?? [])
  const told = plan.whole.flatMap((table) => {
    const names = new Set([...table.keys.flatMap(({columns}) => columns), ...keys.filter((key) => shownName(key.table) === shownName(table)).flatMap(({columns}) => columns)])
    return (columnsOf(table) ?? []).filter(({name}) => names.has(name)).map((column) => ({table, column}))
  })
  const known = await orderedAsText(client, told.map(({column: {type}}) => type))
  for (const {table, column: {name, type, collation}} of told) {
    if (!known.has(type)) throw refused(`Rows of ${shownName(table)} are told apart by ${name}, whose type ${type} compares in its own way, which a database beside has not`)
    if (collation !== undefined && !collation.startsWith('pg_catalog.')) throw refused(`Rows of ${shownName(table)} are told apart by ${name}, whose collation ${collation} a database beside has not`)
  }
}

/** Types of which two values are equal when they are so without the type: builtin ones, enums, domains over builtin ones. */
async function orderedAsText(client: Client, types: readonly string[]): Promise<Set<string>> {
  const rows = await rowsOf<{type: string}>(client, `
    SELECT w.type FROM unnest($1::text[]) AS w (type) JOIN pg_type t ON t.oid = to_regtype(w.type) JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_type b ON b.oid = t.typbasetype LEFT JOIN pg_namespace bn ON bn.oid = b.typnamespace
    WHERE n.nspname = 'pg_catalog' OR t.typtype = 'e' OR (t.typtype = 'd' AND bn.nspname = 'pg_catalog')`, [[...new Set(types)]])
  return new Set(rows.map(({type}) => type))
}

/** Of --where: it is planned with the types and the functions alone that there are beside. Rows of other tables are not. */
export async function assertSideCondition(client: Client, table: TableShape, text: string): Promise<void> {
  const own = table.columns.find(({name, type}) => !isBuiltin(type) && text.toLowerCase().includes(name.toLowerCase()))
  if (own) throw refused(`--where speaks of ${own.name}, whose type ${own.type} a database beside has not`)
  const types = await sideTypes(client, table.columns.map(({type}) => type))
  const columns = table.columns.map(({name, type}) => `${quoteIdent(name)}::${types.get(type) ?? 'text'} AS ${quoteIdent(name)}`).join(', ')
  const others = await plannedBeside(client, `SELECT FROM (SELECT ${columns} FROM ${qualified(table)} AS r OFFSET 0) AS r WHERE (\n${text}\n)`)
  if (others.length > 0) throw refused(`--where looks into ${others.join(', ')}, too, whose rows a database beside has not`)
}

/** Planned as it would be run: a text may be a time only as the live database reads it. */
async function plannedBeside(client: Client, query: string): Promise<string[]> {
  try {
    await client.query('BEGIN READ ONLY; SET LOCAL TimeZone TO DEFAULT; SET LOCAL DateStyle TO DEFAULT; SET LOCAL IntervalStyle TO DEFAULT')
    // The path of the staging session is pg_catalog alone; prepared, it is one statement.
    const {rows: [row]} = await client.query<{'QUERY PLAN': [{Plan: PlanNode}]}>({text: `EXPLAIN (VERBOSE, FORMAT JSON) ${query}`, queryMode: 'extended'} as {text: string})
    return row === undefined ? [] : othersIn(row['QUERY PLAN'][0].Plan).map(shownName)
  } catch (error) {
    if (isConnectionLost(error)) throw error
    if (codeOf(error) === '42501') throw statementError(rightsError(error), 'Looking at --where')
    throw refused(`--where cannot be used in a database beside: ${messageOf(error)}`, error)
  } finally {
    await client.query('ROLLBACK').catch(() => undefined)
  }
}
