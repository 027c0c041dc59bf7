import {rowOf, rowsOf, type Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent} from '../quote.ts'
import type {ForeignKeyShape, TableName} from './contract.ts'
import type {Made} from './made.ts'

/*
 * Foreign keys of live tables in two transactions. ADD CONSTRAINT keeps writers out of both tables; NOT VALID it is done at once, and holds
 * for every row from then on. VALIDATE, which reads the rows that were there, lets them write.
 */

/** How long others may keep us waiting where nobody waits behind us. */
const PATIENT_MS = 5000
const LONGEST_MS = 500
/** Of `deadlock_timeout`: in a longer wait the server would choose a client of the application to give up. */
const SHARE = 0.5

const namesOf = (tables: readonly TableName[]): [string[], string[]] => [tables.map(({schema}) => schema), tables.map(({name}) => name)]

/** Tables of these that are partitioned where a key from or to such a one cannot be in two steps: a server before 18 takes no NOT VALID of theirs, and VALIDATE of a key to them leaves its parts for the partitions not validated. */
export async function inOneStep(client: Client, tables: readonly TableName[]): Promise<TableName[]> {
  return rowsOf<TableName>(client, `
    SELECT w.schema, w.name FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    WHERE c.relkind = 'p' AND pg_catalog.current_setting('server_version_num')::int < 180000`, namesOf(tables))
}

/**
 * Inside of a transaction, before a key is added: waits for vacuum and others who change the tables themselves in a mode that nobody who
 * writes waits behind (a wait that is long enough ends autovacuum), and sets the limit for the wait for writers.
 */
export async function beforeKey(client: Client, {table, references}: ForeignKeyShape, lockTimeoutMs: number): Promise<void> {
  const tables = [table, references]
  const lockable = await rowsOf<TableName>(client, `
    SELECT w.schema, w.name FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    WHERE has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')`, namesOf(tables))
  if (lockable.length > 0) await client.query(`SET LOCAL lock_timeout = ${PATIENT_MS}; LOCK TABLE ${lockable.map((one) => `ONLY ${qualified(one)}`).join(', ')} IN SHARE UPDATE EXCLUSIVE MODE`)
  const {deadlock} = await rowOf<{deadlock: number}>(client, "SELECT setting::int AS deadlock FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'")
  await client.query(`SET LOCAL lock_timeout = ${Math.max(1, Math.floor(Math.min(lockTimeoutMs, LONGEST_MS, SHARE * deadlock)))}`)
}

/** In a transaction of its own. Resolves to what the server says when rows name rows that are not there; it is valid when there is nothing to say. */
export async function validateKey(client: Client, {table, name}: ForeignKeyShape): Promise<Error | undefined> {
  await client.query(`BEGIN; SET LOCAL lock_timeout = ${PATIENT_MS}; SET LOCAL statement_timeout = 0`)
  try {
    await client.query(`ALTER TABLE ${qualified(table)} VALIDATE CONSTRAINT ${quoteIdent(name)}`)
    await client.query('COMMIT')
    return undefined
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    if (error instanceof Error && codeOf(error) === '23503') return error
    throw error
  }
}

/** Of these keys, which are validated in the backup, those that the run has made and that are not yet. What is NOT VALID by somebody else's hand stays so. */
export async function notYetValid(client: Client, keys: readonly ForeignKeyShape[], made: Made | undefined): Promise<ForeignKeyShape[]> {
  const meant = keys.filter(({validated}) => validated)
  const found = await rowsOf<{place: number}>(client, `
    SELECT w.place::int AS place FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY w (schema, name, key, place) JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = w.key
    WHERE k.contype = 'f' AND NOT k.convalidated AND k.oid = ANY ($4::oid[]) ORDER BY w.place`,
  [...namesOf(meant.map(({table}) => table)), meant.map(({name}) => name), made?.objects.map(({oid}) => oid) ?? []])
  return found.flatMap(({place}) => meant[place - 1] ?? [])
}
