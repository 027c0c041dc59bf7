/** The exit codes of `dr`, and the only table of them. Scripts rely on the numbers; never renumber. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  preflight: 3,
  verification: 4,
  unreachable: 5,
  locked: 6,
  incomplete: 7,
  declined: 8,
  objective: 9,
  interrupted: 130,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** What each code means, for help texts and documents. */
export const exitCodeMeaning: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'failed, unexpected',
  2: 'usage: a bad flag or argument, or a needed confirmation flag is missing',
  3: 'preflight or configuration: nothing was changed',
  4: 'verification failed: the backup or the restored data is not what it should be',
  5: 'PostgreSQL, S3 or AWS is unreachable, or denied access',
  6: 'another run holds the lock, or the database is too busy: try later',
  7: 'finished, but incomplete (for example one of two destinations failed)',
  8: 'the operator declined',
  9: 'an objective is breached',
  130: 'interrupted',
}

export interface DrErrorOptions extends ErrorOptions {
  exitCode?: ExitCode
  hints?: readonly string[]
  /** Lines with values of rows: for the terminal alone, in no journal and no --json. */
  details?: readonly string[]
}

/**
 * An expected failure: something that the operator can act on.
 * `message` is one fact, each hint names a command or a setting. Neither ever holds a secret.
 */
export class DrError extends Error {
  /** Stable and dotted (`storage.unreachable`); scripts may match it. */
  readonly code: string
  readonly exitCode: ExitCode
  readonly hints: readonly string[]
  readonly details: readonly string[]
  readonly oclif: {exit: number}

  constructor(code: string, message: string, options: DrErrorOptions = {}) {
    super(message, options)
    this.name = 'DrError'
    this.code = code
    this.exitCode = options.exitCode ?? ExitCode.failed
    this.oclif = {exit: this.exitCode}
    this.hints = options.hints ?? []
    this.details = options.details ?? []
  }

  /** oclif's printer shows these as «Try this». */
  get suggestions(): readonly string[] {
    return this.hints
  }
}

type Rest = Omit<DrErrorOptions, 'exitCode'>

export const usageError = (code: string, message: string, rest: Rest = {}) => new DrError(code, message, {...rest, exitCode: ExitCode.usage})
export const preflightError = (code: string, message: string, rest: Rest = {}) => new DrError(code, message, {...rest, exitCode: ExitCode.preflight})
export const verificationError = (code: string, message: string, rest: Rest = {}) => new DrError(code, message, {...rest, exitCode: ExitCode.verification})
export const unreachableError = (code: string, message: string, rest: Rest = {}) => new DrError(code, message, {...rest, exitCode: ExitCode.unreachable})
export const lockedError = (code: string, message: string, rest: Rest = {}) => new DrError(code, message, {...rest, exitCode: ExitCode.locked})
export const incompleteError = (code: string, message: string, rest: Rest = {}) => new DrError(code, message, {...rest, exitCode: ExitCode.incomplete})

/** Ends a run where what was done is worth keeping: nothing is undone. Its hints say how to go on, and how to clean up. */
export class StopError extends DrError {}

export class DeclinedError extends StopError {
  constructor(message = 'Stopped: the operator did not confirm.', hints: readonly string[] = []) {
    super('declined', message, {exitCode: ExitCode.declined, hints})
  }
}

export class InterruptedError extends DrError {
  constructor() {
    super('interrupted', 'Interrupted.', {exitCode: ExitCode.interrupted})
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
