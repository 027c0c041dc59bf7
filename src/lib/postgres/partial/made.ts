import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteIdent} from '../quote.ts'
import type {TableName} from './contract.ts'
import {giveBuiltInRights} from './built-in-rights.ts'
import {described, objectsMade, objectsThere, withFullNames, type MadeObject} from './made-objects.ts'
import {createRunSchema, markOf, PREFIX} from './run-schema.ts'
import {proveClosed, revokeAll} from './stage-schema.ts'
import {TRUSTED_OWNER} from '../trusted-owner.ts'

/**
 * What a run has made anew, noted in the schema of its undo tables by the very transactions that made it: whatever a journal
 * knows, it is there or neither is.
 */
export interface Made {
  /** ISO, UTC. */
  at: string
  /** Of the run's folder: by it its lock and its staged rows are known. */
  run: string
  tables: (TableName & {oid: number})[]
  /** All of it, also what hangs on the tables. */
  objects: MadeObject[]
  /** pg_current_snapshot() behind the last of it. */
  snapshot: string
  /** What whoever goes on with the run has to know; plain data. */
  note: unknown
}

export interface MakingOptions {
  /** Of the undo tables of the run. */
  schema: string
  run: string
  /** What makes it; it may change the role. */
  make: () => Promise<unknown>
  /** What grants rights on it, and whatever else comes then: until then it has those that the server gives by itself, whatever default privileges say. It may change the role, too. */
  grant?: () => Promise<unknown>
  /** Asked in the same transaction, when it is made. */
  note: () => Promise<{tables: Made['tables']; note: unknown}>
}

const TABLE = 'made'
const OURSELVES = 'RESET SESSION AUTHORIZATION; RESET ROLE'
const tableOf = (schema: string): string => `${quoteIdent(schema)}.${TABLE}`

/** Makes objects and notes which, in one transaction: all of it or nothing. Throws what the statements throw. */
export async function making(client: Client, {schema, run, make, grant, note}: MakingOptions): Promise<Made> {
  await client.query('BEGIN')
  try {
    const before = await objectsThere(client)
    await make()
    await client.query(OURSELVES)
    await withFullNames(client, async () => giveBuiltInRights(client, await objectsMade(client, before)))
    await grant?.()
    await client.query(OURSELVES)
    const earlier = await madeIn(client, schema)
    const noted = await note()
    const objects = await described(client, [...earlier?.objects ?? [], ...await objectsMade(client, before)])
    const {at, snapshot} = await rowOf<Pick<Made, 'at' | 'snapshot'>>(client, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at, pg_current_snapshot()::text AS snapshot`)
    const made: Made = {at: earlier?.at ?? at, run, snapshot, ...noted, objects}
    await writeMade(client, schema, made)
    await client.query('COMMIT')
    return made
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Whether the schema is proven ours by its owner, and by those of what is read in it. */
const isOurs = async (client: Client, schema: string): Promise<boolean> => (await rowsOf(client, `
  SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = '${TABLE}'
  WHERE n.nspname = $1 AND ${TRUSTED_OWNER} AND c.relkind = 'r' AND c.relowner = n.nspowner AND has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid)`, [schema])).length > 0

/** What the run of this schema has made anew; undefined: nothing, or the schema is not proven ours. */
export async function madeIn(client: Client, schema: string): Promise<Made | undefined> {
  if (!(await isOurs(client, schema))) return undefined
  return (await rowOf<{content: Made}>(client, `SELECT content FROM ${tableOf(schema)}`)).content
}

/** Made by a run whose rows have not been put back: then the schema holds nothing else, and says so. */
export async function madeAlone(client: Client, schema: string): Promise<Made | undefined> {
  const {comment} = await rowOf<{comment: string | null}>(client, "SELECT (SELECT obj_description(n.oid, 'pg_namespace') FROM pg_catalog.pg_namespace n WHERE n.nspname = $1) AS comment", [schema])
  return comment === markOf(schema, 'made') ? madeIn(client, schema) : undefined
}

/** Schemas of runs that made something anew and put no rows back, as `madeAlone` knows them. */
export async function madeSchemas(client: Client): Promise<{schema: string; made: Made}[]> {
  const rows = await rowsOf<{schema: string}>(client, `SELECT nspname AS schema FROM pg_catalog.pg_namespace WHERE starts_with(nspname, '${PREFIX}') ORDER BY 1`)
  const found: {schema: string; made: Made}[] = []
  for (const {schema} of rows) {
    const made = await madeAlone(client, schema)
    if (made) found.push({schema, made})
  }
  return found
}

/** Drops the note, with the schema. Only where `madeAlone` has found it. */
export const dropMadeNote = (client: Client, schema: string) => client.query(`DROP TABLE ${tableOf(schema)}; DROP SCHEMA ${quoteIdent(schema)}`)

/** Into the schema as it is, or into a new one, shut against everybody. */
export async function writeMade(client: Client, schema: string, made: Made): Promise<void> {
  if (await isOurs(client, schema)) await client.query(`DROP TABLE ${tableOf(schema)}`)
  else await createRunSchema(client, schema, 'made')
  await createMade(client, schema, made)
  await revokeAll(client, schema)
  await proveClosed(client, schema)
}

/** The table alone, for a schema that is then shut. It is UNLOGGED while it is written: a subscriber to all tables has none of this name, and the server would not let it be written without a key. */
export async function createMade(client: Client, schema: string, made: Made): Promise<void> {
  await client.query(`CREATE UNLOGGED TABLE ${tableOf(schema)} (content jsonb NOT NULL)`)
  await client.query(`ALTER TABLE ${tableOf(schema)} ENABLE ROW LEVEL SECURITY`)
  await client.query(`INSERT INTO ${tableOf(schema)} VALUES ($1)`, [JSON.stringify(made)])
  await client.query(`ALTER TABLE ${tableOf(schema)} SET LOGGED`)
}
