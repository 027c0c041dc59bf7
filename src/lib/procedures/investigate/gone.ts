import type {Client} from '../../postgres/connection.ts'
import {aroundTransaction} from '../../postgres/investigate/around.ts'
import {detachedBy, nulledLinks, type Detached, type TableTraces} from '../../postgres/investigate/losses.ts'
import type {WholeTable} from '../../postgres/investigate/tables.ts'
import {fullTransaction, isSeenBy, type Witnesses} from '../../postgres/investigate/transactions.ts'
import {newerThan} from '../../postgres/newer-rows.ts'
import type {AuditFinding, Damage, DamageKind, NamedTable, When} from '../../report/investigation.ts'
import {shellQuote} from '../../system/shell.ts'
import {anyFall, cliffOf, isNotable, keyOf, type Cliff, type KnownBackup, type TableSeries, type TenantSeries} from './history.ts'
import {compare, later, whenOf, type TimesAround} from './instants.ts'
import {askingTable} from './looking.ts'
import {proposed} from './proposal.ts'

/** Rows that are in a backup and not live. */
export interface Loss {
  kind: Exclude<DamageKind, 'overwritten'>
  table?: NamedTable
  tenant?: string
  cliff: Cliff
  /** Tables without the tenant's column whose rows went with those of other tables. */
  with?: {table: NamedTable; rows: number}[]
  /** Of the tables that were named: tenants that have lost most of their rows there. */
  tenants?: {tenant: string; rows: number}[]
}

export interface LossInput {
  series: readonly TableSeries[]
  tenants: readonly TenantSeries[]
  /** Newest first. */
  backups: readonly KnownBackup[]
  /** `tables`: the operator has named some; of these, or of a tenant that is named, every fall counts. */
  named?: 'tables' | 'tenant' | undefined
  tenant?: string | undefined
  /** Foreign keys whose rows go with the row that they name. */
  cascades: readonly {child: NamedTable; parent: NamedTable}[]
}

const MOST_TENANTS = 10

/** Tables without a foreign key to the tenants keep their rows. */
const isTenantGone = ({before, after}: {before: number; after: number}): boolean => before > 1 && after <= before / 2

/** Where rows went, by the counts of the backups and of now: tenants first, then tables as far as those do not explain it. */
export function lossesOf({series, tenants, backups, named, tenant, cascades}: LossInput): Loss[] {
  const wanted = tenant === undefined ? tenants : tenants.filter((one) => one.tenant === tenant)
  const gone = wanted.flatMap((one): (Loss & {tenant: string})[] => {
    const cliff = cliffOf(one.history, one.live, tenant === undefined ? isTenantGone : anyFall)
    return cliff === undefined ? [] : [{kind: 'tenant-gone', tenant: one.tenant, cliff}]
  }).toSorted((a, b) => b.cliff.rows - a.cliff.rows)
  if (tenant !== undefined) return gone
  const lost = series.flatMap((table): Loss[] => {
    if (table.trouble !== undefined || (table.isLive && table.live === null)) return []
    const cliff = cliffOf(table.history, table.live ?? 0, named === undefined ? isNotable : anyFall)
    if (cliff === undefined) return []
    const explained = named === 'tables' ? 0 : gone.reduce((sum, one) => sum + rowsOfTenant(backups[one.cliff.backup], table, one.tenant), 0)
    if (table.isLive && explained > 0 && (cliff.rows <= explained || !isNotable({before: cliff.before, after: cliff.after + explained}))) return []
    return [{kind: !table.isLive ? 'table-gone' : cliff.after === 0 ? 'emptied' : 'rows-gone', table: {schema: table.schema, name: table.name}, cliff}]
  })
  if (named === 'tables') return lost.map((loss) => ({...loss, tenants: gone.map((one) => ({tenant: one.tenant, rows: one.cliff.rows}))}))
  const [first] = gone
  const reached = new Set(first === undefined ? [] : lost.filter(({kind, table}) => kind === 'rows-gone' && table !== undefined && reachesTenant(table, backups[first.cliff.backup], cascades)))
  if (first && reached.size > 0) first.with = [...reached].flatMap(({table, cliff}) => (table ? [{table, rows: cliff.rows}] : []))
  return [...gone.slice(0, MOST_TENANTS), ...lost.filter((loss) => !reached.has(loss)).toSorted((a, b) => b.cliff.rows - a.cliff.rows)]
}

/** It has no tenants itself, and its rows go with those of a table that has. */
function reachesTenant(table: NamedTable, backup: KnownBackup | undefined, cascades: LossInput['cascades']): boolean {
  const withTenants = new Set((backup?.tables ?? []).filter(({tenants}) => tenants !== undefined).map(keyOf))
  const seen = new Set<string>()
  const reaches = (key: string): boolean => {
    if (withTenants.has(key)) return true
    if (seen.has(key)) return false
    seen.add(key)
    return cascades.some(({child, parent}) => keyOf(child) === key && reaches(keyOf(parent)))
  }
  return !withTenants.has(keyOf(table)) && reaches(keyOf(table))
}

const rowsOfTenant = (backup: KnownBackup | undefined, {parts}: TableSeries, tenant: string): number =>
  (backup?.tables ?? []).filter((one) => parts.includes(keyOf(one))).reduce((sum, {tenants}) => sum + (tenants?.[tenant] ?? 0), 0)

export interface GoneOptions {
  witnesses: Witnesses
  backups: readonly KnownBackup[]
  tables: readonly WholeTable[]
  tenantColumn: string
  /** By the numbers of the parts; read before anything was changed. */
  traces: ReadonlyMap<number, TableTraces>
  /** Transactions in which dr put rows back. */
  repairs: readonly string[]
  audit: AuditFinding
  /** Bounds that the rows of all tables add to those that are known. */
  elsewhere: (transaction: string, known: TimesAround) => TimesAround
  at: string
}

/** Looks for whatever tells when the rows went, and which transaction took them. */
export async function weighLoss(client: Client, loss: Loss, options: GoneOptions): Promise<Damage> {
  const {cliff, kind, table, tenant} = loss
  const {backups, at} = options
  const source = backups.slice(cliff.backup).find(({good}) => good)
  const span: When = {from: backups[cliff.backup]?.at ?? at, to: cliff.backup === 0 ? at : backups[cliff.backup - 1]?.at ?? at, witness: 'backups'}
  const found = await witnessOf(client, loss, span, options)
  return proposed({
    kind, ...(table && {table}), ...(tenant !== undefined && {tenant}), rows: cliff.rows, certainty: kind === 'rows-gone' ? 'possible' : 'likely',
    when: found?.when ?? span, ...(found?.transaction !== undefined && {transaction: found.transaction}),
    evidence: [`${count(cliff.before)} rows at ${words(span.from)}, ${count(cliff.after)} at ${words(span.to)}.`, ...(found?.evidence ?? []), ...(loss.with ?? []).map((one) => `${one.table.name} lost ${count(one.rows)} rows, which go with rows of tenants by their foreign keys.`), ...tenantWords(loss)],
    ...(source && {source: {label: source.label, at: source.at}}),
    risk: {unknown: source === undefined ? 'there is no good backup from before' : 'what was written to these rows after the backup went with them'},
  })
}

function tenantWords({tenants = []}: Loss): string[] {
  if (tenants.length > MOST_TENANTS) return [`${count(tenants.length)} tenants have lost most of their rows of the named tables.`]
  return tenants.map(({tenant, rows}) => `Tenant ${tenant} has lost ${count(rows)} rows of the named tables: dr investigate --tenant ${shellQuote(tenant)} looks at all of them.`)
}

const count = (value: number): string => value.toLocaleString('en-US')
const words = (time: string): string => `${time.slice(0, 19).replace('T', ' ')} UTC`

interface Found {
  when: When
  evidence: string[]
  transaction?: string
}

async function witnessOf(client: Client, loss: Loss, span: When, options: GoneOptions): Promise<Found | undefined> {
  const backup = options.backups[loss.cliff.backup]
  const byLinks = backup?.comparable === true ? await byDetachedRows(client, loss, backup, span, options) : undefined
  return byLinks ?? byTable(loss, span, options) ?? byAudit(loss, span, options)
}

/** Links that were set to NULL when the rows went. */
async function byDetachedRows(client: Client, {kind, table}: Loss, backup: KnownBackup, span: When, {witnesses, tables, tenantColumn, repairs, elsewhere}: GoneOptions): Promise<Found | undefined> {
  const newer = await newerThan(client, backup.instant)
  if ('reason' in newer || kind === 'table-gone' || kind === 'emptied') return undefined
  const links = await nulledLinks(client, kind === 'tenant-gone' ? tables : table === undefined ? [] : [table])
  let most: {detached: Detached; child: WholeTable} | undefined
  for (const link of links) {
    const child = tables.find((one) => keyOf(one) === keyOf(link))
    if (child === undefined || (kind === 'tenant-gone' && link.column !== tenantColumn)) continue
    const answer = await askingTable(client, child, () => detachedBy(client, link, {witnesses, newer: newer.condition, except: repairs}))
    if ('value' in answer && answer.value !== undefined && answer.value.rows > (most?.detached.rows ?? 0)) most = {detached: answer.value, child}
  }
  if (most === undefined) return undefined
  const {detached, child} = most
  const around = await askingTable(client, child, () => aroundTransaction(client, child, {transaction: detached.transaction}))
  const seen = 'value' in around ? around.value : undefined
  const when = whenOf({rows: detached.rows, ...(detached.committedAt !== undefined && {committedAt: detached.committedAt})}, {notBefore: span.from, notAfter: span.to, ...elsewhere(detached.transaction, {before: later(seen?.before, span.from)})})
  return {when: when ?? span, transaction: detached.transaction, evidence: [`Transaction ${detached.transaction} set ${detached.name}.${detached.column} to NULL in ${count(detached.rows)} rows, as the foreign key does when rows of ${detached.references.name} are deleted.`]}
}

/** A table that was truncated has a new file, and its catalog entry the number of the transaction. */
function byTable({kind, table}: Loss, span: When, {witnesses, tables, traces, backups, elsewhere}: GoneOptions): Found | undefined {
  const whole = kind !== 'emptied' || table === undefined ? undefined : tables.find((one) => keyOf(one) === keyOf(table))
  const [first] = (whole?.parts ?? []).flatMap(({oid}) => traces.get(oid) ?? []).filter(({replaced}) => replaced)
  const backup = backups.find(({at}) => at === span.from)
  if (first === undefined || backup?.comparable !== true || isSeenBy(backup.snapshot, fullTransaction(first.changedBy, witnesses.next)) !== false) return undefined
  const when = whenOf({rows: 0, ...(first.changedAt !== undefined && {committedAt: first.changedAt})}, {notBefore: span.from, notAfter: span.to, ...elsewhere(first.changedBy, {before: span.from})}) ?? span
  return {when, transaction: first.changedBy, evidence: [`Transaction ${first.changedBy} gave the table a new, empty file: a TRUNCATE, most likely.`]}
}

/** Deletions that the application noted between the two looks. */
function byAudit({cliff}: Loss, span: When, {audit}: GoneOptions): Found | undefined {
  const [most] = audit.hours.filter(({deletion, first, last}) => deletion && compare(first, span.from) >= 0 && compare(last, span.to) <= 0).toSorted((a, b) => b.things - a.things)
  if (most === undefined || most.things * 2 < cliff.rows) return undefined
  return {when: {from: most.first, to: most.last, witness: 'audit'}, evidence: [`The audit log has ${count(most.entries)} of «${most.action}» by ${most.actor ?? 'nobody'} from ${words(most.first)} on.`]}
}
