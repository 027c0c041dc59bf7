import {stripVTControlCharacters} from 'node:util'
import {DrError, ExitCode, messageOf} from '../errors.ts'
import {redact} from '../system/redact.ts'

/** Which run a failure belongs to. */
export interface RunReference {
  run: string
  journal: string
}

export interface Failure {
  code: string
  message: string
  hints: string[]
  /** For the terminal alone. */
  details?: string[] | undefined
  exitCode: number
  run?: string
  journal?: string
}

/** For --json, which may end in a log: without values of rows. */
export const failureJson = (failure: Failure): {error: Failure} => ({error: {...failure, details: undefined}})

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
  flags?: string[]
  parse?: {input?: {flags?: Record<string, unknown>}}
}

/** What is said about an error, free of secrets; undefined when nothing is to be said (`this.exit(n)`). */
export async function failureOf(error: unknown, argv: readonly string[]): Promise<Failure | undefined> {
  const known = error instanceof Error ? (error as OclifError) : undefined
  if (known?.code === 'EEXIT') return undefined
  const run = typeof error === 'object' && error !== null ? runs.get(error) : undefined
  const failure = await describe(error, known, argv, run)
  return {...failure, message: clean(failure.message), hints: failure.hints.map(clean), ...(failure.details && {details: failure.details.map(clean)}), ...run}
}

/** Without secrets, and without the colours that oclif's plugins bring along. */
const clean = (text: string) => redact(stripVTControlCharacters(text))

async function describe(error: unknown, known: OclifError | undefined, argv: readonly string[], run: RunReference | undefined): Promise<Failure> {
  if (error instanceof DrError) return {code: error.code, message: error.message, hints: [...error.hints], ...(error.details.length > 0 && {details: [...error.details]}), exitCode: error.exitCode}
  if (known?.name === 'AbortError') return {code: 'interrupted', message: 'Interrupted.', hints: [], exitCode: ExitCode.interrupted}
  const exit = known?.oclif?.exit
  if (known && (exit === ExitCode.usage || exit === UNKNOWN_COMMAND)) return usageFailure(known, exit, argv)
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

/** An error of oclif's parser, or an unknown command. */
async function usageFailure(error: OclifError, exitCode: number, argv: readonly string[]): Promise<Failure> {
  if (exitCode === UNKNOWN_COMMAND) {
    return {code: 'usage.unknown-command', message: `Not a command, or not one that takes arguments: ${typed(argv)}`, hints: [error.message], exitCode: ExitCode.usage}
  }
  if (/^Command .* not found\.$/.test(error.message)) return {code: 'usage.unknown-command', message: error.message, hints: ['dr help lists the commands.'], exitCode}
  const hints = error.flags ? await nearFlags(error.flags, Object.keys(error.parse?.input?.flags ?? {})) : []
  return {code: 'usage', message: messageWithoutValues(error), hints: [...hints, `See ${commandOf(argv)} --help`], exitCode}
}

/** oclif repeats an unknown flag with its value, and that may be a secret: `dr` takes none in flags, but people try. */
function messageWithoutValues({message, flags}: OclifError): string {
  if (!flags) return message.replace(/\nSee more help with --help$/, '').replaceAll(/\s*\n\s*/g, ' ')
  const names = flags.map((flag) => flag.replace(/=.*/s, ''))
  return `Nonexistent flag${names.length === 1 ? '' : 's'}: ${names.join(', ')}`
}

async function nearFlags(flags: readonly string[], known: readonly string[]): Promise<string[]> {
  const {closest} = await import('../config/problem.ts')
  return flags.flatMap((flag) => {
    const near = closest(flag.replace(/^-+/, '').replace(/=.*/s, ''), known)
    return near === undefined ? [] : [`Did you mean --${near}?`]
  })
}

const typed = (argv: readonly string[]) => ['dr', ...argv.slice(0, firstIndex(argv, /^-/))].join(' ')

/** `dr config show` of `dr config show --bad`. */
const commandOf = (argv: readonly string[]) => ['dr', ...argv.slice(0, Math.min(firstIndex(argv, /[^a-z:-]|^-/), TOPICS.has(argv[0] ?? '') || (argv[0] === 'restore' && /^clean-?up$/.test(argv[1] ?? '')) ? 2 : 1))].join(' ')

/** Their second word is a command, not an argument. */
const TOPICS = new Set(['config', 'pitr', 'sandbox'])

function firstIndex(argv: readonly string[], pattern: RegExp): number {
  const index = argv.findIndex((word) => pattern.test(word))
  return index === -1 ? argv.length : index
}
