import {stripVTControlCharacters} from 'node:util'
import {DrError, ExitCode, messageOf} from '../errors.ts'
import {redact, registerSecret} from '../system/redact.ts'

/** Which run a failure belongs to. */
export interface RunReference {
  run: string
  journal: string
}

export interface Failure {
  code: string
  message: string
  hints: string[]
  exitCode: number
  run?: string
  journal?: string
}

/** What plugin-not-found exits with. */
const UNKNOWN_COMMAND = 127

const runs = new WeakMap<object, RunReference>()

/** Remembers the run in which an error came up, for its report. */
export function attachRun(error: unknown, run: RunReference): void {
  if (typeof error === 'object' && error !== null) runs.set(error, run)
}

interface OclifError extends Error {
  code?: string
  oclif?: {exit?: number}
  suggestions?: string[]
  flags?: string[]
  parse?: {input?: {argv?: string[]; flags?: Record<string, unknown>}}
}

/** What is said about an error, free of secrets; undefined when nothing is to be said (`this.exit(n)`). */
export async function failureOf(error: unknown, command: string): Promise<Failure | undefined> {
  const known = error instanceof Error ? (error as OclifError) : undefined
  if (known?.code === 'EEXIT') return undefined
  const run = typeof error === 'object' && error !== null ? runs.get(error) : undefined
  const failure = await describe(error, known, command, run)
  return {...failure, message: clean(failure.message), hints: failure.hints.map(clean), ...run}
}

/** Without secrets, and without the colours that oclif's plugins bring along. */
const clean = (text: string) => redact(stripVTControlCharacters(text))

async function describe(error: unknown, known: OclifError | undefined, command: string, run: RunReference | undefined): Promise<Failure> {
  if (error instanceof DrError) return {code: error.code, message: error.message, hints: [...error.hints], exitCode: error.exitCode}
  if (known?.name === 'AbortError') return {code: 'interrupted', message: 'Interrupted.', hints: [], exitCode: ExitCode.interrupted}
  const exit = known?.oclif?.exit
  if (known && (exit === ExitCode.usage || exit === UNKNOWN_COMMAND)) return usageFailure(known, exit, command)
  return {
    code: 'unexpected',
    message: `Unexpected: ${messageOf(error)}`,
    hints: [
      `This is a bug in dr; please report it${run ? ', with the journal' : ''}`,
      'Run again with DEBUG=dr* to see where it came from',
    ],
    exitCode: ExitCode.failed,
  }
}

/** An error of oclif's parser. What follows an unknown flag may be a secret: dr takes none in flags, but people try. */
async function usageFailure(error: OclifError, exitCode: number, command: string): Promise<Failure> {
  for (const value of secretArguments(error.parse?.input?.argv ?? process.argv)) registerSecret(value)
  const hints = [...(error.suggestions ?? [])]
  const known = Object.keys(error.parse?.input?.flags ?? {})
  if (error.flags && known.length > 0) {
    const {closest} = await import('../config/problem.ts')
    for (const flag of error.flags) {
      const near = closest(flag.replace(/^-+/, ''), known)
      if (near !== undefined) hints.push(`Did you mean --${near}?`)
    }
  }
  if (error.parse) hints.push(`See ${command} --help`)
  if (exitCode === UNKNOWN_COMMAND) return {code: 'usage.unknown-command', message: `There is no command ${command}.`, hints: [error.message], exitCode}
  return {code: 'usage', message: error.message.replace(/\nSee more help with --help$/, ''), hints, exitCode}
}

function secretArguments(argv: readonly string[]): string[] {
  return argv.flatMap((word, index) => {
    const match = /^--?[\w-]*(?:pass|secret|token|key|credential|url)[\w-]*(?:=(.*))?$/is.exec(word)
    const value = match && (match[1] ?? argv[index + 1])
    return value === undefined || value === null ? [] : [value]
  })
}

/** For the terminal. */
export function* failureLines(failure: Failure): Generator<string> {
  yield `Error: ${failure.message}`
  for (const hint of failure.hints) yield `  Hint: ${hint}`
  if (failure.journal !== undefined) yield `  Journal: ${failure.journal}`
}
