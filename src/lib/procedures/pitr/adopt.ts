import {preflightError, usageError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {planRestore} from '../../rds/restore-plan.ts'
import {isLost} from '../../rds/status.ts'
import {marksOf, TAG, tagOf, type Marks} from '../../rds/tags.ts'
import {plainPlan} from '../../report/recovery-plan.ts'
import type {Procedure} from '../../runbook/procedure.ts'
import {cutoverMarkOf} from './cutover-marks.ts'
import {recoveryProcedure} from './index.ts'
import {assertNotLive} from './live.ts'
import type {RdsOptions} from './options.ts'
import type {RecoveryOptions, RecoveryPlan, RecoveryState, RecoveryWish} from './recover-options.ts'

/** A copy that dr made, known by its marks alone. */
export interface FoundCopy {
  instance: DBInstance
  marks: Marks
}

/** Copies that dr made and that have not taken their source's place; only this one when it is named. */
export async function findCopies({api}: RdsOptions, named: string | undefined, signal: AbortSignal): Promise<FoundCopy[]> {
  const all = named === undefined ? await api.instances(signal) : [await api.instance(named, signal)]
  const found = all.flatMap((instance) => {
    const marks = instance && marksOf(instance)
    return instance && marks ? [{instance, marks}] : []
  })
  return named === undefined ? found.filter(({instance, marks}) => instance.DBInstanceIdentifier !== marks.source) : found
}

/** The one that is meant. Throws `pitr.no-copy` (exit 3), and `pitr.which` (exit 2) when there are several; `command` is what names one. */
export async function findCopy(options: RdsOptions, named: string | undefined, signal: AbortSignal, command?: string): Promise<FoundCopy> {
  return theOne(await findCopies(options, named, signal), named, command)
}

/** The one that a recovery can go on with: unless it is named, none that is in a cut-over or was in one. Throws as `findCopy` does. */
export async function findUnfinished(options: RdsOptions, named: string | undefined, signal: AbortSignal): Promise<FoundCopy> {
  const all = await findCopies(options, named, signal)
  return theOne(named === undefined ? all.filter(({instance}) => cutoverMarkOf(instance) === undefined && tagOf(instance, TAG.replaced) === undefined) : all, named)
}

function theOne(all: readonly FoundCopy[], named: string | undefined, command = 'dr pitr resume'): FoundCopy {
  const alive = all.filter(({instance}) => !isLost(instance.DBInstanceStatus ?? ''))
  const [first, ...others] = alive.length > 0 ? alive : all
  if (first === undefined) throw preflightError('pitr.no-copy', named === undefined ? 'There is no copy that dr has asked for.' : `${named} is not there, or has not the marks of dr.`, {hints: ['dr pitr list shows what there is.']})
  if (others.length > 0) throw usageError('pitr.which', `There are ${others.length + 1} copies that dr has asked for.`, {hints: [first, ...others].map((one) => `${command} ${nameOf(one)}: ${one.instance.DBInstanceStatus ?? ''}, of ${one.marks.source ?? 'a source that is gone'}, ${one.marks.purpose}`)})
  return first
}

const nameOf = ({instance: {DBInstanceIdentifier = ''}}: FoundCopy): string => DBInstanceIdentifier

export const wishOfCopy = (copy: FoundCopy): RecoveryWish => ({
  source: {instance: copy.marks.source ?? nameOf(copy)}, to: copy.marks.restoredTo === undefined || copy.marks.restoredTo === 'latest' ? null : copy.marks.restoredTo, target: nameOf(copy), choice: {purpose: copy.marks.purpose},
})

/** The state of a run that has asked for this copy, as far as AWS can tell: by its marks, and by the settings of its source. Throws `pitr.live` (exit 3) for one that is in use. */
export async function stateOfCopy({api, config, proof, wish}: RecoveryOptions, copy: FoundCopy, signal: AbortSignal): Promise<RecoveryState> {
  assertNotLive(copy.instance, {config, proof})
  const {instance: {DBInstanceIdentifier: target = '', DbiResourceId: resourceId = '', DBInstanceArn: arn = '', InstanceCreateTime = new Date()}, marks: {run, purpose, source = ''}} = copy
  const live = source === '' || source === target ? undefined : await api.instance(source, signal)
  return {
    environment: config.environment, wish, source, purpose, to: wish.to, rtoSeconds: config.objectives.rtoSeconds, target, runId: run, plan: planOf(copy, live, wish),
    asked: {at: InstanceCreateTime.toISOString(), adopted: true}, copy: {instance: target, resourceId, arn}, marks: {}, findings: [],
  }
}

/** Without its source nothing is known of what is set afterwards. */
function planOf({instance, marks}: FoundCopy, live: DBInstance | undefined, {to}: RecoveryWish): RecoveryPlan {
  const target = instance.DBInstanceIdentifier ?? ''
  const known = plainPlan(planRestore(live ?? instance, {target, to: to === null ? undefined : new Date(to), purpose: marks.purpose, runId: marks.run}))
  const none = live === undefined ? {afterwards: {}, roles: [], warnings: [`${marks.source ?? 'The source'} is gone: what a restore cannot take of its settings is not set.`]} : {}
  return {...known, ...none, source: marks.source ?? '', target, purpose: marks.purpose, to, window: {earliest: to ?? '', latest: to ?? ''}}
}

/** Waits on for a copy, sets what is missing, and proves it: what is left of a recovery when it has been asked for. */
export function adoptProcedure(options: RecoveryOptions, {instance: {DBInstanceIdentifier = ''}}: FoundCopy): Procedure<RecoveryState> {
  const whole = recoveryProcedure(options)
  return {...whole, title: `Go on with ${DBInstanceIdentifier}`, target: `${whole.target ?? ''} ${DBInstanceIdentifier}`.trim(), phases: whole.phases.filter(({title}) => title === 'Wait' || title === 'Prove')}
}
