import type {Damage, Investigation} from '../report/investigation.ts'
import {auditWords, columnWords, damageTitle, isOwn, nothingFound, riskWords, tableWords, timelineOf, timeWords, whenWords, type TimelineEntry} from '../report/investigation-words.ts'
import {number} from './format.ts'
import {tableLines} from './table.ts'
import {oneLine} from './text.ts'
import {outTheme, type Theme} from './theme.ts'
import {wrapped} from './wrap.ts'

export interface InvestigationOptions {
  /** Columns of the terminal; undefined cuts nothing. */
  width: number | undefined
  theme?: Theme
}

/** Behind the name of a fact. */
const INDENT = ' '.repeat(11)
const MOST_TOLD = 3
const MOST_TABLES = 8
const MOST_WRITERS = 8
const MOST_AUDITED = 10
const MOST_TENANTS = 5

/** What was found, the worst first, as lines of at most `width` columns. Commands are never broken: they are to be copied. */
export function* investigationLines(found: Investigation, {width, theme = outTheme}: InvestigationOptions): Generator<string> {
  if (found.damages.length === 0) yield* wrapped(nothingFound(found), width)
  for (const [index, damage] of found.damages.entries()) {
    if (index > 0 && index <= MOST_TOLD) yield ''
    if (index < MOST_TOLD) yield* damageLines(damage, index + 1, width, theme)
    else yield* shortLines(damage, index + 1, width, theme)
  }
  const sections = [timelineLines(found, width, theme), rowLines(found, width, theme), tenantLines(found, width, theme), writerLines(found, width, theme), auditLines(found, width, theme), noteLines(found, width)]
  for (const section of sections) {
    const lines = [...section]
    if (lines.length > 0) yield* ['', ...lines]
  }
}

function* damageLines(damage: Damage, index: number, width: number | undefined, theme: Theme): Generator<string> {
  const {when, evidence, source, point, commands} = damage
  yield* titleLines(damage, index, width, theme)
  const columns = columnWords(damage)
  const facts: [string, string][] = [
    ['When', whenWords(when)], ...evidence.map((line): [string, string] => ['', line]), ...(columns === undefined ? [] : [['Columns', columns] as [string, string]]),
    ['Backup', source === undefined ? 'there is no good one from before' : `${source.label} of ${timeWords(source.at)}, the newest good one from before`],
    ...riskWords(damage).map((line, at): [string, string] => [at === 0 ? 'At risk' : '', line]), ['Point', `${timeWords(point)}, ${when.from === when.to ? 'just' : 'surely'} before`],
  ]
  for (const [name, value] of facts) yield* wrapped(`   ${name.padEnd(8)}${oneLine(value)}`, width, INDENT)
  for (const {purpose, command} of commands) {
    yield* wrapped(`   # ${purpose}`, width, '   # ')
    yield `   ${theme.command(oneLine(command))}`
  }
}

function* titleLines(damage: Damage, index: number, width: number | undefined, theme: Theme): Generator<string> {
  const style = damage.certainty === 'likely' ? theme.severity.error : theme.severity.warning
  for (const line of wrapped(oneLine(`${index}. ${damageTitle(damage)}`), width, '   ')) yield style(line)
}

/** What comes behind the worst: --output and --json tell it whole. */
function* shortLines(damage: Damage, index: number, width: number | undefined, theme: Theme): Generator<string> {
  yield* titleLines(damage, index, width, theme)
  const [first] = damage.commands
  if (first) yield `   ${theme.command(oneLine(first.command))}`
}

const time = (at: string): string => at.slice(0, 19).replace('T', ' ')

function* timelineLines(found: Investigation, width: number | undefined, theme: Theme): Generator<string> {
  const styles: Readonly<Record<TimelineEntry['kind'], (text: string) => string>> = {backup: theme.severity.ok, damage: theme.severity.error, writer: theme.severity.warning, audit: theme.severity.info, now: theme.faint}
  yield theme.title('Timeline (UTC)')
  for (const {at, text, kind} of timelineOf(found)) for (const line of wrapped(`${time(at)}  ${oneLine(text)}`, width, ' '.repeat(21))) yield styles[kind](line)
}

/** Where rows came or went; what lost most comes first. */
function* rowLines({tables, backups}: Investigation, width: number | undefined, theme: Theme): Generator<string> {
  const changed = tables.map((table) => ({table, then: table.history[0] ?? null, oldest: table.history.at(-1) ?? null})).filter(({table, then, oldest}) => table.trouble !== undefined || (backups.length > 0 && (then !== table.rows || oldest !== table.rows)))
    .toSorted((a, b) => fall(b) - fall(a))
  yield* tableLines(changed.slice(0, MOST_TABLES), [
    {header: 'TABLE', value: ({table}) => tableWords(table), min: 12, priority: 1},
    {header: 'LIVE', value: ({table}) => cell(table.rows), align: 'right'},
    {header: 'NEWEST BACKUP', value: ({then}) => cell(then), align: 'right', priority: 2},
    ...(backups.length > 1 ? [{header: 'OLDEST', value: ({oldest}: (typeof changed)[number]) => cell(oldest), align: 'right' as const, priority: 4}] : []),
    {header: 'DEAD VERSIONS', value: ({table}) => (table.dead === undefined ? '' : number(table.dead)), align: 'right', priority: 3},
  ], {width, headerStyle: theme.title})
  if (changed.length > MOST_TABLES) yield `and ${number(changed.length - MOST_TABLES)} more`
  for (const {table: {trouble, ...table}} of changed) if (trouble !== undefined) for (const line of wrapped(oneLine(`${tableWords(table)} was not looked at: ${trouble}`), width)) yield theme.severity.error(line)
}

const cell = (value: number | null): string => (value === null ? '-' : number(value))
const fall = ({table, then, oldest}: {table: {rows: number | null}; then: number | null; oldest: number | null}): number => Math.max(then ?? 0, oldest ?? 0) - (table.rows ?? 0)

function* tenantLines({tenants, backups}: Investigation, width: number | undefined, theme: Theme): Generator<string> {
  const fallen = tenants.filter(({rows, history}) => Math.max(0, ...history) > rows).slice(0, MOST_TENANTS)
  yield* tableLines(fallen, [
    {header: 'TENANT', value: ({tenant}) => tenant, min: 12, priority: 1},
    {header: 'ROWS', value: ({rows}) => number(rows), align: 'right'},
    {header: 'AT MOST', value: ({history}) => number(Math.max(0, ...history)), align: 'right', priority: 2},
    {header: 'LAST IN', value: ({history, rows}) => backups[history.findIndex((then) => then > rows)]?.label ?? '', priority: 3},
  ], {width, headerStyle: theme.title})
}

function* writerLines({tables}: Investigation, width: number | undefined, theme: Theme): Generator<string> {
  const writers = tables.flatMap((table) => (table.writers ?? []).map((writer) => ({table, writer}))).filter(({writer}) => writer.rows > 1).toSorted((a, b) => b.writer.rows - a.writer.rows)
  yield* tableLines(writers.slice(0, MOST_WRITERS), [
    {header: 'TRANSACTION', value: ({writer}) => `${writer.transaction}${isOwn(writer) ? ' (dr)' : ''}${writer.frozen ? ' frozen' : ''}`, align: 'right'},
    {header: 'LAST WROTE', value: ({writer}) => `${number(writer.rows)}${writer.share === null ? '' : `, ${share(writer.share)}`}`, align: 'right'},
    {header: 'OF', value: ({table}) => tableWords(table), min: 10},
    {header: 'AT (UTC)', value: ({writer: {committedAt, updatedTo}}) => (committedAt === undefined ? (updatedTo === undefined ? '' : `after ${time(updatedTo)}`) : time(committedAt)), priority: 2},
    {header: 'NOT IN', value: ({writer: {notIn}}) => notIn ?? '', priority: 3},
  ], {width, headerStyle: theme.title})
}

const share = (value: number): string => (value < 0.01 ? '< 1 %' : `${value >= 1 ? 100 : Math.min(99, Math.round(value * 100))} %`)

function* auditLines({audit, scope}: Investigation, width: number | undefined, theme: Theme): Generator<string> {
  const {hours, table, since, unknown} = audit
  const whose = scope.actor === undefined ? '' : ` by ${scope.actor}`
  if (unknown !== undefined) yield* wrapped(oneLine(`The audit log is not read: ${unknown}.`), width)
  else if (hours.length === 0) yield* wrapped(oneLine(`${table} has no deletions and no changes${whose} since ${timeWords(since)}.`), width)
  else yield theme.title(oneLine(`${table}: deletions and changes`))
  for (const hour of hours.slice(0, MOST_AUDITED)) for (const line of wrapped(oneLine(auditWords(hour)), width, ' '.repeat(16))) yield hour.deletion ? theme.severity.warning(line) : line
  if (hours.length > MOST_AUDITED) yield `and ${number(hours.length - MOST_AUDITED)} more: --json shows them`
}

function* noteLines({notes, commitTimestamps}: Investigation, width: number | undefined): Generator<string> {
  for (const note of notes) yield* wrapped(oneLine(note), width)
  if (!commitTimestamps) yield* wrapped('track_commit_timestamp is off: when a transaction was committed is told by the times in rows.', width)
}
