import {mkdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {targetUrl, type Target} from './target.ts'

/** Lends PostgreSQL's tools the password through a file that only this user can read. */
export interface ToolAccess {
  /** For the environment of every tool that connects. */
  env: Readonly<Record<string, string>>
  url(database?: string): string
  close(): Promise<void>
}

/** `directory` is the run's own; what a killed run leaves in it, the next run removes. */
export async function toolAccess(target: Target, directory: string, applicationName: string): Promise<ToolAccess> {
  await mkdir(directory, {recursive: true, mode: 0o700})
  const path = join(directory, 'pgpass')
  if (target.password !== undefined) await writeFile(path, `${passfileLine(target)}\n`, {mode: 0o600})
  return {
    env: {PGAPPNAME: applicationName, PGCONNECT_TIMEOUT: '10', ...(target.password !== undefined && {PGPASSFILE: path})},
    url: (database) => targetUrl(target, database),
    close: () => rm(path, {force: true}),
  }
}

/** libpq's own escapes: `\` and `:`. Any database, because roles and maintenance need others than the target's. */
function passfileLine({host, port, user, password = ''}: Target): string {
  const escape = (text: string) => text.replaceAll(/[\\:]/g, String.raw`\$&`)
  const shown = host.startsWith('/') ? '*' : host
  return [shown, String(port), '*', user, password].map((field) => (field === '*' ? field : escape(field))).join(':')
}
