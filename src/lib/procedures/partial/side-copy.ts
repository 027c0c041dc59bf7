import {messageOf} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {kindOf} from '../../rds/status.ts'
import {marksOf} from '../../rds/tags.ts'
import {targetName} from '../../postgres/target.ts'
import type {Phase, Step, StepIo} from '../../runbook/procedure.ts'
import {askStep} from '../pitr/ask.ts'
import {recoveryState} from '../pitr/index.ts'
import {assertAskable, isOurs, planRecovery} from '../pitr/look.ts'
import {targetAt} from '../pitr/target.ts'
import {waitStep} from '../pitr/ready.ts'
import {copyOf, type RecoveryOptions, type RecoveryState} from '../pitr/recover-options.ts'
import type {SideCopy} from './options.ts'
import {needed, type PartialOptions, type PartialState} from './run-options.ts'

/** Has AWS make the copy that the rows are taken from, or takes over one of the same instant that dr has made before. */
export function sideCopyPhase(options: PartialOptions, copy: SideCopy): Phase<PartialState> {
  const {recovery} = copy
  return {title: `A copy of ${sourceOf(recovery)}`, steps: [findStep(recovery), within(askStep(recovery)), within(waitStep(recovery)), reachStep(options, copy)]}
}

/** The part of the first state that the copy needs. */
export const sideCopyState = ({recovery}: SideCopy): RecoveryState => recoveryState(recovery)

const sourceOf = ({wish: {source}}: RecoveryOptions): string => ('instance' in source ? source.instance : 'the source')

const recoveryOf = ({copy}: PartialState): RecoveryState => needed(copy, 'copy')

/** A step of the recovery, on its part of the state. */
function within(step: Step<RecoveryState>): Step<PartialState> {
  const {id, title, effect} = step
  return {
    id, title, effect, byHand: (state) => step.byHand(recoveryOf(state)), run: (state, io) => step.run(recoveryOf(state), io),
    skip: (state) => (recoveryOf(state).copy === undefined || id !== 'pitr.ask' ? step.skip?.(recoveryOf(state)) : 'it is there'),
    undo: async (state, io) => { await step.undo?.(recoveryOf(state), io) },
    settle: async (state, io) => (await step.settle?.(recoveryOf(state), io)) ?? 'not done',
  }
}

/** Its restore takes long, so a copy of the very instant is used again, whoever had it made: an earlier run that was declined, another operator. */
function findStep(options: RecoveryOptions): Step<PartialState> {
  return {
    id: 'partial.find-copy',
    title: 'Look for a copy of that instant, and at the restore window',
    effect: 'read',
    byHand: () => [{argv: ['dr', 'pitr', 'list']}],
    async run(state, io) {
      const recovery = recoveryOf(state)
      const there = (await options.api.instances(io.signal)).find((one) => isSuch(one, recovery))
      if (there) {
        takeOver(recovery, there, io.run)
        if (recovery.asked?.adopted) io.notice(`${recovery.target ?? ''} is a copy of that instant, made by ${recovery.runId ?? ''}: it is used, and stays.`)
        return
      }
      recovery.runId ??= io.run
      const target = needed(recovery.target, 'name of a copy')
      recovery.plan = await planRecovery(options, {target, purpose: 'side', to: recovery.to, runId: recovery.runId}, io.signal)
      if (!isOurs(await options.api.instance(target, io.signal), recovery.runId)) await assertAskable(options, recovery.plan, io.signal)
      for (const warning of recovery.plan.warnings.filter((text) => /^A side copy|behind|five minutes/.test(text))) io.notice(warning)
    },
  }
}

/** A copy of the latest instant is another one each time. */
function isSuch(instance: DBInstance, {source, to}: RecoveryState): boolean {
  const marks = marksOf(instance)
  return to !== null && marks?.purpose === 'side' && marks.source === source && marks.restoredTo === to && kindOf(instance.DBInstanceStatus ?? '') !== 'terminal'
}

function takeOver(recovery: RecoveryState, there: DBInstance, run: string): void {
  const {DBInstanceIdentifier = '', DbiResourceId = '', DBInstanceArn = '', InstanceCreateTime} = there
  recovery.target = DBInstanceIdentifier
  recovery.runId = needed(marksOf(there), 'mark').run
  recovery.asked = {at: (InstanceCreateTime ?? new Date()).toISOString(), adopted: recovery.runId !== run}
  recovery.copy = {instance: DBInstanceIdentifier, resourceId: DbiResourceId, arn: DBInstanceArn}
}

/** From here on the address of the source is known. */
function reachStep(options: PartialOptions, copy: SideCopy): Step<PartialState> {
  return {
    id: 'partial.reach-copy',
    title: 'Note where the copy is',
    effect: 'read',
    byHand: () => [],
    run(state) {
      settleCopy(options, copy, state)
      return Promise.resolve()
    },
  }
}

/** Puts the address of the copy into the options: of a later process too, which finds it in the journal. */
export function settleCopy({target, from, config}: PartialOptions, {recovery: {wish: {to}}}: SideCopy, state: PartialState): void {
  if (from.kind !== 'database') throw new Error('The source is no copy.')
  const found = copyOf(recoveryOf(state))
  Object.assign(from.target, targetAt(target, found, {config}))
  state.source.location = `${found.instance} (${targetName(from.target)})`
  state.source.at = to ?? new Date().toISOString()
}

/** The copy has served. Only one that this run had made is removed: another may be in use by whoever made it. */
export function removeCopyStep({recovery, keep}: SideCopy): Step<PartialState> {
  const {api} = recovery
  return {
    id: 'partial.remove-copy',
    title: 'Remove the copy',
    effect: 'destroy',
    skip: ({copy}) => (keep ? '--keep-copy' : copy?.asked?.adopted ? `another run had made it; when it is not needed: dr pitr cleanup ${copy.target ?? ''}` : undefined),
    byHand: ({copy}) => [{argv: ['dr', 'pitr', 'cleanup', copy?.target ?? 'COPY']}],
    async run(state, io) {
      const {instance} = copyOf(recoveryOf(state))
      state.copyRemoved = true
      // The rows are back, whatever becomes of the copy.
      await removeCopy(api, state, io).catch((error: unknown) => {
        io.signal.throwIfAborted()
        io.notice(`${instance} could not be removed: ${messageOf(error)} It stays, and costs, until: dr pitr cleanup ${instance}`)
      })
    },
  }
}

async function removeCopy(api: RecoveryOptions['api'], state: PartialState, io: StepIo): Promise<void> {
  const {instance, resourceId} = copyOf(recoveryOf(state))
  const there = await api.instance(instance, io.signal)
  if (there === undefined || there.DBInstanceStatus === 'deleting') return
  const ours = isOurs(there, recoveryOf(state).runId) && marksOf(there)?.purpose === 'side' && there.DbiResourceId === resourceId
  if (!ours) io.notice(`${instance} is not the copy that this run used any more: it stays.`)
  else if (there.DeletionProtection === true) io.notice(`${instance} is protected against deletion: it stays, and costs.`)
  else await api.remove({instance, finalSnapshot: null}, io.signal)
}
