import {DrError, preflightError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {cascadedFrom} from './cascaded-tables.ts'
import type {Made} from './made.ts'
import {distinctTables, nameOf, sameTable} from './names.ts'
import {ACTING, type Planned} from './plan.ts'
import {familyOf} from './relations.ts'
import {rehearse} from './revert.ts'
import type {Tally} from './tally.ts'
import {readUndo} from './undo-schema.ts'

/** What rows on their way back are in the way of. */
const IN_THE_WAY = /^(23505|23P01)$/

/**
 * Proves, before the COMMIT, that the merge can be taken back: does it, under a savepoint. That inserted rows can go again is clear
 * where all keys to them are validated, since nobody else can name them yet; to delete them would look for such rows one by
 * one. So that is done only where they stand in the way of others. Costs about as much as the updates and deletes of the merge itself, and
 * nothing of a merge that only inserts. Throws `partial.irreversible` (exit 3).
 */
export async function assertReversible(client: Client, {live, plans, request: {undoSchema}}: Planned, counts: Tally, made: Made | undefined): Promise<void> {
  const keys = live.foreignKeys.filter(({validated}) => !validated)
  const isMade = (table: {schema: string; name: string}) => made?.tables.some((one) => sameTable(one, table)) === true
  const doubtful = plans.filter((plan) => !isMade(plan.relation.table) && counts.touches(plan)
    && (counts.of(plan, ACTING.filter((act) => act !== 'insert')) > 0 || keys.some(({references}) => sameTable(familyOf(live, references), plan.relation.family))))
  if (doubtful.length === 0) return
  const touched = doubtful.map(({relation}) => relation.table)
  const undo = (await readUndo(client, undoSchema)).filter((one) => touched.some((table) => sameTable(table, one)))
  const undoing = {undo, live, tables: distinctTables([...touched, ...cascadedFrom({...live, foreignKeys: keys}, touched)]).map(nameOf)}
  for (const deletes of [false, true]) {
    await client.query('SAVEPOINT rehearsal')
    try {
      await rehearse(client, undoSchema, undoing, {deletes, keys})
      break
    } catch (error) {
      if (deletes || !IN_THE_WAY.test(codeOf((error as Error).cause) ?? '')) throw irreversible(error)
    } finally {
      await client.query('ROLLBACK TO SAVEPOINT rehearsal').catch(() => undefined)
    }
  }
  await client.query('RELEASE SAVEPOINT rehearsal')
}

/** Refused by a constraint or by rows that name others; whatever else fails is not about the way back. */
function irreversible(error: unknown): unknown {
  if (!(error instanceof DrError) || !['partial.irreversible', 'partial.changed-since', 'partial.replica-identity'].includes(error.code)) return error
  return preflightError('partial.irreversible', `Nothing was changed, because it could not be taken back again: ${error.message}`, {cause: error, details: error.details, hints: [
    'Live rows are as a constraint would not let them be; often it is NOT VALID. Put these right first, or leave them out with --where.',
    'Or drop that constraint until the repair is done: ALTER TABLE … DROP CONSTRAINT …; afterwards ADD CONSTRAINT … NOT VALID',
    '--merge side changes nothing.',
  ]})
}
