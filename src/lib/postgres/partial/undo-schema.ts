import {preflightError} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteIdent} from '../quote.ts'
import type {MergeMode, TableName} from './contract.ts'
import {madeIn} from './made.ts'
import {nameOf} from './names.ts'
import {ACTING, planDdl, type Planned} from './plan.ts'
import {publicationsOfAll} from './publications.ts'
import {markSql, PREFIX, runOf} from './run-schema.ts'
import {logTables, proveClosed, revokeAll} from './stage-schema.ts'
import type {Tally} from './tally.ts'
import {TRUSTED_OWNER} from '../trusted-owner.ts'

const MARK = /^dr partial (\S+), (undo|undone)$/

/** What one merge replaced, as long as it is kept. */
export interface UndoSchema {
  schema: string
  run: string
  /** Of the merge, ISO, UTC. */
  at: string
  mode: MergeMode
  tables: TableName[]
  /** Touched rows. */
  rows: number
  /** Tables that the run has made anew; taking it back drops them. */
  made: TableName[]
  /** Reverted; the schema stayed because others made objects in it. */
  undone: boolean
}

/** One touched table: what its columns are called in the table that holds the images, and what tells its rows. */
export interface UndoTable extends TableName {
  images: string
  columns: string[]
  /** Given to inserted rows. */
  inserted: string[]
  key: string[] | null
  rows: number
}

/** Our own tables in such a schema. */
const OWN = '^(manifest|made|t[0-9]+)$'

/**
 * The tables of the plans, in the undo schema, shut as staged ones are: rights that default privileges gave are taken away before
 * any row is there, and row security keeps the rows from whoever may read everything. Where a publication takes in all tables they
 * are UNLOGGED until they are finished: a subscriber has no such tables, and would stop at the first row of one. Throws
 * `partial.stage-open` (exit 3).
 */
export async function createUndoTables(client: Client, schema: string, {plans}: Planned): Promise<void> {
  const manifest = `${quoteIdent(schema)}.manifest`
  const kind = (await publicationsOfAll(client)).length > 0 ? 'UNLOGGED TABLE' : 'TABLE'
  await client.query(plans.map((plan) => planDdl(plan, kind)).join('; '))
  await client.query(`CREATE ${kind} ${manifest} (at timestamptz NOT NULL, mode text NOT NULL, schema text NOT NULL, name text NOT NULL, images text NOT NULL, columns text[] NOT NULL, inserted text[] NOT NULL, key text[], rows bigint NOT NULL)`)
  await client.query([...plans.map(({sql}) => sql), manifest].map((table) => `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`).join('; '))
  await revokeAll(client, schema)
  await proveClosed(client, schema)
}

/** Notes what the images are of, drops tables that hold none, and sees to it that the others outlast a crash. Nothing is written into them any more. */
export async function finishUndoTables(client: Client, schema: string, planned: Planned, counts: Tally): Promise<void> {
  const idle: string[] = []
  for (const plan of planned.plans) {
    const rows = counts.of(plan, ACTING)
    if (rows === 0) {
      idle.push(plan.sql)
      continue
    }
    const {relation: {table, columns}, inserted, key, name} = plan
    await client.query(`INSERT INTO ${quoteIdent(schema)}.manifest VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, $8)`,
      [planned.mode, table.schema, table.name, name, columns.map((column) => column.name), inserted.map((column) => column.name), key ?? null, rows])
  }
  if (idle.length > 0) await client.query(`DROP TABLE ${idle.join(', ')}`)
  await logTables(client, schema)
}

interface ManifestRow extends UndoTable {
  at: string
  mode: MergeMode
}

/** What a merge has noted of its tables. `schema` must be a merge's. */
export const manifestOf = (client: Client, schema: string): Promise<ManifestRow[]> => rowsOf<ManifestRow>(client, `
  SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at, mode, schema, name, images, columns, inserted, key, rows::float8 AS rows FROM ${quoteIdent(schema)}.manifest ORDER BY images`)

/** Schemas that are proven ours by name, comment, and the owner of all that is read in them, and hold what a merge replaced; the newest first. */
export async function undoSchemas(client: Client): Promise<UndoSchema[]> {
  const marked = await rowsOf<{schema: string; comment: string}>(client, `
    SELECT n.nspname AS schema, d.description AS comment FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass
    WHERE starts_with(n.nspname, '${PREFIX}') AND has_schema_privilege(n.oid, 'USAGE') AND ${TRUSTED_OWNER} AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'manifest' AND NOT row_security_active(c.oid))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname ~ '${OWN}' AND (c.relkind <> 'r' OR c.relowner <> n.nspowner)) ORDER BY 1`)
  const found: UndoSchema[] = []
  for (const {schema, comment: text} of marked) {
    const [, run, word] = MARK.exec(text) ?? []
    if (run === undefined || run !== runOf(schema)) continue
    const rows = await manifestOf(client, schema)
    const made = await madeIn(client, schema)
    found.push({schema, run, at: rows[0]?.at ?? made?.at ?? '', mode: rows[0]?.mode ?? 'missing', tables: rows.map((one) => ({schema: one.schema, name: one.name})), rows: rows.reduce((sum, one) => sum + one.rows, 0), made: made?.tables.map(nameOf) ?? [], undone: word === 'undone'})
  }
  return found.toSorted((a, b) => (a.at < b.at ? 1 : -1))
}

/** Whether the merge whose connection was lost has committed: then its undo schema is there. */
export async function mergeCommitted(client: Client, undoSchema: string): Promise<boolean> {
  return (await undoSchemas(client)).some(({schema}) => schema === undoSchema)
}

/** What a revert reads. Throws `partial.undo-unknown` (exit 3) for a schema that is not one of ours, or was reverted. */
export async function readUndo(client: Client, schema: string): Promise<UndoTable[]> {
  const found = (await undoSchemas(client)).find((one) => one.schema === schema)
  if (found === undefined || found.undone) {
    throw preflightError('partial.undo-unknown', found ? `The merge of ${schema} was reverted already.` : `There is no schema ${schema} that a merge of dr made.`, {hints: ['dr restore clean-up lists what can be undone.']})
  }
  return manifestOf(client, schema)
}

/** The transaction that wrote the undo tables, as `xmin` shows it; undefined when it touched no row. */
export async function transactionOf(client: Client, schema: string): Promise<string | undefined> {
  const [row] = await rowsOf<{transaction: string}>(client, `SELECT xmin::text AS transaction FROM ${quoteIdent(schema)}.manifest LIMIT 1`)
  return row?.transaction
}

/** Drops our tables and the schema. Where somebody made objects in it, it stays with its mark changed. */
export async function dropUndo(client: Client, schema: string): Promise<void> {
  const owned = await rowOf<{names: string[]; others: number}>(client, `
    SELECT coalesce(array_agg(c.relname::text) FILTER (WHERE c.relname ~ '${OWN}'), '{}') AS names, count(*) FILTER (WHERE c.relkind NOT IN ('i', 't') AND NOT c.relname ~ '${OWN}')::int AS others
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1`, [schema])
  if (!(await undoSchemas(client)).some((one) => one.schema === schema)) throw preflightError('partial.undo-unknown', `There is no schema ${schema} that a merge of dr made.`, {hints: ['dr restore clean-up lists what can be undone.']})
  if (owned.others > 0) {
    await client.query(markSql(schema, 'undone'))
    return
  }
  await client.query(`DROP TABLE ${owned.names.map((name) => `${quoteIdent(schema)}.${quoteIdent(name)}`).join(', ')}`)
  await client.query(`DROP SCHEMA ${quoteIdent(schema)}`)
}
