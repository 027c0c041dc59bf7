import {lossWords} from '../checks/loss-words.ts'
import type {Loss, LossTable, TableLoss, TenantLoss} from '../checks/loss.ts'
import {number} from './format.ts'
import {tableLines, type Column} from './table.ts'
import {oneLine} from './text.ts'
import {outTheme} from './theme.ts'
import type {Theme} from './theme.ts'
import {wrapped} from './wrap.ts'

export interface LossOptions {
  /** Columns of the terminal; undefined cuts nothing. */
  width: number | undefined
  /** Every table and tenant, instead of those that differ most. */
  all?: boolean
  theme?: Theme
  /** Rows of each table that is shown, at most. */
  most?: number
}

const MOST_TABLES = 9
const MOST_TENANTS = 4

/** The loss as words and a table that fits a screen: what differs most comes first, the rest is one line. */
export function* lossLines(loss: LossTable, options: LossOptions): Generator<string> {
  const {width, theme = outTheme} = options
  for (const [index, line] of lossWords(loss).entries()) for (const part of wrapped(oneLine(line), width)) yield index === 0 ? theme.title(part) : part
  yield ''
  yield* tablesOf(loss, options)
  yield* tenantsOf(loss, options)
  yield* troubleLines(loss, width, theme)
}

const least = (value: number, {atLeast}: Loss) => (value === 0 && !atLeast ? '-' : `${atLeast ? '≥ ' : ''}${number(value)}`)
const changed = ({lost, regained, atLeast}: Loss) => lost > 0 || regained > 0 || atLeast
const difference = ({live, backup}: Loss) => (live === backup ? '-' : `${live > backup ? '+' : '-'}${number(Math.abs(live - backup))}`)
const time = (at: string | undefined) => (at === undefined ? '' : at.slice(0, 16).replace('T', ' '))

function figures<Row extends Loss>(theme: Theme): Column<Row>[] {
  return [
    {header: 'LIVE', value: ({live}) => number(live), align: 'right', priority: 3},
    {header: 'BACKUP', value: ({backup}) => number(backup), align: 'right', priority: 2},
    {header: 'DIFFERENCE', value: difference, align: 'right', priority: 4},
    {header: 'LOST', value: (row) => least(row.lost, row), align: 'right', style: (text, {lost}) => (lost > 0 ? theme.severity.warning(text) : text)},
    {header: 'BACK', value: (row) => least(row.regained, row), align: 'right'},
  ]
}

/** Where nothing tells them apart, what is the same in number is not worth a row. */
const worthShowing = (row: Loss) => row.lost > 0 || row.regained > 0

function* tablesOf(loss: LossTable, {width, all = false, theme = outTheme, most = MOST_TABLES}: LossOptions): Generator<string> {
  const shown = all ? loss.tables : loss.tables.filter(worthShowing).slice(0, most)
  const columns: Column<TableLoss>[] = [
    {header: 'TABLE', value: ({schema, name, where}) => `${schema}.${name}${where === 'both' ? '' : where === 'live' ? ' (only live)' : ' (only in the backup)'}`, min: 20},
    ...figures<TableLoss>(theme),
    {header: 'NEWEST LIVE ROW', value: ({newest}) => time(newest), priority: 5},
  ]
  yield* tableLines(shown, columns, {width, headerStyle: theme.title})
  yield* restLine(loss.tables.filter((table) => !shown.includes(table)), 'table', width, shown.length > 0)
}

function* tenantsOf({tenants, tenant}: LossTable, {width, all = false, theme = outTheme}: LossOptions): Generator<string> {
  if (tenant !== undefined || tenants.length < 2) return
  const shown = all ? tenants : tenants.filter(worthShowing).slice(0, MOST_TENANTS)
  if (shown.length === 0) return
  yield ''
  const columns: Column<TenantLoss>[] = [{header: 'TENANT', value: (row) => (row.tenant === '' ? '(none)' : row.tenant), min: 20}, ...figures<TenantLoss>(theme)]
  yield* tableLines(shown, columns, {width, headerStyle: theme.title})
  yield* restLine(tenants.filter((one) => !shown.includes(one)), 'tenant', width, true)
}

function* restLine(rest: readonly Loss[], one: string, width: number | undefined, others: boolean): Generator<string> {
  if (rest.length === 0) return
  const [lost, regained] = [rest.reduce((sum, row) => sum + row.lost, 0), rest.reduce((sum, row) => sum + row.regained, 0)]
  const rows = rest.reduce((sum, row) => sum + row.live, 0)
  const what = lost + regained > 0 ? `${number(lost)} lost, ${number(regained)} back; --all shows them` : rest.some(changed) ? 'as many rows as in the backup' : 'no difference'
  yield* wrapped(`${others ? 'and ' : ''}${number(rest.length)} ${others ? 'more ' : ''}${rest.length === 1 ? one : `${one}s`} (${number(rows)} live rows): ${what}`, width)
}

function* troubleLines({troubles, leftOut}: LossTable, width: number | undefined, theme: Theme): Generator<string> {
  const names = (tables: readonly {schema: string; name: string}[]) => tables.map(({schema, name}) => `${schema}.${name}`).join(', ')
  if (troubles.length + leftOut.length > 0) yield ''
  for (const {schema, name, message} of troubles) yield* [...wrapped(oneLine(`${schema}.${name} was not compared: ${message}`), width)].map((line) => theme.severity.error(line))
  if (leftOut.length > 0) yield* wrapped(oneLine(`Not looked at, because their rows name no tenant: ${names(leftOut)}.`), width)
}
