import type {LiveCounts, LiveTableCounts} from '../postgres/live-counts.ts'
import type {Manifest, ManifestTable} from '../repository/manifest.ts'
import {difference, nameOf} from './integrity-group.ts'

/** Rows now, rows in the backup, and what a restore does to them. `live - backup` is always `lost - regained`. */
export interface Loss {
  live: number
  backup: number
  /** Rows as they are now that the backup does not have: new, or changed since. */
  lost: number
  /** Rows of the backup that are not as they were: deleted, or changed since. */
  regained: number
  /** Known from the counts alone: rows that were deleted, and as many others that were added, show in neither figure. */
  atLeast: boolean
}

export interface TableLoss extends Loss {
  schema: string
  name: string
  /** A table that is only in one place: a restore makes it vanish, or brings it back. */
  where: 'both' | 'live' | 'backup'
  /** The newest row now: ISO, UTC. */
  newest?: string
  newestSkipped?: string
  /** The newest row of the backup, where a restored copy was looked at: the manifest does not say. ISO, UTC. */
  newestInBackup?: string
}

export interface TenantLoss extends Loss {
  /** Empty: rows without a tenant. */
  tenant: string
}

export interface LossTable {
  label: string
  /** The instant of the backup: nothing in it is newer. ISO. */
  takenAt: string
  /** The instant of the counts. ISO. */
  liveAt: string
  database: string
  /** Only rows of this tenant were counted. */
  tenant?: string
  /** What a restore would change most comes first. */
  tables: TableLoss[]
  /** The same rows by tenant, of the tables that have the tenant column. */
  tenants: TenantLoss[]
  total: Loss
  /** Why changed rows could not be told, and figures are `atLeast`. */
  newerUnknown?: string
  /** Tables that could not be compared. */
  troubles: {schema: string; name: string; message: string}[]
  /** With a tenant: tables whose rows the counts do not give a tenant. */
  leftOut: {schema: string; name: string}[]
}

export interface LossOptions {
  tenant?: string | undefined
  /** Else every table. */
  wanted?: ((table: {schema: string; name: string}) => boolean) | undefined
}

interface Counted {
  rows: number
  tenants?: ReadonlyMap<string, number>
}

interface Side extends Counted {
  newer?: number
  newerTenants?: ReadonlyMap<string, number>
}

/** What a restore of this backup would lose and regain, from the counts of its manifest and those of the live database. Pure. */
export function lossTable(manifest: Manifest, live: LiveCounts, {tenant, wanted = () => true}: LossOptions = {}): LossTable {
  const result: LossTable = {
    label: manifest.label, takenAt: manifest.snapshot.at, liveAt: live.at, database: live.database, ...(tenant !== undefined && {tenant}), tables: [], tenants: [], total: NOTHING,
    ...(live.newerUnknown !== undefined && {newerUnknown: live.newerUnknown}), troubles: [], leftOut: [],
  }
  const tenants = new Map<string, Loss>()
  const backedUp = manifest.tables.filter((table) => table.kind !== 'partitioned' && wanted(table))
  const {missing, extra, both} = difference<ManifestTable, LiveTableCounts>(backedUp, live.tables.filter(wanted), ({schema, name}) => JSON.stringify([schema, name]))
  const pairs: [ManifestTable | undefined, LiveTableCounts | undefined][] = [...missing.map((table): [ManifestTable, undefined] => [table, undefined]), ...extra.map((table): [undefined, LiveTableCounts] => [undefined, table]), ...both]
  for (const [backup, now] of pairs) addTable(result, tenants, backup, now)
  result.tables.sort(mostFirst)
  result.troubles.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1))
  result.tenants = [...tenants].map(([name, loss]) => ({tenant: name, ...loss})).sort(mostFirst)
  result.total = result.tables.reduce(plus, NOTHING)
  return result
}

function addTable(result: LossTable, tenants: Map<string, Loss>, backup: ManifestTable | undefined, now: LiveTableCounts | undefined): void {
  const {schema = '', name = ''} = now ?? backup ?? {}
  const {tenant} = result
  if (now?.trouble !== undefined || backup?.rows === null) {
    result.troubles.push({schema, name, message: now?.trouble ?? 'the backup has no count of its rows'})
    return
  }
  const [before, after] = [sideOf(backup), sideOf(now)]
  if (tenant !== undefined && before?.tenants === undefined && after?.tenants === undefined) {
    result.leftOut.push({schema, name})
    return
  }
  for (const one of new Set([...(before?.tenants?.keys() ?? []), ...(after?.tenants?.keys() ?? [])])) {
    if (tenant === undefined || one === tenant) tenants.set(one, plus(tenants.get(one) ?? NOTHING, lossOf(tenantSide(before, one), tenantSide(after, one))))
  }
  const loss = tenant === undefined ? lossOf(before, after) : lossOf(tenantSide(before, tenant), tenantSide(after, tenant))
  result.tables.push({
    schema, name, where: backup === undefined ? 'live' : now === undefined ? 'backup' : 'both', ...loss,
    ...(now?.newest !== undefined && {newest: now.newest}), ...(now?.newestSkipped !== undefined && {newestSkipped: now.newestSkipped}),
  })
}

const NOTHING: Loss = {live: 0, backup: 0, lost: 0, regained: 0, atLeast: false}

const mapOf = (counts: Record<string, number> | undefined) => (counts === undefined ? {} : {tenants: new Map(Object.entries(counts))})

/** A table that is not there has no rows; for its tenants neither. */
function sideOf(table: ManifestTable | LiveTableCounts | undefined): Side | undefined {
  if (table === undefined) return undefined
  const {newer, newerTenants} = table as LiveTableCounts
  return {rows: table.rows ?? 0, ...mapOf(table.tenants), ...(newer !== undefined && {newer}), ...(newerTenants && {newerTenants: new Map(Object.entries(newerTenants))})}
}

/** The rows of one tenant; of a table that had no tenant column on this side, none is known to be anybody's. */
function tenantSide(side: Side | undefined, tenant: string): Side | undefined {
  if (side?.tenants === undefined) return undefined
  const newer = side.newerTenants === undefined ? undefined : (side.newerTenants.get(tenant) ?? 0)
  return {rows: side.tenants.get(tenant) ?? 0, ...(newer !== undefined && {newer})}
}

/** Of what is live, `newer` is not in the backup; the rest is in it as it stands. */
function lossOf(before: Side | undefined, after: Side | undefined): Loss {
  const [backup, live] = [before?.rows ?? 0, after?.rows ?? 0]
  const least = Math.max(0, live - backup)
  const oneSided = before === undefined || after === undefined || backup === 0 || live === 0
  const lost = oneSided ? live : Math.max(least, after.newer ?? least)
  return {live, backup, lost, regained: lost - live + backup, atLeast: !oneSided && after.newer === undefined}
}

function plus(one: Loss, other: Loss): Loss {
  return {live: one.live + other.live, backup: one.backup + other.backup, lost: one.lost + other.lost, regained: one.regained + other.regained, atLeast: one.atLeast || other.atLeast}
}

function mostFirst(one: Loss, other: Loss): number {
  return (other.lost + other.regained) - (one.lost + one.regained) || other.live + other.backup - one.live - one.backup
}
