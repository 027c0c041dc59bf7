import {DrError, preflightError, unreachableError, verificationError} from '../errors.ts'
import type {Archive, ArchiveEntry} from './archive.ts'
import {entryName} from './restore-lists.ts'

/** One complaint of pg_restore's. */
export interface RestoreProblem {
  /** The entry that it speaks of: `INDEX public.leads_pkey`; undefined when pg_restore names none. For messages: lines of workers mix. */
  entry: string | undefined
  /** Of the entry, when the statement that failed proves that it is this one. */
  dumpId: number | undefined
  /** In the words of the server or of pg_restore, without data of the rows. */
  message: string
  /** The statement that failed. */
  command: string | undefined
}

const MOST_PROBLEMS = 200
/** pg_restore writes `pg_restore:`, a space, `error: ` and the text one after the other: workers write in between. */
const COMPLAINT = /(?:^|pg_restore:) *(?:error|fatal): (.*)$/
const HARMLESS = /could not execute query: .*\btransaction_timeout\b/
const HARMLESS_COMMAND = 'SET transaction_timeout = 0;'

/**
 * Gathers the errors of one pg_restore from its stderr. Each is attributed by the entry that stands before it; the number
 * that pg_restore prints in the end is wrong with several connections, so it is not looked at.
 */
export class RestoreComplaints {
  readonly problems: RestoreProblem[] = []
  /** Every `error:` and `fatal:`, wherever it stands: what a torn line hides from `problems` is still counted. */
  #errors = 0
  #harmless = 0
  #harmlessCommands = 0
  readonly #archive: Archive
  #entry: ArchiveEntry | undefined
  #open: RestoreProblem | undefined

  constructor(archive: Archive) {
    this.#archive = archive
  }

  line(line: string): void {
    this.#errors += line.match(/\b(?:error|fatal):/g)?.length ?? 0
    if (HARMLESS.test(line)) this.#harmless++
    if (line === `Command was: ${HARMLESS_COMMAND}`) this.#harmlessCommands++
    if (line.includes('pg_restore:') || COMPLAINT.test(line)) this.#begin(line)
    else this.#continue(line)
  }

  /** Every error is among the problems. */
  get complete(): boolean {
    return this.#errors === this.problems.length
  }

  /** Whether there were errors, and each was the harmless one: by numbers, which hold however the lines were torn. */
  onlyHarmless(majors: Majors): boolean {
    return knowsMore(majors) && this.#errors > 0 && this.#errors === this.#harmless && this.#errors === this.#harmlessCommands
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

export interface Majors {
  clientMajor: number
  serverMajor: number
}

/** pg_restore from 17 on sets transaction_timeout, which servers before 17 do not know: once per connection, without harm. */
const knowsMore = ({clientMajor, serverMajor}: Majors) => clientMajor >= 17 && serverMajor <= 16

export const isHarmless = ({message, command}: RestoreProblem, majors: Majors): boolean => knowsMore(majors) && command === HARMLESS_COMMAND && message.includes('"transaction_timeout"')

const LOST = /connection to server|server closed the connection|terminating connection|could not connect|lost synchronization|SSL SYSCALL|the database system is/
/** In pg_restore's own words; a server that refuses good rows says nothing about the backup. */
const UNREADABLE = /could not (open|read|close|decompress|uncompress)|decompress|unexpected end of file|input file|corrupt|did not find magic/
const MALFORMED_ROWS = /COPY failed.*(missing data for column|extra data after last|invalid byte sequence)/
const isDamage = (message: string) => MALFORMED_ROWS.test(message) || (!/\b(ERROR|FATAL|PANIC):  /.test(message) && UNREADABLE.test(message))
const REFUSED_OPTIONS = /unsupported startup parameter|command-line options|options.*not (supported|allowed)/i

/** The failure of a restore, by its first real complaint. */
export function restoreError(problems: readonly RestoreProblem[], code: number, lastLines: readonly string[]): DrError {
  const [first] = problems
  if (first === undefined) return new DrError('restore.pg-restore', `pg_restore ended with code ${code}: ${lastLines.join(' ') || 'it said nothing'}`, {hints: ['Run the restore again; dr restore --plan shows the command to run by hand.']})
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  const text = `${first.entry === undefined ? '' : `${first.entry}: `}${said(first)}${more}`
  if (REFUSED_OPTIONS.test(first.message)) return preflightError('restore.pooler', `The connection refuses startup options: ${said(first)}`, {hints: ['Set DATABASE_URL to the direct address of the database, not to a pooler.']})
  if (LOST.test(first.message)) return unreachableError('restore.connection-lost', text, {hints: ['Run the restore again.']})
  if (/No space left on device|could not extend file/.test(first.message)) return new DrError('restore.disk-full', text, {hints: ['Free space on the database server, or restore into another server.']})
  if (isDamage(first.message)) return verificationError('restore.data', text, {hints: ['Check the backup: dr verify --level full', 'Restore another one: dr list']})
  if (first.message.startsWith('COPY failed')) return new DrError('restore.failed', text, {hints: ['The server refused rows of this table: look into its log, and at the CHECK constraints and types that the table uses.', 'dr verify --level full tells whether the backup itself is whole.']})
  return new DrError('restore.failed', text, {hints: ['Check what this role may do on the server; the archive can be read with pg_restore --list.']})
}

const said = ({message}: RestoreProblem) => message.replace(/^could not execute query: /, '').replace(/\s+/g, ' ').trim()
