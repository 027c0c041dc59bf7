import {preflightError} from '../../errors.ts'
import type {Comparison, StrayRows, TableName} from '../../postgres/partial/contract.ts'
import {keyChangeError} from '../../postgres/partial/merge.ts'
import {distinctTables} from '../../postgres/partial/names.ts'
import type {TakenBound} from '../../postgres/partial/taken-bounds.ts'
import type {TakenName} from '../../postgres/partial/taken-names.ts'
import {qualified, quoteIdent, quoteLiteral} from '../../postgres/quote.ts'
import {conflictLines, rowsText, tableText} from '../../report/partial-lines.ts'
import {shellQuote} from '../../system/shell.ts'
import {needed, wayOf, type PartialState} from './run-options.ts'

/** What the merge itself would refuse, said before it is asked for. */
export function refuseImpossible(state: PartialState): void {
  const comparison = needed(state.comparison, 'comparison')
  const orphans = comparison.closure.filter(({kind}) => kind === 'parent-missing')
  const [first] = orphans
  if (first !== undefined) {
    throw preflightError('partial.parent-missing', `${rowsText(first.rows)} of ${tableText(first.table)} refer to rows of ${tableText(first.references)} that are not live (${first.foreignKey}).`, {hints: [
      ...(state.wish.withParents ? ['They are not in the backup either: --where can leave those rows out.'] : ['--with-parents brings them back, too.']), ...orphans.slice(1, 4).map((one) => `Also ${rowsText(one.rows)} of ${tableText(one.table)} refer to ${tableText(one.references)}.`),
    ]})
  }
  const conflicts = comparison.tables.reduce((sum, one) => sum + one.conflicts.length, 0)
  if (conflicts > 0) throw preflightError('partial.conflict', `${rowsText(conflicts)} cannot go in: a unique key is held by another row.\n${conflictLines(comparison).map((line) => `  ${line}`).join('\n')}`, {hints: [...ofAnotherTenant(state, comparison), 'Change the rows that hold the keys, or leave these out with --where.', '--merge side leaves the rows of the backup in tables beside, for hand work.']})
  const [stray] = comparison.strays ?? []
  if (stray !== undefined) throw strayError(stray)
  const [change] = comparison.keyChanges ?? []
  if (change !== undefined) throw keyChangeError(change)
  const refused = (wayOf(state) === 'exact' && comparison.refusals) || []
  if (refused[0] !== undefined) throw preflightError('partial.restricted', `${rowsText(refused[0].rows)} of ${tableText(refused[0].table)} hold rows of ${tableText(refused[0].references)} that would be deleted (${refused[0].foreignKey}).`, {hints: [`Select them, too: --table ${tableText(refused[0].table)}`, '--merge changed deletes nothing.']})
}

/** A row of the tenant's that another one has by now holds its own key: as a row of the table, whosever it is, it can be put back. */
function ofAnotherTenant({selection}: PartialState, {tables}: Comparison): string[] {
  const tenant = selection?.tenant
  if (tenant === undefined) return []
  const moved = tables.filter(({conflicts}) => conflicts.some(({key, holder}) => JSON.stringify(key) === JSON.stringify(holder)))
  return moved.map((table) => `Rows of ${tableText(table)} that belong to another tenant by now: dr partial --table ${shellQuote(tableText(table))} --where ${shellQuote(`${quoteIdent(tenant.column)} = ${quoteLiteral(tenant.id).trim()}`)} --merge changed`)
}

/** Written through the whole, they would stand where nobody looks for them; and twice, where the detached partition still holds them. */
function strayError({table, lost, rows, into, isLive}: StrayRows): Error {
  const [whole, part] = [tableText(table), tableText(lost)]
  return preflightError('partial.partition-lost', `${rowsText(rows)} of ${whole} ${rows === 1 ? 'was' : 'were'} in its partition ${part}, which ${isLive ? 'is by now a table of its own' : 'is not live'}: ${into ? `they would go into ${tableText(into)}` : 'no other partition takes them'}.`, {hints: [
    isLive ? `Attach it again, and compare anew: ALTER TABLE ${qualified(table)} ATTACH PARTITION ${qualified(lost)} FOR VALUES …` : `Bring it back first, as a partition with its rows: dr partial --table ${shellQuote(part)} --merge missing`,
    isLive ? `What is lost in it alone comes back with --table ${shellQuote(part)}.` : `Without its rows: make a partition of these bounds by hand, and run it again.`,
    `--where leaves rows of ${whole} out.`,
  ]})
}

/** A table that was renamed keeps its keys and sequences: they cannot be made a second time. */
export function refuseTaken([first]: readonly TakenName[]): void {
  if (first === undefined) return
  const {lost, name, kind, by} = first
  throw preflightError('partial.renamed', `${tableText(lost)} cannot be made anew: its ${kind} ${name} is by now of ${tableText(by)}. Was the table renamed?`, {hints: [
    `If it was: ALTER TABLE ${qualified(by)} RENAME TO ${quoteIdent(lost.name)}; then dr partial --table ${shellQuote(tableText(lost))} compares its rows.`,
    kind === 'index' ? `If ${tableText(by)} is to stay beside it: ALTER INDEX ${qualified({schema: lost.schema, name})} RENAME TO ${quoteIdent(`${name.slice(0, 59)}_old`)}` : `If ${tableText(by)} is to stay beside it, rename its sequence ${name}.`,
    '--merge side puts the rows of the backup beside, and makes no table anew.',
  ]})
}

/** What it was attached to comes back first, and with it all of its partitions. */
export function refuseLostAncestors([first]: readonly {table: TableName; lost: TableName}[]): void {
  if (first === undefined) return
  const [part, whole] = [tableText(first.table), tableText(first.lost)]
  throw preflightError('partial.partition-lost', `${part} was a partition of ${whole}, which is not live either.`, {hints: [
    `Bring that back, and all of its lost partitions with it: dr partial --table ${shellQuote(whole)} --merge missing`,
    '--merge side puts the rows of the backup beside, and makes no table anew.',
  ]})
}

/** ATTACH PARTITION would find them, behind the gate. */
export function refuseTakenBounds(taken: readonly TakenBound[]): void {
  const [first] = taken
  if (first === undefined) return
  const {lost, root, by, rows, isDefault} = first
  const [whole, part] = [tableText(root), tableText(lost)]
  throw preflightError('partial.partition-taken', `${rowsText(rows)} of ${whole} that ${rows === 1 ? 'belongs' : 'belong'} to its lost partition ${part} ${rows === 1 ? 'is' : 'are'} in ${tableText(by)}${isDefault ? ', the default one' : ''}: the partition cannot be attached while that is so.`, {hints: [
    ...(isDefault ? asideHints(first) : [`${tableText(by)} takes such rows by now: dr partial --table ${shellQuote(whole)} --merge missing puts the lost ones there.`]),
    ...taken.slice(1, 4).map((one) => `Also ${rowsText(one.rows)} of ${tableText(one.lost)} ${one.rows === 1 ? 'is' : 'are'} in ${tableText(one.by)}.`),
    '--merge side leaves the rows of the backup in tables beside, for hand work.',
  ]})
}

/** In one instant: a row that comes in between the two statements is neither copied nor deleted. */
function asideHints({lost, root, by, bound, columns, referring}: TakenBound): string[] {
  const [aside, list] = [qualified({schema: lost.schema, name: `${lost.name.slice(0, 57)}_aside`}), columns.map(quoteIdent).join(', ')]
  return [
    `Set them aside: BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE ${aside} AS SELECT ${list} FROM ${qualified(by)} WHERE ${bound}; DELETE FROM ${qualified(by)} WHERE ${bound}; COMMIT;`,
    `When the partition is back: INSERT INTO ${qualified(root)} (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${aside}; DROP TABLE ${aside};`,
    ...(referring.length === 0 ? [] : [`Rows of ${distinctTables(referring).map(tableText).join(', ')} may name them: look at what their foreign keys do ON DELETE before.`]),
  ]
}
