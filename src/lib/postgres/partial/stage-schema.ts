import {preflightError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {runIsAtWork, runKey} from '../create-database.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent, quoteLiteral} from '../quote.ts'
import type {ColumnShape, TableName} from './contract.ts'
import {publicationsOfAll} from './publications.ts'
import {TRUSTED_OWNER} from '../trusted-owner.ts'

const PREFIX = 'dr_stage_'
const NAME_BYTES = 63
const MARK = /^dr partial (\S+), (staging|kept)$/

/** `dr_stage_20261122t020000z_7f3a1b`: what a backup leaves out by default (`database.excludeSchemas`). */
export const stageSchemaName = (run: string): string => `${PREFIX}${run.toLowerCase().replaceAll(/[^a-z\d]+/g, '_')}`.slice(0, NAME_BYTES)

export const stageMark = (run: string, kept = false): string => `dr partial ${run}, ${kept ? 'kept' : 'staging'}`

/** `kept`: the operator wanted it (`side`), so it is nobody's leftover. */
export interface StageSchema {
  schema: string
  run: string
  kept: boolean
}

/** A staging table as it is to be made. */
export interface StageTable extends TableName {
  columns: readonly Pick<ColumnShape, 'name' | 'type'>[]
}

/**
 * Makes the schema and its tables in one transaction that also takes all rights on them from everybody, and proves it: before
 * the first row arrives nobody but the owner can look. What default privileges give is taken back; row security without a
 * policy keeps the rows from whoever may read everything (`pg_read_all_data`) and yet is subject to the policies of the live tables.
 * Throws `partial.stage-right` or `partial.stage-open` (exit 3), and has then made nothing.
 */
export async function createStage(client: Client, run: string, tables: readonly StageTable[]): Promise<string> {
  const schema = stageSchemaName(run)
  await client.query('BEGIN')
  try {
    await client.query(`CREATE SCHEMA ${quoteIdent(schema)}`)
    await client.query(`COMMENT ON SCHEMA ${quoteIdent(schema)} IS ${quoteLiteral(stageMark(run))}`)
    for (const table of tables) {
      await client.query(createTableSql({...table, schema}))
      await client.query(`ALTER TABLE ${qualified({...table, schema})} ENABLE ROW LEVEL SECURITY`)
    }
    await revokeAll(client, schema)
    await proveClosed(client, schema)
    await client.query('COMMIT')
    return schema
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw codeOf(error) === '42501' ? noRight(error) : error
  }
}

/** Of the backup's columns in the backup's types; no constraint, and nothing of it in the log of the server. */
export const createTableSql = (table: StageTable): string => `CREATE UNLOGGED TABLE ${qualified(table)} (${table.columns.map(({name, type}) => `${quoteIdent(name)} ${type}`).join(', ')})`

function noRight(cause: unknown): Error {
  return preflightError('partial.stage-right', 'This role may not make a schema in the live database, where the rows of the backup are staged.', {
    cause, hints: ['The owner of the database can do this: GRANT CREATE ON DATABASE … TO …'],
  })
}

interface Grantee {
  what: string
  name: string
  /** Null for PUBLIC. */
  grantee: string | null
}

const GRANTEES = `
  SELECT DISTINCT 'SCHEMA' AS what, n.nspname::text AS name, pg_get_userbyid(nullif(a.grantee, 0))::text AS grantee FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = $1 AND a.grantee <> n.nspowner
  UNION ALL SELECT DISTINCT 'TABLE', c.relname::text, pg_get_userbyid(nullif(a.grantee, 0))::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a WHERE n.nspname = $1 AND a.grantee <> c.relowner`

/** Takes back what default privileges gave of a schema and its tables. */
export async function revokeAll(client: Client, schema: string): Promise<void> {
  for (const {what, name, grantee} of await rowsOf<Grantee>(client, GRANTEES, [schema])) {
    const object = what === 'SCHEMA' ? quoteIdent(schema) : qualified({schema, name})
    await client.query(`REVOKE ALL ON ${what} ${object} FROM ${grantee === null ? 'PUBLIC' : quoteIdent(grantee)}`)
  }
}

/** Whoever could become the owner has the owner's rights anyway. `everything` has them by a role of the server's that nobody can take from it. */
const OPEN_TO = `
  SELECT r.rolname::text AS role, bool_or(pg_has_role(r.oid, p.oid, 'USAGE')) AS everything, r.rolbypassrls AS bypasses
  FROM pg_roles r CROSS JOIN pg_namespace n LEFT JOIN pg_roles p ON p.rolname IN ('pg_read_all_data', 'pg_write_all_data')
  WHERE n.nspname = $1 AND r.rolcanlogin AND NOT r.rolsuper AND NOT pg_has_role(r.oid, n.nspowner, 'MEMBER')
    AND (has_schema_privilege(r.oid, n.oid, 'USAGE, CREATE') OR EXISTS (
      SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r' AND (has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))))
  GROUP BY r.oid, r.rolname, r.rolbypassrls ORDER BY 1`

const UNSECURED = `
  SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind = 'r' AND (NOT c.relrowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid))`

/** Throws `partial.stage-open` when any role that can log in could read or change what is staged, or kept for an undo. */
export async function proveClosed(client: Client, schema: string): Promise<void> {
  const open = await rowsOf<{role: string; everything: boolean | null; bypasses: boolean}>(client, OPEN_TO, [schema])
  const unsecured = await rowsOf(client, UNSECURED, [schema])
  const roles = open.filter(({everything}) => everything !== true || unsecured.length > 0).map(({role}) => role)
  if (roles.length === 0) return
  throw preflightError('partial.stage-open', `The schema ${schema} would be open to ${roles.join(', ')}.`, {
    hints: ['Rights that stay after REVOKE ALL come from memberships: in the owner, or in a role that was granted them.', 'Run dr with the role that owns the tables.'],
  })
}

/** The mark of a staging schema that is ours; undefined where there is none, or somebody else's. */
export async function stageOf(client: Client, schema: string): Promise<StageSchema | undefined> {
  return (await stageSchemas(client)).find((one) => one.schema === schema)
}

/** Staging schemas of this database: by their mark, a name that fits to it, and their owner. */
export async function stageSchemas(client: Client): Promise<StageSchema[]> {
  const rows = await rowsOf<{schema: string; comment: string | null}>(client, `SELECT n.nspname::text AS schema, obj_description(n.oid, 'pg_namespace') AS comment FROM pg_catalog.pg_namespace n WHERE starts_with(n.nspname, $1) AND ${TRUSTED_OWNER} ORDER BY 1`, [PREFIX])
  return rows.flatMap(({schema, comment}) => {
    const [, run, word] = MARK.exec(comment ?? '') ?? []
    return run === undefined || stageSchemaName(run) !== schema ? [] : [{schema, run, kept: word === 'kept'}]
  })
}

/** Drops a staging schema with its tables, and nothing that leans on them from elsewhere. False when there is none of this name that this run has made. */
export async function dropStage(client: Client, {schema, run}: Pick<StageSchema, 'schema' | 'run'>): Promise<boolean> {
  const found = await stageOf(client, schema)
  if (found === undefined || found.run !== run) return false
  const tables = await rowsOf<{name: string}>(client, "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'", [schema])
  await client.query([...(tables.length === 0 ? [] : [`DROP TABLE ${tables.map(({name}) => qualified({schema, name})).join(', ')}`]), `DROP SCHEMA ${quoteIdent(schema)}`].join('; '))
  return true
}

/**
 * What the operator wanted to keep is no leftover: the next run leaves it alone, and a crash of the server empties it no more. Where a
 * publication takes in all tables it stays UNLOGGED: a subscriber has no such tables, and would stop when it is changed by hand.
 * Resolves to these publications.
 */
export async function keepStage(client: Client, {schema, run}: Pick<StageSchema, 'schema' | 'run'>): Promise<string[]> {
  const found = await stageOf(client, schema)
  if (found?.run !== run) return []
  const publications = await publicationsOfAll(client)
  if (publications.length === 0) await logTables(client, schema)
  await client.query(`COMMENT ON SCHEMA ${quoteIdent(schema)} IS ${quoteLiteral(stageMark(run, true))}`)
  return publications
}

/** Tables of a schema that were UNLOGGED outlast a crash from now on. As the server writes a table anew it does not tell subscribers of its rows. */
export async function logTables(client: Client, schema: string): Promise<void> {
  const unlogged = await rowsOf<{name: string}>(client, "SELECT c.relname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relpersistence = 'u'", [schema])
  if (unlogged.length > 0) await client.query(unlogged.map(({name}) => `ALTER TABLE ${quoteIdent(schema)}.${quoteIdent(name)} SET LOGGED`).join('; '))
}

/**
 * Staging schemas that killed runs have left. A run holds its lock from before its schema is there until after it is gone, so
 * one that is marked, then unlocked with no session of its run, then still marked belongs to a dead run.
 */
export async function abandonedStages(client: Client): Promise<StageSchema[]> {
  const before = (await stageSchemas(client)).filter(({kept}) => !kept)
  const free: StageSchema[] = []
  for (const stage of before) if (!(await runIsAtWork(client, runKey(stage.run)))) free.push(stage)
  if (free.length === 0) return []
  const after = await stageSchemas(client)
  return free.filter(({schema, run}) => after.some((still) => still.schema === schema && still.run === run && !still.kept))
}
