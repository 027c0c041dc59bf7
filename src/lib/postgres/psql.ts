import {randomBytes} from 'node:crypto'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {once} from 'node:events'
import type {Writable} from 'node:stream'
import {preflightError} from '../errors.ts'
import {spawnTool} from '../system/tool.ts'
import type {ToolAccess} from './passfile.ts'
import {ScriptComplaints, type ScriptProblem} from './psql-errors.ts'
import type {ClientTools} from './tools.ts'

/** psql of an installation that has one. */
export interface Psql {
  path: string
  version: string
  major: number
}

/** The oldest psql that is at least as new as the server, else the newest: what a script needs of psql is little. */
export function choosePsql(found: readonly ClientTools[], serverMajor: number): Psql {
  const able = found.filter(({directory}) => existsSync(join(directory, 'psql')))
  const chosen = able.toReversed().find(({major}) => major >= serverMajor) ?? able[0]
  if (chosen) return {path: join(chosen.directory, 'psql'), version: chosen.version, major: chosen.major}
  throw preflightError('tools.missing', 'psql is needed to restore plain SQL, and was not found beside pg_restore.', {hints: ['Install the PostgreSQL client tools (apt-get install postgresql-client), or set tools.directory (DR_PG_BIN).']})
}

/** Since August 2025: psql then takes no commands from the script. */
const RESTRICTS: Readonly<Record<number, number>> = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}

export function knowsRestrict({version}: Pick<Psql, 'version'>): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major >= 18 || minor >= (RESTRICTS[major] ?? Infinity)
}

export interface ScriptArguments {
  database: string
  singleTransaction: boolean
}

/** Stops at the first error, reads no .psqlrc, never asks for a password, shows no results; the script comes from its standard input. */
export function psqlArguments(psql: Pick<Psql, 'path'>, access: Pick<ToolAccess, 'url'>, {database, singleTransaction}: ScriptArguments): [string, ...string[]] {
  return [
    psql.path, '--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', '--set=VERBOSITY=verbose', '--output=/dev/null',
    ...(singleTransaction ? ['--single-transaction'] : []), `--dbname=${access.url(database)}`, '--file=-',
  ]
}

export interface ScriptRun {
  psql: Psql
  env: Readonly<Record<string, string>>
  signal: AbortSignal
}

/** How one psql ended. `problem.line` is a line of the script. */
export interface ScriptEnd {
  code: number
  problem: ScriptProblem | undefined
}

/** Feeds a script to psql. When the script cannot be read to its end psql is ended, so that nothing of a single transaction is kept. */
export async function runScript(argv: [string, ...string[]], script: AsyncIterable<Buffer>, {psql, env, signal}: ScriptRun): Promise<ScriptEnd> {
  const complaints = new ScriptComplaints()
  const tool = spawnTool(argv, {env, signal, stdin: 'pipe', onStderrLine: (line) => { complaints.line(line) }})
  const ended = tool.done.finally(() => { tool.stdin.destroy() })
  const guard = knowsRestrict(psql) ? randomBytes(16).toString('hex') : undefined
  try {
    await feed(tool.stdin, guarded(script, guard), ended)
  } catch (error) {
    tool.end()
    await ended.catch(() => {})
    signal.throwIfAborted()
    throw error
  }
  const {code} = await ended
  signal.throwIfAborted()
  return {code, problem: code === 0 ? undefined : withoutGuard(complaints.first, guard)}
}

async function* guarded(script: AsyncIterable<Buffer>, guard: string | undefined): AsyncGenerator<Buffer> {
  if (guard !== undefined) yield Buffer.from(`\\restrict ${guard}\n`)
  yield* script
  if (guard !== undefined) yield Buffer.from(`\n\\unrestrict ${guard}\n`)
}

/** It has a line of its own, before all others. */
function withoutGuard(problem: ScriptProblem | undefined, guard: string | undefined): ScriptProblem | undefined {
  return problem?.line === undefined || guard === undefined ? problem : {...problem, line: problem.line - 1}
}

/** Until the script's end, or psql's own: what ended psql is told by itself. */
async function feed(stdin: Writable, script: AsyncIterable<Buffer>, ended: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  const stop = () => { over.abort() }
  const end = ended.then(stop, stop)
  stdin.on('error', stop)
  for await (const chunk of script) {
    if (over.signal.aborted) return
    if (!stdin.write(chunk)) await Promise.race([once(stdin, 'drain', {signal: over.signal}).catch(() => {}), end])
  }
  stdin.end()
}
