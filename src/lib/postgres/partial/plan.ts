import {preflightError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {quoteIdent} from '../quote.ts'
import type {BroughtBack} from './brought-back.ts'
import type {Catalog, ForeignKeyShape, MergeMode, MergeRequest, SelectedTable, StagedTable, TableName} from './contract.ts'
import {cascadedFrom} from './cascaded-tables.ts'
import {distinctTables, sameTable, shownName} from './names.ts'
import {isBuiltin} from './side-types.ts'
import {assertOwnNames, readColumns, relationOf, type Column, type Relation} from './relations.ts'
import type {UniqueIndex} from './unique-indexes.ts'

/** What is done to a row. The others are only counted: what another mode would do, what came in after the comparison, and rows whose key another tenant holds. */
export type Act = 'insert' | 'update' | 'link' | 'delete' | 'cascade-delete' | 'cascade-null'
export type Spared = 'missing' | 'changed' | 'extra' | 'late' | 'foreign'
export const ACTING: readonly Act[] = ['insert', 'update', 'link', 'delete', 'cascade-delete', 'cascade-null']
export const DOOMED: readonly Act[] = ['delete', 'cascade-delete']
/** Rows that are there afterwards, in the form of their after image. */
export const STAYING: readonly Act[] = ['insert', 'update', 'link', 'cascade-null']

/** Rows that are there before and after. */
export const REWRITTEN: readonly Act[] = ['update', 'link', 'cascade-null']

export const among = (acts: readonly string[]): string => `IN (${acts.map((act) => `'${act}'`).join(', ')})`

/**
 * The rows of one relation that are touched, in a table of the database: with `b1…` as they are and `a1…` as they are to be, in
 * the order of the relation's columns; `tid` and `rel` say where the row is, `n` how often it is updated, `parked` that it
 * first gives its unique values away.
 */
export interface Plan {
  relation: Relation
  /** The table, quoted. */
  sql: string
  name: string
  /** What a row is told by; undefined: by all columns. */
  key: readonly string[] | undefined
  /** What an inserted row is given; the rest are its defaults. */
  inserted: readonly Column[]
  /** So many rows are to be expected that they are not looked up one by one without an index. */
  large: boolean
  /** What an update sets; undefined: what the entries put back. */
  set?: readonly string[]
}

/** One table of the selection. */
export interface Entry {
  index: number
  selected: SelectedTable
  staged: StagedTable
  plan: Plan
  /** On both sides, each as it is live and as it is staged. */
  shared: readonly {live: Column; staged: Column}[]
  /** What is put back of rows that are there. A number that is GENERATED ALWAYS can only be given to a new row. */
  compared: readonly Column[]
}

export interface Planned {
  live: Catalog
  request: MergeRequest
  mode: MergeMode
  plans: Plan[]
  entries: Entry[]
  /** Staged, but not selected: looked at for what hangs on the selection. */
  observed: Entry[]
  /** Tables that mark the rows for which the operator's conditions hold: see `markRows`. */
  marks: Map<string, string>
  /** Of live tables: rows that earlier repairs have put back. Read with the plans, where links are looked at. */
  brought: readonly BroughtBack[]
  /** Unique indexes of the plans that write into them. */
  uniques: Map<Plan, readonly UniqueIndex[]>
  /** What rows whose unique value others take over are given until all are written: by column, as SQL. */
  parking: Map<Plan, ReadonlyMap<string, string>>
  /** Rows whose unique value another one has that cannot give it away beforehand. */
  stuck: {plan: Plan; entry: number; index: string; key: Record<string, string>; holder: Record<string, string>}[]
}

export const noMoves = (): Pick<Planned, 'uniques' | 'parking' | 'stuck'> => ({uniques: new Map(), parking: new Map(), stuck: []})

const place = (plan: Plan, name: string): number => plan.relation.columns.findIndex((one) => one.name === name) + 1
const typed = (plan: Plan, name: string, value: string): string => {
  const found = plan.relation.columns.find((one) => one.name === name)
  return found === undefined || found.builtin ? value : `${value}::${found.type}`
}

/** The value before, and after, in the live type. */
export const before = (plan: Plan, name: string, alias = 'p'): string => typed(plan, name, `${alias}."b${place(plan, name)}"`)
export const after = (plan: Plan, name: string, alias = 'p'): string => typed(plan, name, `${alias}."a${place(plan, name)}"`)
export const afterColumn = (plan: Plan, name: string): string => `"a${place(plan, name)}"`
/** How a value is kept in the plan: as text where the type is somebody's own. */
export const kept = ({builtin}: Column, value: string): string => (builtin ? value : `(${value})::text`)

export const heads = (plan: Plan): string => ['entry, act, tid, rel, n, since', ...['b', 'a'].flatMap((side) => plan.relation.columns.map((_, index) => `"${side}${index + 1}"`))].join(', ')

/** Plans of the same rows: of a partitioned table and of its partitions. */
export const plansOf = ({plans, live}: Planned, table: TableName): Plan[] => {
  const family = live.tables.find((one) => sameTable(one, table))?.root ?? table
  return plans.filter(({relation}) => sameTable(relation.family, family))
}

/** Whether rewritten rows may get another value of what this key names them by: what rows are paired by is the same on both sides. Of generated columns nothing is known. */
export const mayChange = ({key, relation}: Plan, {referencedColumns}: ForeignKeyShape): boolean =>
  referencedColumns.some((name) => key?.includes(name) !== true) && referencedColumns.every((name) => relation.columns.some((one) => one.name === name))

/** No acting plan has this row, which is where `alias` says. */
export const unplanned = (planned: Planned, table: TableName, alias: string, {tid = 'ctid', rel = 'tableoid'} = {}): string =>
  plansOf(planned, table).map(({sql}) => `NOT EXISTS (SELECT FROM ${sql} x WHERE x.tid = ${alias}.${tid} AND x.rel = ${alias}.${rel} AND x.act ${among(ACTING)})`).join(' AND ') || 'true'

/** Tables that a merge may write: those of the selection, and what cascades of `exact` reach. */
export function touchedTables({live, selection, mode}: MergeRequest): TableName[] {
  const deleted = mode === 'exact' ? selection.tables.filter(({role}) => role === 'rows').map(({table}) => table) : []
  return distinctTables([...selection.tables.map(({table}) => table), ...cascadedFrom(live, deleted)])
}

/** `schema`: quoted, where the plans are made. Reads columns as they are now. Throws `partial.no-table` and `partial.key`. */
export async function planOf(client: Client, request: MergeRequest, schema: string): Promise<Planned> {
  const {live, selection, mode, staged} = request
  const written = touchedTables(request)
  const chosen = selection.tables.map(({table}) => table)
  const observable = staged.filter(({table, key}) => key !== undefined && !chosen.some((one) => sameTable(one, table)) && hasKey(live, table, key))
  const touched = distinctTables([...written, ...observable.map(({table}) => table)])
  const columnsOf = await readColumns(client, [...touched, ...staged.map(({stage}) => stage)])
  // A mirror has columns of ours; of the live tables it was looked at before.
  for (const table of [...(request.mirror ? [] : touched), ...staged.map(({stage}) => stage)]) assertOwnNames(table, columnsOf(table) ?? [])
  const plans = touched.map((table, index): Plan => {
    const relation = request.mirror ? mirrored(live, table, columnsOf(table)) : relationOf(live, table, columnsOf(table))
    const source = staged.find((one) => sameTable(one.table, table))
    const name = `t${index}`
    return {relation, name, sql: `${schema}.${quoteIdent(schema === 'pg_temp' ? `dr_plan_${name}` : name)}`, key: source ? keyOf(live, source) : relation.shape.keys.find(({strict}) => strict)?.columns, inserted: [], large: Math.max(relation.shape.estimatedRows, source?.rows ?? 0) > (request.largeFrom ?? LARGE)}
  })
  const entry = (one: SelectedTable, index: number) => entryOf(one, stagedOf(request, one), index, plans, columnsOf)
  const entries = selection.tables.map(entry)
  const observed = observable.map(({table}) => entry({table, where: {kind: 'all'}, role: 'links'}, -1))
  for (const {plan, shared} of entries) plan.inserted = shared.map((pair) => pair.live)
  const doubled = entries.find((one) => entries.some((other) => other.index < one.index && other.plan === one.plan && one.selected.role !== 'links' && other.selected.role !== 'links'))
  if (doubled) throw new Error(`${shownName(doubled.selected.table)} is selected twice.`)
  return {live, request, mode, plans, entries, observed, marks: new Map(), brought: [], ...noMoves()}
}

/** As the live table has its columns: what is of its own type there, or generated, counts as that, though a mirror has other types. */
function mirrored(live: Catalog, table: TableName, columns: readonly Column[] | undefined): Relation {
  const shape = live.tables.find((one) => sameTable(one, table))
  const shapeOfColumn = (name: string) => shape?.columns.find((one) => one.name === name)
  const own = columns?.filter(({name}) => shapeOfColumn(name)?.generated === false).map((one) => ({...one, builtin: isBuiltin(shapeOfColumn(one.name)?.type ?? one.type), alwaysIdentity: shapeOfColumn(one.name)?.identity === 'always'}))
  return {...relationOf(live, table, own), mirrored: true}
}

function stagedOf({staged}: MergeRequest, {table}: SelectedTable): StagedTable {
  const found = staged.find((one) => sameTable(one.table, table))
  if (found === undefined) throw new Error(`${shownName(table)} is selected, but not staged.`)
  return found
}

const hasKey = ({tables}: Catalog, table: TableName, key: readonly string[]): boolean =>
  tables.find((one) => sameTable(one, table))?.keys.some(({columns, strict}) => strict && columns.length === key.length && key.every((name) => columns.includes(name))) === true

/** The backup's key must tell the live rows apart, too. */
function keyOf(live: Catalog, {key, table}: StagedTable): readonly string[] | undefined {
  if (key === undefined || hasKey(live, table, key)) return key
  throw preflightError('partial.key', `The rows of ${shownName(table)} are told apart by ${key.join(', ')} in the backup; live no unique index of these columns does so.`, {hints: ['Choose --merge side, and compare the staged rows by hand.']})
}

function entryOf(selected: SelectedTable, staged: StagedTable, index: number, plans: readonly Plan[], columnsOf: (table: TableName) => Column[] | undefined): Entry {
  const plan = plans.find(({relation}) => sameTable(relation.table, selected.table))
  const columns = columnsOf(staged.stage)
  if (plan === undefined || columns === undefined) throw preflightError('partial.stage-gone', `The staged rows of ${shownName(selected.table)} are gone: there is no ${shownName(staged.stage)}.`, {hints: ['Run dr partial again.']})
  const shared = plan.relation.columns.flatMap((live) => {
    const found = staged.columns.includes(live.name) ? columns.find(({name}) => name === live.name) : undefined
    return found === undefined ? [] : [{live, staged: found}]
  })
  const compared = shared.map(({live}) => live).filter(({name, alwaysIdentity}) => !alwaysIdentity && plan.key?.includes(name) !== true && selected.columns?.includes(name) !== false)
  return {index, selected, staged, plan, shared, compared}
}

export const LARGE = 1000

/**
 * What makes the table of a plan. Of a large one there are indexes: the planner knows little of rows that were just deleted or
 * detached, and may look up each of them.
 */
export function planDdl({sql, relation, key, large}: Plan, kind: 'TEMPORARY TABLE' | 'UNLOGGED TABLE' | 'TABLE'): string {
  const columns = ['b', 'a'].flatMap((side) => relation.columns.map(({type, builtin}, index) => `"${side}${index + 1}" ${builtin ? type : 'text'}`))
  const told = relation.columns.flatMap(({name}, index) => (key?.includes(name) === true ? [`"a${index + 1}"`] : []))
  return [
    `CREATE ${kind} ${sql} (${['entry int NOT NULL', 'act text NOT NULL', 'tid tid', 'rel oid', 'n int NOT NULL', 'since boolean', 'parked boolean', ...columns].join(', ')})`,
    ...(large ? [`CREATE INDEX ON ${sql} (tid) WHERE tid IS NOT NULL`] : []),
    ...(large && told.length > 0 ? [`CREATE INDEX ON ${sql} (${told.join(', ')}) WHERE act = 'insert'`] : []),
  ].join('; ')
}
