import type {ListedBackup, Objective} from '../report/listed-backup.ts'
import {bytes, duration, number} from './format.ts'
import {oneLine} from './text.ts'
import {tableLines, type Column} from './table.ts'
import {outTheme as theme} from './theme.ts'
import {wrapped} from './wrap.ts'

/** A dump of others, as far as it is shown. */
export interface ShownForeign {
  key: string
  place: string
  bytes: number
  modifiedAt: string
  kind?: string
  compression?: string
}

export interface ShownUnfinished {
  label: string
  storage: string
  bytes: number
  lastChange: string | null
  running: boolean
}

export interface ShownList {
  environment: string
  /** More than one environment was asked for. */
  all: boolean
  objectives: readonly Objective[]
  backups: readonly ListedBackup[]
  more: number
  unfinished: readonly ShownUnfinished[]
  foreign: readonly ShownForeign[]
  moreForeign: number
  /** Every storage that was asked could be listed. */
  complete: boolean
  filtered: boolean
}

/** `dr list` as lines of at most `width` columns; undefined cuts nothing. */
export function* backupListLines(list: ShownList, now: Date, width: number | undefined): Generator<string> {
  const sections = [backupLines(list, width), reasonLines(list.backups, width), unfinishedLines(list.unfinished, now, width), foreignLines(list, now, width), objectiveLines(list, width)]
  const filled = sections.map((section) => [...section]).filter((lines) => lines.length > 0)
  for (const [index, lines] of filled.entries()) yield* index === 0 ? lines : ['', ...lines]
}

const LEVELS = {drilled: theme.severity.ok, verified: theme.severity.ok, stored: (text: string) => text, suspect: theme.severity.warning, unreadable: theme.severity.error}

function* backupLines(list: ShownList, width: number | undefined): Generator<string> {
  const late = new Set(list.objectives.filter(({breached}) => breached).map(({newestGood}) => newestGood))
  const columns: Column<ListedBackup>[] = [
    {header: 'LABEL', value: ({label}) => label},
    ...(list.all ? [{header: 'ENVIRONMENT', value: ({environment}: ListedBackup) => environment, min: 5, priority: 1}] : []),
    {header: 'AGE', value: (backup) => `${shortAge(backup.ageSeconds)}${late.has(backup.label) ? ' !' : ''}`, align: 'right', style: (text, {label}) => (late.has(label) ? theme.severity.error(text) : text)},
    {header: 'SIZE', value: (backup) => (backup.bytes === null ? '' : bytes(backup.bytes)), align: 'right', priority: 3},
    {header: 'TABLES', value: ({tables}) => (tables === null ? '' : number(tables)), align: 'right', priority: 5},
    {header: 'ROWS', value: ({rows}) => (rows === null ? '' : number(rows)), align: 'right', priority: 6},
    {header: 'LEVEL', value: levelText, style: (text, {level}) => LEVELS[level](text)},
    {header: 'WHERE', value: ({copies}) => copies.map(({storage}) => storage).join(', '), min: 5, priority: 2},
  ]
  yield* tableLines(list.backups, columns, {width, headerStyle: theme.title})
  if (list.more > 0) yield `${number(list.more)} older ${list.more === 1 ? 'one was' : 'ones were'} not looked at: --limit 0 shows all.`
}

/** One word when the copies agree, else one for each copy in the order of WHERE. */
function levelText({copies}: ListedBackup): string {
  return [...new Set(copies.map(({level}) => level))].length === 1 ? (copies[0]?.level ?? '') : copies.map(({level}) => level).join(', ')
}

function* reasonLines(backups: readonly ListedBackup[], width: number | undefined): Generator<string> {
  for (const {label, suspicions, copies} of backups) {
    for (const {storage, location, error} of copies) if (error !== undefined) yield* wrapped(oneLine(`${label} (${storage}): ${error.message.replaceAll(`${location}/`, '')}`), width)
    for (const text of suspicions) yield* wrapped(oneLine(`${label}: suspect since it was made: ${text}`), width)
    for (const {storage, level} of copies) {
      if (level !== 'suspect' || suspicions.length > 0) continue
      yield* wrapped(`${label} (${storage}): a check found damage`, width)
      yield `  Hint: dr verify ${label} --${storage}`
    }
  }
}

function* unfinishedLines(unfinished: readonly ShownUnfinished[], now: Date, width: number | undefined): Generator<string> {
  if (unfinished.length === 0) return
  yield theme.title('Unfinished: these are no backups')
  yield* tableLines(unfinished, [
    {header: 'LABEL', value: ({label}) => label},
    {header: 'CHANGED', value: ({lastChange}) => (lastChange === null ? '' : ageOf(lastChange, now)), align: 'right'},
    {header: 'SIZE', value: (one) => bytes(one.bytes), align: 'right'},
    {header: 'STATE', value: ({running}) => (running ? 'running' : 'dead')},
    {header: 'WHERE', value: ({storage}) => storage, priority: 1},
  ], {width, headerStyle: theme.title})
}

function* foreignLines({foreign, moreForeign}: ShownList, now: Date, width: number | undefined): Generator<string> {
  for (const place of new Set(foreign.map((dump) => dump.place))) {
    yield theme.title(`Dumps that dr did not make, in ${place}`)
    yield* tableLines(foreign.filter((dump) => dump.place === place), [
      {header: 'NAME', value: ({key}) => key, min: 16, priority: 1},
      {header: 'AGE', value: ({modifiedAt}) => ageOf(modifiedAt, now), align: 'right', priority: 2},
      {header: 'SIZE', value: (dump) => bytes(dump.bytes), align: 'right', priority: 3},
      {header: 'KIND', value: kindText},
    ], {width, headerStyle: theme.title})
  }
  if (moreForeign > 0) yield `${number(moreForeign)} older ${moreForeign === 1 ? 'one is' : 'ones are'} not shown: --limit 0 shows all.`
}

const kindText = ({kind, compression}: ShownForeign) => (kind === undefined ? '' : compression === undefined || compression === 'none' ? kind : `${kind}, ${compression}`)

function* objectiveLines(list: ShownList, width: number | undefined): Generator<string> {
  for (const objective of list.objectives) {
    const {environment, newestGoodAgeSeconds, rpoSeconds, breached} = objective
    const text = newestGoodAgeSeconds === null ? noneText(list, environment) : `Newest good backup of ${environment}: ${duration(newestGoodAgeSeconds * 1000)} old, RPO ${duration(rpoSeconds * 1000)}: ${breached ? 'breached.' : 'met.'}`
    const isAlarm = breached && (newestGoodAgeSeconds !== null || hasAny(list, environment))
    yield* [...wrapped(text, width)].map((line) => (isAlarm ? theme.severity.error(line) : line))
    if (breached && list.complete) yield `  Hint: dr backup --environment ${environment}`
  }
}

/** A filter may hide those that are there. */
const hasAny = ({backups, filtered}: ShownList, environment: string) => filtered || backups.some((backup) => backup.environment === environment)

function noneText(list: ShownList, environment: string): string {
  if (!list.complete) return `No good backup of ${environment} was found where dr could look.`
  return hasAny(list, environment) ? `There is no good backup of ${environment}.` : `There are no backups of ${environment} yet.`
}

const ageOf = (time: string, now: Date) => shortAge((now.getTime() - Date.parse(time)) / 1000)

/** One figure and one unit: `40 s`, `5 min`, `26 h`, `12 d`. */
function shortAge(seconds: number): string {
  const value = Math.max(0, seconds)
  if (value < 60) return `${Math.floor(value)} s`
  if (value < 3600) return `${Math.floor(value / 60)} min`
  if (value < 48 * 3600) return `${Math.floor(value / 3600)} h`
  return `${number(Math.floor(value / 86_400))} d`
}

