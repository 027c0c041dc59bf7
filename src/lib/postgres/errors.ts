import {DrError, messageOf, preflightError, unreachableError} from '../errors.ts'
import type {Target} from './target.ts'

/** The SQLSTATE of a server's error, or the `code` of a socket's. */
export const codeOf = (error: unknown): string | undefined => (error as {code?: string} | undefined)?.code

/** Turns what the driver throws while connecting into words. */
export function connectError(error: unknown, target: Target, database: string): DrError {
  const where = `${target.host}:${target.port}`
  const code = codeOf(error)
  const known: Record<string, [string, string, string]> = {
    ECONNREFUSED: ['postgres.unreachable', `PostgreSQL at ${where} does not accept connections.`, 'Check host and port of DATABASE_URL, and that the server runs.'],
    ENOTFOUND: ['postgres.unreachable', `The host ${target.host} is not known.`, 'Check the host in DATABASE_URL, VPN and DNS.'],
    EAI_AGAIN: ['postgres.unreachable', `The name of host ${target.host} cannot be looked up.`, 'Check DNS and VPN.'],
    ETIMEDOUT: ['postgres.unreachable', `PostgreSQL at ${where} does not answer.`, 'Check the security group, VPN and port.'],
    EHOSTUNREACH: ['postgres.unreachable', `There is no route to ${where}.`, 'Check VPN and security group.'],
    ENOENT: ['postgres.unreachable', `There is no PostgreSQL socket at ${target.host}.`, 'Check the host in DATABASE_URL.'],
    '28P01': ['postgres.denied', `PostgreSQL at ${where} refused the password of user ${target.user}.`, 'Check user and password in DATABASE_URL; special characters in a password are percent-encoded.'],
    '28000': ['postgres.denied', `PostgreSQL at ${where} does not let user ${target.user} in: ${messageOf(error)}.`, 'Check pg_hba.conf, and sslmode in DATABASE_URL.'],
    '3D000': ['postgres.no-database', `There is no database ${database} at ${where}.`, 'Check the database name in DATABASE_URL.'],
    '53300': ['postgres.too-many-connections', `PostgreSQL at ${where} has no connection left.`, 'Try again, or lower --jobs.'],
    '57P03': ['postgres.starting', `PostgreSQL at ${where} is starting up or shutting down.`, 'Try again in a moment.'],
    '42501': ['postgres.denied', `User ${target.user} may not connect to database ${database}.`, `GRANT CONNECT ON DATABASE … TO ${target.user}`],
  }
  const found = code === undefined ? undefined : known[code]
  if (found) return unreachableError(found[0], found[1], {cause: error, hints: [found[2]]})
  return unreachableError('postgres.unreachable', `PostgreSQL at ${where} cannot be reached: ${messageOf(error)}.`, {cause: error, hints: [/certificate|SSL|TLS/i.test(messageOf(error)) ? 'Check sslmode and sslrootcert in DATABASE_URL.' : 'Check DATABASE_URL.']})
}

/** Turns an error of a statement into words; what is not known stays as it is, and counts as a bug. */
export function statementError(error: unknown, doing: string): unknown {
  if (error instanceof DrError) return error
  const code = codeOf(error)
  if (code === '42501') return preflightError('postgres.permission', `${doing}: ${messageOf(error)}.`, {cause: error, hints: ['Use a role that owns the tables.']})
  if (code === '57P01' || code === 'ECONNRESET' || /Connection terminated|Client has encountered a connection error/.test(messageOf(error))) {
    return unreachableError('postgres.connection-lost', `${doing}: the connection to PostgreSQL was lost.`, {cause: error, hints: ['Run the command again.']})
  }
  return error
}
