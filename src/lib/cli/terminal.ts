const beforeDashes = (argv: readonly string[]) => (argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv)

/** oclif's own rule, for where no command has been found. */
export const wantsJson = (argv: readonly string[]): boolean => beforeDashes(argv).includes('--json') || process.env.DR_CONTENT_TYPE?.toLowerCase() === 'json'

/** Whether a question may be asked: somebody sees it and can answer, and none has forbidden it. */
export const mayAsk = (argv: readonly string[]): boolean =>
  process.stdin.isTTY && process.stderr.isTTY && !process.env.CI && !wantsJson(argv) && !beforeDashes(argv).includes('--no-input')
