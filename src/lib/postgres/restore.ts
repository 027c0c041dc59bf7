import type {ToolOptions} from '../system/tool.ts'
import {runTool} from '../system/tool.ts'
import type {DrError} from '../errors.ts'
import type {Archive, ArchiveEntry} from './archive.ts'
import type {ToolAccess} from './passfile.ts'
import {RestoreComplaints, restoreError} from './restore-errors.ts'
import type {HarmlessError, RestoreProblem} from './restore-rules.ts'
import type {ClientTools} from './tools.ts'

export interface RestoreArguments {
  /** Else `directory`. */
  format?: 'custom' | 'tar' | 'directory'
  /** Of the archive: toc.dat and the members; of another format the file. */
  directory: string
  /** File with the entries to restore. */
  list: string
  database: string
  /** Above one, pg_restore works on several entries at once. */
  jobs?: number
  /** Without it, pg_restore says neither which entry an error is of nor what the server warns of. */
  verbose?: boolean
  /** Whoever restores owns what is made. */
  noOwner?: boolean
  /** All of it, or nothing. */
  singleTransaction?: boolean
}

export function restoreArguments(tools: ClientTools, access: Pick<ToolAccess, 'url'>, {format = 'directory', directory, list, database, jobs = 1, verbose = false, noOwner = false, singleTransaction = false}: RestoreArguments): [string, ...string[]] {
  return [
    tools.pgRestore, `--format=${format}`, `--use-list=${list}`, ...(jobs > 1 ? [`--jobs=${jobs}`] : []), ...(verbose ? ['--verbose'] : []), ...(noOwner ? ['--no-owner'] : []), ...(singleTransaction ? ['--single-transaction'] : []),
    `--dbname=${access.url(database)}`, directory,
  ]
}

export interface RestoreRun {
  archive: Archive
  tools: ClientTools
  serverMajor: number
  env: Readonly<Record<string, string>>
  signal: AbortSignal
  /** With --verbose: an entry is begun. */
  onBegun?: () => void
}

/** How one pg_restore ended. */
export interface RestoreEnd {
  /** What it complained of, save what is known to be without harm. */
  problems: RestoreProblem[]
  /** What rules forgave. */
  harmless: HarmlessError[]
  /** What the server warned of. */
  warnings: string[]
  /** Nothing that it complained of is missing there. */
  complete: boolean
  /** By the first of them; undefined when all went well. */
  error: DrError | undefined
}

/** Runs one pg_restore and says how it ended: it goes on past an error, so there may be several. */
export async function tryRestore(argv: [string, ...string[]], run: RestoreRun): Promise<RestoreEnd> {
  const complaints = new RestoreComplaints(run.archive)
  const onStderrLine: ToolOptions['onStderrLine'] = (line) => {
    complaints.line(line)
    for (const begun of line.matchAll(/pg_restore: (?:creating|executing) /g)) if (begun.length > 0) run.onBegun?.()
  }
  const {code, stderr} = await runTool(argv, {env: run.env, signal: run.signal, onStderrLine})
  const majors = {clientMajor: run.tools.major, serverMajor: run.serverMajor}
  const {harmless, forgiven, problems} = complaints.judge(majors)
  const warnings = [...complaints.warnings]
  // Only its own end with errors may be forgiven: one that was killed (137, 143) has not done its work.
  if ((code === 0 && problems.length === 0) || (code === 1 && forgiven)) return {problems: [], harmless, warnings, complete: true, error: undefined}
  return {problems, harmless, warnings, complete: code === 1 && complaints.complete, error: restoreError(problems, code, stderr.slice(-3), majors)}
}

/**
 * What may come right when it is restored again, alone: workers of a parallel pg_restore get into each other's way (deadlocks
 * over the indexes of nested partitions, a privilege passed on before its schema's). Undefined when something else is wrong.
 */
export function entriesToRepeat(archive: Archive, {problems, complete, error}: Pick<RestoreEnd, 'problems' | 'complete' | 'error'>): ArchiveEntry[] | undefined {
  if (error?.code !== 'restore.failed' || !complete || problems.some(({dumpId}) => dumpId === undefined)) return undefined
  const failed = new Set(problems.map(({dumpId}) => dumpId))
  return archive.entries.filter(({dumpId}) => failed.has(dumpId))
}
