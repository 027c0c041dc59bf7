import {DrError, messageOf, preflightError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {kindOf} from '../../rds/status.ts'
import type {Gate, ManualCommand, Procedure, Step, StepIo} from '../../runbook/procedure.ts'
import {judge, kindOfCopy, type JudgeOptions, type LeftInstance} from './cleanup-judge.ts'
import {byResource, MINUTE_MS, untilAvailable, untilSo} from './cutover-instances.ts'
import type {RdsOptions} from './options.ts'
import {waitFor} from './wait.ts'

export interface CleanupOptions extends RdsOptions, JudgeOptions {}

/** Plain data: it stands in the journal and in --json. */
export interface CleanupState {
  environment: string
  instances: LeftInstance[]
  removed: string[]
  /** Those that were to go and did not, and why. */
  failed: {instance: string; why: string}[]
}

const BUDGET_MS = 60 * MINUTE_MS

/** Deletes copies that dr has made, by their tags. Their automated backups are kept, always. */
export function cleanupProcedure(options: CleanupOptions): Procedure<CleanupState> {
  return {
    id: 'pitr-cleanup',
    title: 'Remove restored copies that are not needed',
    once: 'run dr pitr cleanup again',
    phases: [{title: 'Remove', gate: cleanupGate(), steps: [removeStep(options)]}],
  }
}

/** Throws `pitr.not-removable` (exit 3) for one that was named and must stay. */
export function cleanupState(options: CleanupOptions, all: readonly DBInstance[]): CleanupState {
  const instances = all.flatMap((one) => {
    const kind = kindOfCopy(one)
    return kind === undefined || (options.named.length > 0 && !options.named.includes(one.DBInstanceIdentifier ?? '')) ? [] : [judge(one, kind, options)]
  })
  for (const name of options.named) {
    const found = instances.find(({instance}) => instance === name)
    if (found === undefined) throw preflightError('pitr.not-removable', all.some(({DBInstanceIdentifier}) => DBInstanceIdentifier === name) ? `${name} is not dr’s: it has none of its tags, and stays.` : `There is no instance ${name}.`, {hints: ['dr pitr list shows what dr has made.']})
    if (found.stays !== undefined) throw preflightError('pitr.not-removable', `${name} stays: ${found.stays}.`, {hints: ['dr pitr list shows what is called what.']})
  }
  return {environment: options.config.environment, instances, removed: [], failed: []}
}

const going = ({instances}: CleanupState): LeftInstance[] => instances.filter(({stays}) => stays === undefined)
const nothing = (state: CleanupState): string | undefined => (going(state).length === 0 ? 'nothing is to be removed' : undefined)

function cleanupGate(): Gate<CleanupState> {
  return {
    strict: true,
    skip: nothing,
    question: (state) => `Delete ${going(state).length === 1 ? 'this instance' : `these ${going(state).length} instances`} for good?`,
    mustType: (state) => going(state).map(({instance}) => instance).join(','),
    details: ({instances}) => instances.map(({instance, resourceId, kind, status, since, finalSnapshot, stays, protected: isProtected}) =>
      `${(stays === undefined ? 'DELETE' : 'stays').padEnd(11)} ${instance}, ${resourceId}, ${kind}, ${status}, since ${since ?? 'not known'}${stays === undefined ? `; ${finalSnapshot === null ? 'no final snapshot' : `final snapshot ${finalSnapshot}`}; automated backups are kept${isProtected ? '; its protection is taken away' : ''}` : `: ${stays}`}`),
    declined: () => ['Nothing was changed.'],
  }
}

const unprotectCommand = (id: string): ManualCommand => ({argv: ['aws', 'rds', 'modify-db-instance', '--db-instance-identifier', id, '--no-deletion-protection', '--apply-immediately']})
const deleteCommand = ({instance, finalSnapshot}: LeftInstance): ManualCommand => ({argv: ['aws', 'rds', 'delete-db-instance', '--db-instance-identifier', instance, '--no-delete-automated-backups', ...(finalSnapshot === null ? ['--skip-final-snapshot'] : ['--no-skip-final-snapshot', '--final-db-snapshot-identifier', finalSnapshot])]})

function removeStep(options: CleanupOptions): Step<CleanupState> {
  return {
    id: 'cleanup.remove',
    title: 'Delete them',
    effect: 'destroy',
    skip: nothing,
    byHand: (state) => going(state).flatMap((one) => [...(one.protected ? [unprotectCommand(one.instance)] : []), deleteCommand(one)]),
    async run(state, io) {
      for (const one of going(state)) {
        io.signal.throwIfAborted()
        try {
          await remove(options, one, io)
          state.removed.push(one.instance)
        } catch (error) {
          io.signal.throwIfAborted()
          if (!(error instanceof DrError)) throw error
          state.failed.push({instance: one.instance, why: messageOf(error)})
        }
      }
    },
  }
}

async function remove(options: CleanupOptions, one: LeftInstance, io: StepIo): Promise<void> {
  const {api} = options
  await assertStill(options, one, io)
  if (one.protected) {
    // What does not come back by itself is never available.
    const broken = kindOf(one.status) === 'terminal'
    if (!broken) await untilAvailable(options, one.instance, BUDGET_MS, io)
    await api.modify({DBInstanceIdentifier: one.instance, DeletionProtection: false}, io.signal)
    if (broken) await untilUnprotected(options, one.resourceId, io)
    else await untilAvailable(options, one.instance, BUDGET_MS, io)
    // It took a while: it may be another by now.
    await assertStill(options, one, io)
  }
  await api.remove({instance: one.instance, finalSnapshot: one.finalSnapshot}, io.signal)
  await waitFor(options, {instance: one.instance, gone: true, budgetMs: BUDGET_MS}, io)
}

const untilUnprotected = (options: CleanupOptions, resourceId: string, io: StepIo) =>
  untilSo(options, {budgetMs: BUDGET_MS, what: 'Its protection was not taken away', look: async () => ((await byResource(options, resourceId, io.signal))?.DeletionProtection === true ? undefined : true)}, io)

/** A name may be another's by now: only the instance that was shown goes. */
async function assertStill({api, ...options}: CleanupOptions, {instance, resourceId}: LeftInstance, io: StepIo): Promise<void> {
  const found = await api.instance(instance, io.signal)
  const kind = found && kindOfCopy(found)
  if (found?.DbiResourceId !== resourceId || kind === undefined) throw preflightError('pitr.not-removable', `${instance} is no longer the instance that was shown.`, {hints: ['Run dr pitr cleanup again.']})
  const {stays} = judge(found, kind, options)
  if (stays !== undefined) throw preflightError('pitr.not-removable', `${instance} stays: ${stays}.`, {hints: ['dr pitr list shows what is called what.']})
}
