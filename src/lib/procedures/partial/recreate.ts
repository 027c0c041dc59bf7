import {messageOf, verificationError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import {endQuietly, rowOf, rowsOf, withClient, type Client} from '../../postgres/connection.ts'
import {statementError} from '../../postgres/errors.ts'
import {readCatalog} from '../../postgres/partial/catalog.ts'
import type {ForeignKeyShape, TableName} from '../../postgres/partial/contract.ts'
import {identityOf, liveObjects} from '../../postgres/partial/live-objects.ts'
import {making, type MakingOptions} from '../../postgres/partial/made.ts'
import {nameOf, sameTable, shapeOf, shownName} from '../../postgres/partial/names.ts'
import {orphansOf} from '../../postgres/partial/orphans.ts'
import {recreatePlan} from '../../postgres/partial/recreate-entries.ts'
import {retypeStaged} from '../../postgres/partial/stage-columns.ts'
import {unmakeAlone} from '../../postgres/partial/unmake.ts'
import {qualified, quoteIdent} from '../../postgres/quote.ts'
import {entryName} from '../../postgres/restore-lists.ts'
import {restoreError} from '../../postgres/restore-errors.ts'
import {scriptArguments, scriptStatements} from '../../postgres/restore.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {runTool} from '../../system/tool.ts'
import {shellQuote} from '../../system/shell.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import type {Recreated, StageOptions, StageState} from './options.ts'
import {schemaArchive, type SchemaArchive} from './recreate-archive.ts'
import {undoSchemaOf} from './run-options.ts'
import {there, type StageWork} from './work.ts'

/** Nobody waits for us longer than this behind a table that someone else has locked. */
const LOCK_LIMIT_MS = 5000

type LostOf<S> = (state: S) => readonly TableName[]

/**
 * Makes tables anew that are in the backup and not live: with their sequences, defaults, keys, privileges, row security and
 * policies, in one transaction that also notes them in the run's own schema: whoever goes on with the run knows them by that.
 * Undone by dropping what was made, while no row is in it and nobody has hung anything on it.
 */
export function recreateBeforeStep<S extends StageState>(options: StageOptions, work: StageWork, lostOf: LostOf<S>): Step<S> {
  return {
    id: 'partial.recreate',
    title: 'Make the lost tables anew',
    effect: 'write',
    skip: (state) => (toMake(state, lostOf).length > 0 ? undefined : state.recreated === undefined ? 'no table is lost' : 'an earlier process of this run has made them'),
    byHand: (state) => byHand(options, lostOf(state), 'before.list', 'TABLE, SEQUENCE, DEFAULT, CONSTRAINT of the primary key, ROW SECURITY, POLICY, ACL of these tables'),
    run: (state, io) => stopwatch(state.timings).time('recreate', () => makeFirst(options, work, state, io, toMake(state, lostOf))),
    async undo(state, io) {
      const {dropped, rows, tables} = await work.live(new AbortController().signal, (client) => unmakeAlone(client, undoSchemaOf(io.run)))
      if (rows.length > 0) io.notice(`Not dropped, because rows are in it: ${tables.map(shownName).join(', ')} (${rows.slice(0, 3).join('; ')}).`)
      if (dropped) delete state.recreated
    },
  }
}

/** The rest of it, once the rows are there: other indexes, foreign keys from and to them, triggers, views, functions, policies of other tables. */
export function recreateAfterStep<S extends StageState>(options: StageOptions, work: StageWork, lostOf: LostOf<S>): Step<S> {
  return {
    id: 'partial.recreate-rest',
    title: 'Make anew what went with the lost tables',
    effect: 'write',
    skip: (state) => (lostOf(state).length === 0 ? 'no table is lost' : undefined),
    byHand: (state) => byHand(options, lostOf(state), 'after.list', 'INDEX, FK CONSTRAINT, TRIGGER, VIEW, FUNCTION, POLICY that lean on these tables'),
    run: (state, io) => stopwatch(state.timings).time('recreate-rest', () => makeRest(options, work, state, io)),
  }
}

const toMake = <S extends StageState>(state: S, lostOf: LostOf<S>): TableName[] => lostOf(state).filter((table) => state.recreated?.tables.some((one) => sameTable(one, table)) !== true)

function byHand({target}: StageOptions, lost: readonly TableName[], list: string, what: string) {
  return [
    {argv: ['sh', '-c', `pg_restore --list BACKUP > ${list}`], note: `of ${lost.map(qualified).join(', ') || 'the lost tables'}, keep the lines of ${what}`},
    {argv: ['sh', '-c', `pg_restore --use-list=${list} --file=- BACKUP | psql --single-transaction --set=ON_ERROR_STOP=1 ${shellQuote(targetUrl(target))}`], note: 'on a server before 17 take the line SET transaction_timeout out'},
  ]
}

async function makeFirst(options: StageOptions, work: StageWork, state: StageState, io: StepIo, named: readonly TableName[]): Promise<void> {
  const lost = withPartitions(work, named)
  const source = await schemaArchive(options, work, io, state.server?.superuser ?? false)
  work.schema = source
  const live = await work.live(io.signal, liveObjects)
  const {before, after, leftOut} = recreatePlan(source.archive, lost, live)
  for (const {what, why} of leftOut) io.notice(`Not made anew: ${what}: ${why}.`)
  const earlier = state.recreated
  state.recreated = {
    tables: [], made: [...earlier?.made ?? [], ...before.map(entryName)], leftOut: [...earlier?.leftOut ?? [], ...leftOut], notValidated: [],
    after: [...earlier?.after ?? [], ...after.map((entry) => ({id: entry.dumpId, name: entryName(entry)}))].filter(({id}, at, all) => all.findIndex((one) => one.id === id) === at), foreignKeys: [...earlier?.foreignKeys ?? [], ...keysOf(work, after)],
  }
  await restoreInto(options, work, state.recreated, io, {source, name: 'recreate', entries: before, tables: [...earlier?.tables ?? [], ...lost]})
  await work.live(io.signal, (client) => retypeStaged(client, work.stagedAsText))
  await refresh(options, work, io)
}

/** What was dropped with a partitioned table comes back with it. */
function withPartitions({catalogs: {live, backup}}: StageWork, named: readonly TableName[]): TableName[] {
  const isNamed = (table: TableName) => named.some((one) => sameTable(one, table))
  return backup.tables.filter((table) => (isNamed(table) || (table.root && isNamed(table.root))) && shapeOf(live, table) === undefined).map(nameOf)
}

const numbersOf = (client: Client, tables: readonly TableName[]): Promise<(TableName & {oid: number})[]> => rowsOf(client, `
  SELECT n.nspname AS schema, c.relname AS name, c.oid::int8::float8 AS oid FROM unnest($1::text[], $2::text[]) t (schema, name)
  JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name`, [tables.map(({schema}) => schema), tables.map(({name}) => name)])

/** What pg_restore itself does in later passes: rights, and what needs them. */
const isLate = ({kind}: ArchiveEntry): boolean => ['ACL', 'MATERIALIZED VIEW DATA', 'EVENT TRIGGER'].includes(kind)

interface Wanted {
  source: SchemaArchive
  /** Of the list. */
  name: string
  entries: readonly ArchiveEntry[]
  /** All that the run has made. */
  tables: readonly TableName[]
}

/** All of it or nothing, as the owners that the archive names. Our own connection does it: pg_restore ends a transaction at a setting that servers before 17 do not know. */
async function restoreInto({target}: StageOptions, work: StageWork, recreated: Recreated, io: StepIo, {source: {place, tools}, name, entries, tables}: Wanted): Promise<void> {
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
      const run = async (script: string | undefined) => (script === undefined ? undefined : client.query(scriptStatements(script, {serverMajor: major, lockTimeoutMs: LOCK_LIMIT_MS})))
      await noted(client, work, recreated, io, {tables, make: () => run(creating), grant: () => run(granting)})
    } catch (error) {
      io.signal.throwIfAborted()
      throw statementError(error, 'Making the lost tables anew')
    } finally {
      io.signal.removeEventListener('abort', end)
    }
  })
}

/** In one transaction with the note of what was made. */
async function noted(client: Client, work: StageWork, recreated: Recreated, io: StepIo, {tables, ...how}: {tables: readonly TableName[]} & Pick<MakingOptions, 'make' | 'grant'>): Promise<void> {
  await making(client, {schema: undoSchemaOf(io.run), run: work.run, ...how, note: async () => {
    recreated.tables = await numbersOf(client, tables)
    return {tables: recreated.tables, note: recreated}
  }})
}

async function makeRest(options: StageOptions, work: StageWork, state: StageState, io: StepIo): Promise<void> {
  const recreated = there(state.recreated, 'The tables have not been made.')
  const source = work.schema ?? (await schemaArchive(options, work, io, state.server?.superuser ?? false))
  const wanted = new Map(recreated.after.map(({id, name}) => [id, name]))
  const known = source.archive.entries.filter((entry) => wanted.get(entry.dumpId) === entryName(entry))
  if (known.length < wanted.size) throw verificationError('partial.schema', `The schema of ${state.source.location} is not what it was when the lost tables were made anew.`, {hints: ['dr undo takes the rows back; then run the command again.']})
  // An earlier process of this run may have made them, and ended before it could note it.
  const live = await work.live(io.signal, liveObjects)
  const entries = known.filter((entry) => !live.has(identityOf(entry) ?? ''))
  const orphaned = new Map<ArchiveEntry, number>()
  for (const entry of entries) {
    const orphans = entry.kind === 'FK CONSTRAINT' ? await work.live(io.signal, (client) => orphansIn(client, recreated.foreignKeys, entry)) : 0
    if (orphans > 0) orphaned.set(entry, orphans)
  }
  const sound = entries.filter((entry) => !orphaned.has(entry))
  recreated.made.push(...sound.map(entryName))
  await restoreInto(options, work, recreated, io, {source, name: 'recreate-rest', entries: sound, tables: recreated.tables})
  for (const [entry, orphans] of orphaned) await addNotValid(work, state, io, entry, orphans)
  await refresh(options, work, io)
}

const isKey = ({name, table}: ForeignKeyShape, {schema, tag}: ArchiveEntry) => table.schema === schema && tag === `${table.name} ${name}`

/** Foreign keys that are to be made, by the backup's catalog. */
const keysOf = ({catalogs: {backup}}: StageWork, entries: readonly ArchiveEntry[]): ForeignKeyShape[] =>
  backup.foreignKeys.filter((key) => entries.some((entry) => entry.kind === 'FK CONSTRAINT' && isKey(key, entry)))

async function orphansIn(client: Client, keys: readonly ForeignKeyShape[], entry: ArchiveEntry): Promise<number> {
  const key = keys.find((one) => isKey(one, entry))
  return key === undefined ? 0 : orphansOf(client, key)
}

/** It would be refused as it was. Not validated it holds for every new row, and leaves those that are there alone. */
async function addNotValid(work: StageWork, state: StageState, io: StepIo, entry: ArchiveEntry, orphans: number): Promise<void> {
  const recreated = there(state.recreated, 'The tables have not been made.')
  const {leftOut, notValidated, made, foreignKeys} = recreated
  const statement = entry.definition.trim().replace(/;$/, '')
  const rows = `${orphans.toLocaleString('en-US')} ${orphans === 1 ? 'row names a row' : 'rows name rows'} that ${orphans === 1 ? 'is' : 'are'} not there`
  try {
    await work.live(io.signal, (client) => noted(client, work, recreated, io, {tables: recreated.tables, make: () => client.query(statement.endsWith('NOT VALID') ? statement : `${statement} NOT VALID`)}))
    notValidated.push({name: entry.tag, orphans})
    made.push(entryName(entry))
    io.notice(`${entryName(entry)} is NOT VALID: ${rows}. Once they are repaired: ${validation(foreignKeys.find((key) => isKey(key, entry)))}`)
  } catch (error) {
    io.signal.throwIfAborted()
    leftOut.push({what: entryName(entry), why: rows})
    io.notice(`Not made anew: ${entryName(entry)}: ${rows} (${messageOf(error)}).`)
  }
}

const validation = (key: ForeignKeyShape | undefined): string => (key === undefined ? 'validate it' : `ALTER TABLE ${qualified(key.table)} VALIDATE CONSTRAINT ${quoteIdent(key.name)};`)

async function refresh({config: {database}}: StageOptions, work: StageWork, io: StepIo): Promise<void> {
  if (work.hasCatalogs) work.catalogs = {...work.catalogs, live: await work.live(io.signal, (client) => readCatalog(client, database))}
}
