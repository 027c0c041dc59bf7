/** One word of a POSIX shell command. */
export const shellQuote = (word: string): string => (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`)
