import {rowsOf, type Client} from './connection.ts'
import type {Collation} from './create-database.ts'

/** How a database keeps and sorts its text. */
export interface DatabaseText {
  encoding: string
  collation: Collation
}

/** Of a database of this server, with its owner; undefined when there is none of this name. */
export async function readDatabaseText(client: Client, name: string, serverMajor: number): Promise<(DatabaseText & {owner: string}) | undefined> {
  const locale = serverMajor >= 17 ? 'datlocale' : serverMajor >= 15 ? 'daticulocale' : 'NULL'
  const [row] = await rowsOf<{encoding: string; collate: string; ctype: string; provider: string; locale: string | null; owner: string}>(client, `
    SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype, ${serverMajor >= 15 ? 'datlocprovider::text' : "'c'"} AS provider, ${locale} AS locale,
      pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1`, [name])
  if (row === undefined) return undefined
  const {encoding, collate, ctype, owner} = row
  const provider = {c: 'libc', i: 'icu', b: 'builtin'}[row.provider] ?? 'libc'
  return {encoding, owner, collation: {provider, collate, ctype, ...(row.locale !== null && {locale: row.locale})}}
}

/** How many locks on objects the server has room for, all sessions together. */
export async function readLockCapacity(client: Client): Promise<number> {
  const [row] = await rowsOf<{locks: string}>(client, `
    SELECT (max(setting::int8) FILTER (WHERE name = 'max_locks_per_transaction')
      * sum(setting::int8) FILTER (WHERE name IN ('max_connections', 'max_prepared_transactions')))::text AS locks FROM pg_settings
    WHERE name IN ('max_locks_per_transaction', 'max_connections', 'max_prepared_transactions')`)
  return Number(row?.locks ?? 0)
}
