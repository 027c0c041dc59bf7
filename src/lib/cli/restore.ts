import {availableParallelism} from 'node:os'
import {join} from 'node:path'
import type {Config} from '../config/config.ts'
import {preflightError} from '../errors.ts'
import type {RestoreOptions, RestoreState} from '../procedures/restore/options.ts'
import type {FoundDump} from '../procedures/restore/foreign/dump.ts'
import type {ForeignOptions} from '../procedures/restore/foreign/options.ts'
import type {FindOptions, FoundBackup, WantedBackup} from '../procedures/restore/source.ts'
import type {RunFolder} from '../procedures/runs.ts'
import type {SwapOptions, SwapSource} from '../procedures/swap/options.ts'
import type {RestoreWork} from '../procedures/restore/work.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Resumption} from '../runbook/resume.ts'
import type {Storage} from '../repository/storage/storage.ts'
import type {Context} from './context.ts'
import {openToRead} from './list.ts'
import {assertSameTarget, type Resuming} from './run-procedure.ts'
import {openStorages} from './storages.ts'
import {composeSwap, dumpSource, manifestSource, type SwapWish} from './swap.ts'
import {targetOf} from './target.ts'

export interface RestoreWish extends WantedBackup {
  into?: string | undefined
  digest?: boolean | undefined
  /** `OLD=NEW` each. */
  roleMap?: readonly string[] | undefined
  createRoles?: boolean | undefined
  skip?: readonly string[] | undefined
  plan: boolean
  /** Put it in the live database's place. */
  swap?: SwapWish | undefined
  /** Restore into the live database itself. */
  inPlace?: SwapWish | undefined
  /** The earlier run that is gone on with, or undone. */
  resuming?: Resuming | undefined
}

export interface ComposedRestore {
  procedure: Procedure<RestoreState>
  state: RestoreState
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

/** Finds the backup, and joins configuration, storages and tools into the procedure of one restore. */
export async function composeRestore(context: Context, wish: RestoreWish): Promise<ComposedRestore> {
  const [config, {createRun, unstartedRun}, {findTools}, {parseRoleMap, withRoles}, {parseSkip}] = await Promise.all([
    context.config(), import('../procedures/runs.ts'), import('../postgres/tools.ts'), import('../procedures/restore/role-map.ts'), import('../postgres/restore-skip.ts'),
  ])
  const target = await targetOf(config)
  const [roleMap, skip] = [parseRoleMap(wish.roleMap ?? []), parseSkip(wish.skip ?? [])]
  const tools = await findTools(config.tools.directory)
  const earlier = wish.resuming?.earlier as Resumption<RestoreState> | undefined
  const {found, closeStorages} = await sourceOf(context, config, wish, earlier)
  const run = wish.plan ? unstartedRun() : await createRun(config.dataDirectory, earlier?.state.runId)
  const swapWish = wish.swap ?? wish.inPlace
  const swap = swapWish && await composeSwap(context, config, target, swapSource(found, wish), wish.resuming?.undo ? {...swapWish, safety: 'none'} : swapWish, `dr restore ${run.id}`)
  const into = earlier?.state.database ?? wish.into
  const common = {
    config, target, tools, runDirectory: run.directory, runId: run.id, ...ofWish(config, wish, run.id), skip,
    ...(into !== undefined && {into}), ...(wish.swap && swap && {swap: swap.options}),
  }
  const closeRest = async () => {
    await swap?.close()
    await closeStorages()
  }
  if ('place' in found) return composeForeign({...common, dump: found}, wish, run, closeRest)
  const backup = wish.resuming?.undo ? found : withRoles(found, roleMap)
  const options: RestoreOptions = {...common, backup, roleMap, ...(wish.digest !== undefined && {digest: wish.digest})}
  return composeOwn(options, wish, run, closeRest, swap?.options)
}

/** Who undoes a run has the name of its backup, and needs no more. A safety backup that was cut short goes with the next backup's sweep. */
function swapSource(found: FoundBackup | FoundDump, {resuming}: RestoreWish): SwapSource {
  if ('place' in found) return dumpSource(found)
  return resuming?.undo ? {title: `backup ${found.manifest.label}`} : manifestSource(found.manifest)
}

/** The restore of a backup of dr's. */
async function composeOwn(options: RestoreOptions, wish: RestoreWish, run: RunFolder, closeRest: () => Promise<void>, swap: SwapOptions | undefined): Promise<ComposedRestore> {
  const [{restoreProcedure, restoreState}, {RestoreWork}] = await Promise.all([import('../procedures/restore/index.ts'), import('../procedures/restore/work.ts')])
  const earlier = wish.resuming?.earlier as Resumption<RestoreState> | undefined
  const work = new RestoreWork(options, run)
  const close = async () => {
    await work.close()
    await closeRest()
  }
  try {
    if (wish.inPlace && swap) {
      const {inPlaceProcedure, inPlaceState} = await import('../procedures/restore/in-place.ts')
      return {procedure: inPlaceProcedure(options, work, swap), state: wish.resuming?.undo && earlier ? earlier.state : inPlaceState(options, swap), close}
    }
    const procedure = restoreProcedure(options, work)
    if (wish.resuming && earlier) await settle(wish.resuming, earlier, procedure, options, work)
    return {procedure, state: wish.resuming?.undo && earlier ? earlier.state : restoreState(options, new Date()), close}
  } catch (error) {
    await close()
    throw error
  }
}

const ofWish = (config: Config, {createRoles = false}: RestoreWish, run: string) => ({
  jobs: config.restore.jobs ?? availableParallelism(), createRoles,
  stagingDirectory: join(config.backup.stagingDirectory ?? join(config.dataDirectory, 'staging'), `restore-${run}`),
})

/** Whether what the earlier process did is still there. */
async function settle(resuming: Resuming, earlier: Resumption<RestoreState>, procedure: Procedure<RestoreState>, options: RestoreOptions, work: RestoreWork): Promise<void> {
  assertSameTarget(resuming, procedure)
  const {settleRestore, takeOver} = await import('../procedures/restore/resume.ts')
  if (resuming.undo) await takeOver(options.target, work, earlier)
  else if (earlier.anew === undefined) resuming.anew = await settleRestore(options, work, earlier)
}

/** What is restored; for a run that is gone on with, the backup that it began with. */
async function sourceOf(context: Context, config: Config, wish: RestoreWish, earlier: Resumption<RestoreState> | undefined): ReturnType<typeof findWanted> {
  if (earlier === undefined) return findWanted(context, config, wish)
  const {namedBackup, pinned} = await import('../procedures/restore/resume.ts')
  if (wish.resuming?.undo) return {found: namedBackup(earlier.state), closeStorages: () => Promise.resolve()}
  const {backup, closeStorages} = await findWantedBackup(context, config, pinned(wish, earlier.state))
  if (backup.manifest.label === earlier.state.label) return {found: backup, closeStorages}
  await closeStorages()
  throw preflightError('run.other-backup', `${backup.location} is the backup ${backup.manifest.label}, but the run ${earlier.run} restores ${earlier.state.label}.`, {hints: [`Put the backup back where it was, or undo the run: dr resume ${earlier.run} --undo`]})
}

/** The same for a dump that dr did not make. */
async function composeForeign(options: ForeignOptions, wish: RestoreWish, run: RunFolder, closeRest: () => Promise<void>): Promise<ComposedRestore> {
  const [{foreignProcedure, foreignState}, {ForeignWork}, {preflightError, usageError}] = await Promise.all([import('../procedures/restore/foreign/index.ts'), import('../procedures/restore/foreign/work.ts'), import('../errors.ts')])
  const work = new ForeignWork(options, run)
  const close = async () => {
    await work.close()
    await closeRest()
  }
  try {
    if (wish.roleMap !== undefined && wish.roleMap.length > 0) throw usageError('restore.role-map', '--role-map takes backups of dr.', {hints: ['--create-roles makes the roles that the server lacks; then, in the new database: REASSIGN OWNED BY old TO new.']})
    if (wish.inPlace) throw usageError('restore.in-place-foreign', '--in-place takes backups of dr: what a dump of another kind drops cannot be foreseen.', {hints: ['dr restore --swap restores it beside the live database and swaps it in.']})
    if (wish.digest === true) throw preflightError('restore.no-digests', `${options.dump.location} has no digests to compare.`, {hints: ['Leave out --digest: rows are counted in any case.']})
    return {procedure: foreignProcedure(options, work) as unknown as Procedure<RestoreState>, state: foreignState(options, new Date()), close}
  } catch (error) {
    await close()
    throw error
  }
}

/** The backup or dump that is meant, and the storages that were opened for it. */
export const findWanted = (context: Context, config: Config, wish: WantedBackup, database?: string): Promise<{found: FoundBackup | FoundDump; closeStorages: () => Promise<void>}> =>
  finding(context, config, wish, ({findSource}, options) => findSource(wish, {...options, database}))

/** A backup of dr, and none other. */
export async function findWantedBackup(context: Context, config: Config, wish: WantedBackup): Promise<{backup: FoundBackup; closeStorages: () => Promise<void>}> {
  const {found, closeStorages} = await finding(context, config, wish, ({findBackup}, options) => findBackup(wish, options))
  return {backup: found, closeStorages}
}

type Sources = typeof import('../procedures/restore/source.ts')

async function finding<T>(context: Context, config: Config, wish: WantedBackup, find: (sources: Sources, options: FindOptions) => Promise<T>): Promise<{found: T; closeStorages: () => Promise<void>}> {
  const sources = await import('../procedures/restore/source.ts')
  const opened: Storage[] = []
  const open = async (which: 'local' | 's3', prefix = config.s3.prefix) => {
    const storages = which === 'local' ? await openToRead(context, ['local']) : await openStorages({...config, s3: {...config.s3, prefix}}, [which])
    opened.push(...storages)
    const [storage] = storages
    if (storage === undefined) throw new Error('openStorages opened nothing.')
    return storage
  }
  const closeStorages = async () => { for (const storage of opened) await storage.close() }
  try {
    const found = await find(sources, {config, cwd: process.cwd(), openLocal: () => open('local'), openS3: (prefix) => open('s3', prefix), signal: await context.signal(), ...(wish.backup === '-' && {stdin: process.stdin})})
    return {found, closeStorages}
  } catch (error) {
    await closeStorages()
    throw error
  }
}
