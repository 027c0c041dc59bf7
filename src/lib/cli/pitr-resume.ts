import type {RecoveryState} from '../procedures/pitr/recover-options.ts'
import type {Context} from './context.ts'
import {recoveryOptions, type ComposedRecovery} from './pitr.ts'
import type {Resuming} from './run-procedure.ts'

/** The unfinished run of this machine that made this copy; undefined when there is none, or several and none is named. */
export async function openRecovery(context: Context, target: string | undefined): Promise<string | undefined> {
  const {knownRuns, OPEN} = await import('../runbook/runs.ts')
  const open = (await knownRuns(context.journalDirectory)).filter(({procedure, status, state, about}) => procedure === 'pitr' && OPEN.includes(status) && (state as RecoveryState).asked !== undefined && about.command !== undefined && (target === undefined || (state as RecoveryState).target === target.toLowerCase()))
  return target === undefined && open.length > 1 ? undefined : open[0]?.run
}

/** Goes on with a copy that is known by its marks alone: the journal lies on another machine, or is lost. */
export async function composeAdoption(context: Context, target: string | undefined, resuming: Resuming | undefined): Promise<ComposedRecovery> {
  const {adoptProcedure, findUnfinished, stateOfCopy, wishOfCopy} = await import('../procedures/pitr/adopt.ts')
  const [{openRds}, signal] = [await import('./rds.ts'), await context.signal()]
  const earlier = resuming?.earlier.state as RecoveryState | undefined
  const looking = await openRds(context)
  const copy = await findUnfinished(looking, target ?? earlier?.target, signal).finally(() => { looking.close() })
  const {options, close} = await recoveryOptions(context, wishOfCopy(copy))
  try {
    return {procedure: adoptProcedure(options, copy), state: resuming?.undo && earlier ? earlier : await stateOfCopy(options, copy, signal), options, close}
  } catch (error) {
    await close()
    throw error
  }
}
