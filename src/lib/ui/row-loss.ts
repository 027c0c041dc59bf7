import type {LossTable} from '../checks/loss.ts'
import {rowLossWords} from '../checks/row-loss-words.ts'
import {differing, rowLossTotal, type RowLoss, type TableRowLoss} from '../checks/row-loss.ts'
import {number} from './format.ts'
import type {LossOptions} from './loss-table.ts'
import {tableLines, type Column} from './table.ts'
import {oneLine} from './text.ts'
import {outTheme, type Theme} from './theme.ts'
import {wrapped} from './wrap.ts'

const MOST_TABLES = 12

interface Shown extends TableRowLoss {
  newest: string
  newestInBackup: string
}

/** The differences row by row, as words and a table that fits a screen; keys where they were asked for. */
export function* rowLossLines(loss: LossTable, rows: RowLoss, options: LossOptions): Generator<string> {
  const {width, all = false, theme = outTheme, most = MOST_TABLES} = options
  for (const [index, line] of rowLossWords(loss, rows).entries()) for (const part of wrapped(oneLine(line), width)) yield index === 0 ? theme.title(part) : part
  yield ''
  const newest = new Map(loss.tables.map((table) => [nameOf(table), {newest: time(table.newest), newestInBackup: time(table.newestInBackup)}]))
  const shown = (all ? rows.tables : rows.tables.filter((table) => differing(table) > 0).slice(0, most)).map((table): Shown => ({...table, ...(newest.get(nameOf(table)) ?? {newest: '', newestInBackup: ''})}))
  yield* tableLines(shown, columns(theme, shown.some(({newestInBackup}) => newestInBackup !== '')), {width, headerStyle: theme.title})
  yield* restLine(rows.tables.slice(shown.length), width, shown.length > 0)
  yield* details(shown, rows, width, theme)
}

const nameOf = ({schema, name}: {schema: string; name: string}) => `${schema}.${name}`
const time = (at: string | undefined) => at?.slice(0, 16).replace('T', ' ') ?? ''
const figure = (value: number) => (value === 0 ? '-' : number(value))

const columns = (theme: Theme, both: boolean): Column<Shown>[] => [
  {header: 'TABLE', value: (table) => `${nameOf(table)}${table.where === 'both' ? '' : table.where === 'live' ? ' (only live)' : ' (only in the backup)'}`, min: 20},
  {header: 'LIVE', value: ({live}) => number(live), align: 'right', priority: 4},
  {header: 'BACKUP', value: ({backup}) => number(backup), align: 'right', priority: 3},
  {header: 'LOST', value: ({onlyLive}) => figure(onlyLive), align: 'right', style: (text, {onlyLive}) => (onlyLive > 0 ? theme.severity.warning(text) : text)},
  {header: 'CHANGED', value: ({changed}) => figure(changed), align: 'right'},
  {header: 'BACK', value: ({onlyBackup}) => figure(onlyBackup), align: 'right'},
  {header: 'NEWEST LIVE ROW', value: ({newest}) => newest, priority: 5},
  ...(both ? [{header: 'NEWEST IN BACKUP', value: ({newestInBackup}: Shown) => newestInBackup, priority: 6}] : []),
]

/** Tables are in the order of their differences, so the rest is what comes after those that are shown. */
function* restLine(rest: readonly TableRowLoss[], width: number | undefined, others: boolean): Generator<string> {
  if (rest.length === 0) return
  const {onlyLive, onlyBackup, changed, live} = rowLossTotal(rest)
  const what = onlyLive + onlyBackup + changed === 0 ? 'every row is the same' : `${number(onlyLive)} lost, ${number(changed)} changed, ${number(onlyBackup)} back; --all shows them`
  yield* wrapped(`${others ? 'and ' : ''}${number(rest.length)} ${others ? 'more ' : ''}${rest.length === 1 ? 'table' : 'tables'} (${number(live)} live rows): ${what}`, width)
}

const WORDS = {'only-live': 'lost', 'only-backup': 'back', changed: 'changed'}

function* details(shown: readonly TableRowLoss[], {tables, troubles, leftOut}: RowLoss, width: number | undefined, theme: Theme): Generator<string> {
  const noted = tables.filter(({notes}) => notes.length > 0)
  const sampled = shown.filter(({sample}) => sample.length > 0)
  if (noted.length + sampled.length + troubles.length + leftOut.length > 0) yield ''
  for (const {sample, key, ...table} of sampled) {
    yield oneLine(`${nameOf(table)} by ${key.join(', ')}:`)
    for (const one of sample) yield* wrapped(`  ${WORDS[one.change].padEnd(7)}  ${oneLine(one.key.map((value) => value ?? 'NULL').join(', '))}`, width, '           ')
  }
  for (const table of noted) for (const note of table.notes) yield* wrapped(oneLine(`${nameOf(table)}: ${note}`), width)
  for (const {message, ...table} of troubles) for (const line of wrapped(oneLine(`${nameOf(table)} was not compared: ${message}`), width)) yield theme.severity.error(line)
  if (leftOut.length > 0) yield* wrapped(oneLine(`Not looked at, because nothing leads from them to a tenant: ${leftOut.map(nameOf).join(', ')}.`), width)
}
