import {ExitCode, StopError} from '../../errors.ts'
import {UNKNOWN_MS} from '../../rds/poller.ts'
import {TAG} from '../../rds/tags.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {betweenLooks, byResource, locate, partyFrom, untilSo} from './cutover-instances.ts'
import {cutoverMarkOf, frozenOf} from './cutover-marks.ts'
import {partyOf, type Party} from './cutover-options.ts'
import {steadyName} from './cutover-rename.ts'
import type {RollbackOptions, RollbackState} from './rollback-options.ts'

type Claimed = Pick<RollbackState, 'copy' | 'cutoverRun'>

/**
 * Before anything is changed AWS itself is told who takes the cut-over back. The last to say so goes on: a run that was killed must
 * not bar the way. One that lives, and the cut-over itself where it does, stop before their next step.
 */
export function claimStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.claim',
    title: 'Note at AWS that it is taken back',
    effect: 'write',
    byHand: ({copy}) => [{argv: ['aws', 'rds', 'add-tags-to-resource', '--resource-name', copy?.arn ?? 'ARN', '--tags', `Key=${TAG.rollback},Value=BY-HAND`]}],
    async run(state, io) {
      const {arn} = partyOf(state.copy)
      const before = await rollbackOf(options, state, io)
      await options.api.addTags(arn, [{Key: TAG.rollback, Value: io.run}], io.signal)
      for (const look of ['first', 'second']) {
        await untilSo(options, {budgetMs: UNKNOWN_MS, what: 'AWS did not show the mark of the rollback', look: async () => {
          const now = await rollbackOf(options, state, io)
          if (now !== undefined && now !== io.run && (now !== before || look === 'second')) throw takenOver(now)
          return now === io.run ? true : undefined
        }}, io)
        if (look === 'first') await betweenLooks(options, io)
      }
      await lookAgain(options, state, io)
    },
  }
}

/** What was asked for before the others heard of it may have come true meanwhile. */
async function lookAgain(options: RollbackOptions, state: RollbackState, io: StepIo): Promise<void> {
  for (const key of ['old', 'copy'] as const) {
    const party = partyOf(state[key])
    await steadyName(options, party.resourceId, io)
    const found = await locate(options, party.resourceId, io)
    state[key] = {...party, ...addressOf(found)}
    const frozen = key === 'old' ? frozenOf(found) : undefined
    if (frozen !== undefined) state.frozen ??= frozen
  }
}

/** Throws `pitr.in-rollback` (exit 6) when another run has begun to take it back, or has done so. */
export async function assertOurs(options: RollbackOptions, state: Claimed, io: StepIo): Promise<void> {
  const by = await rollbackOf(options, state, io)
  if (by !== undefined && by !== io.run) throw takenOver(by)
}

/** Undefined: nobody. Throws `pitr.in-rollback` (exit 6) when it is taken back already. */
async function rollbackOf(options: RollbackOptions, {copy, cutoverRun}: Claimed, io: StepIo): Promise<string | undefined> {
  const found = await byResource(options, partyOf(copy).resourceId, io.signal)
  // A name that is changing may be in no list for a moment.
  if (found === undefined) return undefined
  const mark = cutoverMarkOf(found)
  if (mark === undefined || mark.run !== cutoverRun) throw stopped(`The cut-over ${cutoverRun ?? ''} has been taken back meanwhile.`)
  return mark.rollback
}

const takenOver = (run: string) => stopped(`The run ${run} has begun to take it back, too, and goes on with it.`)
const stopped = (what: string) => new StopError('pitr.in-rollback', what, {exitCode: ExitCode.locked, hints: ['dr pitr list shows what is called what.', 'dr pitr rollback goes on if there is anything left of it.']})

export function addressOf(found: Parameters<typeof partyFrom>[0]): Pick<Party, 'id' | 'host' | 'port'> {
  const {id, host, port} = partyFrom(found)
  return {id, host, port}
}
