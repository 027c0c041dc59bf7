import {rowsOf, type Client} from '../connection.ts'

/** Publications of this database that take in every table, those that are made later as well; by name. A table that is UNLOGGED is in none. */
export async function publicationsOfAll(client: Client): Promise<string[]> {
  return (await rowsOf<{name: string}>(client, 'SELECT pubname::text AS name FROM pg_catalog.pg_publication WHERE puballtables ORDER BY 1')).map(({name}) => name)
}
