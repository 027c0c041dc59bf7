import type {ArchiveEntry} from '../../postgres/archive.ts'
import {endQuietly, rowOf, rowsOf, withClient, type Client} from '../../postgres/connection.ts'
import {statementError} from '../../postgres/errors.ts'
import {readCatalog} from '../../postgres/partial/catalog.ts'
import type {TableName} from '../../postgres/partial/contract.ts'
import {making, type MakingOptions} from '../../postgres/partial/made.ts'
import {restoreError} from '../../postgres/restore-errors.ts'
import {scriptArguments, scriptStatements} from '../../postgres/restore.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {runTool} from '../../system/tool.ts'
import type {Recreated, StageOptions} from './options.ts'
import type {SchemaArchive} from './recreate-archive.ts'
import {undoSchemaOf} from './run-options.ts'
import type {StageWork} from './work.ts'

/** Nobody waits for us longer than this behind a table that someone else has locked. */
const LOCK_LIMIT_MS = 5000

/** For the words of an error. */
export const MAKING = 'Making the lost tables anew'

const numbersOf = (client: Client, tables: readonly TableName[]): Promise<(TableName & {oid: number})[]> => rowsOf(client, `
  SELECT n.nspname AS schema, c.relname AS name, c.oid::int8::float8 AS oid FROM unnest($1::text[], $2::text[]) t (schema, name)
  JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name`, [tables.map(({schema}) => schema), tables.map(({name}) => name)])

/** What pg_restore itself does in later passes: rights, and what needs them. */
const isLate = ({kind}: ArchiveEntry): boolean => ['ACL', 'MATERIALIZED VIEW DATA', 'EVENT TRIGGER'].includes(kind)

export interface Wanted {
  source: SchemaArchive
  /** Of the list. */
  name: string
  entries: readonly ArchiveEntry[]
  /** All that the run has made. */
  tables: readonly TableName[]
}

/** All of it or nothing, as the owners that the archive names. Our own connection does it: pg_restore ends a transaction at a setting that servers before 17 do not know. */
export async function restoreInto({target}: StageOptions, work: StageWork, recreated: Recreated, io: StepIo, {source: {place, tools}, name, entries, tables}: Wanted): Promise<void> {
  if (entries.length === 0) return
  const scriptOf = async (part: string, some: readonly ArchiveEntry[]): Promise<string | undefined> => {
    if (some.length === 0) return undefined
    const {code, stdout, stderr} = await runTool(scriptArguments(tools, {...place, list: await work.session.list(part, some)}), {signal: io.signal})
    if (code !== 0) throw restoreError([], code, stderr.slice(-3))
    return stdout
  }
  const creating = await scriptOf(name, entries.filter((entry) => !isLate(entry)))
  const granting = await scriptOf(`${name}-rights`, entries.filter(isLate))
  await withClient(target, {applicationName: work.applicationName}, async (client) => {
    const end = () => { void endQuietly(client) }
    io.signal.addEventListener('abort', end, {once: true})
    const {major} = await rowOf<{major: number}>(client, "SELECT current_setting('server_version_num')::int / 10000 AS major")
    try {
      // The script does not say how its defaults are to be read.
      await client.query('SET array_nulls = on')
      const run = async (script: string | undefined) => (script === undefined ? undefined : client.query(scriptStatements(script, {serverMajor: major, lockTimeoutMs: LOCK_LIMIT_MS})))
      await noted(client, work, recreated, io, {tables, make: () => run(creating), grant: () => run(granting)})
    } catch (error) {
      io.signal.throwIfAborted()
      throw statementError(error, MAKING)
    } finally {
      io.signal.removeEventListener('abort', end)
    }
  })
}

/** In one transaction with the note of what was made. */
export async function noted(client: Client, work: StageWork, recreated: Recreated, io: StepIo, {tables, ...how}: {tables: readonly TableName[]} & Pick<MakingOptions, 'make' | 'grant'>): Promise<void> {
  await making(client, {schema: undoSchemaOf(io.run), run: work.run, ...how, note: async () => {
    recreated.tables = await numbersOf(client, tables)
    return {tables: recreated.tables, note: recreated}
  }})
}

/** What is live is read anew. */
export async function refresh({config: {database}}: StageOptions, work: StageWork, io: StepIo): Promise<void> {
  if (work.hasCatalogs) work.catalogs = {...work.catalogs, live: await work.live(io.signal, (client) => readCatalog(client, database))}
}
