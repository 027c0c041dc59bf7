import {messageOf, verificationError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import {abandonedDatabases, createDatabaseSql, dropDatabaseSql} from '../../postgres/create-database.ts'
import {markedDatabases} from '../../postgres/database-marks.ts'
import {statementError} from '../../postgres/errors.ts'
import {readCatalog} from '../../postgres/partial/catalog.ts'
import {mayFailInScratch, scratchEntries} from '../../postgres/partial/scratch-entries.ts'
import {isStageDatabase} from '../../postgres/stage-database.ts'
import {abandonedStages, dropStage, stageSchemas} from '../../postgres/partial/stage-schema.ts'
import {restoreArguments, tryRestore, type RestoreArguments, type RestoreEnd} from '../../postgres/restore.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {createDatabaseStep, type CreateWish} from '../restore/create.ts'
import {loadStep} from '../restore/foreign/load.ts'
import type {ForeignState} from '../restore/foreign/options.ts'
import {settingsOf} from '../restore/load.ts'
import {psql} from '../restore/preflight.ts'
import type {RestoreState} from '../restore/options.ts'
import type {StageOptions, StageState} from './options.ts'
import {there, type Side, type StageWork} from './work.ts'

/** Removes what killed runs left: scratch databases and staging schemas, each marked by dr, of a run that is proven to have ended. */
export function sweepStep<S extends StageState>({target}: StageOptions, work: StageWork): Step<S> {
  return {
    id: 'partial.sweep',
    title: 'Remove what killed runs left',
    effect: 'destroy',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', String.raw`\dn+ dr_stage_*`], note: 'those whose description ends with «staging», when their run is over'}],
    async run(_state, io) {
      const client = await work.session.maintenance()
      for (const {name} of await abandonedDatabases(client, isStageDatabase)) {
        await client.query(dropDatabaseSql(name)).then(() => { io.notice(`Dropped ${name}, which a killed run had left.`) }, (error: unknown) => { io.notice(`${name}, which a killed run has left, cannot be dropped: ${messageOf(error)}.`) })
      }
      await work.live(io.signal, async (live) => {
        for (const stage of await abandonedStages(live)) {
          await dropStage(live, stage).then((gone) => { if (gone) io.notice(`Dropped schema ${stage.schema}, where the killed run ${stage.run} had staged rows.`) }, (error: unknown) => { io.notice(`Schema ${stage.schema}, which the killed run ${stage.run} has left, cannot be dropped: ${messageOf(error)}.`) })
        }
        const kept = (await stageSchemas(live)).filter((stage) => stage.kept)
        const databases = (await markedDatabases(client)).filter(({kind, live: of, proven}) => kind === 'stage' && proven && of === target.database)
        if (kept.length + databases.length > 0) io.notice(`Staged rows that were kept for hand work: ${[...kept.map(({schema}) => schema), ...databases.map(({database}) => `database ${database}`)].join(', ')}.`)
      })
    },
  }
}

/**
 * Makes a database that holds the schema of the source alone, and no rows; of a dump in plain SQL, all of it. Marked as
 * unfinished for as long as it is there: when this run is killed the next one drops it.
 */
export function scratchStep<S extends StageState>(options: StageOptions, work: StageWork): Step<S> {
  const {side} = work
  return {
    id: 'partial.scratch',
    title: 'Restore the schema of the backup into a scratch database',
    effect: 'write',
    skip: () => (side === undefined ? 'the source is a database itself' : undefined),
    byHand: () => (side === undefined ? [] : [psql(options, work.session, createDatabaseSql({name: work.scratch, encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}}, side.state.server?.major ?? 0)), ...schemaByHand(options, work, side)]),
    run: (state, io) => stopwatch(state.timings).time('scratch', async () => {
      if (side === undefined) return
      state.scratch = work.scratch
      await create(options, work, side, io)
      if (side.kind === 'dump' && !side.work.hasArchive) await loadStep(side.options, side.work).run(side.state, io)
      else await restoreSchema(work, side, io)
    }),
    async undo(state) {
      await dropScratch(work)
      delete state.scratch
    },
  }
}

async function create(options: StageOptions, work: StageWork, side: Side, io: StepIo): Promise<void> {
  const majorOf = ({server}: RestoreState) => server?.major ?? 0
  if (side.kind === 'backup') {
    const {encoding, collation} = side.options.backup.manifest
    const wish: CreateWish<RestoreState> = {majorOf, database: ({database: name}) => ({name, encoding, collation})}
    return createDatabaseStep(options, work.session, wish).run(side.state, io)
  }
  const wish: CreateWish<ForeignState> = {majorOf, database: ({database: name, owner, dump: {encoding = 'UTF8', collation = {provider: 'libc', collate: 'C', ctype: 'C'}}}) => ({name, owner, encoding, collation})}
  return createDatabaseStep(options, work.session, wish).run(side.state, io)
}

const entriesOf = (work: StageWork): ArchiveEntry[] => scratchEntries(there(work.archive, 'The archive has not been read.'))

async function restoreSchema(work: StageWork, side: Side, io: StepIo): Promise<void> {
  const end = await restoreList(work, side, io, {name: 'scratch', entries: entriesOf(work)})
  const fatal = end.problems.filter(({dumpId}) => !mayFailInScratch(work.archive?.entries.find((entry) => entry.dumpId === dumpId)?.kind ?? ''))
  if (end.error && (fatal.length > 0 || !end.complete)) throw end.error
  if (end.problems.length > 0) io.notice(`Not in the scratch database, and not needed there: ${end.problems.map(({entry, message}) => `${entry ?? ''} (${message.replace(/^could not execute query: ERROR: +/, '')})`).slice(0, 5).join('; ')}.`)
}

export interface ListWish {
  /** Of the list file. */
  name: string
  entries: readonly ArchiveEntry[]
  jobs?: number
}

/** One pg_restore of these entries of the source's archive into the scratch database. */
export async function restoreList(work: StageWork, side: Side, io: StepIo, {name, entries, jobs = 1}: ListWish): Promise<RestoreEnd> {
  const archive = there(work.archive, 'The archive has not been read.')
  const access = await work.session.access(settingsOf(side.state))
  const list = await work.session.list(name, entries)
  const argv = restoreArguments(side.state.tools, access, {jobs, ...archivePlace(side), list, database: work.scratch, verbose: true, noOwner: true})
  return tryRestore(argv, {archive, tools: side.state.tools, serverMajor: side.state.server?.major ?? 0, env: access.env, signal: io.signal})
}

/** Where pg_restore finds the archive. */
export function archivePlace(side: Side): Pick<RestoreArguments, 'format' | 'directory'> {
  if (side.kind === 'backup') return {format: 'directory', directory: side.members.directory}
  const {kind, path} = side.work.proven.ready
  if (kind === 'plain') throw new Error('There is no archive.')
  return {format: kind, directory: path}
}

function schemaByHand(options: StageOptions, work: StageWork, side: Side): ManualCommand[] {
  if (side.kind === 'dump' && side.options.dump.found?.kind === 'plain') return [...loadStep(side.options, side.work).byHand(side.state)]
  const place = side.kind === 'backup' ? (side.options.backup.directory ?? 'BACKUP') : side.options.dump.location
  const {pgRestore} = side.state.tools
  return [
    {argv: ['sh', '-c', `${shellQuote(pgRestore)} --list ${shellQuote(place)} | grep -v -e ' TABLE DATA ' -e ' ACL ' -e ' COMMENT ' -e ' POLICY ' -e ' SEQUENCE SET ' > schema.list`]},
    {argv: [pgRestore, '--no-owner', '--use-list=schema.list', `--dbname=${targetUrl(options.target, work.scratch)}`, place]},
  ]
}

/** Reads what there is on both sides: tables, keys, foreign keys. */
export function catalogsStep<S extends StageState>({target, config: {database}}: StageOptions, work: StageWork): Step<S> {
  return {
    id: 'partial.catalogs',
    title: 'Read the tables and keys of both sides',
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', String.raw`\d`], note: 'and of the scratch database'}],
    run: (state, io) => stopwatch(state.timings).time('catalogs', async () => {
      const live = await work.live(io.signal, (client) => readCatalog(client, database))
      const backup = await work.source(io.signal, (client) => readCatalog(client, database)).catch((error: unknown) => { throw statementError(error, 'Reading the catalog of the source') })
      if (backup.tables.length === 0) throw verificationError('partial.no-tables', `${state.source.location} holds no table.`, {hints: ['dr list shows the backups and the dumps that are there.']})
      work.catalogs = {live, backup}
    }),
  }
}

/** Drops the scratch database of this run; nothing that has lost its mark. */
export async function dropScratch(work: StageWork): Promise<void> {
  if (work.side !== undefined) await work.session.drop(work.scratch)
}

/** The last of what is needed there: after the rows are staged, and lost tables made anew. */
export function dropScratchStep<S extends StageState>(options: StageOptions, work: StageWork): Step<S> {
  return {
    id: 'partial.scratch-drop',
    title: 'Drop the scratch database',
    effect: 'destroy',
    skip: () => (work.side === undefined ? 'the source is a database itself' : undefined),
    byHand: () => [psql(options, work.session, dropDatabaseSql(work.scratch))],
    async run(state, io) {
      try {
        await dropScratch(work)
        delete state.scratch
      } catch (error) {
        io.signal.throwIfAborted()
        io.notice(`${work.scratch} could not be dropped: ${messageOf(error)}. The next dr restore or dr partial does it.`)
      }
    },
  }
}
