import {DrError, ExitCode, messageOf, unreachableError} from '../errors.ts'
import type {Target} from './target.ts'

/** The SQLSTATE of a server's error, or the `code` of a socket's. */
export const codeOf = (error: unknown): string | undefined => (error as {code?: string} | undefined)?.code

/** Turns what the driver throws while connecting into words. `namedBy`: where the operator has named the target. */
export function connectError(error: unknown, target: Target, database: string, namedBy = 'DATABASE_URL'): DrError {
  const where = `${target.host}:${target.port}`
  const code = codeOf(error)
  const known: Record<string, [string, string, string]> = {
    ECONNREFUSED: ['postgres.unreachable', `PostgreSQL at ${where} does not accept connections.`, `Check host and port of ${namedBy}, and that the server runs.`],
    ENOTFOUND: ['postgres.unreachable', `The host ${target.host} is not known.`, `Check the host in ${namedBy}, VPN and DNS.`],
    EAI_AGAIN: ['postgres.unreachable', `The name of host ${target.host} cannot be looked up.`, 'Check DNS and VPN.'],
    ETIMEDOUT: ['postgres.unreachable', `PostgreSQL at ${where} does not answer.`, 'Check the security group, VPN and port.'],
    EHOSTUNREACH: ['postgres.unreachable', `There is no route to ${where}.`, 'Check VPN and security group.'],
    ENOENT: ['postgres.unreachable', `There is no PostgreSQL socket at ${target.host}.`, `Check the host in ${namedBy}.`],
    '28P01': ['postgres.denied', `PostgreSQL at ${where} refused the password of user ${target.user}.`, `Check user and password in ${namedBy}; special characters in a password are percent-encoded.`],
    '28000': ['postgres.denied', `PostgreSQL at ${where} does not let user ${target.user} in: ${messageOf(error)}.`, `Check pg_hba.conf, and sslmode in ${namedBy}.`],
    '3D000': ['postgres.no-database', `There is no database ${database} at ${where}.`, `Check the database name in ${namedBy}.`],
    '53300': ['postgres.too-many-connections', `PostgreSQL at ${where} has no connection left.`, 'Try again, or lower --jobs.'],
    '57P03': ['postgres.starting', `PostgreSQL at ${where} is starting up or shutting down.`, 'Try again in a moment.'],
    '42501': ['postgres.denied', `User ${target.user} may not connect to database ${database}.`, `GRANT CONNECT ON DATABASE … TO ${target.user}`],
  }
  const found = code === undefined ? undefined : known[code]
  if (found) return unreachableError(found[0], found[1], {cause: error, hints: [found[2]]})
  return unreachableError('postgres.unreachable', `PostgreSQL at ${where} cannot be reached: ${messageOf(error)}.`, {cause: error, hints: [/certificate|SSL|TLS/i.test(messageOf(error)) ? `Check sslmode and sslrootcert in ${namedBy}.` : `Check ${namedBy}.`]})
}

/** Whether the connection itself is gone, by what the driver throws or the server says last. */
export function isConnectionLost(error: unknown): boolean {
  return /^(57P0[1-5]|08...|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH)$/.test(codeOf(error) ?? '') || /Connection terminated|Client has encountered a connection error|Client was closed|Query read timeout/.test(messageOf(error))
}

/** Turns an error of a statement into words. Whatever the server says is a DrError; only what it did not say stays as it is, and counts as a bug. */
export function statementError(error: unknown, doing: string): unknown {
  if (error instanceof DrError) return error
  if (isConnectionLost(error)) return unreachableError('postgres.connection-lost', `${doing}: the connection to PostgreSQL was lost.`, {cause: error, hints: ['Run the command again.']})
  const code = codeOf(error) ?? ''
  if (!isServerError(error)) return error
  const known = STATEMENT_ERRORS.find(({match}) => match.test(code) && (match !== STANDBY_FEATURE || /recovery|standby/i.test(messageOf(error))))
  const {name = 'postgres.statement', exitCode = ExitCode.failed, hints = ["Look at the server's log."]} = known ?? {}
  return new DrError(name, `${doing}: ${messageOf(error)} (SQLSTATE ${code}).`, {cause: error, exitCode, hints})
}

const isServerError = (error: unknown): boolean => /^[0-9A-Z]{5}$/.test(codeOf(error) ?? '') && typeof (error as {severity?: unknown}).severity === 'string'

/** The same code is for whatever the server does not support. */
const STANDBY_FEATURE = /^(0A000|25006|55000)$/

const STATEMENT_ERRORS: readonly {match: RegExp; name: string; exitCode: ExitCode; hints: readonly string[]}[] = [
  {match: /^42501$/, name: 'postgres.permission', exitCode: ExitCode.preflight, hints: ['Use a role that owns the tables.']},
  {match: /^53200$/, name: 'postgres.out-of-memory', exitCode: ExitCode.preflight, hints: ['With many tables the locks need room: raise max_locks_per_transaction and restart the server.']},
  {match: /^53100$/, name: 'postgres.disk-full', exitCode: ExitCode.preflight, hints: ["Free space on the server's disk."]},
  {match: /^53300$/, name: 'postgres.too-many-connections', exitCode: ExitCode.unreachable, hints: ['Try again, or lower --jobs.']},
  {match: /^57014$/, name: 'postgres.cancelled', exitCode: ExitCode.unreachable, hints: ['Somebody cancelled the statement, or a limit did: look for statement_timeout in ALTER ROLE … SET and ALTER DATABASE … SET.']},
  {match: /^40001$/, name: 'postgres.conflict', exitCode: ExitCode.locked, hints: ['On a standby: raise max_standby_streaming_delay or set hot_standby_feedback = on, or use the primary.', 'Run the command again.']},
  {match: /^(40P01|55P03)$/, name: 'postgres.locked', exitCode: ExitCode.locked, hints: ['Wait until the migration is over, then run the command again.']},
  {match: /^XX00.$/, name: 'postgres.corruption', exitCode: ExitCode.verification, hints: ["Look at the server's log: its files may be damaged.", 'Keep older backups until this is clear.']},
  {match: /^42/, name: 'postgres.statement', exitCode: ExitCode.failed, hints: ['Was something that it names made, changed or dropped meanwhile? Run the command again.', "The server's log has the whole statement."]},
  {match: STANDBY_FEATURE, name: 'postgres.standby', exitCode: ExitCode.preflight, hints: ['The server is a standby: set DATABASE_URL to the primary.']},
]
