import {messageOf, preflightError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {assertImages, assertTenant, assertWritten, mergeSql, parkSql, type Written} from './apply.ts'
import {disableTriggers} from './guard.ts'
import type {Planned} from './plan.ts'
import {asApplication, type SessionFacts} from './session.ts'
import type {Tally} from './tally.ts'

/** The server's own count of written rows is the proof that nothing else was touched. */
export function assertCounting({trackCounts}: SessionFacts): void {
  if (!trackCounts) throw preflightError('partial.rights', 'The server does not count what a transaction writes (track_counts is off): it could not be proven that nothing else was touched.', {hints: ['ALTER SYSTEM SET track_counts = on, then SELECT pg_reload_conf()']})
}

export interface Writing {
  read: () => Promise<Written>
  /** What was read before. */
  start: Written
  /** What the server refuses, in words. */
  explain: (error: unknown) => unknown
}

/** Writes what the plans ask for and proves that this, and nothing else, was written. */
export async function applyPlans(client: Client, planned: Planned, counts: Tally, {read, start, explain}: Writing): Promise<void> {
  const sql = mergeSql(planned, counts)
  if (sql === undefined) return
  const parked = planned.plans.flatMap((plan) => parkSql(planned, plan) ?? [])
  const enable = await disableTriggers(client, planned.plans.filter((plan) => counts.touches(plan)).map(({relation}) => relation.table))
  await asApplication(client, async () => {
    for (const statement of [...parked, sql]) await client.query(statement)
  }).catch((error: unknown) => { throw explain(error) })
  assertWritten(planned, counts, start, await read())
  await assertTenant(client, planned)
  await assertImages(client, planned, counts)
  await enable()
}

interface Refusal {
  /** Holds values of the row. */
  detail?: string
  constraint?: string
  table?: string
  schema?: string
}

/** What the server refuses although it was looked for: exclusions, checks, foreign keys that are not validated. */
export function constraintError(error: unknown): unknown {
  const {detail, constraint, table, schema} = error as Refusal
  const where = `${schema ?? ''}.${table ?? ''}`
  const details = detail === undefined ? [] : [detail]
  const hints = ['Choose --merge side, and bring the rows over by hand.']
  switch (codeOf(error)) {
    case '23505': case '23P01': return preflightError('partial.conflict', `A row of ${where} cannot come back because of ${constraint ?? 'a unique key'}: another row is in its way.`, {cause: error, details, hints: ['Change or delete the row that holds the value, then run it again.', ...hints]})
    case '23503': case '23001': return preflightError('partial.parent-missing', `A row of ${where} would break ${constraint ?? 'a foreign key'}.`, {cause: error, details, hints})
    case '55000': return replicaIdentityError(error, ['ALTER TABLE … REPLICA IDENTITY FULL, until the repair is done.', '--merge missing only inserts.'])
    case '23502': case '23514': case '22001': case '22003': case '428C9': return preflightError('partial.types', `A row of the backup does not fit ${where} as it is now: ${messageOf(error)}.`, {cause: error, hints})
    default: return error
  }
}

/** The same of rows on their way back to what they were before a merge. */
export const revertError = (undoSchema: string) => (error: unknown): unknown => {
  const {detail, constraint, table, schema} = error as Refusal
  const where = `${schema ?? ''}.${table ?? ''}`
  const more = {cause: error, details: detail === undefined ? [] : [detail]}
  const kept = `What each row was before is in the schema ${undoSchema}.`
  switch (codeOf(error)) {
    case '23505': case '23P01': return preflightError('partial.irreversible', `A row of ${where} cannot be put back as it was because of ${constraint ?? 'a unique key'}: another row is in its way.`, {...more, hints: ['Change or delete the row that holds the value, then take the merge back again.', kept]})
    case '23503': case '23001': return preflightError('partial.irreversible', `A row of ${where} cannot be put back as it was: it would break ${constraint ?? 'a foreign key'}.`, {...more, hints: [`Is it NOT VALID? Then drop ${constraint ?? 'it'} until the merge is taken back.`, kept]})
    case '23502': case '23514': return preflightError('partial.irreversible', `A row of ${where} cannot be put back as it was: ${messageOf(error)}.`, {...more, hints: [`Is it NOT VALID? Then drop ${constraint ?? 'it'} until the merge is taken back.`, kept]})
    case '55000': return replicaIdentityError(error, ['ALTER TABLE … REPLICA IDENTITY FULL, until the merge is taken back.', kept])
    default: return error
  }
}

/** Of what else has the same code, the error itself. */
const replicaIdentityError = (error: unknown, hints: string[]): unknown =>
  /replica identity/.test(messageOf(error)) ? preflightError('partial.replica-identity', `The server does not let rows of a published table be changed that it could not name to the subscribers: ${messageOf(error)}.`, {cause: error, hints}) : error
