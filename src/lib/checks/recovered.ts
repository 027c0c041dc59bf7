import type {RoleFacts} from '../postgres/roles.ts'
import type {Finding} from './finding.ts'
import {grantFindings, policyFindings, rowSecurityFindings} from './integrity-access.ts'
import {deviates, difference, group, informs, nameOf, plural, warns, type Deviation, type Expected} from './integrity-group.ts'
import type {RestoredFacts, RestoredTable} from './integrity.ts'
import {collationFindings, constraintFindings, extensionFindings, indexFindings, objectFindings, viewFindings} from './integrity-schema.ts'
import {sequenceTrouble} from './integrity-tables.ts'

/** A table with the newest time in its rows. ISO, UTC; a time without a zone counts as UTC. */
export interface TimedTable extends RestoredTable {
  newest?: string
}

/** As it is read, or as a manifest has it: older ones say less. */
export type KnownRole = Pick<RoleFacts, 'name'> & Partial<RoleFacts>

/** What a database recovered to an instant turned out to be. */
export interface RecoveredFacts extends RestoredFacts {
  tables: readonly TimedTable[]
  roles: readonly KnownRole[]
  /** The last migration; null without any, undefined where that is not known. */
  migration?: string | null
}

/** What it is compared with: the source as it is now, or the manifest of a backup of about that time. */
export interface RecoveredReference {
  kind: 'live' | 'backup'
  expected: Expected
  roles: readonly KnownRole[]
  migration?: string | null
  /** Of the live source. */
  tables?: readonly TimedTable[]
}

export interface RecoveredInstant {
  /** No row may be from after it. */
  at: Date
  /** It was asked for, and rows from shortly before it must be there. */
  exact: boolean
}

/** Clocks of applications differ from that of the server, and a row is written before its transaction ends. */
const CLOCKS_MS = 60_000
const MOST_TOLD = 12

/**
 * Whether a database is what it was at an instant. Wrong (`error`) is what cannot be so: a table that cannot be read, rows from
 * after the instant, rows missing from before it, row-level security otherwise than in the reference while the migrations are the
 * same. What may have changed since is told, as a warning or for information. Pure.
 */
export function compareRecovered(copy: RecoveredFacts, reference: RecoveredReference | undefined, instant: RecoveredInstant): Finding[] {
  return [
    ...readable(copy), ...times(copy, reference, instant), ...sequences(copy), ...(reference ? [...migrations(copy, reference), ...against(copy, reference)] : []),
    ...Object.entries(copy.unread ?? {}).map(([fact, why]): Finding => ({code: 'integrity.unread', severity: 'error', subject: fact, message: `could not be read: ${why}`})),
  ]
}

function readable({tables}: RecoveredFacts): Finding[] {
  const rows = tables.reduce((sum, one) => sum + (one.rows ?? 0), 0)
  const tenants = new Set(tables.flatMap((table) => Object.keys(table.tenants ?? {})).filter((tenant) => tenant !== ''))
  return group('integrity.tables', [
    ...tables.flatMap((table) => (table.trouble === undefined ? [] : [deviates(nameOf(table), `the table cannot be read: ${table.trouble}`)])),
    ...(tables.length === 0 ? [deviates('', 'there is no table')] : []),
  ], `${plural(rows, 'row')} of ${plural(tenants.size, 'tenant')} in ${plural(tables.length, 'table')} can be read`)
}

function times({tables}: RecoveredFacts, reference: RecoveredReference | undefined, {at, exact}: RecoveredInstant): Finding[] {
  const timed = tables.filter(({newest}) => newest !== undefined)
  const last = timed.map(({newest = ''}) => newest).toSorted().at(-1)
  if (last === undefined) return [{code: 'pitr.newest', severity: 'info', subject: '', message: 'no row says when it was written: only its content can show the instant'}]
  return group('pitr.newest', [
    ...timed.filter(({newest = ''}) => Date.parse(newest) > at.getTime() + CLOCKS_MS).map((table) => deviates(nameOf(table), `holds a row of ${table.newest ?? ''}, which is after the instant ${at.toISOString()}`, 'A row may be dated ahead by the application; else restore again')),
    ...(exact ? missingRows(tables, reference, at) : []),
  ], `the newest row is of ${last}; the instant is ${at.toISOString()}`)
}

/** Rows that the source still has from before the instant, and the copy has not. */
function missingRows(tables: readonly TimedTable[], {tables: live = []}: Pick<RecoveredReference, 'tables'> = {}, at: Date): Deviation[] {
  return live.flatMap((one) => {
    const copy = tables.find((table) => table.schema === one.schema && table.name === one.name)
    const newest = one.newest === undefined ? NaN : Date.parse(one.newest)
    if (copy?.newest === undefined || !(newest <= at.getTime() - CLOCKS_MS) || Date.parse(copy.newest) >= newest) return []
    return [deviates(nameOf(one), `its newest row is of ${copy.newest}; the source has one of ${one.newest ?? ''}, from before the instant`, 'Restore again, or look for the row in the source')]
  })
}

const sequences = ({sequences: all}: RecoveredFacts): Finding[] => group('integrity.sequences', sequenceTrouble(all), `${plural(all.length, 'sequence')}, none behind its column`)

function migrations({migration}: RecoveredFacts, reference: RecoveredReference): Finding[] {
  if (migration === undefined || reference.migration === undefined) return []
  const where = reference.kind === 'live' ? 'the source' : 'the backup'
  return group('pitr.migrations', migration === reference.migration ? [] : [warns('', `the last migration is ${migration ?? 'none'}; ${where} has ${reference.migration ?? 'none'}`, 'Run the release of the application that fits, or migrate')], migration === null ? 'no migrations' : `the last migration is ${migration}, as in ${where}`)
}

function against(copy: RecoveredFacts, reference: RecoveredReference): Finding[] {
  const {expected, kind} = reference
  const protection = [...rowSecurityFindings(expected, copy), ...policyFindings(expected, copy)]
  const rest = [indexFindings, constraintFindings, objectFindings, grantFindings, extensionFindings, viewFindings, collationFindings].flatMap((compare) => compare(expected, copy))
  const same = copy.migration === reference.migration
  const found = [...tableDifferences(copy, expected), ...(same ? protection : protection.map(told)), ...rest.map(told), ...roles(copy, reference)]
  return kind === 'live' ? found.map((finding) => ({...finding, message: finding.message.replaceAll('the backup', 'the source')})) : found
}

/** It may have been changed since the instant, or between the backup and it. */
const told = (finding: Finding): Finding => (finding.severity === 'error' ? {...finding, severity: 'warning'} : finding)

/** Those that were made or dropped since, and how rows have changed: for information, largest change first. */
function tableDifferences({tables}: RecoveredFacts, expected: Expected): Finding[] {
  const {missing, extra, both} = difference<Expected['tables'][number], TimedTable>(expected.tables, tables, nameOf)
  const changed = both.filter(([one, other]) => one.rows !== null && other.rows !== null && one.rows !== other.rows).toSorted(([a, b], [c, d]) => Math.abs((d.rows ?? 0) - (c.rows ?? 0)) - Math.abs((b.rows ?? 0) - (a.rows ?? 0)))
  return [
    ...missing.map((table) => warns(nameOf(table), 'the table is not there; the backup has it')), ...extra.map((table) => informs(nameOf(table), 'the table is not in the backup')),
    ...changed.slice(0, MOST_TOLD).map(([one, other]) => informs(nameOf(one), `${plural(other.rows ?? 0, 'row')}; the backup has ${(one.rows ?? 0).toLocaleString('en-US')}`)),
    ...(changed.length > MOST_TOLD ? [informs('', `${plural(changed.length - MOST_TOLD, 'more table')} with other numbers of rows`)] : []),
    ...(changed.length === 0 ? [{...informs('', `as many rows as the backup in each of ${plural(both.length, 'table')}`), severity: 'ok' as const}] : []),
  ].map((deviation): Finding => ({code: 'pitr.rows', ...deviation}))
}

function roles({roles: found}: RecoveredFacts, {roles: expected}: RecoveredReference): Finding[] {
  const {missing, extra, both} = difference<KnownRole, KnownRole>(expected, found, ({name}) => name)
  return group('pitr.roles', [
    ...missing.map(({name}) => warns(name, 'the role is not there; the backup has it')), ...extra.map(({name}) => informs(name, 'the role is not in the backup')),
    ...both.filter(([one, other]) => traits(one) !== traits(other)).map(([one, other]) => warns(one.name, `is ${traits(other)}; in the backup ${traits(one)}`)),
  ], plural(expected.length, 'role'))
}

const traits = ({login, inherit, createDb, createRole, bypassRls, superuser, memberOf = []}: KnownRole): string =>
  [...Object.entries({login, inherit, createDb, createRole, bypassRls, superuser}).flatMap(([name, on]) => (on ? [name] : [])), ...memberOf.toSorted().map((name) => `member of ${name}`)].join(', ')
