import type {Phase} from '../../runbook/procedure.ts'
import {carryStep, swapStep} from './exchange.ts'
import {findingsGate, replaceGate} from './gates.ts'
import type {SwapOptions, SwapState, SwapSubject} from './options.ts'
import {assertSource, preflightSteps} from './preflight.ts'
import {probeStep} from './probe.ts'
import {safetySteps} from './safety.ts'

export interface SwapPhases {
  /** Look, ask, and copy the present state. */
  before: Phase<SwapSubject>[]
  /** Carry over what belongs to the database itself, ask again when something is not as it should be, swap, probe. */
  after: Phase<SwapSubject>[]
}

/** The phases that put a database in the live one's place: around whatever makes it. `making` are the steps that the first gate opens. */
export function swapPhases(options: SwapOptions): SwapPhases {
  const safety = safetySteps(options)
  return {
    before: [
      {title: 'Check the live database', steps: preflightSteps(options)},
      {title: 'Safety backup', gate: replaceGate(options, ['LIVE NOW', 'COMING IN']), steps: safety},
    ],
    after: [
      {title: 'Prepare the swap', steps: [carryStep(options)]},
      {title: 'Swap', gate: findingsGate(options), steps: [swapStep(options), probeStep(options)]},
    ],
  }
}

/** The first `swap` of the state. Refuses a source of another environment or database that was not named. */
export function swapState(options: SwapOptions): SwapState {
  assertSource(options)
  return {safety: options.safety, ...(options.backup && {safetyBackup: options.backup.state})}
}
