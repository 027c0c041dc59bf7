import {rowsOf, type Client} from '../connection.ts'

/**
 * Transactions in which dr put rows back: by the number, as `xmin` shows it, the schema that keeps what it replaced. Of schemas
 * whose owner is a superuser or stands for the owner of the database: whoever may only make schemas could hide a deed behind one.
 * Only the catalog is read, nothing in the schemas. One that was taken back has left none.
 */
export async function repairsIn(client: Client): Promise<Map<string, string>> {
  const rows = await rowsOf<{transaction: string; schema: string}>(client, String.raw`
    SELECT n.xmin::text AS transaction, n.nspname AS schema FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass JOIN pg_catalog.pg_database b ON b.datname = current_database()
    WHERE starts_with(n.nspname, 'dr_undo_') AND d.description ~ '^dr partial \S+, (undo|undone)$' AND pg_has_role(n.nspowner, b.datdba, 'MEMBER')`)
  return new Map(rows.map(({transaction, schema}) => [transaction, schema]))
}
