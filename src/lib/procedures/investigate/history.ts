import type {LiveTableCounts} from '../../postgres/live-counts.ts'
import {incomparable, type BackupInstant, type Place} from '../../postgres/newer-rows.ts'
import type {WholeTable} from '../../postgres/investigate/tables.ts'
import type {BackupEntry} from '../../repository/repository.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import {instantOf} from '../backup-instant.ts'
import type {NamedTable} from '../../report/investigation.ts'

/** A backup whose manifest could be read. */
export interface KnownBackup {
  label: string
  at: string
  good: boolean
  comparable: boolean
  /** `pg_current_snapshot()`. */
  snapshot: string
  /** The same, with where it was taken. */
  instant: BackupInstant
  tables: readonly {schema: string; name: string; rows: number | null; tenants?: Record<string, number>; columns: readonly string[]; /** Of its rows. */ key?: string}[]
  storage: Storage
}

export function knownBackup({label, environment, manifest, level}: BackupEntry, place: Place, storage: Storage): KnownBackup | undefined {
  if (manifest === undefined) return undefined
  const {snapshot, tables, purpose, members} = manifest
  const instant = instantOf(manifest)
  const keyOfMember = (dumpId: number | undefined) => members.find(({name}) => dumpId !== undefined && (name === `${dumpId}.dat` || name.startsWith(`${dumpId}.dat.`)))?.name
  return {
    label, at: new Date(snapshot.at).toISOString(), good: level !== 'suspect' && purpose !== 'safety', snapshot: snapshot.current,
    comparable: incomparable(instant, place) === undefined, instant,
    storage,
    tables: tables.map(({schema, name, rows, tenants, columns, dumpId}) => {
      const member = keyOfMember(dumpId)
      return {schema, name, rows, columns, ...(tenants && {tenants}), ...(member !== undefined && {key: `${environment}/${label}/${member}`})}
    }),
  }
}

export const keyOf = ({schema, name}: NamedTable): string => JSON.stringify([schema, name])

/** Rows over time: in each backup, newest first as the backups are, and live. */
export interface TableSeries extends NamedTable {
  live: number | null
  /** It is there; it may not have been counted. */
  isLive: boolean
  /** null: the backup does not have it. */
  history: (number | null)[]
  /** Keys of its partitions, or its own. */
  parts: readonly string[]
  /** Why it was not counted. */
  trouble?: string
}

/** Of every table that is live or in one of the backups; partitions count for what they are partitions of. */
export function tableSeries(live: readonly LiveTableCounts[], tables: readonly WholeTable[], backups: readonly KnownBackup[]): TableSeries[] {
  const wholeOf = new Map(tables.flatMap((whole) => whole.parts.map((part) => [keyOf(part), whole])))
  const all = new Map<string, TableSeries>(tables.map(({schema, name, parts}) => [keyOf({schema, name}), {schema, name, live: null, isLive: true, parts: parts.map(keyOf), history: backups.map(() => null)}]))
  for (const counted of live) {
    const series = all.get(keyOf(wholeOf.get(keyOf(counted)) ?? counted))
    if (series === undefined) continue
    if (counted.trouble !== undefined) series.trouble = counted.trouble
    else if (series.trouble === undefined) series.live = (series.live ?? 0) + (counted.rows ?? 0)
  }
  for (const series of all.values()) if (series.trouble !== undefined) series.live = null
  for (const [index, backup] of backups.entries()) {
    for (const {schema, name, rows} of backup.tables) {
      if (rows === null) continue
      const whole = wholeOf.get(keyOf({schema, name})) ?? {schema, name}
      const series = all.get(keyOf(whole)) ?? {schema: whole.schema, name: whole.name, live: null, isLive: false, parts: [keyOf(whole)], history: backups.map(() => null)}
      all.set(keyOf(whole), series)
      series.history[index] = (series.history[index] ?? 0) + rows
    }
  }
  return [...all.values()]
}

export interface TenantSeries {
  tenant: string
  live: number
  history: number[]
}

/** Rows of each tenant, over all tables that have the tenant's column; rows without a tenant are left out. */
export function tenantSeries(live: readonly Pick<LiveTableCounts, 'tenants'>[], backups: readonly KnownBackup[]): TenantSeries[] {
  const totals = (tables: readonly {tenants?: Record<string, number>}[]) => {
    const sums = new Map<string, number>()
    for (const {tenants} of tables) for (const [tenant, rows] of Object.entries(tenants ?? {})) if (tenant !== '') sums.set(tenant, (sums.get(tenant) ?? 0) + rows)
    return sums
  }
  const now = totals(live)
  const then = backups.map(({tables}) => totals(tables))
  const names = new Set([...now.keys(), ...then.flatMap((sums) => [...sums.keys()])])
  return [...names].map((tenant) => ({tenant, live: now.get(tenant) ?? 0, history: then.map((sums) => sums.get(tenant) ?? 0)}))
}

/** Between two looks most rows went. */
export interface Cliff {
  /** Index of the backup that still has them. */
  backup: number
  before: number
  after: number
  /** Rows that are gone. */
  rows: number
}

/**
 * Where the rows went: the largest fall between two looks, newest first in `history`. Undefined when there is none that is
 * notable, or when as many rows as before are live again.
 */
export function cliffOf(history: readonly (number | null)[], live: number, notable: (fall: {before: number; after: number}) => boolean): Cliff | undefined {
  let steepest: Cliff | undefined
  for (const [index, before] of history.entries()) {
    const after = index === 0 ? live : history[index - 1] ?? 0
    if (before === null || before <= after || live >= before || !notable({before, after})) continue
    if (steepest === undefined || before - after > steepest.rows) steepest = {backup: index, before, after, rows: before - after}
  }
  return steepest
}

const LEAST_ROWS = 10
const LEAST_SHARE = 0.2

/** What is deleted in the daily work is no cliff. */
export const isNotable = ({before, after}: {before: number; after: number}): boolean => after === 0 || (before - after >= LEAST_ROWS && (before - after) / before >= LEAST_SHARE)
export const anyFall = (): boolean => true
