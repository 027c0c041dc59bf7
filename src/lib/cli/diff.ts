import {availableParallelism} from 'node:os'
import {join} from 'node:path'
import type {Config} from '../config/config.ts'
import type {DiffOptions, DiffState, SideCopy} from '../procedures/diff/options.ts'
import type {FoundBackup} from '../procedures/restore/source.ts'
import type {RunFolder} from '../procedures/runs.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Target} from '../postgres/target.ts'
import type {Context} from './context.ts'
import {findWantedBackup} from './restore.ts'
import {targetOf} from './target.ts'

export interface DiffWish {
  backup?: string | undefined
  tables: readonly string[]
  tenant?: string | undefined
  deep: boolean
  against?: string | undefined
  keep: boolean
  sample: number
}

export interface ComposedDiff {
  procedure: Procedure<DiffState>
  state: DiffState
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

const MOST_CONNECTIONS = 4

/** Finds the backup, and joins configuration, storages and, for a copy, tools into the procedure of one comparison. */
export async function composeDiff(context: Context, wish: DiffWish): Promise<ComposedDiff> {
  const [config, {diffProcedure, diffState}, {createRun}] = await Promise.all([context.config(), import('../procedures/diff/index.ts'), import('../procedures/runs.ts')])
  await assertUsage(wish)
  const target = await targetOf(config)
  const {backup, closeStorages} = await findWantedBackup(context, config, {backup: wish.backup})
  const run = await createRun(config.dataDirectory)
  const jobs = Math.min(MOST_CONNECTIONS, config.restore.jobs ?? availableParallelism())
  let side: SideCopy | undefined
  const close = async () => {
    await (side ? side.work.close() : run.remove())
    await closeStorages()
  }
  try {
    if (wish.deep && wish.against === undefined) side = await sideCopy(config, target, backup, run, wish.keep)
    const options: DiffOptions = {
      config, target, backup, runId: run.id, tables: wish.tables, tenant: wish.tenant, sample: wish.sample, jobs,
      ...(side ? {deep: {side}} : wish.deep && wish.against !== undefined && {deep: {against: wish.against}}),
    }
    return {procedure: diffProcedure(options), state: diffState(options), close}
  } catch (error) {
    await close()
    throw error
  }
}

async function assertUsage({deep, against, keep, tenant}: DiffWish): Promise<void> {
  const {usageError} = await import('../errors.ts')
  if (tenant === '') throw usageError('usage', '--tenant names no tenant.', {hints: ['dr diff --all lists the tenants.']})
  if (!deep && (against !== undefined || keep)) throw usageError('usage', `${against === undefined ? '--keep' : '--against'} goes with --deep: without it no copy is needed.`, {hints: ['Add --deep.']})
  if (against !== undefined && keep) throw usageError('usage', '--keep keeps the copy that is restored for the comparison; --against names one that is there.', {hints: ['Leave out one of the two.']})
}

async function sideCopy(config: Config, target: Target, backup: FoundBackup, run: RunFolder, keep: boolean): Promise<SideCopy> {
  const [{restoreState}, {RestoreWork}, {findTools}] = await Promise.all([import('../procedures/restore/index.ts'), import('../procedures/restore/work.ts'), import('../postgres/tools.ts')])
  const options = {
    config, target, backup, tools: await findTools(config.tools.directory), runDirectory: run.directory, runId: run.id, jobs: config.restore.jobs ?? availableParallelism(), rowsOnly: !keep,
    stagingDirectory: join(config.backup.stagingDirectory ?? join(config.dataDirectory, 'staging'), `diff-${run.id}`),
  }
  return {options, work: new RestoreWork(options, run), state: restoreState(options, new Date()), keep}
}

/** The whole comparison as lines of at most the terminal's width. */
export async function diffReport({loss, rows, restore}: DiffState, {all}: {all: boolean}): Promise<string[]> {
  const [{lossLines}, {rowLossLines}, {columnsOf}, {redact}] = await Promise.all([import('../ui/loss-table.ts'), import('../ui/row-loss.ts'), import('../ui/text.ts'), import('../system/redact.ts')])
  const width = process.stdout.isTTY ? columnsOf(process.stdout) : undefined
  if (loss === undefined) return []
  const lines = rows === undefined ? [...lossLines(loss, {width, all})] : [...rowLossLines(loss, rows, {width, all})]
  const kept = restore?.finished === true ? [`The copy is kept: ${restore.database}`] : []
  return [...lines, ...kept].map(redact)
}

/** Whether every table that was asked for could be compared. */
export const isComplete = ({loss, rows}: DiffState): boolean => (rows ?? loss)?.troubles.length === 0
