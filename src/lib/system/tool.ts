import {spawn, type ChildProcess} from 'node:child_process'
import {createInterface} from 'node:readline'
import type {Readable, Writable} from 'node:stream'
import {DrError, preflightError} from '../errors.ts'

export interface ToolOptions {
  /** Added to a clean environment: see `toolEnvironment`. */
  env?: Readonly<Record<string, string>>
  cwd?: string
  signal?: AbortSignal
  /** What the tool writes to stdout: gathered into `stdout` (the default), or handed over as a stream. */
  stdout?: 'gather' | 'stream'
  /** The tool's stdin: nothing (the default), or what is written to it. */
  stdin?: 'ignore' | 'pipe'
  onStderrLine?: (line: string) => void
}

export interface ToolResult {
  /** The exit code; 128 + n when signal n ended the tool. */
  code: number
  stdout: string
  /** The last lines of stderr, without the verbose ones that `onStderrLine` was there for. */
  stderr: readonly string[]
}

export interface RunningTool {
  readonly pid: number
  /** Only with `stdout: 'stream'`. */
  readonly stdout: Readable
  /** Only with `stdin: 'pipe'`. */
  readonly stdin: Writable
  /** Resolves when the tool and whatever it started have closed their output. Rejects only when it could not be started. */
  readonly done: Promise<ToolResult>
  /** Ends the tool with all its children: SIGTERM, and SIGKILL three seconds later. */
  end(): void
}

const KEPT_STDERR_LINES = 400

/**
 * The tool runs in a process group of its own, so that Ctrl-C on the terminal reaches only `dr`, and under a shell that
 * holds a pipe from `dr` as its descriptor 3: when `dr` dies, even by SIGKILL, the pipe closes and the group is ended.
 */
const GUARD = `exec 4<&0
"$@" <&4 3<&- 4<&- & tool=$!
exec 4<&-
( trap '' TERM; exec >/dev/null 2>&1; while read -r _; do :; done <&3; kill -TERM 0
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$tool" || break; sleep 0.3; done; kill -KILL 0 ) & guard=$!
exec 3<&-
wait "$tool"; code=$?
kill -KILL "$guard" 2>/dev/null
exit "$code"`

/** The operator's environment without libpq's variables and translations, which would change what a tool does or says. */
export function toolEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name, value]) => value !== undefined && !/^(PG[A-Z]|LC_|LANG)/.test(name)) as [string, string][]
  return {...Object.fromEntries(kept), LC_ALL: 'C', ...extra}
}

export function spawnTool(argv: readonly [string, ...string[]], options: ToolOptions = {}): RunningTool {
  options.signal?.throwIfAborted()
  const guarded = process.platform === 'win32' ? argv : (['/bin/sh', '-c', GUARD, 'dr-guard', ...argv] as const)
  const [file, ...args] = guarded
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: toolEnvironment(options.env),
    stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  })
  const end = () => { endGroup(child) }
  options.signal?.addEventListener('abort', end, {once: true})
  const done = watch(child, argv[0], options).finally(() => { options.signal?.removeEventListener('abort', end) })
  return {pid: child.pid ?? -1, stdout: child.stdout as Readable, stdin: child.stdin as Writable, done, end}
}

/** Runs a tool to its end. A non-zero exit is a result, not an exception; an abort throws the signal's reason. */
export async function runTool(argv: readonly [string, ...string[]], options: ToolOptions = {}): Promise<ToolResult> {
  const result = await spawnTool(argv, options).done
  options.signal?.throwIfAborted()
  return result
}

async function watch(child: ChildProcess, name: string, options: ToolOptions): Promise<ToolResult> {
  const out: Buffer[] = []
  if (options.stdout !== 'stream') child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  const stderr: string[] = []
  if (child.stderr) {
    createInterface({input: child.stderr, crlfDelay: Infinity}).on('line', (line) => {
      options.onStderrLine?.(line)
      stderr.push(line)
      if (stderr.length > KEPT_STDERR_LINES) stderr.shift()
    })
  }
  const code = await closed(child, name)
  return {code, stdout: Buffer.concat(out).toString('utf8'), stderr}
}

function closed(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => { reject(cannotStart(name, error)) })
    child.once('close', (code, signal) => { resolve(code ?? (signal === 'SIGKILL' ? 137 : 143)) })
  })
}

const cannotStart = (name: string, cause: Error): DrError =>
  preflightError('tool.not-started', `${name} cannot be started.`, {cause, hints: ['dr needs a POSIX shell at /bin/sh and the PostgreSQL client tools.']})

/** Cuts the line that the guard holds. */
function endGroup(child: ChildProcess): void {
  if (process.platform === 'win32') child.kill()
  else child.stdio[3]?.destroy()
}
