import {DrError, preflightError, StopError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {isThrottled} from '../../rds/faults.ts'
import {UNKNOWN_MS} from '../../rds/poller.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {Party} from './cutover-options.ts'
import type {RdsOptions} from './options.ts'
import {systemPollClock, waitFor} from './wait.ts'

export const MINUTE_MS = 60_000

/** The instance with this resource id, whatever it is called now. */
export async function byResource({api}: Pick<RdsOptions, 'api'>, resourceId: string, signal: AbortSignal): Promise<DBInstance | undefined> {
  return (await api.instances(signal)).find(({DbiResourceId}) => DbiResourceId === resourceId)
}

export function partyFrom({DBInstanceIdentifier = '', DbiResourceId = '', DBInstanceArn = '', Engine = '', EngineVersion = '', DBInstanceClass = '', DBInstanceStatus = '', Endpoint}: DBInstance): Party {
  return {id: DBInstanceIdentifier, resourceId: DbiResourceId, arn: DBInstanceArn, engine: `${Engine} ${EngineVersion}`, class: DBInstanceClass, status: DBInstanceStatus, host: Endpoint?.Address ?? '', port: Endpoint?.Port ?? 0}
}

/** As long as between two looks of the poller. */
export const betweenLooks = ({clock = systemPollClock, config}: RdsOptions, {signal}: Pick<StepIo, 'signal'>): Promise<void> => clock.pause(config.rds.pollSeconds * 1000, signal)

/** Looks until it holds; AWS may ask to slow down. Throws `pitr.budget` (exit 6) when time is up. */
export async function untilSo<T>(options: RdsOptions, {look, budgetMs, what}: {look: () => Promise<T | undefined>; budgetMs: number; what: string}, io: Pick<StepIo, 'signal'>): Promise<T> {
  const {clock = systemPollClock} = options
  for (const begun = clock.now(); ;) {
    io.signal.throwIfAborted()
    const found = await look().catch((error: unknown) => {
      if (isThrottled(error)) return undefined
      throw error
    })
    if (found !== undefined) return found
    if (clock.now() - begun >= budgetMs) throw new DrError('pitr.budget', `${what} within ${Math.round(budgetMs / MINUTE_MS)} minutes.`, {exitCode: 6, hints: ['AWS goes on with it: dr resume waits on.']})
    await betweenLooks(options, io)
  }
}

/** Where it is called now. A name that is changing may be in no list for a moment. */
export const locate = (options: RdsOptions, resourceId: string, io: StepIo): Promise<DBInstance> =>
  untilSo(options, {look: () => byResource(options, resourceId, io.signal), budgetMs: UNKNOWN_MS, what: `AWS did not show the instance ${resourceId}`}, io).catch((error: unknown) => {
    if (!(error instanceof DrError) || error.code !== 'pitr.budget') throw error
    throw preflightError('pitr.gone', `The instance with the resource id ${resourceId} is not there any more.`, {cause: error, hints: ['dr pitr list shows the instances and the backups that there are.']})
  })

/** `available` and nothing else: AWS takes no change of an instance that is being backed up. What waits for its maintenance window does not matter. */
export async function untilAvailable(options: RdsOptions, instance: string, budgetMs: number, io: StepIo): Promise<DBInstance> {
  for (;;) {
    const found = await waitFor(options, {instance, budgetMs, objectiveMs: objectiveOf(options), pending: 'ignored'}, io)
    if (found?.DBInstanceStatus === 'available' || found?.DBInstanceStatus === 'storage-optimization') return found
    await betweenLooks(options, io)
  }
}

export const objectiveOf = ({config}: RdsOptions): number => config.objectives.rtoSeconds * 1000

/** How it ended is not known, or not yet: to take anything back on a guess could do harm. */
const UNDECIDED = ['rds.credentials', 'rds.unreachable', 'rds.throttled', 'pitr.budget']

/** Ends the run where it is, when it is not known what became of the last call; anything else is thrown as it is. */
export function leftOrThrown(error: unknown, io: Pick<StepIo, 'notice' | 'run' | 'signal'>): Error {
  io.signal.throwIfAborted()
  // What is taken back now may take as long as two renames.
  if (error instanceof DrError && error.code === 'pitr.ended') for (const hint of error.hints) io.notice(hint)
  if (!(error instanceof DrError) || !UNDECIDED.includes(error.code)) return error as Error
  return new StopError(error.code, error.message, {cause: error, exitCode: error.exitCode, hints: [...error.hints.filter((hint) => !hint.includes('dr pitr resume')), `To go on: dr resume ${io.run}`, `To go back: dr pitr rollback ${io.run}`]})
}

/** Behind the cut-over nothing is taken back because of what is left to be done. */
export function stays(error: unknown, io: Pick<StepIo, 'notice' | 'run' | 'signal'>): Error {
  const left = leftOrThrown(error, io)
  if (!(left instanceof DrError) || left instanceof StopError) return left
  return new StopError(left.code, left.message, {cause: left, exitCode: left.exitCode, hints: [...left.hints, `The cut-over stands. To do what is left: dr resume ${io.run}`, `To go back: dr pitr rollback ${io.run}`]})
}
