import {DrError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {awsCommand} from '../../rds/restore-plan.ts'
import {recoveryLines} from '../../report/recovery-lines.ts'
import {requestOf} from '../../report/recovery-plan.ts'
import type {Gate, Step, StepIo} from '../../runbook/procedure.ts'
import {isOurs, nameTaken} from './look.ts'
import {planned, type RecoveryOptions, type RecoveryState} from './recover-options.ts'

/** The operator sees the request before anything is asked of AWS. */
export function askGate(options: RecoveryOptions): Gate<RecoveryState> {
  return {
    skip: ({asked}) => (asked === undefined ? undefined : 'it is asked for'),
    question: ({source, target = '', environment}) => `Have AWS restore ${source} (${environment}) into the new instance ${target}?`,
    mustType: ({target = ''}) => target,
    details: ({plan}) => (plan === undefined ? ['The plan is shown when AWS has been looked at; dr pitr plan shows it beforehand.'] : recoveryLines(plan, options.now())),
  }
}

/** Codes after which it is not known whether AWS has heard. */
const UNSURE = ['rds.exists', 'rds.unreachable', 'rds.throttled']

export function askStep(options: RecoveryOptions): Step<RecoveryState> {
  const {api} = options
  return {
    id: 'pitr.ask',
    title: 'Ask AWS for the new instance',
    effect: 'write',
    byHand: ({plan}) => (plan === undefined ? [{argv: ['dr', 'pitr', 'plan'], note: 'prints the command with its settings'}] : [{argv: awsCommand('restore-db-instance-to-point-in-time', requestOf(plan.request))}]),
    async run(state, io) {
      const there = await api.instance(state.target ?? '', io.signal)
      if (there) adopt(state, there, io)
      else await ask(options, state, io)
    },
    async settle(state, io) {
      const there = await api.instance(state.target ?? '', io.signal)
      if (!isOurs(there, state.runId)) return 'not done'
      note(state, there, options.now(), true)
      return 'done'
    },
    undo({target = '', copy}, io) {
      if (copy) io.notice(`${target} stays at AWS, and costs: dr pitr cleanup removes it.`)
      return Promise.resolve()
    },
  }

  function adopt(state: RecoveryState, there: DBInstance, io: StepIo): void {
    if (!isOurs(there, state.runId)) throw nameTaken(state.target ?? '', there)
    io.notice(`${state.target ?? ''} is there already, with the mark of this run: it is taken over.`)
    note(state, there, options.now(), true)
  }
}

/** The API has no token against asking twice: after a lost reply the marks of the instance tell whose it is. */
async function ask({api, now}: RecoveryOptions, state: RecoveryState, io: StepIo): Promise<void> {
  const {plan} = planned(state)
  try {
    note(state, await api.restore(requestOf(plan.request), io.signal), now(), false)
  } catch (error) {
    if (!(error instanceof DrError) || !UNSURE.includes(error.code)) throw error
    const there = await api.instance(plan.target, io.signal).catch(() => undefined)
    if (!isOurs(there, state.runId)) throw error
    io.notice(`The reply was lost, but ${plan.target} is being made for this run: it is taken over.`)
    note(state, there, now(), true)
  }
}

function note(state: RecoveryState, {DBInstanceIdentifier = state.target ?? '', DbiResourceId = '', DBInstanceArn = '', InstanceCreateTime}: DBInstance, now: Date, adopted: boolean): void {
  state.asked = {at: (adopted ? InstanceCreateTime ?? now : now).toISOString(), adopted}
  state.copy = {instance: DBInstanceIdentifier, resourceId: DbiResourceId, arn: DBInstanceArn}
}
