import {availableParallelism} from 'node:os'
import {join} from 'node:path'
import type {Config} from '../config/config.ts'
import type {RoleMap} from '../postgres/role-map.ts'
import type {RestoreOptions, RestoreState} from '../procedures/restore/options.ts'
import type {FoundBackup, WantedBackup} from '../procedures/restore/source.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Storage} from '../repository/storage/storage.ts'
import type {Context} from './context.ts'
import {openToRead} from './list.ts'
import {openStorages} from './storages.ts'
import {targetOf} from './target.ts'

export interface RestoreWish extends WantedBackup {
  into?: string | undefined
  digest?: boolean | undefined
  /** `OLD=NEW` each. */
  roleMap?: readonly string[] | undefined
  createRoles?: boolean | undefined
  skip?: readonly string[] | undefined
  plan: boolean
}

export interface ComposedRestore {
  procedure: Procedure<RestoreState>
  state: RestoreState
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

/** Finds the backup, and joins configuration, storages and tools into the procedure of one restore. */
export async function composeRestore(context: Context, wish: RestoreWish): Promise<ComposedRestore> {
  const [config, {restoreProcedure, restoreState}, {RestoreWork}, {createRun, unstartedRun}, {findTools}, {parseRoleMap}, {parseSkip}] = await Promise.all([
    context.config(), import('../procedures/restore/index.ts'), import('../procedures/restore/work.ts'), import('../procedures/runs.ts'), import('../postgres/tools.ts'),
    import('../procedures/restore/role-map.ts'), import('../postgres/restore-skip.ts'),
  ])
  const target = await targetOf(config)
  const [roleMap, skip] = [parseRoleMap(wish.roleMap ?? []), parseSkip(wish.skip ?? [])]
  const tools = await findTools(config.tools.directory)
  const {backup, closeStorages} = await find(context, config, wish, roleMap)
  const run = wish.plan ? unstartedRun() : await createRun(config.dataDirectory)
  const options: RestoreOptions = {
    config, target, backup, tools, runDirectory: run.directory, runId: run.id, jobs: config.restore.jobs ?? availableParallelism(),
    stagingDirectory: join(config.backup.stagingDirectory ?? join(config.dataDirectory, 'staging'), `restore-${run.id}`),
    ...(wish.into !== undefined && {into: wish.into}), ...(wish.digest !== undefined && {digest: wish.digest}),
    roleMap, createRoles: wish.createRoles ?? false, skip,
  }
  const work = new RestoreWork(options, run)
  const close = async () => {
    await work.close()
    await closeStorages()
  }
  try {
    return {procedure: restoreProcedure(options, work), state: restoreState(options, new Date()), close}
  } catch (error) {
    await close()
    throw error
  }
}

async function find(context: Context, config: Config, wish: RestoreWish, roleMap: RoleMap): Promise<{backup: FoundBackup; closeStorages: () => Promise<void>}> {
  const [{findBackup}, {withRoles}] = await Promise.all([import('../procedures/restore/source.ts'), import('../procedures/restore/role-map.ts')])
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
    return {backup: withRoles(backup, roleMap), closeStorages}
  } catch (error) {
    await closeStorages()
    throw error
  }
}

/** What is said when a restore has ended: every finding, and what can be done next. */
export async function restoreReport(state: RestoreState): Promise<string[]> {
  const {database, live, findings, timings} = state
  const [{outcomeWords}, {findingLines}, {talkTheme}, {duration}, {columnsOf}, {wrapped}] = await Promise.all([import('../procedures/restore/outcome.ts'), import('../ui/findings.ts'), import('../ui/theme.ts'), import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/wrap.ts')])
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  return [
    ...findingLines(findings, {theme: talkTheme, all: true}),
    ...wrapped(outcomeWords(state), width),
    ...wrapped(timings.map(({phase, ms}) => `${phase} ${duration(ms)}`).join(', '), width),
    ...wrapped(`The live database ${live} was not touched.`, width),
    `When ${database} is no longer needed: DROP DATABASE "${database.replaceAll('"', '""')}"`,
  ]
}
