import {preflightError, usageError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {kindOf} from '../../rds/status.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {runActive} from '../../runbook/resume.ts'
import {otherDatabases} from './cutover-databases.ts'
import {countParty, lossOf} from './cutover-facts.ts'
import {suffixed} from './cutover.ts'
import {openCutovers} from './cutover-claim.ts'
import {byResource, locate, partyFrom} from './cutover-instances.ts'
import {journalOf} from './cutover-journal.ts'
import {cutoverMarkOf, frozenOf, frozenRunOf, type CutoverMark} from './cutover-marks.ts'
import {partyOf, type CutoverState, type Party} from './cutover-options.ts'
import {proxiesOf} from './cutover-proxies.ts'
import {steadyName} from './cutover-rename.ts'
import {backSuffix, ROLLBACK, type RollbackOptions, type RollbackState} from './rollback-options.ts'
import {targetAt} from './target.ts'

export function rollbackLookSteps(options: RollbackOptions): Step<RollbackState>[] {
  return [instancesStep(options), countStep(options)]
}

function instancesStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.instances',
    title: 'Look at what a cut-over has done',
    effect: 'read',
    byHand: () => [{argv: ['aws', 'rds', 'describe-db-instances'], note: 'tags dr:replaces and dr:cutover say it'}],
    async run(state, io) {
      const {copy, mark} = markedCopy(await options.api.instances(io.signal), options)
      if (mark.name !== state.name) Object.assign(state, {name: mark.name, backName: suffixed(mark.name, backSuffix(new Date()))})
      assertLeadsBack(options, mark, copy)
      const earlier = await journalOf(options, mark.run)
      const other = mark.rollback === undefined ? undefined : await journalOf(options, mark.rollback)
      for (const run of [earlier, other]) if (run?.status === 'running') throw runActive(run.run, run.owner)
      if ((await byResource(options, mark.resourceId, io.signal)) === undefined) throw preflightError('pitr.old-gone', `The old instance ${mark.resourceId} is not there any more: there is nothing to go back to.`, {hints: ['dr pitr list shows the backups that AWS retained of it; dr pitr --source-resource-id restores from one.']})
      const [old, now] = [await settled(options, mark.resourceId, io), await settled(options, copy.DbiResourceId ?? '', io)]
      assertReady(old)
      const holder = await options.api.instance(state.name, io.signal)
      if (holder !== undefined && ![old.DbiResourceId, now.DbiResourceId].includes(holder.DbiResourceId)) throw preflightError('pitr.renamed', `${state.name} is a third instance (${holder.DbiResourceId ?? ''}), neither the old one nor the copy.`, {hints: ['dr pitr list shows what is called what.']})
      const listed = (earlier?.state as CutoverState | undefined)?.frozen?.databases
      const frozen = (frozenRunOf(old) === mark.run ? listed : undefined) ?? frozenOf(old)
      Object.assign(state, {mode: mark.mode, cutoverRun: mark.run, old: partyFrom(old), copy: partyFrom(now)})
      if (frozen !== undefined && frozenOf(old) !== undefined) state.frozen = frozen
      if (mark.sinceXid !== undefined) state.sinceXid = mark.sinceXid
      if (mark.rollback !== undefined) state.earlier = mark.rollback
      state.cutoverHere = earlier !== undefined
      if (mark.mode !== 'proxy') state.staying = (await proxiesOf(options, now.DBInstanceIdentifier ?? '', io.signal)).proxies
    },
  }
}

/** Throws `pitr.nothing-to-roll-back` (exit 3), or `pitr.which-run` (exit 2) where several have begun. */
function markedCopy(all: readonly DBInstance[], {name, run}: RollbackOptions): {copy: DBInstance; mark: CutoverMark} {
  const open = run === undefined ? openCutovers(all, name) : []
  const marked = open.length > 0 ? open : all.flatMap((copy) => {
    const mark = cutoverMarkOf(copy)
    // By url or proxy the production instance is the copy itself by now.
    const isMeant = run === undefined ? mark?.name === name || copy.DBInstanceIdentifier === name : mark?.run === run
    return mark && isMeant ? [{copy, mark}] : []
  })
  const [first, second] = marked
  if (first === undefined) {
    throw preflightError('pitr.nothing-to-roll-back', run === undefined ? `No cut-over of ${name} is in place, and none was begun.` : `No cut-over by the run ${run} is in place.`, {hints: ['dr pitr list shows what is called what.', 'A cut-over that was rolled back is not there any more.']})
  }
  const holding = marked.find(({copy}) => copy.DBInstanceIdentifier === name)
  if (second !== undefined && holding === undefined) throw usageError('pitr.which-run', `Several cut-overs of ${name} have begun: ${marked.map(({mark}) => mark.run).join(', ')}.`, {hints: ['Name the run: dr pitr rollback RUN']})
  return holding ?? first
}

/** Throws `config.switch-command` (exit 3) where clients would stay on the copy: what led them there is not configured here. */
function assertLeadsBack({config: {rds: {switchCommand}}, byHand = false}: RollbackOptions, {command = false, run}: CutoverMark, {DBInstanceIdentifier: id = ''}: DBInstance): void {
  if (!command || switchCommand !== undefined || byHand) return
  throw preflightError('config.switch-command', `The cut-over ${run} leads clients to ${id} by rds.switchCommand, and none is configured here: they would stay there.`, {hints: ['Set rds.switchCommand as it is where the cut-over was run.', '--by-hand goes on without it: point the application at the old instance yourself, when dr says so.']})
}

/** When no rename goes on. */
async function settled(options: RollbackOptions, resourceId: string, io: StepIo): Promise<DBInstance> {
  await steadyName(options, resourceId, io)
  return locate(options, resourceId, io)
}

function assertReady({DBInstanceIdentifier: id = '', DBInstanceStatus: status = ''}: DBInstance): void {
  if (kindOf(status) === 'terminal') throw preflightError('rds.state', `The old instance ${id} is ${status}.`, {hints: [status.startsWith('stop') ? `aws rds start-db-instance --db-instance-identifier ${id}` : 'dr pitr list shows its status.']})
}

function countStep(options: RollbackOptions): Step<RollbackState> {
  return {
    id: 'rollback.databases',
    title: 'Count what was written on the new instance',
    effect: 'read',
    byHand: () => [],
    async run(state, io) {
      const [old, copy] = [partyOf(state.old), partyOf(state.copy)]
      const at = (party: Party) => targetAt(options.target, party, options)
      const [was, is] = [await tried(io, () => countParty(options, at(old), {applicationName: ROLLBACK}, io)), await tried(io, () => countParty(options, at(copy), {applicationName: ROLLBACK, sinceXid: state.sinceXid}, io))]
      if (was) old.facts = was.facts
      if (is) copy.facts = is.facts
      if (!was || !is) return
      state.loss = lossOf(is.counts, was.counts)
      const others = await tried(io, () => otherDatabases(options, {goes: copy, comes: old}, ROLLBACK))
      if (others) state.uncountedDatabases = others.names
    },
  }
}

/** That something cannot be counted is no reason to stay. */
async function tried<T>(io: StepIo, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    io.signal.throwIfAborted()
    io.notice(`Not counted: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}
