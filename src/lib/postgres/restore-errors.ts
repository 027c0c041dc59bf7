import {DrError} from '../errors.ts'
import type {Archive, ArchiveEntry} from './archive.ts'
import {entryName} from './restore-lists.ts'
import {addHarmless, harmlessOf, knowsMore, ruleOf, TIMEOUT_COMMAND, TIMEOUT_RULE, type HarmlessError, type Majors, type RestoreProblem} from './restore-rules.ts'

export {isHarmless, type Majors, type RestoreProblem} from './restore-rules.ts'

const MOST_PROBLEMS = 200
const MOST_WARNINGS = 50
/** pg_restore writes `pg_restore:`, a space, `error: ` and the text one after the other: workers write in between. */
const COMPLAINT = /(?:^|pg_restore:) *(?:error|fatal): (.*)$/
const TIMEOUT = /could not execute query: .*\btransaction_timeout\b/

/**
 * Gathers the errors of one pg_restore from its stderr. Each is attributed by the entry that stands before it; the number
 * that pg_restore prints in the end is wrong with several connections, so it is not looked at.
 */
export class RestoreComplaints {
  readonly problems: RestoreProblem[] = []
  /** What the server warned of: it did less than it was asked for. */
  readonly warnings = new Set<string>()
  /** Every `error:` and `fatal:`, wherever it stands: what a torn line hides from `problems` is still counted. */
  #errors = 0
  #timeouts = 0
  #timeoutCommands = 0
  readonly #archive: Archive
  #entry: ArchiveEntry | undefined
  #open: RestoreProblem | undefined

  constructor(archive: Archive) {
    this.#archive = archive
  }

  line(line: string): void {
    this.#errors += line.match(/\b(?:error|fatal):/g)?.length ?? 0
    if (TIMEOUT.test(line)) this.#timeouts++
    if (line === `Command was: ${TIMEOUT_COMMAND}`) this.#timeoutCommands++
    const warning = /pg_restore: WARNING: +(.*)$/.exec(line)?.[1]
    if (warning !== undefined && this.warnings.size < MOST_WARNINGS) this.warnings.add(warning)
    if (line.includes('pg_restore:') || COMPLAINT.test(line)) this.#begin(line)
    else this.#continue(line)
  }

  /** Every error is among the problems. */
  get complete(): boolean {
    return this.#errors === this.problems.length
  }

  /**
   * The errors that rules forgive, and whether these are all. The timeouts count by numbers, which hold however workers
   * tore the lines; of the others each must have come through whole.
   */
  judge(majors: Majors): {harmless: HarmlessError[]; forgiven: boolean; problems: RestoreProblem[]} {
    const timeouts = knowsMore(majors) && this.#timeouts === this.#timeoutCommands ? this.#timeouts : 0
    const judged = this.problems.map((problem) => ({problem, rule: ruleOf(problem, majors)?.rule}))
    const others = judged.filter(({rule}) => rule?.class === 'harmless' && rule.id !== TIMEOUT_RULE)
    const harmless: HarmlessError[] = timeouts === 0 ? [] : [{rule: TIMEOUT_RULE, subject: '', message: 'unrecognized configuration parameter "transaction_timeout"', count: timeouts}]
    addHarmless(harmless, others.map(({problem, rule}) => harmlessOf(rule?.id ?? '', problem)))
    const forgiven = this.#errors > 0 && this.#errors === timeouts + others.length
    return {harmless, forgiven, problems: forgiven ? [] : judged.filter(({rule}) => rule?.class !== 'harmless').map(({problem}) => problem)}
  }

  #begin(line: string): void {
    this.#open = undefined
    const dumpId = /pg_restore: *from TOC entry (\d+); /.exec(line)?.[1]
    if (dumpId !== undefined) this.#entry = this.#archive.entries.find((entry) => entry.dumpId === Number(dumpId))
    else if (line.includes('while INITIALIZING')) this.#entry = undefined
    const error = COMPLAINT.exec(line)?.[1]
    if (error === undefined || this.problems.length >= MOST_PROBLEMS) return
    this.#open = {message: error, command: undefined, entry: this.#entry && entryName(this.#entry), dumpId: undefined}
    this.problems.push(this.#open)
  }

  /** DETAIL and CONTEXT quote the rows' data: they stay out. */
  #continue(line: string): void {
    if (!this.#open) return
    if (line.startsWith('could not execute query: ')) this.#open.message = line
    const command = /^Command was: (.*)$/.exec(line)?.[1]
    if (command === undefined) return
    this.#open.command = command
    // Lines of several workers mix: the statement says better whose it is.
    const owner = command === '' ? undefined : this.#ownerOf(command)
    if (owner) Object.assign(this.#open, {entry: entryName(owner), dumpId: owner.dumpId})
  }

  #ownerOf(command: string): ArchiveEntry | undefined {
    const owners = this.#archive.entries.filter(({definition}) => definition.includes(command))
    const exact = owners.filter(({definition}) => definition.trimStart().split('\n', 1)[0] === command)
    const [only] = exact.length === 1 ? exact : owners
    return exact.length === 1 || owners.length === 1 ? only : undefined
  }
}

/** The failure of a restore, by its first real complaint. `majors` decide which rules can hold. */
export function restoreError(problems: readonly RestoreProblem[], code: number, lastLines: readonly string[], majors: Majors = {clientMajor: 0, serverMajor: 0}): DrError {
  const [first] = problems
  if (first === undefined) return new DrError('restore.pg-restore', `pg_restore ended with code ${code}: ${lastLines.join(' ') || 'it said nothing'}`, {hints: ['Run the restore again; dr restore --plan shows the command to run by hand.']})
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  const judged = ruleOf(first, majors)
  if (judged?.rule.id === 'pooler') return new DrError(judged.rule.code, `The connection refuses startup options: ${said(first)}`, {exitCode: judged.rule.exitCode, hints: judged.rule.hints([])})
  const text = `${problemLine(first)}${more}`
  if (judged) return new DrError(judged.rule.code, text, {exitCode: judged.rule.exitCode, hints: judged.rule.hints(judged.parts)})
  return new DrError('restore.failed', text, {hints: ['Check what this role may do on the server; the archive can be read with pg_restore --list.']})
}

/** `INDEX public.leads_pkey: ERROR:  …`, in one line. */
export const problemLine = (problem: RestoreProblem): string => `${problem.entry === undefined ? '' : `${problem.entry.replaceAll(/\s+/g, ' ')}: `}${said(problem)}`

/** The same with its class, for a list of all that went wrong. */
export function classifiedLine(problem: RestoreProblem, majors: Majors): string {
  const rule = ruleOf(problem, majors)?.rule
  return `${rule?.class ?? 'fatal'}, ${rule === undefined ? 'no rule knows it' : rule.id}: ${problemLine(problem)}`
}

const said = ({message}: RestoreProblem) => message.replace(/^could not execute query: /, '').replace(/\s+/g, ' ').trim()
