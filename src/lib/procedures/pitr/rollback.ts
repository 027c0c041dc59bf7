import {DrError, StopError} from '../../errors.ts'
import {lossLines} from '../../report/swap-lines.ts'
import {writtenWords} from '../../report/written.ts'
import {assertWrites} from '../../postgres/freeze.ts'
import {TAG} from '../../rds/tags.ts'
import {reopenJournal} from '../../runbook/journal.ts'
import type {Gate, Procedure, Step} from '../../runbook/procedure.ts'
import {OPEN} from '../../runbook/runs.ts'
import {suffixed} from './cutover.ts'
import {dropTags, thaw} from './cutover-freeze.ts'
import {notCounted} from './cutover-databases.ts'
import {partyLines} from './cutover-gate.ts'
import {locate} from './cutover-instances.ts'
import {journalOf} from './cutover-journal.ts'
import {CUTOVER_TAGS} from './cutover-marks.ts'
import {partyOf} from './cutover-options.ts'
import {assertHolds, proveAnswer} from './cutover-prove.ts'
import {rename} from './cutover-rename.ts'
import {leadProxy, pointAt, proxyCommands, switchCommand} from './cutover-switch.ts'
import {addressOf, assertOurs, claimStep} from './rollback-claim.ts'
import {rollbackLookSteps} from './rollback-look.ts'
import {backSuffix, type RollbackOptions, type RollbackState} from './rollback-options.ts'
import {targetAt} from './target.ts'

/**
 * Brings the old instance back, from wherever a cut-over has come to, by what AWS says of both: no journal is needed. The new
 * one is kept. Nothing of it is undone when it fails: run again, it goes on from what it finds.
 */
export function rollbackProcedure(options: RollbackOptions): Procedure<RollbackState> {
  return {
    id: 'pitr-rollback',
    title: options.run === undefined ? `Bring the old ${options.name} back` : `Take the cut-over ${options.run} back`,
    target: options.name,
    once: 'run dr pitr rollback again: it goes on from what it finds',
    phases: [
      {title: 'Look', steps: rollbackLookSteps(options)},
      {title: 'Go back', gate: rollbackGate(options), steps: [claimStep(options), ...[renameNewStep(options), renameOldStep(options), switchStep(options), thawStep(options), proveStep(options), settleStep(options)].map((step) => ours(options, step))].map(kept)},
    ],
  }
}

export const rollbackState = ({config, name}: RollbackOptions, now: Date): RollbackState =>
  ({environment: config.environment, name, backName: suffixed(name, backSuffix(now))})

/** Nothing is done for a run that is not the one to do it any more. */
function ours(options: RollbackOptions, step: Step<RollbackState>): Step<RollbackState> {
  return {...step, run: async (state, io) => {
    await assertOurs(options, state, io)
    await step.run(state, io)
  }}
}

/** A failure leaves everything where it is. */
function kept(step: Step<RollbackState>): Step<RollbackState> {
  return {...step, run: async (state, io) => {
    try {
      await step.run(state, io)
    } catch (error) {
      io.signal.throwIfAborted()
      if (!(error instanceof DrError) || error.code === 'pitr.in-rollback') throw error
      throw new StopError(error.code, error.message, {cause: error, exitCode: error.exitCode, hints: [...error.hints.filter((hint) => !/dr (pitr )?resume/.test(hint)), 'Run dr pitr rollback again: it goes on from what it finds.']})
    }
  }}
}

function rollbackGate({target}: RollbackOptions): Gate<RollbackState> {
  return {
    again: true,
    question: ({name, environment}) => `Bring the old ${name} (${environment}) back?`,
    mustType: ({name}) => name,
    details: (state) => [
      `Address     ${target.host}:${target.port}`,
      ...(state.old ? partyLines('Comes back', state.old) : []), ...(state.copy ? partyLines('Goes', state.copy) : []),
      ...(state.mode === undefined ? [] : [`Way         ${wayBack(state)}`]),
      ...(state.frozen === undefined ? [] : ['Writes      are stopped in the old one: they become possible again']),
      ...others(state), ...newRows(state, target.database),
      ...(state.staying ?? []).map((proxy) => `WARNING     ${state.copy?.id ?? ''}: the proxy ${proxy} leads to it and stays with it: its clients do not come back to the old one`),
    ],
    declined: () => ['Nothing was changed.'],
  }
}

/** Who may be at it elsewhere: from here nobody can tell. */
function others({cutoverRun, cutoverHere = true, earlier}: RollbackState): string[] {
  return [
    ...(cutoverHere ? [] : [`Cut-over    ${cutoverRun ?? ''} was begun on another machine; if it is at work still, it stops before its next step`]),
    ...(earlier === undefined ? [] : [`Rollback    ${earlier} has begun one; if it is at work still, it stops before its next step`]),
  ]
}

const holdsName = ({copy, name, mode}: RollbackState): boolean => mode === 'rename' && copy?.id === name
const lacksName = ({old, name, mode}: RollbackState): boolean => mode === 'rename' && old?.id !== name

function wayBack(state: RollbackState): string {
  const {mode, old, copy, name, backName} = state
  if (mode === 'proxy') return `proxy: ${old?.id ?? ''} is put in again, in place of ${copy?.id ?? ''}`
  if (mode === 'url') return `url: the application is pointed at ${old?.host ?? ''}:${old?.port ?? ''} again`
  const steps = [...(holdsName(state) ? [`${name} becomes ${backName}`] : []), ...(lacksName(state) ? [`${old?.id ?? ''} becomes ${name}`] : [])]
  return steps.length === 0 ? 'rename: both are called what they were before' : `rename: ${steps.join(', then ')}`
}

function newRows({loss, copy, backName, mode, uncountedDatabases}: RollbackState, database: string): string[] {
  if (loss === undefined) return ['Written     what was written on the new one cannot be counted; it is kept']
  const written = writtenWords(loss, 'were inserted or changed on the new one since')
  return [
    `Written     ${written ?? 'what was written on the new one since the cut-over is not known'}; it is kept${mode === 'rename' && copy ? ` (${backName})` : ''}`,
    ...notCounted(uncountedDatabases, database, 'is kept there as well'),
    ...lossLines(loss, ['NEW', 'OLD']),
  ]
}

const awsRename = (from: string, to: string) => ({argv: ['aws', 'rds', 'modify-db-instance', '--db-instance-identifier', from, '--new-db-instance-identifier', to, '--apply-immediately']})

function renameNewStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.rename-new',
    title: 'Rename the new instance out of the way',
    effect: 'destroy',
    skip: (state) => (holdsName(state) ? undefined : 'it does not have the name'),
    byHand: ({name, backName}) => [awsRename(name, backName)],
    async run(state, io) {
      const {resourceId} = partyOf(state.copy)
      state.copy = {...partyOf(state.copy), ...addressOf(await rename(options, {resourceId, from: state.name, to: state.backName}, io))}
      io.notice(`What was written on the new instance is kept in ${state.backName}.`)
    },
  }
}

function renameOldStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.rename-old',
    title: 'Give its name back to the old instance',
    effect: 'destroy',
    skip: (state) => (lacksName(state) ? undefined : 'it has its name'),
    byHand: ({old, name}) => [awsRename(old?.id ?? 'OLD', name)],
    async run(state, io) {
      const {resourceId, id} = partyOf(state.old)
      state.old = {...partyOf(state.old), ...addressOf(await rename(options, {resourceId, from: id, to: state.name}, io))}
    },
  }
}

function switchStep(options: RollbackOptions): Step<RollbackState> {
  const {switchCommand: command, proxy} = options.config.rds
  return {
    id: 'rollback.switch',
    title: 'Lead clients to the old instance',
    effect: 'destroy',
    skip: ({mode}) => (mode === 'rename' || mode === undefined ? 'the name does it' : undefined),
    byHand: ({mode, old, copy}) => (mode === 'proxy' ? proxyCommands(proxy ?? 'PROXY', copy?.id ?? 'NEW', old?.id ?? 'OLD') : command && old ? [{argv: switchCommand(command, old)}] : []),
    async run(state, io) {
      if (state.mode === 'proxy') await leadProxy(options, partyOf(state.old).id, io)
      else state.byHand = !(await pointAt(options, partyOf(state.old), io))
    },
  }
}

function thawStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.unfreeze',
    title: 'The old instance takes writes again',
    effect: 'write',
    skip: ({frozen}) => (frozen === undefined ? 'its writes are not stopped' : undefined),
    byHand: () => [],
    run: (state, io) => thaw(options, partyOf(state.old), state.frozen ?? [], io),
  }
}

function proveStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.prove',
    title: 'Prove that the old instance answers',
    effect: 'read',
    byHand: () => [],
    async run(state, io) {
      const [old, copy] = [partyOf(state.old), partyOf(state.copy)]
      const {Endpoint} = await locate(options, old.resourceId, io)
      if (state.mode === 'rename') assertHolds(await options.api.instance(state.name, io.signal), {name: state.name, resourceId: old.resourceId, host: Endpoint?.Address ?? '', port: Endpoint?.Port ?? 0})
      await proveAnswer(options, state.mode === 'url' ? targetAt(options.target, old, options) : options.target, {expected: old, other: copy}, io)
      await assertWrites(state.mode === 'url' ? targetAt(options.target, old, options) : options.target)
      state.rolledBack = true
    },
  }
}

/** Nothing says any more that the copy has the place; the cut-over’s run is over. */
function settleStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.settle',
    title: 'Note that it is rolled back',
    effect: 'write',
    byHand: () => [],
    async run(state, io) {
      await dropTags(options, partyOf(state.old).resourceId, [TAG.replaced, TAG.replacedAt], io)
      await dropTags(options, partyOf(state.copy).resourceId, CUTOVER_TAGS, io)
      const run = await journalOf(options, state.cutoverRun ?? '')
      if (run === undefined || !OPEN.includes(run.status)) return
      const journal = await reopenJournal(run.path)
      try {
        const about = {at: new Date().toISOString(), procedure: run.procedure}
        for (const step of run.begun) await journal.write({...about, event: 'undone', step, state: run.state})
        await journal.write({...about, event: 'ended', detail: `Rolled back by ${io.run}.`})
      } finally {
        await journal.close()
      }
    },
  }
}
