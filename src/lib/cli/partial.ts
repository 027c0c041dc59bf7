import {availableParallelism} from 'node:os'
import {join} from 'node:path'
import type {Config} from '../config/config.ts'
import {usageError} from '../errors.ts'
import type {Target} from '../postgres/target.ts'
import type {PartialFrom, StagePlace} from '../procedures/partial/options.ts'
import type {PartialOptions, PartialState} from '../procedures/partial/run-options.ts'
import type {Way} from '../report/partial-lines.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Resumption} from '../runbook/resume.ts'
import type {Context} from './context.ts'
import {findWanted} from './restore.ts'
import type {PartialResult} from './partial-result.ts'
import {assertSameTarget, type Resuming} from './run-procedure.ts'
import {targetOf} from './target.ts'

export interface PartialWish {
  tables: readonly string[]
  tenant?: string | undefined
  where?: string | undefined
  transaction?: string | undefined
  /** `a,b`. */
  columns?: string | undefined
  relink: boolean
  withParents: boolean
  /** A label, `latest`, a path, `s3://…`, `postgres://…`, or `env:NAME` of a variable that holds such a URL. */
  from?: string | undefined
  way?: Way | undefined
  stage?: StagePlace | undefined
  sample?: number | undefined
  watch?: string | undefined
  plan: boolean
  /** The earlier run that is gone on with, or undone. */
  resuming?: Resuming | undefined
}

export interface ComposedPartial {
  procedure: Procedure<PartialState>
  state: PartialState
  options: PartialOptions
  /** Of --watch. */
  watchMs?: number
  /** Rows that were changed since the backup, once they are compared. */
  since: () => PartialResult['since']
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

const SAMPLE = 5

/** Finds the source, and joins configuration, storages and tools into the procedure of one partial restore. */
export async function composePartial(context: Context, wish: PartialWish): Promise<ComposedPartial> {
  const [config, {createRun, unstartedRun}, {findTools}, {partialProcedure, partialState}, {LISTED, PartialWork}] = await Promise.all([
    context.config(), import('../procedures/runs.ts'), import('../postgres/tools.ts'), import('../procedures/partial/index.ts'), import('../procedures/partial/run-work.ts'),
  ])
  const watchMs = await watchOf(wish, config)
  const target = await targetOf(config)
  const earlier = wish.resuming?.earlier as Resumption<PartialState> | undefined
  const {from, closeStorages} = await sourceOf(context, config, target, wish, earlier)
  const run = wish.plan ? unstartedRun() : await createRun(config.dataDirectory, earlier?.state.runId)
  const options: PartialOptions = {
    config, target, from, wish: selectionOf(wish), sample: wish.sample ?? SAMPLE, tools: await findTools(config.tools.directory), runDirectory: run.directory, runId: run.id, jobs: config.restore.jobs ?? availableParallelism(),
    stagingDirectory: join(config.backup.stagingDirectory ?? join(config.dataDirectory, 'staging'), `partial-${run.id}`), ...(wish.way !== undefined && {way: wish.way}), stage: wish.stage,
  }
  const work = new PartialWork(options, run)
  const close = async () => {
    await work.close()
    await closeStorages()
  }
  try {
    const fresh = partialState(options)
    const procedure = partialProcedure(options, work)
    if (wish.resuming && earlier) await settle(wish.resuming, earlier, procedure, work)
    return {procedure, state: wish.resuming?.undo && earlier ? earlier.state : fresh, options, ...(watchMs !== undefined && {watchMs}), since: () => (work.since === undefined ? null : {limit: LISTED, tables: work.since}), close}
  } catch (error) {
    await close()
    throw error
  }
}

const selectionOf = ({tables, tenant, where, transaction, columns, relink, withParents}: PartialWish): PartialOptions['wish'] => ({
  tables, relink, withParents, ...(tenant !== undefined && {tenant}), ...(where !== undefined && {where}), ...(transaction !== undefined && {transaction}),
  ...(columns !== undefined && {columns: [...new Set(columns.split(',').map((name) => name.trim()).filter((name) => name !== ''))]}),
})

/** Known before anything is done. */
async function watchOf({watch}: PartialWish, {checks}: Config): Promise<number | undefined> {
  if (watch === undefined) return undefined
  const [{durationMs, durationPattern}, {preflightError}] = await Promise.all([import('../config/duration.ts'), import('../errors.ts')])
  if (!durationPattern.test(watch)) throw usageError('partial.watch', `--watch ${watch} is not a duration.`, {hints: ['Write 10m or 1h.']})
  if (checks.features.length === 0) throw preflightError('partial.no-features', 'There is nothing to watch: no check of a feature is configured.', {hints: ['Write checks.features into dr.config.yaml, or leave out --watch.']})
  return durationMs(watch)
}

/** Only a merge that is committed outlasts the process that made it; whatever else it had made is made again. */
async function settle(resuming: Resuming, earlier: Resumption<PartialState>, procedure: Procedure<PartialState>, work: {takeOver(earlier: Resumption<PartialState>): Promise<'committed' | 'open'>}): Promise<void> {
  assertSameTarget(resuming, procedure)
  const standing = await work.takeOver(earlier)
  // Its process may have been killed before it could write it down.
  if (standing === 'committed') earlier.state.merged ??= {tables: [], cascades: [], sequences: [], undoSchema: earlier.state.undoSchema ?? '', ms: 0}
  if (!resuming.undo && earlier.anew === undefined && standing === 'open') resuming.anew = 'nothing of what is live had been changed; what was staged is staged again'
}

interface Source {
  from: PartialFrom
  closeStorages: () => Promise<void>
}

async function sourceOf(context: Context, config: Config, live: Target, wish: PartialWish, earlier: Resumption<PartialState> | undefined): Promise<Source> {
  const named = wish.from === undefined ? undefined : await urlOf(wish.from)
  if (named !== undefined) return {from: {kind: 'database', target: await copyTarget(named, live)}, closeStorages: () => Promise.resolve()}
  // `latest` was another one then, perhaps.
  const backup = earlier?.state.source.kind === 'backup' && (wish.from === undefined || wish.from === 'latest') ? earlier.state.source.label : wish.from
  const {found, closeStorages} = await findWanted(context, config, {backup: backup ?? 'latest'}, live.database)
  return {from: 'place' in found ? {kind: 'dump', dump: found} : {kind: 'backup', backup: found}, closeStorages}
}

/** The URL of a database, when it is that; one in a variable may hold its password. */
async function urlOf(from: string): Promise<string | undefined> {
  if (/^postgres(ql)?:\/\//.test(from)) {
    const url = URL.canParse(from) ? new URL(from) : undefined
    if (url?.password || url?.searchParams.has('password')) throw usageError('partial.password', '--from holds a password, which everybody on this machine can see.', {hints: ['Leave it out: with the same user that of DATABASE_URL is taken. Or put the URL into a variable: --from env:COPY_URL']})
    return from
  }
  if (!from.startsWith('env:')) return undefined
  const [name, {registerSecretUrl}] = [from.slice('env:'.length), await import('../system/redact.ts')]
  const value = process.env[name]
  if (value === undefined || value === '') throw usageError('partial.from', `The variable ${name}, which --from names, is not set.`, {hints: [`export ${name}=postgresql://USER:PASSWORD@HOST:5432/DATABASE`]})
  registerSecretUrl(value)
  return value
}

/** A copy of the same server's data has the same users: what the URL leaves out is the live database's. */
async function copyTarget(url: string, live: Target): Promise<Target> {
  const [{parseTarget}, {registerSecret}] = await Promise.all([import('../postgres/target.ts'), import('../system/redact.ts')])
  const parsed = new URL(url)
  if (parsed.username === '' && !parsed.searchParams.has('user')) parsed.username = encodeURIComponent(live.user)
  if (parsed.pathname.length <= 1 && !parsed.searchParams.has('dbname')) parsed.pathname = `/${encodeURIComponent(live.database)}`
  const target = parseTarget(parsed.href)
  registerSecret(target.password)
  if (target.host === live.host && target.port === live.port && target.database === live.database) throw usageError('partial.same', '--from names the live database itself.', {hints: ['Name a copy of an earlier time, or leave it out for the newest backup.']})
  return target.password === undefined && target.user === live.user && live.password !== undefined ? {...target, password: live.password} : target
}
