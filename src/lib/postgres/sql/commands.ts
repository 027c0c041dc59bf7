/** What becomes of a command of psql's in a script. */
export type CommandVerdict = {verdict: 'leave-out'; rule: 'restrict' | 'display'} | {verdict: 'connect'; database: string} | {verdict: 'refuse'; why: string}

const WHY: readonly [RegExp, string][] = [
  [/^\\!/, 'it runs a program on this machine'],
  [/^\\copy\b/, 'it reads or writes a file of this machine, or runs a program'],
  [/^\\(i|ir|include|include_relative)\b/, 'it reads another file'],
  [/^\\(o|out|w|write|g|gx|gset|gexec|s)\b/, 'it may write a file, run a program, or run what a query returns'],
  [/^\\(c|connect)\b/, 'it connects elsewhere'],
  [/^\\(set|getenv|setenv|if|elif|else|endif|gdesc|bind|prompt|cd)\b/, 'it changes what psql does'],
  [/^\\\.$/, 'it is the end of rows that were not begun'],
]
/** Without a backquote, which runs a program, and without another command on the line. */
const DISPLAY = /^\\(echo|qecho|warn|timing|pset|x|a|t|f|H|C)(?![A-Za-z])[^`\\]*$/

export function judgeCommand(text: string, insideStatement: boolean): CommandVerdict {
  if (!insideStatement && /^\\(un)?restrict [A-Za-z0-9]+$/.test(text)) return {verdict: 'leave-out', rule: 'restrict'}
  if (!insideStatement && DISPLAY.test(text)) return {verdict: 'leave-out', rule: 'display'}
  const database = insideStatement ? undefined : connectedDatabase(text)
  if (database !== undefined) return {verdict: 'connect', database}
  return {verdict: 'refuse', why: WHY.find(([pattern]) => pattern.test(text))?.[1] ?? 'dr runs no commands of psql'}
}

/** The three forms in which pg_dump writes it: a plain name, a quoted one, and a connection string with nothing but a database. */
function connectedDatabase(text: string): string | undefined {
  const plain = /^\\connect ([A-Za-z_][A-Za-z0-9_$]*)$/.exec(text)?.[1]
  if (plain !== undefined) return plain
  const quoted = /^\\connect "((?:[^"]|"")+)"$/.exec(text)?.[1]
  if (quoted !== undefined) return quoted.replaceAll('""', '"')
  const inString = /^\\connect -reuse-previous=on "dbname='((?:[^'\\"]|\\.|"")+)'"$/.exec(text)?.[1]
  return inString?.replaceAll('""', '"').replaceAll(/\\(.)/g, '$1')
}
