import {rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {Catalog, TableName, TableShape} from './contract.ts'

/** The tables that hold the rows of this one: itself, or the leaves of a partitioned one. */
export async function leavesOf(client: Client, {oid, kind, schema, name}: TableShape): Promise<TableName[]> {
  if (kind === 'table') return [{schema, name}]
  return rowsOf<TableName>(client, `
    SELECT n.nspname AS schema, c.relname AS name FROM pg_partition_tree($1::int8::oid::regclass) t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.isleaf AND c.relkind = 'r' ORDER BY 1, 2`, [oid])
}

/** Takes from a scratch database what would keep rows of some tables out of it, or from being read: foreign keys, triggers, enforced row security. */
export async function loosen(client: Client, {tables, foreignKeys}: Catalog): Promise<void> {
  for (const {name, table} of foreignKeys) await client.query(`ALTER TABLE ${qualified(table)} DROP CONSTRAINT IF EXISTS ${quoteIdent(name)}`)
  for (const table of tables) {
    if (table.triggers.length > 0) await client.query(`ALTER TABLE ${qualified(table)} DISABLE TRIGGER USER`)
    if (table.forcedRowSecurity) await client.query(`ALTER TABLE ${qualified(table)} NO FORCE ROW LEVEL SECURITY`)
  }
}
