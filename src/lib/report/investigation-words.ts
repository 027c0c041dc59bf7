import type {AuditFinding, Damage, Investigation, NamedTable, RowsAtRisk, When, WritingTransaction} from './investigation.ts'

const figure = (value: number): string => value.toLocaleString('en-US')
const rows = (value: number): string => `${figure(value)} ${value === 1 ? 'row' : 'rows'}`

/** `2026-11-27 02:14:07 UTC` */
export const timeWords = (time: string): string => `${time.slice(0, 19).replace('T', ' ')} UTC`

export const tableWords = ({schema, name}: NamedTable): string => (schema === 'public' ? name : `${schema}.${name}`)

/** What happened, in one line. */
export function damageTitle({kind, table, tenant, rows: count, transaction, certainty}: Damage): string {
  const what = table === undefined ? `tenant ${tenant ?? ''}` : tableWords(table)
  const by = transaction === undefined ? '' : ` by transaction ${transaction}`
  const text = {
    overwritten: `${what}: ${rows(count)} overwritten${by}`,
    'rows-gone': `${what}: ${rows(count)} gone${by}`,
    'table-gone': `${what}: the table is gone, with ${rows(count)}`,
    emptied: `${what}: emptied, ${rows(count)} gone${by}`,
    'tenant-gone': `${what}: ${rows(count)} gone${by}`,
  }[kind]
  return `${text} (${certainty})`
}

const WITNESS = {
  commit: "by the server's commit time", stamp: 'by the time that it wrote into its rows', rows: 'after the times in other rows, before it was seen', audit: 'by the audit log', backups: 'between two looks',
} as const

export function whenWords({from, to, witness}: When): string {
  return from === to ? `${timeWords(from)}, ${WITNESS[witness]}` : `between ${from.slice(0, 19).replace('T', ' ')} and ${from.slice(0, 10) === to.slice(0, 10) ? `${to.slice(11, 19)} UTC` : timeWords(to)}, ${WITNESS[witness]}`
}

/** What a repair from the backup would do to rows that were rightly written since: one sentence each. */
export function riskWords({risk, source, kind}: Damage): string[] {
  if (risk === undefined) return []
  const since = source === undefined ? 'the backup' : timeWords(source.at)
  return [...hitWords(risk, since), ...otherWords(risk), ...unknownWords(risk, kind)]
}

function hitWords({edited, made}: RowsAtRisk, since: string): string[] {
  return [
    ...(edited === undefined ? [] : edited === 0 ? ['No row of it had been changed between the backup and the damage, by the time in the rows.'] : [`${rows(edited)} had been changed between the backup and the damage: a repair from the backup puts them back to ${since}. Exact is only a recovery to the point in time.`]),
    ...(made === undefined || made === 0 ? [] : [`${rows(made)} of it came after the backup: it has nothing to put back there.`]),
  ]
}

function otherWords({between, betweenUnknown, later, laterOld}: RowsAtRisk): string[] {
  return [
    ...(between === undefined || between === 0 ? [] : [`${rows(between)} written between the backup and the damage were not touched by it: without --transaction a repair would take them back, too.`]),
    ...(betweenUnknown === undefined ? [] : [`How many others were written between the backup and the damage is not known: ${betweenUnknown}. Without --transaction a repair would take them back, too.`]),
    ...(later === undefined || later === 0 ? [] : [`${rows(later)} were written since the damage and stay as they are${laterOld === undefined || laterOld === 0 ? '' : `; ${figure(laterOld)} of them were there before and may still carry it`}.`]),
  ]
}

function unknownWords({unknown}: RowsAtRisk, kind: Damage['kind']): string[] {
  if (unknown === undefined) return []
  if (kind !== 'overwritten') return [`Not told by live rows: ${unknown}. Exact is only a recovery to the point in time.`]
  return [`How many of its rows had been changed before is not known: ${unknown}. Exact is only a recovery to the point in time.`]
}

export const columnWords = ({columns = []}: Damage): string | undefined =>
  columns.length === 0 ? undefined : `${columns.join(', ')}: one value in all of its rows, which it set or was limited to`

export const nothingFound = ({backups, audit}: Investigation): string =>
  backups.length === 0 ? 'Nothing stands out. Without a backup nothing tells which rows are gone.' : `Nothing stands out since ${timeWords(backups.at(-1)?.at ?? audit.since)}: no large transaction over old rows, and no table or tenant lost rows to speak of.`

export function auditWords({hour, actor, action, resource, entries, things}: AuditFinding['hours'][number]): string {
  const what = resource === null ? action : `${action} ${resource}`
  return `${hour.slice(0, 13).replace('T', ' ')}h  ${figure(entries)} × ${what} by ${actor ?? 'nobody'}${things === entries ? '' : `, ${figure(things)} different`}`
}

export interface TimelineEntry {
  /** ISO. */
  at: string
  text: string
  kind: 'backup' | 'damage' | 'writer' | 'audit' | 'now'
}

const MOST_BACKUPS = 8
const MOST_WRITERS = 6
const MOST_AUDITED = 6

/** It was dr that wrote. */
export const isOwn = ({repair, takenBack}: WritingTransaction): boolean => (repair ?? takenBack) !== undefined

const ownWords = ({repair, takenBack}: WritingTransaction): string => (repair === undefined ? `dr undo took back what dr partial ${takenBack ?? ''} had put back:` : `dr partial ${repair} put back`)

/** All that has a time, oldest first. */
export function timelineOf(found: Investigation): TimelineEntry[] {
  const taken = new Set(found.damages.map(({transaction}) => transaction))
  const all = found.tables.flatMap((table) => (table.writers ?? []).map((writer) => ({table, writer})))
  const writers = all.filter(({writer}) => !taken.has(writer.transaction) && !isOwn(writer) && writer.committedAt !== undefined).toSorted((a, b) => b.writer.rows - a.writer.rows)
  const entries: TimelineEntry[] = [
    ...shownBackups(found).map(({label, at, good}): TimelineEntry => ({at, kind: 'backup', text: `backup ${label}${good ? '' : ', not to be relied on'}`})),
    ...found.damages.map((damage): TimelineEntry => ({at: damage.when.from, kind: 'damage', text: `${damage.when.from === damage.when.to ? '' : 'after this: '}${damageTitle(damage)}`})),
    ...writers.slice(0, MOST_WRITERS).map(({table, writer}): TimelineEntry => ({at: writer.committedAt ?? '', kind: 'writer', text: `transaction ${writer.transaction} wrote ${rows(writer.rows)} of ${tableWords(table)}`})),
    ...all.filter(({writer}) => isOwn(writer)).map(({table, writer}): TimelineEntry => ({at: writer.committedAt ?? begunAt(writer.repair ?? '') ?? found.at, kind: 'writer', text: `${ownWords(writer)} ${rows(writer.rows)} of ${tableWords(table)}`})),
    ...found.audit.hours.filter(({deletion}) => deletion).slice(0, MOST_AUDITED).map((hour): TimelineEntry => ({at: hour.first, kind: 'audit', text: `${figure(hour.entries)} × ${hour.action}${hour.resource === null ? '' : ` ${hour.resource}`} by ${hour.actor ?? 'nobody'}`})),
    {at: found.at, kind: 'now', text: 'this look'},
  ]
  return entries.toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
}

/** By the name of a run. */
function begunAt(run: string): string | undefined {
  const [, day, hour, minute, second] = /^(\d{8})T(\d\d)(\d\d)(\d\d)Z-/.exec(run) ?? []
  return day === undefined ? undefined : `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`
}

/** The newest, and those that a repair would come from. */
function shownBackups({backups, damages}: Investigation): Investigation['backups'] {
  const named = new Set(damages.map(({source}) => source?.label))
  return backups.filter(({label}, index) => index < MOST_BACKUPS || named.has(label))
}
