import {endQuietly, withClient, type Client} from '../../postgres/connection.ts'
import {connectOutside} from '../../postgres/swap-needs.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {ManualCommand} from '../../runbook/procedure.ts'
import type {SwapOptions, SwapSubject} from './options.ts'

/** A session outside of both databases, for as long as the work lasts. */
export const outside = <T>({target, config, applicationName}: SwapOptions, state: SwapSubject, work: (client: Client) => Promise<T>): Promise<T> =>
  ending(connectOutside(target, [state.live, state.database], config.database.maintenanceDatabase, applicationName), work)

export const connectOut = ({target, config, applicationName}: SwapOptions, state: SwapSubject): Promise<Client> =>
  connectOutside(target, [state.live, state.database], config.database.maintenanceDatabase, applicationName)

/** A session in one of them. */
export const inside = <T>({target, applicationName}: SwapOptions, database: string, work: (client: Client) => Promise<T>): Promise<T> =>
  withClient(target, {database, applicationName}, work)

async function ending<T>(connecting: Promise<Client>, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connecting
  try {
    return await work(client)
  } finally {
    await endQuietly(client)
  }
}

/** The operator's way, statement by statement in one session. */
export const psql = ({target, config}: SwapOptions, ...statements: string[]): ManualCommand => ({
  argv: ['psql', targetUrl(target, config.database.maintenanceDatabase), '-v', 'ON_ERROR_STOP=1', ...statements.flatMap((sql) => ['-c', sql])],
})
