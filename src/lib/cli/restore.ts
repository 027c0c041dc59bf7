import {availableParallelism} from 'node:os'
import {join} from 'node:path'
import type {Config} from '../config/config.ts'
import {preflightError} from '../errors.ts'
import type {RestoreOptions, RestoreState} from '../procedures/restore/options.ts'
import type {FoundBackup, WantedBackup} from '../procedures/restore/source.ts'
import type {RestoreWork} from '../procedures/restore/work.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Resumption} from '../runbook/resume.ts'
import type {Storage} from '../repository/storage/storage.ts'
import type {Context} from './context.ts'
import {openToRead} from './list.ts'
import {assertSameTarget, type Resuming} from './run-procedure.ts'
import {openStorages} from './storages.ts'
import {composeSwap, manifestSource, swapReport, type SwapWish} from './swap.ts'
import {targetOf} from './target.ts'

export interface RestoreWish extends WantedBackup {
  into?: string | undefined
  digest?: boolean | undefined
  plan: boolean
  /** The earlier run that is gone on with, or undone. */
  resuming?: Resuming | undefined
  /** Put it in the live database's place. */
  swap?: SwapWish | undefined
  /** Restore into the live database itself. */
  inPlace?: SwapWish | undefined
}

export interface ComposedRestore {
  procedure: Procedure<RestoreState>
  state: RestoreState
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

/** Finds the backup, and joins configuration, storages and tools into the procedure of one restore. */
export async function composeRestore(context: Context, wish: RestoreWish): Promise<ComposedRestore> {
  const [config, {restoreProcedure, restoreState}, {RestoreWork}, {createRun, unstartedRun}, {findTools}] = await Promise.all([
    context.config(), import('../procedures/restore/index.ts'), import('../procedures/restore/work.ts'), import('../procedures/runs.ts'), import('../postgres/tools.ts'),
  ])
  const target = await targetOf(config)
  const tools = await findTools(config.tools.directory)
  const earlier = wish.resuming?.earlier as Resumption<RestoreState> | undefined
  const {backup, closeStorages} = await sourceOf(context, config, wish, earlier)
  const run = wish.plan ? unstartedRun() : await createRun(config.dataDirectory, earlier?.state.runId)
  const swapWish = wish.swap ?? wish.inPlace
  const swap = swapWish && await composeSwap(context, config, target, manifestSource(backup.manifest), swapWish, `dr restore ${run.id}`)
  const options: RestoreOptions = {
    config, target, backup, tools, runDirectory: run.directory, runId: run.id, jobs: config.restore.jobs ?? availableParallelism(),
    stagingDirectory: join(config.backup.stagingDirectory ?? join(config.dataDirectory, 'staging'), `restore-${run.id}`),
    ...(wish.into !== undefined && {into: wish.into}), ...(earlier && {into: earlier.state.database}), ...(wish.digest !== undefined && {digest: wish.digest}), ...(wish.swap && swap && {swap: swap.options}),
  }
  const work = new RestoreWork(options, run)
  const close = async () => {
    await work.close()
    await swap?.close()
    await closeStorages()
  }
  try {
    if (wish.inPlace && swap) {
      const {inPlaceProcedure, inPlaceState} = await import('../procedures/restore/in-place.ts')
      return {procedure: inPlaceProcedure(options, work, swap.options), state: inPlaceState(options, swap.options), close}
    }
    const procedure = restoreProcedure(options, work)
    if (wish.resuming && earlier) await settle(wish.resuming, earlier, procedure, options, work)
    return {procedure, state: wish.resuming?.undo && earlier ? earlier.state : restoreState(options, new Date()), close}
  } catch (error) {
    await close()
    throw error
  }
}

/** Whether what the earlier process did is still there. */
async function settle(resuming: Resuming, earlier: Resumption<RestoreState>, procedure: Procedure<RestoreState>, options: RestoreOptions, work: RestoreWork): Promise<void> {
  assertSameTarget(resuming, procedure)
  const {settleRestore, takeOver} = await import('../procedures/restore/resume.ts')
  if (resuming.undo) await takeOver(options.target, work, earlier)
  else if (earlier.anew === undefined) resuming.anew = await settleRestore(options, work, earlier)
}

async function sourceOf(context: Context, config: Config, wish: RestoreWish, earlier: Resumption<RestoreState> | undefined): Promise<{backup: FoundBackup; closeStorages: () => Promise<void>}> {
  if (earlier === undefined) return findWanted(context, config, wish)
  const {namedBackup, pinned} = await import('../procedures/restore/resume.ts')
  if (wish.resuming?.undo) return {backup: namedBackup(earlier.state), closeStorages: () => Promise.resolve()}
  const source = await findWanted(context, config, pinned(wish, earlier.state))
  if (source.backup.manifest.label === earlier.state.label) return source
  await source.closeStorages()
  throw preflightError('run.other-backup', `${source.backup.location} is the backup ${source.backup.manifest.label}, but the run ${earlier.run} restores ${earlier.state.label}.`, {hints: [`Put the backup back where it was, or undo the run: dr resume ${earlier.run} --undo`]})
}

/** The backup that is meant, and the storages that were opened for it. */
export async function findWanted(context: Context, config: Config, wish: WantedBackup): Promise<{backup: FoundBackup; closeStorages: () => Promise<void>}> {
  const {findBackup} = await import('../procedures/restore/source.ts')
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
    const backup = await findBackup(wish, {config, cwd: process.cwd(), openLocal: () => open('local'), openS3: (prefix) => open('s3', prefix), signal: await context.signal()})
    return {backup, closeStorages}
  } catch (error) {
    await closeStorages()
    throw error
  }
}

/** What is said when a restore has ended: every finding, and what can be done next. */
export async function restoreReport(state: RestoreState, run: string): Promise<string[]> {
  const {database, live, findings, timings, swap} = state
  const [{findingLines}, {talkTheme}, {duration}, {columnsOf}, {wrapped}] = await Promise.all([import('../ui/findings.ts'), import('../ui/theme.ts'), import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/wrap.ts')])
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  return [
    ...findingLines(findings, {theme: talkTheme, all: true}),
    ...wrapped(timings.map(({phase, ms}) => `${phase} ${duration(ms)}`).join(', '), width),
    ...(swap ? (await swapReport({live, swap}, `what backup ${state.label} holds`, run)).flatMap((line) => [...wrapped(line, width)]) : [
      ...wrapped(`The live database ${live} was not touched.`, width),
      `When ${database} is no longer needed: DROP DATABASE "${database.replaceAll('"', '""')}"`,
    ]),
  ]
}
