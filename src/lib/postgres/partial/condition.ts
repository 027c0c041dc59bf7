import {messageOf, usageError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import {isConnectionLost} from '../errors.ts'
import {qualified} from '../quote.ts'
import type {TableName} from './contract.ts'

/** Refuses, in the server's words, a condition of the operator's that is no condition of this table's rows. It is planned, not run. */
export async function assertCondition(client: Client, table: TableName, text: string): Promise<void> {
  try {
    await client.query('BEGIN READ ONLY')
    // Prepared: one statement, whatever the text holds.
    await client.query({text: `EXPLAIN SELECT FROM ${qualified(table)} AS r WHERE (\n${text}\n)`, queryMode: 'extended'} as {text: string})
    await client.query('ROLLBACK')
  } catch (error) {
    if (isConnectionLost(error)) throw error
    throw usageError('partial.where', `--where is no condition on ${table.schema}.${table.name}: ${messageOf(error)}`, {cause: error, hints: ['Quote it for the shell as one argument; names with capitals need their own quotes: --where \'"tenantId" = …\'']})
  }
}
