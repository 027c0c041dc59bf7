import {DrError} from '../../errors.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import type {BackupState} from '../backup/options.ts'
import {swapOf, type SwapOptions, type SwapSubject} from './options.ts'

/** The steps of a backup of the live database, as steps of the swap. */
export function safetySteps({backup, safetyWanted}: SwapOptions): Step<SwapSubject>[] {
  if (backup === undefined) return [noSafety(safetyWanted)]
  const steps = backup.procedure.phases.flatMap((phase) => phase.steps)
  return steps.map((step) => adapted(step, safetyWanted, step === steps.at(-1)))
}

/** Leaving it out is shown where it would stand. */
const noSafety = (wanted: boolean): Step<SwapSubject> => ({
  id: 'safety.none', title: 'Back up the present state', effect: 'read', byHand: () => [], run: () => Promise.resolve(),
  skip: () => (wanted ? '--safety none' : 'not by default where the environment is not protected: --safety backup'),
})

const stateOf = (state: SwapSubject): BackupState => {
  const {safetyBackup} = swapOf(state)
  if (safetyBackup === undefined) throw new Error('No safety backup was planned.')
  return safetyBackup
}

function adapted(step: Step<BackupState>, wanted: boolean, last: boolean): Step<SwapSubject> {
  return {
    id: step.id.replace(/^backup\./, 'safety.'),
    title: step.title,
    effect: step.effect,
    skip(state) {
      const {unreadable, missing} = swapOf(state)
      if (missing) return 'there is no live database'
      if (unreadable !== undefined && !wanted) return 'the live database cannot be read'
      return step.skip?.(stateOf(state))
    },
    byHand: (state) => step.byHand(stateOf(state)),
    async run(state, io) {
      try {
        await step.run(stateOf(state), io)
        if (last) swapOf(state).safetyComplete = true
      } catch (error) {
        io.signal.throwIfAborted()
        if (!(error instanceof DrError)) throw error
        throw new DrError(error.code, `The safety backup failed: ${error.message}`, {cause: error, exitCode: error.exitCode, hints: [...error.hints, '--safety none goes on without it: then the kept database is the only copy of the present state.']})
      }
    },
    ...(step.undo && {undo: async (state: SwapSubject, io: StepIo) => {
      // A whole one may be the only copy of the state before: it never goes with what failed after it.
      if (swapOf(state).safetyComplete) io.notice(`The safety backup ${stateOf(state).label ?? ''} stays.`)
      else await step.undo?.(stateOf(state), io)
    }}),
  }
}
