import {DrError, preflightError, unreachableError, verificationError} from '../errors.ts'
import type {Archive, ArchiveEntry} from './archive.ts'
import {entryName} from './restore-lists.ts'

/** One complaint of pg_restore's. */
export interface RestoreProblem {
  /** The entry that it speaks of: `INDEX public.leads_pkey`; undefined when pg_restore names none. */
  entry: string | undefined
  dumpId: number | undefined
  /** In the words of the server or of pg_restore, without data of the rows. */
  message: string
  /** The statement that failed. */
  command: string | undefined
}

const MOST_PROBLEMS = 200

/**
 * Gathers the errors of one pg_restore from its stderr. Each is attributed by the entry that stands before it; the number
 * that pg_restore prints in the end is wrong with several connections, so it is not looked at.
 */
export class RestoreComplaints {
  readonly problems: RestoreProblem[] = []
  readonly #archive: Archive
  #entry: ArchiveEntry | undefined
  #open: RestoreProblem | undefined

  constructor(archive: Archive) {
    this.#archive = archive
  }

  line(line: string): void {
    const spoken = /^pg_restore: (.*)$/.exec(line)?.[1]
    if (spoken === undefined) this.#continue(line)
    else this.#begin(spoken)
  }

  #begin(text: string): void {
    this.#open = undefined
    const dumpId = /^from TOC entry (\d+); /.exec(text)?.[1]
    if (dumpId !== undefined) this.#entry = this.#archive.entries.find((entry) => entry.dumpId === Number(dumpId))
    else if (text.startsWith('while INITIALIZING')) this.#entry = undefined
    const error = /^(?:error|fatal): (.*)$/.exec(text)?.[1]
    if (error === undefined || this.problems.length >= MOST_PROBLEMS) return
    this.#open = {message: error, command: undefined, ...named(this.#entry)}
    this.problems.push(this.#open)
  }

  /** DETAIL and CONTEXT quote the rows' data: they stay out. */
  #continue(line: string): void {
    const command = /^Command was: (.*)$/.exec(line)?.[1]
    if (!this.#open || command === undefined) return
    this.#open.command = command
    // Lines of several workers mix: the statement says better whose it is.
    if (command === '' || this.#entry?.definition.includes(command)) return
    const owners = this.#archive.entries.filter(({definition}) => definition.includes(command))
    if (owners.length === 1) Object.assign(this.#open, named(owners[0]))
  }
}

const named = (entry: ArchiveEntry | undefined) => ({entry: entry && entryName(entry), dumpId: entry?.dumpId})

/** pg_restore from 17 on sets transaction_timeout, which servers before 17 do not know: once per connection, without harm. */
export const isHarmless = ({message, command}: RestoreProblem, {clientMajor, serverMajor}: {clientMajor: number; serverMajor: number}): boolean =>
  clientMajor >= 17 && serverMajor <= 16 && command === 'SET transaction_timeout = 0;' && message.includes('"transaction_timeout"')

const LOST = /connection to server|server closed the connection|terminating connection|could not connect|lost synchronization|SSL SYSCALL|the database system is/
const DAMAGED = /could not (open|read|close|decompress|uncompress)|decompress|unexpected end of file|COPY failed|input file|corrupt|did not find magic|missing data for column|extra data after last/
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
  if (DAMAGED.test(first.message)) return verificationError('restore.data', text, {hints: ['Check the backup: dr verify --level full', 'Restore another one: dr list']})
  return new DrError('restore.failed', text, {hints: ['Check what this role may do on the server; the archive can be read with pg_restore --list.']})
}

const said = ({message}: RestoreProblem) => message.replace(/^could not execute query: /, '').replace(/\s+/g, ' ').trim()
