import {messageOf} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent, quoteLiteral} from '../quote.ts'

/** A table whose autovacuum is off, or is to be, with its storage parameters from before. */
export interface PreservedTable {
  oid: number
  schema: string
  name: string
  /** `pg_class.reloptions`, in their order; null: none. */
  options: string[] | null
  /** Of its TOAST table; absent without one. */
  toast?: string[] | null
}

const OPTION = 'autovacuum_enabled'
const TOAST = 'toast.'

/** What these tables have now. Rows are only in tables that are not partitioned; others are left out. */
export async function storageOptions(client: Client, oids: readonly number[]): Promise<PreservedTable[]> {
  const rows = await rowsOf<{oid: number; schema: string; name: string; options: string[] | null; hasToast: boolean; toast: string[] | null}>(client, `
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.reloptions AS options, t.oid IS NOT NULL AS "hasToast", t.reloptions AS toast
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    WHERE c.oid = ANY ($1::int8[]::oid[]) AND c.relkind = 'r' ORDER BY n.nspname, c.relname`, [oids])
  return rows.map(({hasToast, toast, ...row}) => ({...row, ...(hasToast && {toast})}))
}

const valueIn = (options: readonly string[] | null | undefined): string | undefined => options?.find((option) => option.startsWith(`${OPTION}=`))?.slice(OPTION.length + 1)

/** `off`, as the server reads it. */
const isOff = (value: string | undefined): boolean => value !== undefined && /^(f|fa|fal|fals|false|n|no|of|off|0)$/i.test(value)

/** Autovacuum is off for all of the table. */
export const isPreserved = ({options, toast}: PreservedTable): boolean => isOff(valueIn(options)) && (toast === undefined || isOff(valueIn(toast)))

/** Switches it off. Waits for no lock longer than the session's lock_timeout; readers and writers are not kept waiting. */
export const preserveSql = (table: PreservedTable): string =>
  `ALTER TABLE ${qualified(table)} SET (${OPTION} = off${table.toast === undefined ? '' : `, ${TOAST}${OPTION} = off`})`

/**
 * Gives the table its former parameters back. When nobody has changed others meanwhile they are the same text, in the same
 * order; else only this one is put back.
 */
export function releaseSql(former: PreservedTable, now: PreservedTable): string | undefined {
  const changes = [...putBack(former.options, now.options, ''), ...(former.toast === undefined || now.toast === undefined ? [] : putBack(former.toast, now.toast, TOAST))]
  return changes.length === 0 ? undefined : `ALTER TABLE ${qualified(now)} ${changes.join(', ')}`
}

function putBack(former: readonly string[] | null, now: readonly string[] | null, prefix: string): string[] {
  const value = valueIn(former)
  if (valueIn(now) === value) return []
  if (value === undefined) return [`RESET (${prefix}${OPTION})`]
  if (others(former).join('\n') !== others(now).join('\n')) return [`SET (${assigned(`${OPTION}=${value}`, prefix)})`]
  return [`RESET (${(now ?? []).map((option) => `${prefix}${nameOf(option)}`).join(', ')})`, `SET (${(former ?? []).map((option) => assigned(option, prefix)).join(', ')})`]
}

const nameOf = (option: string): string => quoteIdentWhereNeeded(option.slice(0, option.indexOf('=')))
const quoteIdentWhereNeeded = (name: string): string => (/^[a-z_][a-z\d_]*$/.test(name) ? name : quoteIdent(name))
const assigned = (option: string, prefix: string): string => `${prefix}${nameOf(option)} = ${quoteLiteral(option.slice(option.indexOf('=') + 1)).trim()}`
const others = (options: readonly string[] | null): readonly string[] => (options ?? []).filter((option) => !option.startsWith(`${OPTION}=`))

/** Nobody waits for us longer than this behind a VACUUM that cannot be cancelled, nor we for it. */
const LOCK_LIMIT = "SET lock_timeout = '2s'"

/** Switches autovacuum off for these tables, all of them or none. */
export async function preserveTables(client: Client, tables: readonly PreservedTable[]): Promise<void> {
  await client.query(`${LOCK_LIMIT}; BEGIN`)
  try {
    for (const table of tables) await client.query(preserveSql(table))
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

export interface Released {
  schema: string
  name: string
  /** `released`: as before; `changed`: autovacuum was not off any more, and nothing was done; `gone`: there is no such table. */
  outcome: 'released' | 'changed' | 'gone' | 'failed'
  why?: string
}

/** Gives the tables their former parameters back, each by itself. One that could not be changed says why. */
export async function releaseTables(client: Client, former: readonly PreservedTable[]): Promise<Released[]> {
  await client.query(LOCK_LIMIT)
  const now = new Map((await storageOptions(client, former.map(({oid}) => oid))).map((table) => [table.oid, table]))
  const released: Released[] = []
  for (const table of former) {
    const current = now.get(table.oid)
    const {schema, name} = current ?? table
    released.push({schema, name, ...await release(client, table, current)})
  }
  return released
}

async function release(client: Client, former: PreservedTable, now: PreservedTable | undefined): Promise<Pick<Released, 'outcome' | 'why'>> {
  if (now === undefined) return {outcome: 'gone'}
  const sql = isOff(valueIn(now.options)) || isOff(valueIn(now.toast)) ? releaseSql(former, now) : undefined
  if (sql === undefined) return {outcome: 'changed'}
  try {
    await client.query(sql)
    return {outcome: 'released'}
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return {outcome: 'failed', why: messageOf(error)}
  }
}

/** Tables of these that the role may not alter: it must own them. */
export async function notOurs(client: Client, oids: readonly number[]): Promise<{schema: string; name: string; owner: string}[]> {
  return rowsOf(client, `
    SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner)::text AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY ($1::int8[]::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1, 2`, [oids])
}
