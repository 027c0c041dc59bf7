import {DrError, preflightError, unreachableError, verificationError} from '../errors.ts'
import {ruleOf} from './restore-rules.ts'
import type {ShownLine} from './sql/script.ts'

/** What psql stopped at. */
export interface ScriptProblem {
  /** Of psql's input; undefined when it names none. */
  line: number | undefined
  sqlstate: string | undefined
  /** In the words of the server, without data of the rows. */
  message: string
  /** Of the rows behind a COPY: which of them. */
  row?: number
}

const ERROR = /^psql:<stdin>:(\d+): (?:ERROR|FATAL|PANIC): {2}(?:([0-9A-Z]{5}): )?(.*)$/
const COMPLAINT = /^psql:(?:<stdin>:(\d+): )?(?:error: )?(.*)$/
const COPY_ROW = /^(?:psql:<stdin>:\d+: )?CONTEXT: {2}COPY .*?, line (\d+)/

/** Gathers what psql complained of, from its stderr with VERBOSITY=verbose. DETAIL and CONTEXT quote the rows' data: they stay out. */
export class ScriptComplaints {
  problem: ScriptProblem | undefined
  #other: ScriptProblem | undefined

  line(text: string): void {
    const row = COPY_ROW.exec(text)?.[1]
    if (row !== undefined && this.problem) this.problem.row ??= Number(row)
    if (this.problem) return
    const [, line, sqlstate, message] = ERROR.exec(text) ?? []
    if (line !== undefined) this.problem = {line: Number(line), sqlstate, message: message ?? ''}
    else if (!/(NOTICE|WARNING|INFO|LOG|DEBUG): {2}/.test(text)) this.#note(text)
  }

  /** The first error of the server, else the last of psql's own words. */
  get first(): ScriptProblem | undefined {
    return this.problem ?? this.#other
  }

  #note(text: string): void {
    const [, line, message] = COMPLAINT.exec(text) ?? []
    if (message !== undefined) this.#other = {line: line === undefined ? undefined : Number(line), sqlstate: undefined, message}
  }
}

const LOST = /connection to server|server closed the connection|terminating connection|could not connect|lost synchronization|SSL SYSCALL|the database system is|connection .*was lost/

/** The failure of a script. `where` is the statement that psql was at. */
export function scriptError(problem: ScriptProblem | undefined, code: number, where: ShownLine | undefined): DrError {
  if (problem === undefined) return new DrError('restore.psql', `psql ended with code ${code} and said nothing.`, {hints: ['Run the restore again; dr restore --plan shows the command to run by hand.']})
  const place = where === undefined ? '' : `line ${where.line}${problem.row === undefined ? '' : `, row ${problem.row}`}: ${where.text} `
  const state = problem.sqlstate ?? ''
  const text = `${place}${place === '' ? '' : '- '}${problem.message}${state === '' ? '' : ` (SQLSTATE ${state})`}`
  if (LOST.test(problem.message) || /^(57P0|08)/.test(state)) return unreachableError('restore.connection-lost', text, {hints: ['Run the restore again.']})
  if (/unsupported startup parameter|command-line options|options.*not (supported|allowed)/i.test(problem.message)) return preflightError('restore.pooler', `The connection refuses startup options: ${problem.message}`, {hints: ['Set DATABASE_URL to the direct address of the database, not to a pooler.']})
  if (state === '53100') return new DrError('restore.disk-full', text, {hints: ['Free space on the database server, or restore into another server.']})
  if (/^22(P04|021|P05)$/.test(state) && problem.row !== undefined) return verificationError('restore.data', text, {hints: ['The rows in the dump are damaged, or it is in another encoding.']})
  const judged = ruleOf({entry: undefined, dumpId: undefined, message: `ERROR:  ${problem.message}`, command: where?.text, sqlState: state}, {clientMajor: 0, serverMajor: 0})
  if (judged?.rule.class === 'repairable') return new DrError(judged.rule.code, text, {hints: [judged.rule.id === 'missing-role' ? '--create-roles makes the roles that the server lacks.' : `${judged.rule.reason.replace(/^./, (first) => first.toUpperCase())}: restore as a role that may, or take this statement out of the file.`]})
  const hint = state === '42501' ? 'Check what this role may do on the server, or restore as another role.' : 'Look at this line of the dump, and at what the server lacks for it.'
  return new DrError('restore.failed', text, {hints: [hint]})
}
