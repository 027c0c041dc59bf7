import {usageError} from '../errors.ts'
import type {Target} from '../postgres/target.ts'
import type {PartialOptions, PartialState} from '../procedures/partial/run-options.ts'
import type {RecoveryWish} from '../procedures/pitr/recover-options.ts'
import type {Resumption} from '../runbook/resume.ts'
import type {Context} from './context.ts'
import type {PartialSource, PartialWish} from './partial.ts'

/** `pitr:TIME`, `pitr:latest`, `pitr:before-damage`: a copy that AWS makes for this run. An earlier process knows which instant was meant. */
export async function copySource(context: Context, live: Target, {from = '', keepCopy = false}: PartialWish, earlier: Resumption<PartialState> | undefined): Promise<PartialSource> {
  const {recoveryOptions} = await import('./pitr.ts')
  const {options: recovery, close} = await recoveryOptions(context, earlier?.state.copy?.wish ?? await wishOf(context, from.slice('pitr:'.length).trim()))
  // The address is known when the copy is there.
  return {from: {kind: 'database', target: {...live, host: 'the-copy'}, copy: {recovery, keep: keepCopy}}, closeStorages: close}
}

async function wishOf(context: Context, time: string): Promise<RecoveryWish> {
  if (time === '') throw usageError('partial.from', '--from pitr: names no time.', {hints: ["--from 'pitr:2026-11-22T14:00:00+05:00'", "--from 'pitr:10 minutes ago'", '--from pitr:before-damage takes the instant that dr investigate found.']})
  const {recoveryWish} = await import('./pitr.ts')
  const at = time === 'latest' ? {latest: true} : time === 'before-damage' ? {'before-damage': true} : {to: time}
  return recoveryWish(context, {...at, purpose: 'side'}, new Date(), () => {})
}

export interface CopyStates {
  plan: boolean
  fresh: PartialState
  earlier: PartialState | undefined
}

/** With --plan AWS is looked at now, so that the commands are whole. Of an earlier process the copy is where its journal says. */
export async function prepareCopy(context: Context, options: PartialOptions, {plan, fresh, earlier}: CopyStates): Promise<void> {
  const {from} = options
  const copy = from.kind === 'database' ? from.copy : undefined
  if (copy === undefined || fresh.copy === undefined) return
  if (earlier?.copy?.copy !== undefined) {
    const {settleCopy} = await import('../procedures/partial/side-copy.ts')
    if (earlier.copy.copy.host !== undefined) settleCopy(options, copy, earlier)
  }
  if (!plan) return
  const {planRecovery} = await import('../procedures/pitr/look.ts')
  const {target = '', to} = fresh.copy
  fresh.copy.plan = await planRecovery(copy.recovery, {target, purpose: 'side', to, runId: 'RUN'}, await context.signal())
}
