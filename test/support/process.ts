import {spawn, type ChildProcess} from 'node:child_process'
import type {Readable} from 'node:stream'
import {once} from 'node:events'
import {fileURLToPath} from 'node:url'

/** c8 gathers what these processes covered, too. */
const coverage = process.env.NODE_V8_COVERAGE === undefined ? {} : {NODE_V8_COVERAGE: process.env.NODE_V8_COVERAGE}
const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Started {
  readonly child: ChildProcess
  readonly stdout: string
  readonly stderr: string
  /** Resolves with the first match in stdout or stderr; rejects when the process ends before it. */
  see(pattern: RegExp): Promise<void>
  /** Resolves when it has ended and all its output is here. */
  readonly ended: Promise<{code: number | null; signal: NodeJS.Signals | null}>
}

export interface StartOptions {
  env?: NodeJS.ProcessEnv
  /** From the root of the project; `bin/run.js` when absent. */
  script?: string
  /** A file to be read as standard input; without it there is none. `pipe`: written by the test to `child.stdin`. */
  stdin?: number | 'pipe'
}

/** A process of `dr` as it is built, without a terminal and with nothing of this machine's environment. */
export function startDr(args: readonly string[], home: string, {env = {}, script = 'bin/run.js', stdin}: StartOptions = {}): Started {
  const child = spawn(process.execPath, [`${root}/${script}`, ...args], {
    cwd: home,
    env: {PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: `${root}/node_modules/.cache`, DR_DATA_DIR: `${home}/data`, DR_CONFIG_DIR: `${home}/config`, NODE_ENV: 'production', ...coverage, ...env},
    stdio: [stdin ?? 'ignore', 'pipe', 'pipe'],
  })
  const output = {stdout: '', stderr: ''}
  for (const name of ['stdout', 'stderr'] as const) (child[name] as Readable).setEncoding('utf8').on('data', (text: string) => { output[name] += text })
  const ended = once(child, 'close').then(([code, signal]) => ({code: code as number | null, signal: signal as NodeJS.Signals | null}))
  return {
    child,
    ended,
    get stdout() { return output.stdout },
    get stderr() { return output.stderr },
    see: (pattern) => new Promise((resolve, reject) => {
      const look = () => { if (pattern.test(output.stdout) || pattern.test(output.stderr)) resolve() }
      for (const name of ['stdout', 'stderr'] as const) (child[name] as Readable).on('data', look)
      void ended.then(() => { reject(new Error(`It ended before it said ${String(pattern)}:\n${output.stdout}${output.stderr}`)) })
      look()
    }),
  }
}

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs `dr` to its end. */
export async function finishDr(args: readonly string[], home: string, options: StartOptions = {}): Promise<Finished> {
  const started = startDr(args, home, options)
  const {code} = await started.ended
  return {code, stdout: started.stdout, stderr: started.stderr}
}
