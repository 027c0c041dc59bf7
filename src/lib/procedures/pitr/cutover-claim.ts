import {ExitCode, lockedError, StopError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {UNKNOWN_MS} from '../../rds/poller.ts'
import {TAG, tagOf} from '../../rds/tags.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {betweenLooks, byResource, untilSo} from './cutover-instances.ts'
import {cutoverMarkOf, frozenRunOf, type CutoverMark} from './cutover-marks.ts'
import {partyOf, type CutoverState, type Party} from './cutover-options.ts'
import type {RdsOptions} from './options.ts'

type Claimed = Pick<CutoverState, 'name' | 'old' | 'copy'>

export interface OpenCutover {
  copy: DBInstance
  mark: CutoverMark
}

/** Cut-overs of this production instance that have begun and are not at their end. */
export function openCutovers(all: readonly DBInstance[], name: string): OpenCutover[] {
  return all.flatMap((copy) => {
    const mark = cutoverMarkOf(copy)
    const old = mark && all.find(({DbiResourceId}) => DbiResourceId === mark.resourceId)
    return mark?.name === name && old !== undefined && tagOf(old, TAG.replaced) === undefined ? [{copy, mark}] : []
  })
}

/** Throws `pitr.in-cutover` (exit 6) while another run has begun a cut-over of the same instance. */
export function assertNoOther(all: readonly DBInstance[], name: string, run: string): void {
  const other = openCutovers(all, name).find(({mark}) => mark.run !== run)
  if (other) throw inCutover(name, other.mark.run)
}

const inCutover = (name: string, run: string) => lockedError('pitr.in-cutover', `The run ${run} has begun a cut-over of ${name}.`, {hints: [`To go on with it, where it was begun: dr resume ${run}`, `To take it back, from anywhere: dr pitr rollback ${run}`]})

/** Whoever takes it back does all of it: this run neither goes on nor undoes anything. Throws `pitr.in-cutover` (exit 6). */
export function assertNotTakenBack(all: readonly DBInstance[], {resourceId}: Pick<Party, 'resourceId'>, run: string): void {
  const copy = all.find(({DbiResourceId}) => DbiResourceId === resourceId)
  const mark = copy && cutoverMarkOf(copy)
  if (mark?.run !== run || mark.rollback === undefined) return
  throw new StopError('pitr.in-cutover', `The run ${mark.rollback} has begun to take the cut-over back.`, {exitCode: ExitCode.locked, hints: [`If that one has ended: dr pitr rollback ${run} goes on from what it finds.`]})
}

/** After the mark was set: that it is ours and the only one, twice, a poll apart; another may have set one at the same time. */
export async function assertAlone(options: RdsOptions, state: Claimed, io: StepIo): Promise<void> {
  const copy = partyOf(state.copy)
  for (const look of ['first', 'second']) {
    await untilSo(options, {budgetMs: UNKNOWN_MS, what: 'AWS did not show the mark of the cut-over', look: async () => {
      const all = await options.api.instances(io.signal)
      assertNoOther(all, state.name, io.run)
      assertNotTakenBack(all, copy, io.run)
      return all.some((one) => one.DbiResourceId === copy.resourceId && cutoverMarkOf(one)?.run === io.run) ? true : undefined
    }}, io)
    if (look === 'first') await betweenLooks(options, io)
  }
}

/** Before anything is done that clients feel: the cut-over is still this run’s. Throws `pitr.in-cutover` (exit 6). */
export async function assertClaim(options: RdsOptions, state: Claimed, io: StepIo): Promise<void> {
  if (await isTakenBack(options, state, io)) throw lockedError('pitr.in-cutover', `The marks of the run ${io.run} are gone: somebody has rolled it back.`, {hints: ['dr pitr list shows what is called what, and what is live.']})
}

/** Somebody has taken all of it back: nothing is left to undo. Throws `pitr.in-cutover` (exit 6) while it is another run’s to go on with, or to take back. */
export async function isTakenBack(options: RdsOptions, state: Claimed, io: StepIo): Promise<boolean> {
  const found = await byResource(options, partyOf(state.copy).resourceId, io.signal)
  // A name that is changing may be in no list for a moment.
  if (found === undefined) return false
  const mark = cutoverMarkOf(found)
  assertNotTakenBack([found], partyOf(state.copy), io.run)
  if (mark && mark.run !== io.run) throw inCutover(state.name, mark.run)
  return mark === undefined
}

/** Somebody has taken it back, and perhaps put another in the place since: neither the marks nor the stopped writes are this run’s, and the name is somebody’s. */
export async function isOver(options: RdsOptions, state: Claimed, io: StepIo): Promise<boolean> {
  const all = await options.api.instances(io.signal)
  const [old, copy] = [state.old, state.copy].map((party) => all.find(({DbiResourceId}) => DbiResourceId === partyOf(party).resourceId))
  const holder = all.find(({DBInstanceIdentifier}) => DBInstanceIdentifier === state.name)
  if (copy === undefined || holder === undefined) return false
  const mark = cutoverMarkOf(copy)
  const isOurs = mark?.run === io.run || (old !== undefined && frozenRunOf(old) === io.run)
  // Without a mark, by name the copy is in the place: somebody has only taken the marks away.
  return !isOurs && (mark !== undefined || holder.DbiResourceId !== copy.DbiResourceId)
}

/** Whether this run stopped the writes, as far as AWS knows, and nobody else relies on it. */
export async function mayThaw(options: RdsOptions, state: Claimed, io: StepIo): Promise<boolean> {
  const all = await options.api.instances(io.signal)
  const old = all.find(({DbiResourceId}) => DbiResourceId === partyOf(state.old).resourceId)
  const frozenBy = old && frozenRunOf(old)
  return (frozenBy === undefined || frozenBy === io.run) && openCutovers(all, state.name).every(({mark}) => mark.run === io.run && mark.rollback === undefined)
}
