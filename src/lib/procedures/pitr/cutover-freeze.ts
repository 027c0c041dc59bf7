import {DrError, lockedError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {assertWrites, freeze, freezeSql, frozenDatabases, planFreeze, unfreeze, unfreezeSql, type FrozenDatabase} from '../../postgres/freeze.ts'
import {targetUrl, type Target} from '../../postgres/target.ts'
import {TAG} from '../../rds/tags.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import {assertAlone, assertClaim, assertNoOther, assertNotTakenBack, mayThaw} from './cutover-claim.ts'
import {byResource, leftOrThrown, partyFrom, stays} from './cutover-instances.ts'
import {tellWritten} from './cutover-left.ts'
import {APPLICATION} from './cutover-look.ts'
import {CUTOVER_TAGS, cutoverMarkOf, freezeList, frozenOf, frozenTag, keptOf, markTags, mergeFrozen, type FreezeList} from './cutover-marks.ts'
import {partyOf, type CutoverOptions, type CutoverState, type Party} from './cutover-options.ts'
import {forkTags, ownSince} from './fork.ts'
import type {RdsOptions} from './options.ts'
import {targetAt} from './target.ts'

/** Before anything is changed AWS itself is told what is about to happen: another machine can take it back by that. */
export function markStep(options: CutoverOptions): Step<CutoverState> {
  const {api, freeze: stops} = options
  return {
    id: 'cutover.mark',
    title: 'Note at AWS what takes whose place',
    effect: 'write',
    byHand: ({mode, name, old, copy}) => [{argv: ['aws', 'rds', 'add-tags-to-resource', '--resource-name', copy?.arn ?? 'ARN', '--tags', `Key=${TAG.replaces},Value=${mode}/${name}/${old?.resourceId ?? 'RESOURCE-ID'}`]}],
    async run(state, io) {
      const [old, copy] = [partyOf(state.old), partyOf(state.copy)]
      // Again: the gate may have stood open for long.
      const all = await api.instances(io.signal)
      assertNoOther(all, state.name, io.run)
      assertNotTakenBack(all, copy, io.run)
      // First: what the other says is found by it.
      await api.addTags(copy.arn, [...markTags({mode: state.mode, command: state.mode === 'url' && options.config.rds.switchCommand !== undefined, name: state.name, resourceId: old.resourceId, run: io.run, ...(copy.facts && {sinceXid: ownSince(copy.facts, state.fork)})}), ...(state.fork ? forkTags(state.fork) : [])], io.signal)
      await assertAlone(options, state, io)
      if (!stops) return
      const list = await toFreeze(options, old, state.frozen?.databases ?? [], io)
      state.frozen = {databases: list.databases}
      await api.addTags(old.arn, [frozenTag(list, io.run)], io.signal)
    },
    async undo(state, io) {
      const {old, copy, name, frozen, cutOver} = state
      const found = await byResource(options, partyOf(old).resourceId, io.signal)
      // What could not be undone is found by it.
      if (cutOver || found?.DBInstanceIdentifier !== name) throw new DrError('pitr.not-undone', `${name} is not the old instance again.`, {hints: ['dr pitr rollback brings it back.']})
      if (frozenOf(found) !== undefined && await mayThaw(options, state, io)) await thaw(options, partyOf(old), frozen?.databases ?? [], io)
      const marked = await byResource(options, partyOf(copy).resourceId, io.signal)
      if (marked && cutoverMarkOf(marked)?.run === io.run && cutoverMarkOf(marked)?.rollback === undefined) await dropTags(options, partyOf(copy).resourceId, CUTOVER_TAGS, io)
      // Last: production does not wait for it.
      await tellWritten(options, state, io)
    },
  }
}

async function toFreeze(options: CutoverOptions, old: Party, planned: readonly FrozenDatabase[], {signal}: StepIo): Promise<FreezeList> {
  const found = await withClient(targetAt(options.target, old, options), {applicationName: APPLICATION}, async (client) => ({open: (await planFreeze(client)).databases, frozen: await frozenDatabases(client)}))
  return freezeList(found, (await byResource(options, old.resourceId, signal)) ?? {}, planned)
}

/** Of whatever it is called now. */
export async function dropTags(options: RdsOptions, resourceId: string, keys: readonly string[], io: StepIo): Promise<void> {
  const found = await byResource(options, resourceId, io.signal)
  if (found?.DBInstanceArn !== undefined && found.TagList?.some(({Key = ''}) => keys.includes(Key))) await options.api.removeTags(found.DBInstanceArn, [...keys], io.signal)
}

export function freezeStep(options: CutoverOptions): Step<CutoverState> {
  return {
    id: 'cutover.freeze',
    title: `Stop writes to ${options.name}`,
    effect: 'write',
    skip: () => (options.freeze ? undefined : '--no-freeze'),
    byHand: ({frozen, old}) => psql(old ? targetAt(options.target, old, options) : options.target, freezeSql(frozen?.databases ?? [{name: options.target.database, former: null}])),
    async run(state, io) {
      const databases = state.frozen?.databases ?? []
      await assertClaim(options, state, io)
      const done = await freeze(targetAt(options.target, partyOf(state.old), options), databases, {applicationName: APPLICATION, signal: io.signal}).catch((error: unknown) => { throw leftOrThrown(error, io) })
      state.frozen = {databases, ...done}
      io.notice(`Writes to ${state.name} are stopped since ${done.at} (WAL ${done.lsn}${done.lastCommit === undefined ? '' : `, last commit ${done.lastCommit}`}); ${done.ended} ${done.ended === 1 ? 'session' : 'sessions'} ended.`)
    },
    async undo(state, io) {
      if (!(await mayThaw(options, state, io))) throw lockedError('pitr.in-cutover', `Writes to ${state.name} were stopped for another run: they stay so.`, {hints: ['dr pitr rollback takes that one back.']})
      await thaw(options, partyOf(state.old), state.frozen?.databases ?? [], io)
    },
  }
}

const psql = (target: Target, statements: readonly string[]): ManualCommand[] => (statements.length === 0 ? [] : [{argv: ['psql', targetUrl(target), '-v', 'ON_ERROR_STOP=1', ...statements.flatMap((sql) => ['-c', sql])]}])

/** At the end the address of clients is the new one's. Where the name is no part of it, that of the old one stands for what AWS will say. */
function oldAfterwards({config, target}: CutoverOptions, {mode, name, oldName, old}: CutoverState): Target {
  const host = mode !== 'rename' ? old?.host : old?.host.startsWith(`${name}.`) ? old.host.replace(name, oldName) : oldName
  return targetAt(target, {...(host !== undefined && {host}), ...(old && {port: old.port})}, {config})
}

/** Writes are possible again, as they were before; the mark goes when that is so. Where the list is known, nothing else becomes writable. */
export async function thaw(options: RdsOptions & {target: Target}, {resourceId}: Pick<Party, 'resourceId'>, databases: readonly FrozenDatabase[] | 'all', io: StepIo): Promise<void> {
  const found = await byResource(options, resourceId, io.signal)
  if (found === undefined) return
  const at = targetAt(options.target, partyFrom(found), options)
  const marked = frozenOf(found)
  const all = databases === 'all' ? marked === 'all' || marked === undefined : marked === 'all' && databases.length === 0
  const listed = mergeFrozen(databases === 'all' ? [] : databases, marked === 'all' || marked === undefined ? [] : marked)
  const meant = mergeFrozen(listed, all ? (await withClient(at, {applicationName: APPLICATION}, frozenDatabases)).filter((name) => !keptOf(found).includes(name)).map((name) => ({name, former: null})) : [])
  await unfreeze(at, meant, {applicationName: APPLICATION}).then(() => assertThawed(at, meant)).catch((error: unknown) => {
    if (!(error instanceof DrError)) throw error
    throw new DrError('pitr.frozen', `Writes to ${found.DBInstanceIdentifier ?? ''} are still stopped: ${error.message}`, {cause: error, exitCode: error.exitCode, hints: [...unfreezeSql(meant).map((sql) => `On ${found.DBInstanceIdentifier ?? ''}: ${sql}`), 'dr pitr rollback does it, too.']})
  })
  await dropTags(options, resourceId, [TAG.frozen], io)
}

/** By what the server says, and by a write. */
async function assertThawed(at: Target, meant: readonly FrozenDatabase[]): Promise<void> {
  const left = (await withClient(at, {applicationName: APPLICATION}, frozenDatabases)).filter((name) => meant.some((one) => one.name === name && one.former !== 'on'))
  if (left.length > 0) throw new DrError('pitr.frozen', `${left.join(', ')}: still read-only.`, {exitCode: 5})
  if (meant.some(({name}) => name === at.database)) await assertWrites(at)
}

export function unfreezeStep(options: CutoverOptions): Step<CutoverState> {
  return {
    id: 'cutover.unfreeze',
    title: 'The old instance takes writes again',
    effect: 'write',
    skip: () => (!options.freeze ? '--no-freeze' : options.keepFrozen ? 'it stays read-only: dr pitr rollback puts that back' : undefined),
    byHand: (state) => psql(oldAfterwards(options, state), unfreezeSql(state.frozen?.databases ?? [])).map((one) => ({...one, note: `at the address of ${state.mode === 'rename' ? state.oldName : state.name}, by whatever database`})),
    async run(state, io) {
      await assertClaim(options, state, io)
      await thaw(options, partyOf(state.old), state.frozen?.databases ?? [], io).catch((error: unknown) => { throw stays(error, io) })
    },
  }
}
