/** One word of a POSIX shell command. */
export const shellQuote = (word: string): string => (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`)

/** A command that can be pasted into a POSIX shell. */
export const shellCommand = (argv: readonly string[]): string => argv.map(shellQuote).join(' ')
