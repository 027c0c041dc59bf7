import {preflightError} from '../errors.ts'
import {rowsOf, type Client} from './connection.ts'
import {abandonedDatabases, commentSql, createMarkedDatabase, databaseNamed, dropDatabaseSql, stageDatabaseName, type NewDatabase, type RestoreMark} from './create-database.ts'
import {markedComment, readMark} from './database-marks.ts'
import {quoteIdent} from './quote.ts'

/** As `createRun` names runs. */
const RUN = /_stage_(\d{8}t\d{6}z_[\da-f]+)$/

/** A name that `stageDatabaseName` makes of some database. */
export const isStageDatabase = (name: string): boolean => RUN.test(name)

/**
 * Makes the database where the rows of a backup are staged beside the live one, marked as unfinished from its first moment, and takes
 * all rights on it from everybody; proves it, before there is anything in it. Throws `partial.stage-open` (exit 3), having dropped it.
 */
export async function createStageDatabase(client: Client, database: NewDatabase, mark: RestoreMark, serverMajor: number): Promise<void> {
  await createMarkedDatabase(client, database, mark, serverMajor)
  try {
    await client.query(`REVOKE ALL ON DATABASE ${quoteIdent(database.name)} FROM PUBLIC`)
    const open = await rowsOf<{role: string}>(client, `
      SELECT r.rolname::text AS role FROM pg_roles r, pg_database d WHERE d.datname = $1 AND r.rolcanlogin AND NOT r.rolsuper AND NOT pg_has_role(r.oid, d.datdba, 'MEMBER')
        AND has_database_privilege(r.oid, d.oid, 'CONNECT, CREATE, TEMPORARY') ORDER BY 1`, [database.name])
    if (open.length > 0) throw preflightError('partial.stage-open', `The database ${database.name} would be open to ${open.map(({role}) => role).join(', ')}.`, {hints: ['Rights that stay after REVOKE ALL come from memberships: in the owner, or in a role that was granted them.']})
  } catch (error) {
    await client.query(dropDatabaseSql(database.name)).catch(() => undefined)
    throw error
  }
}

/** What the operator wanted to keep is no leftover of a killed run any more: dr restore clean-up lists it by its age. */
export async function keepStageDatabase(client: Client, {name, live, run, at}: {name: string; live: string; run: string; at: Date}): Promise<void> {
  await client.query(commentSql(name, markedComment({kind: 'stage', live, name, at: at.toISOString(), run, comment: undefined})))
}

/** A database of this run that was kept for hand work is dropped; false where it is none. */
export async function dropKeptStageDatabase(client: Client, name: string, run: string): Promise<boolean> {
  const mark = readMark((await databaseNamed(client, name))?.comment ?? undefined)
  if (mark?.kind !== 'stage' || mark.run !== run || mark.name !== name) return false
  await client.query(dropDatabaseSql(name))
  return true
}

export interface AbandonedStage {
  database: string
  oid: number
  run: string
  bytes: number | undefined
}

/** Databases where killed runs had staged rows for this live one: by mark, name, and the lock of their run. */
export async function abandonedStageDatabases(client: Client, live: string): Promise<AbandonedStage[]> {
  const found = (await abandonedDatabases(client, isStageDatabase)).flatMap(({name, run}) => (run !== undefined && stageDatabaseName(live, run) === name ? [{name, run}] : []))
  if (found.length === 0) return []
  const rows = await rowsOf<{name: string; oid: number; bytes: number | null}>(client, `
    SELECT datname AS name, oid::int8::float8 AS oid, CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid)::float8 END AS bytes FROM pg_database WHERE datname = ANY ($1)`, [found.map(({name}) => name)])
  return rows.flatMap(({name, oid, bytes}) => found.filter((one) => one.name === name).map(({run}) => ({database: name, oid, run, bytes: bytes ?? undefined})))
}

/** Why it was not dropped; undefined when it is gone. Its run is looked at again. */
export async function dropAbandonedStage(client: Client, {database, oid}: Pick<AbandonedStage, 'database' | 'oid'>, live: string): Promise<string | undefined> {
  if (!(await abandonedStageDatabases(client, live)).some((one) => one.database === database && one.oid === oid)) return 'it is not what it was when it was looked at'
  await client.query(dropDatabaseSql(database))
  return undefined
}
