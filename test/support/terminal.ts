import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {fileURLToPath} from 'node:url'
import {shellCommand} from '../../src/lib/ui/shell.ts'

/** c8 gathers what these processes covered, too. */
const coverage = process.env.NODE_V8_COVERAGE === undefined ? {} : {NODE_V8_COVERAGE: process.env.NODE_V8_COVERAGE}
const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Terminal {
  readonly child: ChildProcess
  /** All that was drawn so far. */
  readonly drawn: string
  type(text: string): void
  see(pattern: RegExp): Promise<void>
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>
}

/** The trial command on a pseudo-terminal of so many columns, made by script(1). */
export function trialOnTerminal(args: readonly string[], home: string, columns: number, env: NodeJS.ProcessEnv = {}): Terminal {
  const dr = shellCommand([process.execPath, `${root}test/support/trial/run.ts`, 'trial', ...args])
  const child = spawn('script', ['-qec', `stty cols ${columns} rows 24; exec ${dr}`, '/dev/null'], {
    cwd: home,
    env: {PATH: process.env.PATH, HOME: home, DR_DATA_DIR: `${home}/data`, TERM: 'xterm', LANG: 'C.UTF-8', NODE_ENV: 'production', ...coverage, ...env, SHELL: '/bin/sh'},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  // What is typed after the end goes nowhere.
  child.stdin.on('error', () => undefined)
  let drawn = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { drawn += text })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return {
    child,
    ended,
    get drawn() { return drawn },
    type: (text) => { child.stdin.write(text) },
    see: (pattern) => new Promise((resolve, reject) => {
      const look = () => { if (pattern.test(drawn)) resolve() }
      child.stdout.on('data', look)
      void ended.then(() => { reject(new Error(`It ended before it drew ${String(pattern)}:\n${drawn}`)) })
      look()
    }),
  }
}
