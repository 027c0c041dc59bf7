import {preflightError} from '../errors.ts'
import {registerSecret} from '../system/redact.ts'

export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** A database to reach, as read from a URL. The only secret in it is `password`. */
export interface Target {
  /** A name, an address, or the directory of a Unix socket. */
  host: string
  port: number
  user: string
  password?: string
  database: string
  ssl: {mode: SslMode; rootCert?: string}
}

const SSL_MODES: readonly string[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] satisfies SslMode[]
const HINTS = ['The form is postgresql://USER:PASSWORD@HOST:5432/DATABASE; special characters in the password are percent-encoded (@ is %40).']

/**
 * Reads a DATABASE_URL. Parameters that only an application's driver knows (Prisma's `schema`, `connection_limit`,
 * `pgbouncer` …) are left out, because libpq refuses what it does not know.
 */
export function parseTarget(url: string): Target {
  const parsed = parse(url)
  const query = parsed.searchParams
  const user = decode(parsed.username) || query.get('user') || ''
  const database = decode(parsed.pathname.slice(1)) || query.get('dbname') || user
  if (user === '' || database === '') {
    throw preflightError('database.url', 'The database URL names no user or no database.', {hints: HINTS})
  }
  const password = decode(parsed.password) || query.get('password') || ''
  const rootCert = query.get('sslrootcert')
  return {
    host: decode(parsed.hostname).replace(/^\[(.*)\]$/, '$1') || query.get('host') || 'localhost',
    port: Number(parsed.port || query.get('port') || 5432),
    user,
    ...(password !== '' && {password}),
    database,
    ssl: {mode: sslMode(query.get('sslmode')), ...(rootCert !== null && {rootCert})},
  }
}

/** The password of the URL, else that of PGPASSWORD. Without either, the driver and the tools look into the password file. */
export function passwordOf({password}: Target): string | undefined {
  if (password !== undefined) return password
  const given = process.env.PGPASSWORD
  registerSecret(given)
  return given === '' ? undefined : given
}

/** The URL without the password: for arguments, plans and messages. */
export function targetUrl(target: Target, database = target.database): string {
  const socket = target.host.startsWith('/')
  const query = new URLSearchParams()
  if (socket) query.set('host', target.host)
  if (target.ssl.mode !== 'prefer') query.set('sslmode', target.ssl.mode)
  if (target.ssl.rootCert !== undefined) query.set('sslrootcert', target.ssl.rootCert)
  const host = socket ? '' : target.host.includes(':') ? `[${target.host}]` : target.host
  const tail = query.size > 0 ? `?${query.toString().replaceAll('+', '%20')}` : ''
  return `postgresql://${encodeURIComponent(target.user)}@${host}:${target.port}/${encodeURIComponent(database)}${tail}`
}

/** `HOST:PORT/DATABASE`, for people and to compare. */
export const targetName = ({host, port, database}: Target): string => `${host}:${port}/${database}`

function parse(url: string): URL {
  try {
    const parsed = new URL(url)
    if (/^postgres(ql)?:$/.test(parsed.protocol)) return parsed
  } catch {
    // The parser's own message would repeat the URL, and with it the password.
  }
  throw preflightError('database.url', 'The database URL cannot be read.', {hints: HINTS})
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function sslMode(value: string | null): SslMode {
  if (value === null) return 'prefer'
  if (!SSL_MODES.includes(value)) {
    throw preflightError('database.sslmode', `sslmode=${value} is not known.`, {hints: [`Use one of ${SSL_MODES.join(', ')}.`]})
  }
  return value as SslMode
}
