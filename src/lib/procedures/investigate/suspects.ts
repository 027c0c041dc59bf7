import {fullTransaction, hasWrapped, isSeenBy} from '../../postgres/investigate/transactions.ts'
import type {Writer} from '../../postgres/investigate/writers.ts'
import type {InvestigatedTable, WritingTransaction} from '../../report/investigation.ts'
import {isOwn} from '../../report/investigation-words.ts'
import {compare} from './instants.ts'
import type {KnownBackup} from './history.ts'

/** Fewer rows than this are daily work; where the operator names the table, fewer. */
const LEAST_ROWS = 100
const LEAST_ROWS_NAMED = 10
const MANY_ROWS = 1000
const LARGE_SHARE = 0.2
const HALF = 0.5
/** So much bigger than the next one. */
const STANDS_OUT = 4

/** A transaction that may be the accident, in one table. */
export interface Suspect {
  table: InvestigatedTable
  writer: WritingTransaction
  certainty: 'likely' | 'possible'
}

/** Which of the backups are from before the transaction: newest first. By what they hold where that can be told, else by the clock. */
export function backupsBefore(transaction: string, next: string, backups: readonly KnownBackup[], notAfter: string | undefined): KnownBackup[] {
  return backups.filter((backup) => {
    if (backup.comparable) return isSeenBy(backup.snapshot, fullTransaction(transaction, next)) === false
    return notAfter !== undefined && compare(backup.at, notAfter) < 0
  })
}

/** The newest backup that does not hold the transaction is named with it. */
export function writingTransaction(writer: Writer, rows: number | null, next: string, backups: readonly KnownBackup[]): WritingTransaction {
  const [notIn] = backupsBefore(writer.transaction, next, backups.filter(({comparable}) => comparable), undefined)
  const isKnown = !(writer.frozen && hasWrapped(next))
  return {...writer, share: rows === null || rows === 0 ? null : Math.min(1, writer.rows / rows), ...(isKnown && notIn !== undefined && {notIn: notIn.label})}
}

/** The transaction of each table that is most likely the accident, if one is: big, and newer than the oldest backup. */
export function suspectsOf(tables: readonly InvestigatedTable[], {backups, named, next}: {backups: readonly KnownBackup[]; named: boolean; next: string}): Suspect[] {
  const comparable = backups.some((backup) => backup.comparable)
  return tables.flatMap((table) => {
    // Of a number that was given out twice it is not known whose it is.
    const told = (table.writers ?? []).filter((writer) => !isOwn(writer) && !(writer.frozen && hasWrapped(next)))
    const candidates = told.filter((writer) => (!comparable || writer.notIn !== undefined) && isBig(writer, named) && !isInsert(table, writer, backups))
    const [first] = candidates
    if (first === undefined) return []
    const second = told.find((writer) => writer !== first && writer.rows <= first.rows)
    const standsOut = first.rows >= STANDS_OUT * (second?.rows ?? 0)
    const isLarge = first.rows >= MANY_ROWS || (first.share ?? 0) >= HALF
    return [{table, writer: first, certainty: comparable && standsOut && isLarge ? 'likely' as const : 'possible' as const}]
  })
}

function isBig({rows, share}: WritingTransaction, named: boolean): boolean {
  if (named) return rows >= LEAST_ROWS_NAMED
  return rows >= MANY_ROWS || (rows >= LEAST_ROWS && (share ?? 0) >= LARGE_SHARE)
}

/** All of its rows came after the backup: an import is no accident that a backup could repair. */
function isInsert(table: InvestigatedTable, {createdFrom, notIn, rows}: WritingTransaction, backups: readonly KnownBackup[]): boolean {
  const index = backups.findIndex(({label}) => label === notIn)
  const backup = backups[index]
  if (backup === undefined) return false
  if (createdFrom !== undefined) return compare(createdFrom, backup.at) > 0
  const then = table.history[index]
  return then !== undefined && table.rows !== null && table.rows - rows >= (then ?? 0)
}
