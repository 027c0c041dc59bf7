import type {Client} from '../../postgres/connection.ts'
import {aroundTransaction, setColumns, type Around} from '../../postgres/investigate/around.ts'
import type {WholeTable} from '../../postgres/investigate/tables.ts'
import {newerThan} from '../../postgres/newer-rows.ts'
import type {Damage, RowsAtRisk, When, WritingTransaction} from '../../report/investigation.ts'
import {sampleOf} from './backup-sample.ts'
import {keyOf, type KnownBackup} from './history.ts'
import {isStamped, later, whenOf, type TimesAround} from './instants.ts'
import {proposed} from './proposal.ts'
import {backupsBefore, type Suspect} from './suspects.ts'

export interface WeighOptions {
  /** Newest first. */
  backups: readonly KnownBackup[]
  /** The next transaction that the server gives out. */
  next: string
  /** The instant of the look. */
  at: string
  tenant?: {column: string; id: string} | undefined
  /** Columns that a repair leaves alone: keys and the tenant's. */
  tenantColumn: string
  /** Bounds that the rows of all tables add to those that are known. */
  elsewhere: (transaction: string, known: TimesAround) => TimesAround
  signal: AbortSignal
}

/** Reads the table around the suspected transaction: when it was, what it set, and what a repair from the backup would take back. */
export async function weighSuspect(client: Client, whole: WholeTable, suspect: Suspect, options: WeighOptions): Promise<Damage> {
  const {writer, table, certainty} = suspect
  const {backups, next, at, tenant} = options
  const holding = backups.filter(({comparable}) => comparable)
  const known = writer.committedAt ?? writer.updatedTo
  const before = backupsBefore(writer.transaction, next, backups, known)
  const source = before.find(({good}) => good)
  const newer = source === undefined ? undefined : await newerThan(client, source.instant)
  const madeBy = writer.committedAt ?? later(writer.updatedTo, writer.createdTo)
  const around = await aroundTransaction(client, whole, {transaction: writer.transaction, backupAt: source?.at, newer: newer !== undefined && 'condition' in newer ? newer.condition : undefined, madeBy, tenant})
  const notHolding = before.filter(({comparable}) => comparable)[0]?.at
  const heldBy = holding.filter((one) => !before.includes(one)).at(-1)?.at
  const times = options.elsewhere(writer.transaction, {before: later(around.before, notHolding)})
  const when = whenOf(writer, {notBefore: notHolding, notAfter: heldBy ?? at, ...times})
    ?? {from: source?.at ?? backups.at(-1)?.at ?? at, to: at, witness: 'backups' as const}
  const columns = (await setColumns(client, whole, writer.transaction, await earlierValues(whole, source, options.signal))).filter((column) => column !== options.tenantColumn)
  return proposed({
    kind: 'overwritten', table: {schema: table.schema, name: table.name}, rows: around.hit, transaction: writer.transaction, certainty, when, columns,
    evidence: evidenceOf(writer, around, when), risk: {...riskOf(writer, around, source, whole), ...(newer !== undefined && 'reason' in newer && {betweenUnknown: newer.reason})}, ...(source && {source: {label: source.label, at: source.at}}),
  })
}

/** Of the fullest part, from the backup. */
async function earlierValues({parts}: WholeTable, source: KnownBackup | undefined, signal: AbortSignal): Promise<ReadonlyMap<string, ReadonlySet<string | null>> | undefined> {
  const keys = new Set(parts.map(keyOf))
  const [table] = (source?.tables ?? []).filter((one) => keys.has(keyOf(one)) && one.key !== undefined).toSorted((a, b) => (b.rows ?? 0) - (a.rows ?? 0))
  return source === undefined || table?.key === undefined ? undefined : sampleOf({storage: source.storage, key: table.key, columns: table.columns}, signal)
}

function evidenceOf(writer: WritingTransaction, {rows, hit}: Around, {witness}: When): string[] {
  const share = rows === 0 ? 0 : hit / rows
  return [
    `Transaction ${writer.transaction} was the last to write ${count(hit)} of ${count(rows)} rows (${percent(share)}).`,
    ...(witness === 'commit' ? ["The time is the server's own, of the commit."] : []),
    ...(witness === 'stamp' ? ['It wrote the time into its rows itself; the commit came shortly after.'] : []),
    ...(writer.frozen ? ['The rows are frozen since: the number of the transaction stands there still, its age does not show.'] : []),
  ]
}

const count = (value: number): string => value.toLocaleString('en-US')
const percent = (share: number): string => `${share >= 1 ? 100 : Math.min(99, Math.round(share * 100))} %`

function riskOf(writer: WritingTransaction, {edited, made, between, later: after, laterOld}: Around, source: KnownBackup | undefined, {updated}: WholeTable): RowsAtRisk {
  const stamped = isStamped(writer)
  const unknown = source === undefined ? 'there is no good backup from before' : updated.length === 0 ? 'the table has no column for the time of the last change' : stamped ? 'the transaction has overwritten the time of the last change in its rows' : undefined
  return {
    ...(unknown === undefined && edited !== undefined && {edited}), ...(made !== undefined && {made}), ...(between !== undefined && {between}),
    later: after, ...(laterOld !== undefined && {laterOld}), ...(unknown !== undefined && {unknown}),
  }
}
