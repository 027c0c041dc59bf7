import {shellQuote} from '../system/shell.ts'

export {shellQuote}

/** A command that can be pasted into a POSIX shell. */
export const shellCommand = (argv: readonly string[]): string => argv.map(shellQuote).join(' ')
