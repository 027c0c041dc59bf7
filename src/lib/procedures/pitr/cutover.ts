import {DrError, preflightError} from '../../errors.ts'
import {notWritable} from '../../postgres/freeze.ts'
import type {DBSnapshot} from '../../rds/api.ts'
import {assertNotEnded} from '../../rds/poller.ts'
import {kindOf} from '../../rds/status.ts'
import type {Procedure, Step} from '../../runbook/procedure.ts'
import {compactUtc} from '../../system/clock.ts'
import {TAG} from '../../rds/tags.ts'
import {cutoverGate, undoGate} from './cutover-gate.ts'
import {dropTags, freezeStep, markStep, unfreezeStep} from './cutover-freeze.ts'
import {byResource, leftOrThrown, locate, MINUTE_MS, stays, untilAvailable, untilSo} from './cutover-instances.ts'
import {lookSteps} from './cutover-look.ts'
import {assertClaim, isOver} from './cutover-claim.ts'
import {CUTOVER_TAGS} from './cutover-marks.ts'
import {elsewhere} from './cutover-rename.ts'
import {partyOf, type CutoverOptions, type CutoverState} from './cutover-options.ts'
import {assertHolds, proveAnswer} from './cutover-prove.ts'
import {switchSteps} from './cutover-switch.ts'
import {targetAt} from './target.ts'

/**
 * Has a restored copy take the place of the production instance. Everything before the new instance is proven is taken back
 * when it fails, or at Ctrl-C; behind that nothing is. Each step finds by the resource ids of both what is left of it.
 */
export function cutoverProcedure(options: CutoverOptions): Procedure<CutoverState> {
  return {
    id: 'pitr-cutover',
    title: `Cut ${options.name} over to a restored copy`,
    later: 'go-on',
    target: options.name,
    leaves: (state) => leaves(options, state),
    undoGate,
    phases: [
      {title: 'Look', steps: lookSteps(options)},
      {title: 'Cut over', gate: cutoverGate(options), steps: [markStep(options), freezeStep(options), snapshotStep(options), ...switchSteps(options), proveStep(options)].map((step) => withWayBack(options, step))},
      {title: 'After it', steps: [protectStep(options), unfreezeStep(options)]},
    ],
  }
}

/** What somebody has taken back is undone; what cannot be undone now is undone by a rollback, from wherever it has come to. */
function withWayBack(options: CutoverOptions, step: Step<CutoverState>): Step<CutoverState> {
  if (step.undo === undefined) return step
  return {...step, undo: async (state, io) => {
    try {
      if (await isOver(options, state, io)) io.notice('Somebody has rolled it back meanwhile: nothing of this run is left to undo.')
      else await step.undo?.(state, io)
    } catch (error) {
      if (!(error instanceof DrError)) throw error
      throw new DrError(error.code, error.message, {cause: error, exitCode: error.exitCode, hints: [...error.hints, `When nothing is in its way any more: dr pitr rollback ${io.run}`]})
    }
  }}
}

function leaves({freeze, keepFrozen}: CutoverOptions, {proven, name, copy, byHand = false}: CutoverState): string[] | undefined {
  if (proven !== true) return undefined
  const left = ['the marks of the old instance', 'protection of both against deletion', ...(freeze && !keepFrozen ? ['writes to the old instance'] : [])]
  const reached = byHand ? `the application is to be pointed at ${copy?.host ?? ''}:${copy?.port ?? ''}` : `clients of ${name} reach ${copy?.resourceId ?? 'the copy'}`
  return [`The cut-over stands: ${reached}. To be done is: ${left.join(', ')}.`, 'To go back: dr pitr rollback']
}

export function cutoverState({config, name, mode}: CutoverOptions, now: Date): CutoverState {
  const stamp = compactUtc(now).replaceAll(/\D/g, '')
  return {environment: config.environment, mode, name, oldName: suffixed(name, `-old-${stamp}`), snapshot: `${name}-before-cutover-${stamp}`, findings: []}
}

/** Most characters that AWS takes. */
const LONGEST = 63

/** The whole name is nowhere needed: an instance is known by its resource id. */
export const suffixed = (name: string, suffix: string): string => `${name.slice(0, LONGEST - suffix.length).replace(/-+$/, '')}${suffix}`

const SNAPSHOT_BUDGET_MS = 60 * MINUTE_MS

function snapshotStep(options: CutoverOptions): Step<CutoverState> {
  const {api} = options
  return {
    id: 'cutover.snapshot',
    title: `Snapshot of ${options.name}`,
    effect: 'write',
    skip: () => (options.snapshot ? undefined : '--no-snapshot'),
    byHand: ({name, snapshot}) => [{argv: ['aws', 'rds', 'create-db-snapshot', '--db-instance-identifier', name, '--db-snapshot-identifier', snapshot]}, {argv: ['aws', 'rds', 'wait', 'db-snapshot-available', '--db-snapshot-identifier', snapshot]}],
    async run(state, io) {
      const {name, snapshot} = state
      const {resourceId} = partyOf(state.old)
      try {
        await assertClaim(options, state, io)
        const available = await untilAvailable(options, name, SNAPSHOT_BUDGET_MS, io)
        const old = await locate(options, resourceId, io)
        if (old.DBInstanceIdentifier !== name || available.DbiResourceId !== resourceId) throw elsewhere(old, name)
        if ((await api.snapshotNamed(snapshot, io.signal)) === undefined) await api.snapshot(name, snapshot, [{Key: TAG.run, Value: io.run}], io.signal).catch(async (error: unknown) => {
          // The SDK asks again when a reply was lost.
          if ((await api.snapshotNamed(snapshot, io.signal)) === undefined) throw error
        })
        const taken = await untilSo(options, {budgetMs: SNAPSHOT_BUDGET_MS, what: `The snapshot ${snapshot} was not complete`, look: async () => {
          const found = await api.snapshotNamed(snapshot, io.signal)
          io.progress(`${found?.Status ?? 'not known yet'}${found?.PercentProgress === undefined ? '' : `, ${found.PercentProgress} %`}`)
          if (found?.Status === 'available') return found
          assertSnapshotGoesOn(found)
          assertNotEnded(await byResource(options, resourceId, io.signal))
          return undefined
        }}, io)
        if (taken.DbiResourceId !== undefined && taken.DbiResourceId !== resourceId) throw preflightError('pitr.renamed', `The snapshot ${snapshot} is of ${taken.DbiResourceId}, not of ${resourceId}.`, {hints: ['Somebody else has renamed an instance: dr pitr list shows what is called what.']})
      } catch (error) {
        throw leftOrThrown(error, io)
      }
    },
  }
}

function assertSnapshotGoesOn({Status = '', DBSnapshotIdentifier = ''}: DBSnapshot = {}): void {
  if (kindOf(Status) === 'terminal') throw new DrError('pitr.snapshot', `The snapshot ${DBSnapshotIdentifier} is ${Status}, and will not be of use.`, {hints: ['Run the command again; --no-snapshot goes on without one: the old instance itself is kept.']})
}

function proveStep(options: CutoverOptions): Step<CutoverState> {
  const {api, target, mode} = options
  return {
    id: 'cutover.prove',
    title: 'Prove that the copy answers',
    effect: 'read',
    byHand: () => [],
    async run(state, io) {
      const [old, copy] = [partyOf(state.old), partyOf(state.copy)]
      await assertClaim(options, state, io)
      try {
        if (mode === 'rename') assertHolds(await api.instance(state.name, io.signal), {name: state.name, resourceId: copy.resourceId, host: old.host, port: old.port})
      } catch (error) {
        throw leftOrThrown(error, io)
      }
      const at = mode === 'url' ? targetAt(target, copy, options) : target
      if ((await proveAnswer(options, at, {expected: copy, other: old}, io)).readOnly) throw notWritable(at)
      state.proven = true
    },
  }
}

function protectStep(options: CutoverOptions): Step<CutoverState> {
  const {api} = options
  return {
    id: 'cutover.protect',
    title: 'Both are protected against deletion; the old one is marked',
    effect: 'write',
    byHand: ({name, oldName, mode, copy}) => [mode === 'rename' ? oldName : name, mode === 'rename' ? name : (copy?.id ?? 'COPY')].map((id) => ({argv: ['aws', 'rds', 'modify-db-instance', '--db-instance-identifier', id, '--deletion-protection', '--apply-immediately']})),
    async run(state, io) {
      await assertClaim(options, state, io)
      try {
        const old = await byResource(options, partyOf(state.old).resourceId, io.signal)
        if (old?.DBInstanceArn !== undefined) {
          await api.addTags(old.DBInstanceArn, [{Key: TAG.replaced, Value: state.name}, {Key: TAG.replacedAt, Value: new Date().toISOString()}], io.signal)
          // It may have taken a place itself once.
          await dropTags(options, old.DbiResourceId ?? '', CUTOVER_TAGS, io)
        }
        for (const {resourceId} of [partyOf(state.old), partyOf(state.copy)]) await protect(options, resourceId, io)
      } catch (error) {
        throw stays(error, io)
      }
    },
  }
}

async function protect(options: CutoverOptions, resourceId: string, io: Parameters<Step<CutoverState>['run']>[1]): Promise<void> {
  const found = await byResource(options, resourceId, io.signal)
  if (found?.DBInstanceIdentifier === undefined || found.DeletionProtection === true) return
  await untilAvailable(options, found.DBInstanceIdentifier, SNAPSHOT_BUDGET_MS, io)
  await options.api.modify({DBInstanceIdentifier: found.DBInstanceIdentifier, DeletionProtection: true}, io.signal)
}
