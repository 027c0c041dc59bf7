import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {chmod, mkdir, mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {removeSandbox, sandboxDirectory, sandboxEnvironment} from '../src/lib/sandbox/sandbox.ts'
import {shellCommand, shellQuote} from '../src/lib/ui/shell.ts'
import {drScript} from './dr-script.ts'
import {ensurePostgresql} from './install-postgresql.ts'

/*
 * npm run demo [-- --rows N --keep]: what dr does, on a sandbox of its own, command by command as anyone would type them.
 * Nothing of the user's is touched: data and configuration lie in a temporary folder.
 */

interface Timed {
  command: string
  ms: number
}

/** A command of dr that failed; it has said why. */
class StepFailed extends Error {
  readonly exitCode: number

  constructor(command: string, exitCode: number) {
    super(`${command} ended with exit code ${exitCode}.`)
    this.exitCode = exitCode
  }
}

let interrupted = false
let running: ChildProcess | undefined
const say = (line = ''): void => { process.stdout.write(`${line}\n`) }
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

class Demo {
  readonly folder: string
  readonly timed: Timed[] = []
  #environment: NodeJS.ProcessEnv
  readonly #script = drScript()

  constructor(folder: string) {
    this.folder = folder
    const own = Object.entries(process.env).filter(([name]) => !/^(PG[A-Z]|AWS_|DR_|npm_|DATABASE_URL$|ENCRYPTION_KEY$)/.test(name))
    this.#environment = {...Object.fromEntries(own), NODE_ENV: 'production', DR_DATA_DIR: join(folder, 'data'), DR_CONFIG_DIR: join(folder, 'config')}
  }

  get sandbox(): string {
    return sandboxDirectory(join(this.folder, 'data'))
  }

  /** Runs `dr` to its end, in view of everybody. */
  async dr(title: string, ...args: string[]): Promise<void> {
    if (interrupted) throw new Error('Interrupted.')
    const command = shellCommand(['dr', ...args])
    say(`\n# ${title}\n$ ${command}`)
    const from = performance.now()
    const child = running = spawn(process.execPath, [this.#script, ...args], {cwd: this.folder, env: this.#environment, stdio: ['ignore', 'inherit', 'inherit']})
    const [code] = (await once(child, 'close')) as [number | null]
    this.timed.push({command, ms: performance.now() - from})
    if (code !== 0) throw new StepFailed(command, code ?? 130)
  }

  /** What `eval "$(dr sandbox env)"` does to a shell. */
  async useSandbox(): Promise<void> {
    say('$ eval "$(dr sandbox env)"')
    this.#environment = {...this.#environment, ...(await sandboxEnvironment(this.sandbox))}
  }

  /** Lines for a shell of the user's own, with which the sandbox can be worked on. */
  *shellLines(): Generator<string> {
    yield `export DR_DATA_DIR=${shellQuote(join(this.folder, 'data'))}`
    yield `alias dr=${shellQuote(shellCommand([process.execPath, this.#script]))}`
    yield 'eval "$(dr sandbox env)"'
  }
}

async function perform(demo: Demo, rows: string): Promise<void> {
  await demo.dr('A PostgreSQL and an S3 server with sample data, on 127.0.0.1', 'sandbox', 'start', '--no-rds', '--rows', rows)
  await demo.useSandbox()
  await demo.dr('A backup in S3 and in a local folder', 'backup', '--s3', '--local')
  await demo.dr('What there is', 'list')
  await demo.dr('Every byte of both copies, read again', 'verify', 'latest')
  await demo.dr('From S3 into a new database, compared with what was backed up', 'restore', '--s3', 'latest')
  await demo.dr('The backup is verified now', 'list')
}

function summary({timed}: Demo, totalMs: number): void {
  say('\nTimings')
  for (const {command, ms} of timed) say(`${seconds(ms).padStart(9)}  ${command}`)
  say(`${seconds(totalMs).padStart(9)}  all`)
}

async function clean(demo: Demo, keep: boolean): Promise<void> {
  if (keep) {
    say('\nThe sandbox still runs. To work on it:')
    for (const line of demo.shellLines()) say(`  ${line}`)
    say(`To end it: dr sandbox stop, then: rm -r ${shellQuote(demo.folder)}`)
    return
  }
  await removeSandbox(demo.sandbox)
  await rm(demo.folder, {recursive: true, force: true})
  say('\nThe sandbox is stopped and removed. With `npm run demo -- --keep` it stays.')
}

async function main(): Promise<void> {
  const {values: {rows, keep}} = parseArgs({options: {rows: {type: 'string', default: '100000'}, keep: {type: 'boolean', default: false}}})
  const from = performance.now()
  await ensurePostgresql(say)
  const folder = await mkdtemp(join(tmpdir(), 'dr-demo-'))
  // PostgreSQL does not run as root: its account must get through to the cluster.
  await chmod(folder, 0o711)
  await mkdir(join(folder, 'config'))
  const demo = new Demo(folder)
  try {
    await perform(demo, rows)
    summary(demo, performance.now() - from)
  } finally {
    await clean(demo, keep)
  }
}

// Ctrl-C reaches the running command too, which cleans up and fails; then the demo cleans up after itself.
process.on('SIGINT', () => { interrupted = true })
process.on('SIGTERM', () => {
  interrupted = true
  running?.kill('SIGTERM')
})
main().catch((error: unknown) => {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof StepFailed ? error.exitCode : 1
})
