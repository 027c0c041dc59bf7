import {DrError, preflightError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {awsCommand} from '../../rds/restore-plan.ts'
import {brokenRole, isSettled, missingRoles, unsetOf, wantsReboot} from '../../rds/settle.ts'
import {TAG, tagOf} from '../../rds/tags.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {assertNotLive} from './live.ts'
import {isOurs} from './look.ts'
import {copyOf, planned, type RecoveryOptions, type RecoveryState} from './recover-options.ts'
import {systemPollClock, waitFor} from './wait.ts'

const LEAST_PATIENCE_MS = 4 * 60 * 60_000
const TIMES_RTO = 4
const SHOWS_MS = 15 * 60_000

/** AWS may take longer than the objective; to give up then would help nobody. */
export const patienceMs = (rtoSeconds: number): number => Math.max(LEAST_PATIENCE_MS, TIMES_RTO * rtoSeconds * 1000)

/** Waits for the copy, and makes sure that it is still the one that was asked for. `settled`: what else must hold. */
async function ready(options: RecoveryOptions, state: RecoveryState, io: StepIo, settled: (instance: DBInstance) => boolean = () => true): Promise<DBInstance> {
  const copy = copyOf(state)
  const earlierMs = Math.max(0, options.now().getTime() - Date.parse(state.asked?.at ?? options.now().toISOString()))
  const found = await waitFor(options, {instance: copy.instance, budgetMs: patienceMs(state.rtoSeconds), objectiveMs: state.rtoSeconds * 1000, earlierMs, settled: (one) => isSettled(one) && settled(one)}, io).catch((error: unknown) => {
    if (error instanceof DrError && error.code === 'pitr.ended') state.ended = true
    throw error
  })
  delete state.ended
  if (!isOurs(found, state.runId) || (copy.resourceId !== '' && found.DbiResourceId !== copy.resourceId)) throw otherInstance(copy.instance)
  return found
}

/** As `ready`, before anything that clients would feel: hours may have gone by, and it may have taken a place meanwhile. */
async function readyToChange(...[options, state, ...more]: Parameters<typeof ready>): Promise<DBInstance> {
  const found = await ready(options, state, ...more)
  state.live = true
  assertNotLive(found, options, true)
  delete state.live
  return found
}

/** One that is being backed up is of use, but AWS changes nothing on it. */
const isChangeable = ({DBInstanceStatus = ''}: DBInstance): boolean => ['available', 'storage-optimization'].includes(DBInstanceStatus)

const otherInstance = (name: string) => preflightError('pitr.not-ours', `${name} is not the instance that this run asked for: somebody has put another in its place, or taken its tags away.`, {hints: ['dr pitr list shows what dr made.']})

export function waitStep(options: RecoveryOptions): Step<RecoveryState> {
  return {
    id: 'pitr.wait',
    title: 'Wait until it is available',
    effect: 'read',
    byHand: ({target = 'TARGET'}) => [{argv: ['aws', 'rds', 'describe-db-instances', '--db-instance-identifier', target, '--query', 'DBInstances[0].[DBInstanceStatus,Endpoint.Address]'], note: 'again and again; not aws rds wait, which misses most failures'}],
    async run(state, io) {
      const found = await ready(options, state, io)
      const {Endpoint, DbiResourceId = '', DBInstanceArn = ''} = found
      state.copy = {...copyOf(state), resourceId: DbiResourceId, arn: DBInstanceArn, ...(Endpoint?.Address !== undefined && {host: Endpoint.Address}), ...(Endpoint?.Port !== undefined && {port: Endpoint.Port})}
      state.marks.available ??= options.now().toISOString()
      const hydrated = tagOf(found, TAG.hydrated)
      if (hydrated !== undefined) state.marks.hydrated = hydrated
    },
  }
}

/** What a restore takes no input for. Looks first: what is so already is not asked for again. */
export function settingsStep(options: RecoveryOptions): Step<RecoveryState> {
  return {
    id: 'pitr.settings',
    title: 'Set what a restore cannot',
    effect: 'write',
    byHand({plan, target = 'TARGET'}) {
      const {afterwards = {}, roles = []} = plan ?? {}
      return [
        ...(Object.keys(afterwards).length === 0 ? [] : [{argv: awsCommand('modify-db-instance', {DBInstanceIdentifier: target, ...afterwards, ApplyImmediately: true})}]),
        ...roles.map((role) => ({argv: awsCommand('add-role-to-db-instance', {DBInstanceIdentifier: target, ...role})})),
      ]
    },
    async run(state, io) {
      const settled = {modified: [] as string[], roles: [] as string[], rebooted: false}
      const [found, {plan}] = [await readyToChange(options, state, io), planned(state)]
      state.settled = settled
      if (Object.keys(unsetOf(plan.afterwards, found)).length === 0 && missingRoles(plan.roles, found).length === 0 && !wantsReboot(found)) return
      let last = await readyToChange(options, state, io, isChangeable)
      settled.modified = await modify(options, state, last, io)
      if (settled.modified.length > 0) last = await inPlace(options, state, io)
      for (const role of missingRoles(plan.roles, last)) {
        io.progress(`role for ${role.FeatureName}`)
        await options.api.addRole(copyOf(state).instance, role, io.signal)
        settled.roles.push(role.FeatureName)
        // One after the other: nothing says that AWS takes two at once.
        last = await readyToChange(options, state, io, isChangeable)
      }
      const broken = brokenRole(last)
      if (broken !== undefined) io.notice(`AWS could not attach the role ${broken}: look at its trust policy, then aws rds add-role-to-db-instance.`)
      if (wantsReboot(last)) settled.rebooted = await reboot(options, state, io)
    },
  }
}

/** A change shows only after a while, when the status has long been available again. */
async function inPlace(options: RecoveryOptions, state: RecoveryState, io: StepIo): Promise<DBInstance> {
  const {clock = systemPollClock} = options
  const [{plan: {afterwards}}, until] = [planned(state), clock.now() + SHOWS_MS]
  const last = await readyToChange(options, state, io, (one) => isChangeable(one) && (Object.keys(unsetOf(afterwards, one)).length === 0 || clock.now() > until))
  const unset = Object.keys(unsetOf(afterwards, last))
  if (unset.length > 0) io.notice(`AWS took these settings, but the instance does not show them: ${unset.join(', ')}. aws rds describe-db-instances tells.`)
  return last
}

/** Names of what was changed. */
async function modify({api}: RecoveryOptions, state: RecoveryState, instance: DBInstance, io: StepIo): Promise<string[]> {
  const unset = unsetOf(planned(state).plan.afterwards, instance)
  const names = Object.keys(unset)
  if (names.length === 0) return []
  io.progress(names.join(', '))
  await api.modify({DBInstanceIdentifier: copyOf(state).instance, ...unset}, io.signal)
  return names
}

/** Nobody works on the copy yet. */
async function reboot(options: RecoveryOptions, state: RecoveryState, io: StepIo): Promise<boolean> {
  io.notice('Static parameters wait for a restart of the copy: it is restarted.')
  await options.api.reboot(copyOf(state).instance, io.signal)
  const after = await ready(options, state, io)
  if (wantsReboot(after)) io.notice('The parameter group still waits for a restart: aws rds describe-db-instances shows its ParameterApplyStatus.')
  return true
}
