import {availableParallelism} from 'node:os'
import {join} from 'node:path'
import type {BackupOptions, BackupState} from '../procedures/backup/options.ts'
import type {BackedUpInstance} from '../procedures/backup/settings.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {openRds} from './rds.ts'
import type {Resuming} from './run-procedure.ts'
import {openStorages} from './storages.ts'
import {targetOf} from './target.ts'

export interface ComposedBackup {
  procedure: Procedure<BackupState>
  state: BackupState
  /** Closes what the run held, however it ended. */
  close(): Promise<void>
}

/** Joins configuration, storages and tools into the procedure of one backup. */
export async function composeBackup(context: Context, drVersion: string, {plan, accept, purpose}: {plan: boolean; accept: boolean; purpose?: 'safety'}, resuming?: Resuming): Promise<ComposedBackup> {
  const [config, {backupProcedure, backupState}, {BackupWork}, {createRun, unstartedRun}, {findTools}, {dumpJobs}] = await Promise.all([
    context.config(), import('../procedures/backup/index.ts'), import('../procedures/backup/work.ts'), import('../procedures/runs.ts'), import('../postgres/tools.ts'), import('../postgres/dump.ts'),
  ])
  const target = await targetOf(config)
  const tools = await findTools(config.tools.directory)
  const [newest] = tools
  if (newest === undefined) throw new Error('findTools found nothing and said nothing.')
  const storages = await openStorages(config, config.backup.destinations)
  const instance = purpose === 'safety' ? undefined : await backedUpInstance(context, drVersion)
  const run = plan ? unstartedRun() : await createRun(config.dataDirectory)
  const options: BackupOptions = {
    config, target, storages, tools, runDirectory: run.directory, stagingRoot: stagingRoot(config), drVersion, accept, ...(purpose && {purpose}), ...(instance && {instance}), digest: config.backup.digest, env: process.env,
    ...(config.backup.compress !== undefined && {compress: config.backup.compress}),
  }
  const work = new BackupWork(options, run)
  const procedure = resuming?.undo ? await takeBack(options, resuming) : backupProcedure(options, work)
  const compression = config.backup.compress ?? (newest.major >= 16 ? 'zstd:1' : 'gzip:1')
  return {
    procedure,
    state: backupState(options, {tools: newest, compression, jobs: dumpJobs(config.backup.jobs, availableParallelism())}),
    async close() {
      await work.close()
      instance?.close()
      for (const storage of storages) await storage.close()
    },
  }
}

/** Undefined where none is configured. AWS is asked when its step is run, not before. */
async function backedUpInstance(context: Context, by: string): Promise<(BackedUpInstance & {close: () => void}) | undefined> {
  const {environment, rds: {instance: id, proxy}} = await context.config()
  if (id === undefined) return undefined
  const {api, close} = await openRds(context)
  return {
    id, close,
    async save(storages, signal) {
      const {saveInstanceSettings} = await import('../procedures/instance-settings/save.ts')
      return saveInstanceSettings({api, storages, instance: id, environment, proxy, by}, signal)
    },
  }
}

async function takeBack(options: BackupOptions, {earlier}: Resuming): Promise<Procedure<BackupState>> {
  const {backupTakeBack} = await import('../procedures/backup/take-back.ts')
  return backupTakeBack(options, earlier.owners)
}

/** What an operator wants to know of a finished backup, and what may come next. */
export async function backupReport(state: BackupState, totalMs: number): Promise<string[]> {
  const [{bytes, count, duration, number}, {columnsOf}, {wrapped}] = await Promise.all([import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/wrap.ts')])
  const places = (state.proofs ?? []).map(({destination, proof}) => `${destination} (${proof === 'reread' ? 'read back and hashed' : 'SHA-256 checked by the store'})`)
  const lines = [
    `${number(state.rows ?? 0)} rows in ${number(state.tables ?? 0)} tables, ${bytes(state.archiveBytes ?? 0)}, ${duration(totalMs)}; at ${places.join(' and ')}`,
    ...(state.status === 'suspect' ? [`Suspect: ${count(state.findings.filter(({severity}) => severity === 'warning').length, 'thing differs', 'things differ')} from the last good backup ${state.lastGood?.label ?? ''}. If that is right: dr backup --accept`] : []),
    `Next: dr verify ${state.label ?? ''}`,
  ]
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  return lines.flatMap((line) => [...wrapped(line, width)])
}

/** On the local repository's own file system when there is one, so that members are moved, not copied. */
function stagingRoot({backup, local, dataDirectory}: BackupOptions['config']): string {
  if (backup.stagingDirectory !== undefined) return backup.stagingDirectory
  return backup.destinations.includes('local') ? join(local.directory, '.staging') : join(dataDirectory, 'staging')
}
