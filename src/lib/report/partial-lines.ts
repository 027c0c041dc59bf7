import type {ClosureFinding, Comparison, MergeMode, MergeResult, RevertResult, TableComparison, TableName} from '../postgres/partial/contract.ts'

/** What becomes of the rows: one of the merges, or nothing but the tables with them. */
export type Way = MergeMode | 'side'

/** Whatever stands in these lines fits so many columns; only names and values that are longer are cut. */
const WIDTH = 60
const LEAST_NAME = 14
const SHOWN = 14
const SHOWN_CLOSURE = 8

const plain = new Intl.NumberFormat('en-US')
const number = (value: number): string => plain.format(value)
export const rowsText = (value: number): string => `${number(value)} ${value === 1 ? 'row' : 'rows'}`

/** `leads`; with its schema when that is not the usual one. */
export const tableText = ({schema, name}: TableName): string => (schema === 'public' ? name : `${schema}.${name}`)

/** Table by table: what is missing, changed, only live, the same. */
export function comparisonLines({tables}: Pick<Comparison, 'tables'>): string[] {
  const rows = tables.filter(({role}) => role !== 'links')
  const shown = rows.filter((one) => one.missing + one.changed + one.extra > 0).slice(0, SHOWN)
  const rest = rows.filter((one) => !shown.includes(one))
  return [
    ...(shown.length === 0 ? [] : columns([['TABLE', 'MISSING', 'CHANGED', 'EXTRA', 'SAME'], ...shown.map((one) => [`${tableText(one)}${one.role === 'parent' ? ' (parents)' : ''}`, figure(one.missing), figure(one.changed), figure(one.extra), figure(one.identical)])])),
    ...restLine(rest, shown.length > 0),
    ...linkLines(tables),
  ]
}

const figure = (value: number): string => (value === 0 ? '-' : number(value))

function restLine(rest: readonly TableComparison[], others: boolean): string[] {
  if (rest.length === 0) return []
  const differing = rest.reduce((sum, {missing, changed, extra}) => sum + missing + changed + extra, 0)
  const same = rest.reduce((sum, {identical}) => sum + identical, 0)
  return [`${others ? 'and ' : ''}${number(rest.length)}${others ? ' more' : ''} ${rest.length === 1 ? 'table' : 'tables'}: ${differing === 0 ? `no difference in ${rowsText(same)}` : `${number(differing)} differences`}`]
}

const linkLines = (tables: readonly TableComparison[]): string[] =>
  tables.filter(({role, changed}) => role === 'links' && changed > 0).map((one) => `${tableText(one)}: ${rowsText(one.changed)} to be linked again`)

/** What hangs on the rows and is not right, or will not be. */
export function closureLines(closure: readonly ClosureFinding[]): string[] {
  const lines = closure.map(closureLine)
  return [...lines.slice(0, SHOWN_CLOSURE), ...(lines.length > SHOWN_CLOSURE ? [`and ${number(lines.length - SHOWN_CLOSURE)} more of the kind`] : [])]
}

function closureLine({kind, rows, table, references, columns: names}: ClosureFinding): string {
  const [from, to, by] = [tableText(table), tableText(references), names.join(', ')]
  if (kind === 'parent-missing') return `${rowsText(rows)} of ${from} need rows of ${to} that are not live (${by}): --with-parents`
  if (kind === 'unlinked') return `${rowsText(rows)} of ${from} have no link to ${to} any more although these are not known to have been lost (${by}): they stay so`
  if (kind === 'detached') return `${rowsText(rows)} of ${from} lost their link to ${to} (${by}): --relink`
  return `${rowsText(rows)} of ${from} that named ${to} (${by}) are gone, too: --table ${from}`
}

/** Rows that were changed, before and after, some of each table. */
export function sampleLines({tables}: Pick<Comparison, 'tables'>, most: number): string[] {
  return tables.filter(({sample}) => sample.length > 0).flatMap((table) => table.sample.slice(0, most).flatMap(({key, columns: changed}) => [
    short(`${tableText(table)} ${keyText(key)}`),
    ...changed.slice(0, 4).map(({name, live, backup, hidden}) => short(`  ${name}: ${hidden ? 'differs' : `${valueText(live)} → ${valueText(backup)}`}`)),
    ...(changed.length > 4 ? [`  and ${number(changed.length - 4)} more columns`] : []),
  ]))
}

export function conflictLines({tables}: Pick<Comparison, 'tables'>, most = 8): string[] {
  const all = tables.flatMap((table) => table.conflicts.map(({key, index, holder}) => `${tableText(table)} ${keyText(key)}: ${index} is held by ${keyText(holder)}`))
  return [...all.slice(0, most), ...(all.length > most ? [`and ${number(all.length - most)} more; --json has them all`] : [])]
}

export const keyText = (key: Record<string, string>): string => Object.values(key).join(', ')
const valueText = (value: string | null): string => (value === null ? 'NULL' : value === '' ? "''" : value)
const short = (text: string): string => cut(text.replaceAll(/\s+/g, ' ').replace(/^ /, '  '), WIDTH)

/** Rows that go back to what they were, though somebody changed them between the backup and now. */
export const goingBack = ({tables}: Pick<Comparison, 'tables'>): number => tables.reduce((sum, {changedSince = 0}) => sum + changedSince, 0)

/** In words, what this way would do. */
export function effectLines(comparison: Comparison, way: Way, at: string | undefined, columnsOnly: boolean): string[] {
  if (way === 'side') return ['Nothing is changed; the rows of the backup stay in tables beside.']
  const {tables, cascades} = comparison
  const rows = tables.filter(({role}) => role === 'rows')
  const sum = (of: readonly TableComparison[], what: 'missing' | 'changed' | 'extra') => of.reduce((total, one) => total + one[what], 0)
  const parents = sum(tables.filter(({role}) => role === 'parent'), 'missing')
  const links = sum(tables.filter(({role}) => role === 'links'), 'changed')
  const [missing, changed, extra] = [columnsOnly ? 0 : sum(rows, 'missing'), way === 'missing' ? 0 : sum(rows, 'changed'), way === 'exact' ? sum(rows, 'extra') : 0]
  const older = way === 'missing' ? 0 : goingBack(comparison)
  return [
    ...(missing > 0 ? [`INSERT  ${rowsText(missing)} that are missing`] : []), ...(parents > 0 ? [`INSERT  ${rowsText(parents)} that they refer to`] : []),
    ...(changed > 0 ? [`UPDATE  ${rowsText(changed)} that differ`] : []), ...(links > 0 ? [`UPDATE  ${rowsText(links)} that lost a link`] : []),
    ...(extra > 0 ? [`DELETE  ${rowsText(extra)} that the backup has not`] : []),
    ...(way === 'exact' ? cascades.map(({table, deleted, updated}) => `        with them ${[...(deleted > 0 ? [`${number(deleted)} deleted`] : []), ...(updated > 0 ? [`${number(updated)} changed`] : [])].join(', ')} in ${tableText(table)}`) : []),
    ...(older > 0 ? [`${rowsText(older)} written since the backup will go back${at === undefined ? ' to it' : ` to ${timeText(at)}`}`] : []),
    ...(missing + parents + changed + links + extra === 0 ? ['Nothing: no row would be touched.'] : []),
  ]
}

export const timeText = (at: string): string => `${at.slice(0, 19).replace('T', ' ')} UTC`

/** Table by table what was done. */
export function mergedLines({tables}: Pick<MergeResult, 'tables'>): string[] {
  const touched = tables.filter(({inserted, updated, deleted}) => inserted + updated + deleted > 0)
  if (touched.length === 0) return ['No row was touched.']
  return columns([['TABLE', 'INSERTED', 'UPDATED', 'DELETED'], ...touched.map((one) => [tableText(one), figure(one.inserted), figure(one.updated), figure(one.deleted)])])
}

export function revertedLines({tables, dropped}: Pick<RevertResult, 'tables' | 'dropped'>): string[] {
  const touched = tables.filter(({restored, removed}) => restored + removed > 0)
  const gone = dropped.map((table) => `DROP  ${table.schema}.${table.name}, which had been made anew`)
  if (touched.length === 0) return gone.length > 0 ? gone : ['No row was touched.']
  return [...gone, ...columns([['TABLE', 'BACK AS BEFORE', 'REMOVED'], ...touched.map((one) => [tableText(one), figure(one.restored), figure(one.removed)])])]
}

/** The first column to the left, figures to the right, all of it within the width. */
function columns(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)))
  const figures = widths.slice(1).reduce((sum, width) => sum + width + 2, 0)
  const first = Math.max(LEAST_NAME, Math.min(widths[0] ?? 0, WIDTH - figures))
  return rows.map((row) => row.map((text, index) => (index === 0 ? cut(text, first).padEnd(first) : text.padStart(widths[index] ?? 0))).join('  ').trimEnd())
}

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`)
