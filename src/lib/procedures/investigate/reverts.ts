import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fullTransaction, type Witnesses} from '../../postgres/investigate/transactions.ts'
import {targetName} from '../../postgres/target.ts'
import {entriesOf} from '../../runbook/journal.ts'
import {journalsOf} from '../../runbook/runs.ts'
import type {PartialState} from '../partial/run-options.ts'
import type {RevertState} from '../partial/undo.ts'
import type {InvestigateOptions} from './options.ts'

const ROUND = 2n ** 32n

/**
 * Transactions of this server in which merges were taken back: by the number, as `xmin` shows it, the undo schema of the merge,
 * which went with it. The journals of this machine tell; what was taken back from another one is not known.
 */
export async function revertsIn({journals, target}: Pick<InvestigateOptions, 'journals' | 'target'>, witnesses: Witnesses): Promise<Map<string, string>> {
  if (journals === undefined) return new Map()
  // dr partial takes a merge back when a check after it fails.
  const names = await journalsOf(journals, 'undo', 'partial')
  const found = new Map<string, string>()
  for (const name of names) {
    const text = await readFile(join(journals, name), 'utf8').catch(() => '')
    const entries = /"(reverted|takenBack)"/.test(text) ? entriesOf(text) : []
    const [first] = entries
    const at = first?.event === 'begun' ? first.target : undefined
    for (const entry of entries) {
      const reverted = 'state' in entry ? revertIn(entry.state ?? {}) : undefined
      if (reverted === undefined || !isHere(reverted, witnesses, at === targetName(target))) continue
      const short = (BigInt(reverted.transaction) % ROUND).toString()
      // Else the number is by now another's.
      if (fullTransaction(short, witnesses.next) === BigInt(reverted.transaction)) found.set(short, reverted.schema)
    }
  }
  return found
}

interface Revert {
  transaction: string
  schema: string
  systemIdentifier?: string | undefined
}

/** What the state of either procedure says of it. */
function revertIn(state: object): Revert | undefined {
  const {reverted, merge, takenBack, undoSchema, target} = state as Partial<RevertState> & Partial<PartialState>
  const [transaction, schema] = [reverted?.transaction ?? takenBack?.transaction, merge?.schema ?? undoSchema]
  return transaction === undefined || schema === undefined || !/^\d+$/.test(transaction) ? undefined : {transaction, schema, systemIdentifier: target?.systemIdentifier}
}

const isHere = (revert: Revert, {systemIdentifier}: Witnesses, sameTarget: boolean): boolean =>
  revert.systemIdentifier === undefined || systemIdentifier === undefined ? sameTarget : revert.systemIdentifier === systemIdentifier
