import {rowsOf, type Client} from '../connection.ts'
import {TRUSTED_OWNER} from '../trusted-owner.ts'

/**
 * Transactions in which dr put rows back: by the number, as `xmin` shows it, the schema that keeps what it replaced. Only the
 * catalog is read, nothing in the schemas. One that was taken back has left none.
 */
export async function repairsIn(client: Client): Promise<Map<string, string>> {
  const rows = await rowsOf<{transaction: string; schema: string}>(client, String.raw`
    SELECT n.xmin::text AS transaction, n.nspname AS schema FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass
    WHERE starts_with(n.nspname, 'dr_undo_') AND d.description ~ '^dr partial \S+, (undo|undone)$' AND ${TRUSTED_OWNER}`)
  return new Map(rows.map(({transaction, schema}) => [transaction, schema]))
}
