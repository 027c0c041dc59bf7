import {messageOf, type DrError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {codeOf, statementError} from '../../postgres/errors.ts'
import {isExtensionComment} from '../../postgres/restore-lists.ts'
import {startMonitor, type MonitorOptions} from '../../postgres/monitor.ts'
import {entriesToRepeat, restoreArguments, tryRestore, type RestoreArguments, type RestoreEnd, type RestoreRun} from '../../postgres/restore.ts'
import {harmlessOf, leftOut, ruleOf} from '../../postgres/restore-rules.ts'
import {startupOptions, type RestoreSettings} from '../../postgres/restore-settings.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {noteEnd, noteHarmless, tellProblems} from './outcome.ts'
import {LoadProgress, RestProgress} from './progress.ts'
import type {Job} from './flow.ts'
import type {RestoreWork} from './work.ts'

export const settingsOf = (state: RestoreState): RestoreSettings => ({maintenanceWorkMemBytes: state.maintenanceWorkMemBytes, serverMajor: state.server?.major ?? 0})

/** List 1: types, functions, tables, views; no data, no indexes, no privileges. */
export function schemaStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  return {
    id: 'restore.schema',
    title: 'Types, functions, tables',
    effect: 'write',
    byHand: (state) => [
      {argv: ['sh', '-c', `${listing(options, state)} | sed '/ TABLE DATA /,$d' | grep -v -e ' ACL ' -e ' COMMENT - EXTENSION ' > schema.list`]},
      byHand(options, state, 'schema.list'),
    ],
    run: (state, io) => work.time(state.timings, 'pre', async () => {
      io.progress(`${work.lists.schema.length} objects`)
      if (work.schemas.length > 0) await runList(options, work, state, io, await work.list('schemas', work.schemas))
      await runList(options, work, state, io, await work.list('schema', work.lists.schema))
    }),
  }
}

/**
 * List 2: one table, or a batch of small ones, per process; each begins when its members are proven. The indexes of a loaded
 * table are built meanwhile, as a single `pg_restore -j` would.
 */
export function loadStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  return {
    id: 'restore.load',
    title: options.rowsOnly === true ? 'Load the tables' : 'Load the tables, build their indexes',
    effect: 'write',
    byHand: (state) => [
      ...(options.backup.directory === undefined ? [{argv: ['aws', 's3', 'cp', '--recursive', `${options.backup.location}/`, 'BACKUP/']}] : []),
      {argv: ['sh', '-c', `${listing(options, state)} | grep ' TABLE DATA ' > data.list`]},
      byHand(options, state, 'data.list', state.jobs),
    ],
    run: (state, io) => work.time(state.timings, 'load', () => loadAll(options, work, state, io)),
  }
}

async function loadAll(options: RestoreOptions, work: RestoreWork, state: RestoreState, io: StepIo): Promise<void> {
  const progress = new LoadProgress(io, work.units, options.backup.manifest.tables, () => (work.members.remote ? work.members.downloadedBytes : undefined))
  const watch = {onCopies: progress.copies.bind(progress), onIndexes: progress.indexes.bind(progress)}
  await watched(options, work, state, io, watch, () => work.flow(state, io.signal).load(state.jobs, async (job, signal) => {
    await loadJob(options, work, state, {...io, signal}, job)
    progress.finished(job)
  }))
}

async function loadJob(options: RestoreOptions, work: RestoreWork, state: RestoreState, io: StepIo, {unit, indexes}: Job): Promise<void> {
  const entries = indexes ?? [...unit.entries, ...unit.keys]
  await runList(options, work, state, io, await work.list(`load-${entries[0]?.dumpId ?? 0}`, entries))
  if (indexes === undefined) for (const member of unit.members) await work.members.discard(member)
}

/** List 3: sequences, large objects, foreign keys, the indexes that are left, policies, privileges, materialized views, event triggers. */
export function restStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  return {
    id: 'restore.rest',
    title: 'Foreign keys, policies, privileges',
    effect: 'write',
    byHand: (state) => [
      {argv: ['sh', '-c', `${listing(options, state)} | grep -v -x -F -f schema.list -f data.list | grep -v ' COMMENT - EXTENSION ' > rest.list`]},
      byHand(options, state, 'rest.list', state.jobs),
    ],
    run: (state, io) => work.time(state.timings, 'rest', async () => {
      const {rest} = work.lists
      const progress = new RestProgress(io, rest.length)
      const list = await work.list('rest', rest)
      await watched(options, work, state, io, {onIndexes: (indexes) => { progress.indexes(indexes) }}, () =>
        restAtOnce(options, work, state, io, list, () => { progress.begun() }))
      await commentOnExtensions(options, work, state)
      noteHarmless(state, leftOut(work.lists.dropped))
    }),
  }
}

async function restAtOnce(options: RestoreOptions, work: RestoreWork, state: RestoreState, io: StepIo, list: string, onBegun: () => void): Promise<void> {
  const end = await tryList(options, work, state, io, {list, jobs: state.jobs}, onBegun)
  if (end.error === undefined) return
  const again = state.jobs > 1 ? entriesToRepeat(work.archive, end) : undefined
  if (again === undefined) throw told(state, io, end.problems, end.error)
  io.notice(`Workers of pg_restore got into each other's way; what failed is restored again, one after the other: ${end.error.message}`)
  await runList(options, work, state, io, await work.list('again', again))
}

/** Where the role may not, the comment that CREATE EXTENSION wrote stays. */
export async function commentOnExtensions({target}: Pick<RestoreOptions, 'target'>, work: Pick<RestoreWork, 'lists' | 'applicationName'>, state: RestoreState): Promise<void> {
  const comments = work.lists.dropped.filter(isExtensionComment)
  if (comments.length === 0) return
  await withClient(target, {database: state.database, applicationName: work.applicationName}, async (client) => {
    for (const {tag, definition} of comments) {
      await client.query(definition).catch((error: unknown) => {
        const problem = {entry: `COMMENT ${tag}`, dumpId: undefined, message: messageOf(error), command: definition, sqlState: codeOf(error) ?? ''}
        const rule = ruleOf(problem, {clientMajor: state.tools.major, serverMajor: state.server?.major ?? 0})?.rule
        if (rule?.class !== 'harmless') throw statementError(error, `The comment on ${tag}`)
        noteHarmless(state, [harmlessOf(rule.id, problem)])
      })
    }
  })
}

const placeOf = ({backup}: RestoreOptions) => backup.directory ?? 'BACKUP'

/** In a line for `sh -c`. */
const listing = (options: RestoreOptions, {tools}: RestoreState) => `${shellQuote(tools.pgRestore)} --list ${shellQuote(placeOf(options))}`

/** From the builder that `run` uses. */
function byHand(options: RestoreOptions, state: RestoreState, list: string, jobs?: number): ManualCommand {
  const access = {url: (database?: string) => targetUrl(options.target, database)}
  const argv = restoreArguments(state.tools, access, {directory: placeOf(options), list, database: state.database, ...(jobs !== undefined && {jobs})})
  return {argv: ['env', `PGOPTIONS=${startupOptions(settingsOf(state))}`, ...argv]}
}

async function tryList(options: RestoreOptions, work: RestoreWork, state: RestoreState, io: StepIo, what: Pick<RestoreArguments, 'list' | 'jobs'>, onBegun?: () => void): Promise<RestoreEnd> {
  const access = await work.access(settingsOf(state))
  const run: RestoreRun = {archive: work.archive, tools: state.tools, serverMajor: state.server?.major ?? 0, env: access.env, signal: io.signal, ...(onBegun && {onBegun})}
  const end = await tryRestore(restoreArguments(state.tools, access, {...what, verbose: true, directory: work.archiveDirectory, database: state.database}), run)
  noteEnd(state, end)
  return end
}

async function runList(options: RestoreOptions, work: RestoreWork, state: RestoreState, io: StepIo, list: string): Promise<void> {
  const {error, problems} = await tryList(options, work, state, io, {list})
  if (error) throw told(state, io, problems, error)
}

export function told(state: RestoreState, io: StepIo, problems: RestoreEnd['problems'], error: DrError): DrError {
  tellProblems(state, io, problems)
  return error
}

/** Watches our sessions while the work goes on. The work ends them at once when it is given up. */
export async function watched(options: Pick<RestoreOptions, 'target'>, work: Pick<RestoreWork, 'applicationName'>, state: RestoreState, io: StepIo, watch: Pick<MonitorOptions, 'onCopies' | 'onIndexes'>, run: () => Promise<void>): Promise<void> {
  const monitor = await startMonitor(options.target, {applicationName: work.applicationName, database: state.database, ...watch})
  const release = () => { void monitor.endSessions() }
  io.signal.addEventListener('abort', release, {once: true})
  try {
    await run()
  } finally {
    io.signal.removeEventListener('abort', release)
    await monitor.stop()
  }
}
