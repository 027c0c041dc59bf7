import {rowsOf, type Client} from './connection.ts'

/** Of the service's own. */
const SERVICE_DATABASE = 'rdsadmin'

/** The databases of the server that take sessions, by name; no templates. */
export async function databaseNames(client: Client): Promise<string[]> {
  const rows = await rowsOf<{name: string}>(client, 'SELECT datname AS name FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> $1 ORDER BY 1', [SERVICE_DATABASE])
  return rows.map(({name}) => name)
}
