import type {ToolOptions} from '../system/tool.ts'
import {runTool} from '../system/tool.ts'
import type {Archive} from './archive.ts'
import type {ToolAccess} from './passfile.ts'
import {isHarmless, RestoreComplaints, restoreError, type RestoreProblem} from './restore-errors.ts'
import type {ClientTools} from './tools.ts'

export interface RestoreArguments {
  /** Of the archive: toc.dat and the members. */
  directory: string
  /** File with the entries to restore. */
  list: string
  database: string
  /** Above one, pg_restore works on several entries at once. */
  jobs?: number
  verbose?: boolean
}

export function restoreArguments(tools: ClientTools, access: Pick<ToolAccess, 'url'>, {directory, list, database, jobs = 1, verbose = false}: RestoreArguments): [string, ...string[]] {
  return [
    tools.pgRestore, '--format=directory', `--use-list=${list}`, ...(jobs > 1 ? [`--jobs=${jobs}`] : []), ...(verbose ? ['--verbose'] : []),
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

/** Runs one pg_restore. Returns what it complained of without harm; anything else throws, by the object's name and in the server's words. */
export async function runRestore(argv: [string, ...string[]], run: RestoreRun): Promise<RestoreProblem[]> {
  const complaints = new RestoreComplaints(run.archive)
  const onStderrLine: ToolOptions['onStderrLine'] = (line) => {
    complaints.line(line)
    for (const begun of line.matchAll(/pg_restore: (?:creating|executing) /g)) if (begun.length > 0) run.onBegun?.()
  }
  const {code, stderr} = await runTool(argv, {env: run.env, signal: run.signal, onStderrLine})
  const majors = {clientMajor: run.tools.major, serverMajor: run.serverMajor}
  const harmful = complaints.problems.filter((problem) => !isHarmless(problem, majors))
  if (harmful.length > 0 || (code !== 0 && complaints.problems.length === 0)) throw restoreError(harmful, code, stderr.slice(-3))
  return complaints.problems
}
