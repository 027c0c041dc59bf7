import {randomBytes} from 'node:crypto'
import {resolve} from 'node:path'
import {preflightError} from '../errors.ts'
import type {ExpectedPlan, RecoveryOptions, RecoveryPlan, RecoveryWish} from '../procedures/pitr/recover-options.ts'
import type {Context} from './context.ts'
import {recoveryOptions} from './pitr.ts'

/** What `dr pitr plan --json` prints. */
export interface RecoveryPlanResult extends RecoveryPlan {
  environment: string
  /** The run that the marks of the new instance will name. */
  runId: string
  /** The same, to be typed into a shell. */
  commands: string[]
  /** With --out. */
  file: string | null
}

/** Looks at AWS and changes nothing there. */
export async function makePlan(context: Context, wish: RecoveryWish, out: string | undefined): Promise<RecoveryPlanResult> {
  const [{planRecovery, assertAskable}, {recoveryState}, {systemClock}] = await Promise.all([import('../procedures/pitr/look.ts'), import('../procedures/pitr/index.ts'), import('../system/clock.ts')])
  const {options, close} = await recoveryOptions(context, wish)
  try {
    const [state, signal, runId] = [recoveryState(options), await context.signal(), await newRun(systemClock.now())]
    const plan = await planRecovery(options, {...state, target: state.target ?? '', runId}, signal)
    await assertAskable(options, plan, signal)
    const result = {...plan, environment: state.environment, runId, commands: await commandsOf(plan)}
    return {...result, file: out === undefined ? null : await written(options, result, resolve(out))}
  } finally {
    await close()
  }
}

/** As a run is called. */
async function newRun(now: Date): Promise<string> {
  const {compactUtc} = await import('../system/clock.ts')
  return `${compactUtc(now)}-pitr-${randomBytes(2).toString('hex')}`
}

async function commandsOf({request, afterwards, roles, target}: RecoveryPlan): Promise<string[]> {
  const [{awsCommand}, {requestOf}, {shellCommand}] = await Promise.all([import('../rds/restore-plan.ts'), import('../report/recovery-plan.ts'), import('../ui/shell.ts')])
  return [
    awsCommand('restore-db-instance-to-point-in-time', requestOf(request)),
    ...(Object.keys(afterwards).length === 0 ? [] : [awsCommand('modify-db-instance', {DBInstanceIdentifier: target, ...afterwards, ApplyImmediately: true})]),
    ...roles.map((role) => awsCommand('add-role-to-db-instance', {DBInstanceIdentifier: target, ...role})),
  ].map(shellCommand)
}

async function written({config: {rds}, wish, now}: RecoveryOptions, {environment, runId, commands, ...plan}: Omit<RecoveryPlanResult, 'file'>, path: string): Promise<string> {
  const {planFile, writePlan} = await import('../procedures/pitr/plan-file.ts')
  await writePlan(path, planFile({createdAt: now().toISOString(), environment, region: rds.region ?? null, endpoint: rds.endpoint ?? null, run: runId, wish: {...wish, target: plan.target}, plan, commands}))
  return path
}

/** What a file holds, for this API and environment. Throws `pitr.plan-place` (exit 3) when it is of another. */
export async function expectedPlan(context: Context, path: string, acceptChanges: boolean): Promise<{wish: RecoveryWish; expected: ExpectedPlan}> {
  const {readPlan} = await import('../procedures/pitr/plan-file.ts')
  const [file, {environment, rds}] = [await readPlan(resolve(path)), await context.config()]
  const [planned, here] = [[file.environment, file.region, file.endpoint], [environment, rds.region ?? null, rds.endpoint ?? null]]
  if (planned.join() !== here.join()) throw preflightError('pitr.plan-place', `${path} was planned for ${shown(planned)}; this is ${shown(here)}.`, {hints: ['Set --environment, rds.region and rds.endpoint as they were, or make a new plan.']})
  return {wish: file.wish, expected: {plan: file.plan, runId: file.run, acceptChanges}}
}

const shown = (place: readonly (string | null)[]): string => place.flatMap((one) => one ?? []).join(', ')

/** The whole plan: what an operator checks, the table, the warnings, the commands. */
export async function planReport(result: RecoveryPlanResult, now: Date): Promise<string[]> {
  const [{recoveryPlanLines}, {recoveryLines}, {outTheme: theme}, {columnsOf}, {wrapped}, {redact}] = await Promise.all([import('../ui/recovery.ts'), import('../report/recovery-lines.ts'), import('../ui/theme.ts'), import('../ui/text.ts'), import('../ui/wrap.ts'), import('../system/redact.ts')])
  const width = process.stdout.isTTY ? columnsOf(process.stdout) : undefined
  const head = recoveryLines(result, now).filter((line) => !/^(Settings|Afterwards)/.test(line)).flatMap((line) => [...wrapped(line, width, ' '.repeat(12))])
  return [...head, '', ...recoveryPlanLines(result, width), '', ...result.commands.map((command) => theme.command(`$ ${command}`))].map(redact)
}
