import {messageOf} from '../errors.ts'
import {rowsOf, withClient, type Client} from './connection.ts'
import {dropDatabaseSql} from './create-database.ts'
import {markedDatabases, type MarkedDatabase} from './database-marks.ts'
import {codeOf} from './errors.ts'
import {qualified, quoteIdent} from './quote.ts'
import {listTables, type TableScope} from './tables.ts'
import type {Target} from './target.ts'

/** Why a database that was looked at is not dropped now, or undefined when it is gone. */
export async function dropIfStill(client: Client, {oid, database, ...before}: MarkedDatabase, live: string, force: boolean): Promise<string | undefined> {
  const now = (await markedDatabases(client)).find((one) => one.oid === oid)
  if (now === undefined || now.database !== database || now.run !== before.run || !now.proven || database === live) return 'it is not what it was when it was looked at'
  if (now.sessions > 0 && !force) return sessionsIn(now.sessions)
  if (await holdsSlots(client, database)) return 'a logical replication slot is in it'
  try {
    await client.query(force ? dropDatabaseSql(database) : `DROP DATABASE ${quoteIdent(database)}`)
    return undefined
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return messageOf(error)
  }
}

export const sessionsIn = (count: number): string => `${count} ${count === 1 ? 'session is' : 'sessions are'} in it`

/** An inactive one would vanish with the database, without a word. */
async function holdsSlots(client: Client, database: string): Promise<boolean> {
  return (await rowsOf(client, 'SELECT FROM pg_catalog.pg_replication_slots WHERE database = $1', [database])).length > 0
}

/** Whether any table of the database holds a row that this role can see. */
export async function holdsRows(target: Target, database: string, applicationName: string, scope: TableScope): Promise<boolean> {
  return withClient(target, {database, applicationName}, async (client) => {
    await client.query("SET lock_timeout = '2s'")
    for (const table of (await listTables(client, scope, {sizes: false})).filter(({kind}) => kind === 'table').toSorted((a, b) => b.estimatedRows - a.estimatedRows)) {
      if ((await rowsOf(client, `SELECT FROM ONLY ${qualified(table)} LIMIT 1`)).length > 0) return true
    }
    return false
  })
}
