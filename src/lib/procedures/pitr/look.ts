import {preflightError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {planRestore} from '../../rds/restore-plan.ts'
import {marksOf} from '../../rds/tags.ts'
import {assertWithin, lagWarning} from '../../rds/window.ts'
import {shownInstant} from '../../report/instant.ts'
import {plainPlan, planDifferences, valueText, type PlainRequest} from '../../report/recovery-plan.ts'
import type {Step} from '../../runbook/procedure.ts'
import type {RecoveryOptions, RecoveryPlan, RecoveryState} from './recover-options.ts'
import {findSource} from './source.ts'

export type PlanWish = Pick<RecoveryState, 'purpose' | 'to'> & {target: string; runId: string}

/** Looks at AWS, changes nothing, and says what would be asked. Throws where it is known that AWS would refuse. */
export async function planRecovery(options: RecoveryOptions, {target, purpose, to, runId}: PlanWish, signal: AbortSignal): Promise<RecoveryPlan> {
  const {wish: {choice}} = options
  const found = await findSource(options, signal)
  const at = to === null ? undefined : new Date(to)
  const plan = planRestore(found.source, {...choice, target, to: at, purpose, runId, ...(found.by && {by: found.by})})
  const now = options.now()
  const shown = (time: Date) => shownInstant(time, now)
  assertWithin(at, found.window, now, shown)
  const lag = lagWarning(found.window, now, shown)
  const warnings = [...(lag === undefined ? [] : [lag]), ...found.warnings, ...sideWarning(options), ...plan.warnings]
  return {...plainPlan({...plan, warnings}), source: found.source.DBInstanceIdentifier ?? '', target, purpose, to, window: found.window}
}

const sideWarning = ({wish: {choice: {purpose, securityGroups = []}}}: RecoveryOptions): string[] =>
  (purpose === 'side' && securityGroups.length === 0 ? ['A side copy in the security groups of its source is reached by whatever reaches the source: --security-group names one for the operator alone.'] : [])

/** The name is free, or has the marks of this run; the groups are there. */
export async function assertAskable({api}: RecoveryOptions, {request}: {request: PlainRequest}, signal: AbortSignal): Promise<void> {
  const {TargetDBInstanceIdentifier: target = '', DBParameterGroupName: parameters, DBSubnetGroupName: subnets} = request
  const [there, hasParameters, hasSubnets] = await Promise.all([
    api.instance(target, signal), parameters === undefined || api.hasParameterGroup(parameters, signal), subnets === undefined || api.hasSubnetGroup(subnets, signal),
  ])
  if (there) throw nameTaken(target, there)
  if (!hasParameters) throw preflightError('rds.setting', `There is no parameter group ${parameters ?? ''}.`, {hints: ['Name another one with --parameter-group; a saved configuration (dr config snapshot) holds what was set in it.']})
  if (!hasSubnets) throw preflightError('rds.setting', `There is no subnet group ${subnets ?? ''}.`, {hints: ['Name another one with --subnet-group (aws rds describe-db-subnet-groups).']})
}

export function nameTaken(target: string, there: DBInstance) {
  const {DBInstanceStatus = 'in an unknown status', TagList = []} = there
  return preflightError('rds.exists', `There is an instance ${target} already: ${DBInstanceStatus}, tags ${TagList.length === 0 ? 'none' : valueText(TagList)}.`, {
    hints: ['Choose another name with --target.', ...(marksOf(there) ? [`dr made it in another run: dr pitr resume ${target} goes on with it.`] : [])],
  })
}

/** Whether the instance of this name is the one that this run asked for. */
export const isOurs = (there: DBInstance | undefined, runId: string | undefined): there is DBInstance => there !== undefined && runId !== undefined && marksOf(there)?.run === runId

export function lookStep(options: RecoveryOptions): Step<RecoveryState> {
  return {
    id: 'pitr.look',
    title: 'Look at the source and its restore window',
    effect: 'read',
    skip: ({asked}) => (asked === undefined ? undefined : 'it is asked for'),
    byHand: ({source}) => [
      {argv: ['aws', 'rds', 'describe-db-instances', '--db-instance-identifier', source], note: 'settings, and LatestRestorableTime'},
      {argv: ['aws', 'rds', 'describe-db-instance-automated-backups', '--db-instance-identifier', source], note: 'RestoreWindow.EarliestTime'},
    ],
    async run(state, io) {
      const {expected} = options
      state.runId ??= expected?.runId ?? io.run
      const target = state.target ?? expected?.plan.target ?? ''
      state.target = target
      // An earlier process may have been killed before it could note that it had asked.
      if (state.plan !== undefined && isOurs(await options.api.instance(target, io.signal), state.runId)) return
      const plan = await planRecovery(options, {target, purpose: state.purpose, to: state.to, runId: state.runId}, io.signal)
      const before = state.plan ?? expected?.plan
      state.plan = before === undefined ? plan : agreed(before, plan, expected?.acceptChanges ?? false)
      if (isOurs(await options.api.instance(target, io.signal), state.runId)) return
      await assertAskable(options, state.plan, io.signal)
    },
  }
}

/** What was confirmed is what is asked; unless the source is another by now. */
function agreed(before: RecoveryPlan, now: RecoveryPlan, acceptChanges: boolean): RecoveryPlan {
  const differences = planDifferences(before, now)
  if (differences.length > 0 && !acceptChanges) {
    throw preflightError('pitr.changed', `The source is not as it was when this was planned:\n${differences.join('\n')}`, {hints: ['dr pitr plan makes a new plan.', 'dr pitr apply FILE --accept-changes asks for what was planned all the same.']})
  }
  return {...before, window: now.window, warnings: [...now.warnings, ...differences.map((one) => `Changed since it was planned: ${one}`)]}
}
