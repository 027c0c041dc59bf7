import {preflightError, type DrError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {statementError} from '../errors.ts'
import {quoteIdent} from '../quote.ts'
import {assertAgreed} from './agreed.ts'
import {readWritten} from './apply.ts'
import {findRefusals} from './cascades.ts'
import {fillPlans} from './compare.ts'
import type {Comparison, KeyChange, MergeRequest, MergeResult} from './contract.ts'
import {conflictsOf, missingParents} from './findings.ts'
import {findKeyChanges} from './key-changes.ts'
import {assertMayCreate, assertRights} from './guard.ts'
import {createMade, dropMadeNote, madeAlone} from './made.ts'
import {planOf, touchedTables, type Planned} from './plan.ts'
import {sameTable, shownName} from './names.ts'
import {assertReversible} from './rehearse.ts'
import {createRunSchema} from './run-schema.ts'
import {moveSequences} from './sequences.ts'
import type {SessionFacts} from './session.ts'
import type {Tally} from './tally.ts'
import {transact, type TransactOptions} from './transact.ts'
import {createUndoTables, finishUndoTables} from './undo-schema.ts'
import {applyPlans, assertCounting, constraintError} from './write.ts'

export interface MergeOptions extends Omit<TransactOptions, 'lockTimeoutMs'> {
  /** What the operator agreed to: when other rows would be changed or deleted by now, or more inserted, nothing is. What came in since, and the backup has not, stays. */
  expected?: Comparison
}

/**
 * Puts the selection back in one transaction, all of it or nothing. What is missing, changed and extra is looked up anew under
 * locks that let others read and make writers wait. Before and after images of every touched row stay in the undo schema.
 * Throws, with nothing changed: `partial.conflict`, `partial.irreversible`, `partial.parent-missing`, `partial.restricted`, `partial.moved-on`,
 * `partial.rights`, `partial.row-security`, `partial.key`, `partial.types`, `partial.stage-gone` (3), `partial.proof` (4), `partial.busy` (6); and
 * `partial.commit-unknown` (5), after which `mergeCommitted` knows.
 */
export async function mergeSelection(client: Client, request: MergeRequest, options: MergeOptions): Promise<MergeResult> {
  const startedAt = performance.now()
  const own = {...request, staged: request.staged.filter(({table}) => request.selection.tables.some((one) => sameTable(one.table, table)))}
  const tables = touchedTables(own)
  try {
    await assertRights(client, tables)
    await assertMayCreate(client)
    const result = await transact(client, {tables, doing: 'Merging', run: (session) => merged(client, own, options, session)}, {...options, lockTimeoutMs: request.lockTimeoutMs})
    return {...result, ms: Math.round(performance.now() - startedAt)}
  } catch (error) {
    throw statementError(error, 'Merging')
  }
}

async function merged(client: Client, request: MergeRequest, {expected}: MergeOptions, session: SessionFacts): Promise<{result: MergeResult; keep: boolean}> {
  const {undoSchema} = request
  assertCounting(session)
  const start = await readWritten(client, undoSchema)
  // What was made anew before belongs to what the merge does: its note moves into the undo schema.
  const made = await madeAlone(client, undoSchema)
  if (made) await dropMadeNote(client, undoSchema)
  await createRunSchema(client, undoSchema, 'undo')
  if (made) await createMade(client, undoSchema, made)
  const planned = await planOf(client, {...request, ...(expected?.snapshot !== undefined && {comparedAt: expected.snapshot})}, quoteIdent(undoSchema))
  await createUndoTables(client, undoSchema, planned)
  const counts = await fillPlans(client, planned, {everything: false})
  await assertMergeable(client, planned, counts)
  const result = {tables: tablesOf(planned, counts), cascades: counts.cascades, sequences: [], undoSchema, ms: 0}
  if (counts.isNothing && made === undefined) return {result: {...result, undoSchema: '', nothing: true}, keep: false}
  if (expected) await assertAgreed(client, planned, counts, expected)
  for (const plan of planned.plans) if (counts.of(plan, ['late']) > 0) await client.query(`DELETE FROM ${plan.sql} WHERE act = 'late'`)
  await applyPlans(client, planned, counts, {read: () => readWritten(client, undoSchema), start, explain: constraintError})
  await finishUndoTables(client, undoSchema, planned, counts)
  await assertReversible(client, planned, counts, made)
  return {result: {...result, sequences: await moveSequences(client, planned, counts)}, keep: true}
}

const keyText = (key: Record<string, string>): string => Object.entries(key).map(([name, value]) => `${name} ${value}`).join(', ')
const SHOWN = 10

/** What the foreign and unique keys would refuse is refused in words, before anything is written. */
async function assertMergeable(client: Client, planned: Planned, counts: Tally): Promise<void> {
  for (const entry of planned.entries) {
    const conflicts = await conflictsOf(client, planned, entry, counts)
    if (conflicts.length === 0) continue
    const shown = conflicts.slice(0, SHOWN).map(({key, index, holder}) => `${keyText(key)} (${index}: held by ${keyText(holder)})`)
    throw preflightError('partial.conflict', `${conflicts.length} rows of ${shownName(entry.selected.table)} cannot come back, because others hold their unique values: ${shown.join('; ')}${conflicts.length > SHOWN ? '; …' : ''}.`, {hints: ['Change or delete the rows that hold them, then run it again.', 'Or choose --merge side, and bring the rows over by hand.']})
  }
  const [parents] = await missingParents(client, planned, counts)
  if (parents) throw preflightError('partial.parent-missing', `${parents.rows} rows of ${shownName(parents.table)} refer to rows of ${shownName(parents.references)} that are gone (${parents.foreignKey}).`, {hints: ['--with-parents brings those back, too.']})
  const [refusal] = planned.mode === 'exact' ? await findRefusals(client, planned, counts) : []
  const [change] = await findKeyChanges(client, planned, counts)
  if (change) throw keyChangeError(change)
  if (refusal) throw preflightError('partial.restricted', `${refusal.rows} rows of ${shownName(refusal.table)} refer to rows of ${shownName(refusal.references)} that would be deleted (${refusal.foreignKey}).`, {hints: ['--merge changed deletes nothing.', `Or select ${shownName(refusal.table)}, too.`]})
}

/** What the merge would do behind its own back; said before it is asked for, and when it is done. */
export function keyChangeError({foreignKey, rule, table, references, columns, rows}: KeyChange): DrError {
  const [child, parent, names] = [shownName(table), shownName(references), columns.join(', ')]
  return preflightError('partial.key-change', `${rows} rows of ${child} name rows of ${parent} by ${names}, which would change: the server would change them, too (${foreignKey}, ON UPDATE ${rule.toUpperCase()}).`, {hints: [
    `Select them, too, so that they are put back with it: --table ${child}`, `Or leave ${names} as it is: --columns names what is to be put back.`, '--merge side changes nothing.',
  ]})
}

function tablesOf({plans, entries}: Planned, counts: Tally): MergeResult['tables'] {
  return plans.filter((plan) => entries.some((entry) => entry.plan === plan))
    .map((plan) => ({...plan.relation.table, inserted: counts.of(plan, ['insert']), updated: counts.of(plan, ['update', 'link']), deleted: counts.of(plan, ['delete']), ...(counts.of(plan, ['late']) > 0 && {late: counts.of(plan, ['late'])})}))
}
