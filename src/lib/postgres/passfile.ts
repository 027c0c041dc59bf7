import {mkdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {KEEPALIVE_IDLE_MS} from './connection.ts'
import {passwordOf, targetUrl, type Target} from './target.ts'

/** Lends PostgreSQL's tools the password through a file that only this user can read. */
export interface ToolAccess {
  /** For the environment of every tool that connects. */
  env: Readonly<Record<string, string>>
  url(database?: string): string
  close(): Promise<void>
}

/**
 * A password of the URL or of PGPASSWORD reaches the tools through the file; without one they look where the driver does,
 * into PGPASSFILE or ~/.pgpass. `directory` is the run's own; what a killed run leaves in it, the next run removes.
 */
export async function toolAccess(target: Target, directory: string, applicationName: string): Promise<ToolAccess> {
  await mkdir(directory, {recursive: true, mode: 0o700})
  const path = join(directory, 'pgpass')
  const password = passwordOf(target)
  if (password !== undefined) await writeFile(path, `${passfileLine({...target, password})}\n`, {mode: 0o600})
  const passfile = password === undefined ? process.env.PGPASSFILE : path
  return {
    env: {PGAPPNAME: applicationName, PGCONNECT_TIMEOUT: '10', ...(passfile !== undefined && {PGPASSFILE: passfile})},
    url: (database) => withKeepalives(targetUrl(target, database)),
    close: () => rm(path, {force: true}),
  }
}

/** No variable of libpq's sets them. */
function withKeepalives(url: string): string {
  const parameters = [`keepalives_idle=${KEEPALIVE_IDLE_MS / 1000}`, ...(process.platform === 'linux' ? ['tcp_user_timeout=60000'] : [])]
  return `${url}${url.includes('?') ? '&' : '?'}${parameters.join('&')}`
}

/** libpq's own escapes: `\` and `:`. Any database, because roles and maintenance need others than the target's. */
function passfileLine({host, port, user, password = ''}: Target): string {
  const escape = (text: string) => text.replaceAll(/[\\:]/g, String.raw`\$&`)
  const shown = host.startsWith('/') ? '*' : host
  return [shown, String(port), '*', user, password].map((field) => (field === '*' ? field : escape(field))).join(':')
}
