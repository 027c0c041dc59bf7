import {join} from 'node:path'
import {preflightError, usageError} from '../../errors.ts'
import {readArchiveFile} from '../../postgres/archive.ts'
import {connect, endQuietly, rowOf} from '../../postgres/connection.ts'
import {knowsCollation} from '../../postgres/create-database.ts'
import {readDatabaseText} from '../../postgres/database-text.ts'
import {statementError} from '../../postgres/errors.ts'
import {mayCreateDatabase} from '../../postgres/restore-needs.ts'
import {STAGING_SETTINGS} from '../../postgres/partial/stage-rows.ts'
import {assertNoPooler} from '../../postgres/pooler.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {isSameDatabase} from '../../postgres/same-database.ts'
import {readServer} from '../../postgres/server.ts'
import {targetName, targetUrl, type Target} from '../../postgres/target.ts'
import {archiveMajor, chooseForRestore} from '../../postgres/tools.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import {decideDatabase, dumpStep, needsStep, serverOf} from '../restore/foreign/preflight.ts'
import {lookAtServer} from '../restore/preflight.ts'
import type {StageOptions, StageState} from './options.ts'
import {there, type Side, type StageWork} from './work.ts'

/** Opens server and source, and says what is missing before anything is made. Of a backup only its table of contents is fetched. */
export function openSteps<S extends StageState>(options: StageOptions, work: StageWork): Step<S>[] {
  return [serverStep(options, work), sourceStep(options, work)]
}

function serverStep<S extends StageState>({target, config}: StageOptions, work: StageWork): Step<S> {
  return {
    id: 'partial.server',
    title: `Look at the server ${target.host}`,
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', "SELECT version(), current_user, pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE')"]}],
    run: async (state, io) => {
      const client = await work.session.maintenance()
      if (work.side) state.server = (await lookAtServer({target, config}, work.session, work.side.state, io)).server
      else {
        await assertNoPooler(client, {...target, database: work.session.maintenanceDatabase})
        state.server = await readServer(client)
      }
      if (state.server.inRecovery) throw preflightError('restore.standby', 'The server is a standby: nothing can be restored into it.', {hints: ['Set DATABASE_URL to the primary.']})
      if (work.isBeside && !(await mayCreateDatabase(client))) throw preflightError('restore.createdb', `Role ${state.server.user} may not create databases.`, {hints: [`ALTER ROLE ${quoteIdent(state.server.user)} CREATEDB (needs a superuser; on RDS the master user).`, '--stage schema needs no other database.']})
      if (!work.isBeside) await assertMayStage(work, io.signal, target)
    },
  }
}

/** The rows are staged in a schema of the live database. */
async function assertMayStage(work: StageWork, signal: AbortSignal, {database}: Target): Promise<void> {
  const {may, role} = await work.live(signal, (client) => rowOf<{may: boolean; role: string}>(client, "SELECT has_database_privilege(current_database(), 'CREATE') AS may, current_user::text AS role"))
  if (may) return
  throw preflightError('partial.stage-right', `Role ${role} may not make a schema in ${database}, where the rows of the backup are staged.`, {hints: [`The owner of the database can do this: GRANT CREATE ON DATABASE ${quoteIdent(database)} TO ${quoteIdent(role)}`]})
}

function sourceStep<S extends StageState>(options: StageOptions, work: StageWork): Step<S> {
  const {from} = options
  const title = from.kind === 'backup' ? `Read the table of contents of ${from.backup.manifest.label}` : from.kind === 'dump' ? `Read ${from.dump.name} to its end` : `Open ${from.copy ? 'the copy' : targetName(from.target)}`
  return {
    id: 'partial.source',
    title,
    effect: 'read',
    skip: ({copyRemoved}) => (copyRemoved ? 'the copy has served' : undefined),
    byHand: () => sourceByHand(options, work),
    async run(state, io) {
      if (work.side?.kind === 'backup') await openBackup(work.side, options, work, io)
      else if (work.side?.kind === 'dump') {
        await openDump(work.side, work, io)
        state.source.database = work.side.state.dump.source || null
      }
      else await openDatabase(options, work, state, io)
    },
  }
}

function sourceByHand({from}: StageOptions, work: StageWork): readonly ManualCommand[] {
  if (from.kind === 'database') return [{argv: ['psql', targetUrl(from.target), '-c', 'SELECT pg_is_in_recovery(), current_user']}]
  const {side} = work
  if (side?.kind === 'dump') return dumpStep(side.options, side.work).byHand(side.state)
  const {directory, location} = (from as Extract<StageOptions['from'], {kind: 'backup'}>).backup
  const list = (place: string) => ({argv: [side?.state.tools.pgRestore ?? 'pg_restore', '--list', place]})
  return directory === undefined ? [{argv: ['aws', 's3', 'cp', `${location}/toc.dat`, 'BACKUP/toc.dat']}, list('BACKUP')] : [list(directory)]
}

/** Only the table of contents, proven; whether the members are there is seen when they are needed. */
async function openBackup({options, state}: Extract<Side, {kind: 'backup'}>, {config, tools}: StageOptions, work: StageWork, io: StepIo): Promise<void> {
  const {backup: {manifest, notices}} = options
  for (const notice of notices) io.notice(notice)
  const members = await work.openMembers()
  const toc = manifest.members.find(({name}) => name === 'toc.dat')
  if (toc === undefined) throw new Error('The manifest has no toc.dat.')
  await members.prove(toc, io.signal)
  work.archive = await readArchiveFile(join(members.directory, 'toc.dat'))
  const {major} = there(state.server, 'The server has not been looked at.')
  state.tools = chooseForRestore(tools, archiveMajor(manifest.tool), major)
  const client = await work.session.maintenance()
  if (await knowsCollation(client, manifest.collation, major)) return
  const live = await readDatabaseText(client, options.target.database, major)
  if (live === undefined) throw preflightError('postgres.no-database', `There is no database ${options.target.database}.`, {hints: [`dr config show: environment ${config.environment}`]})
  // No row is sorted there.
  options.backup = {...options.backup, manifest: {...manifest, collation: {...live.collation}}}
}

/** A dump has no checksums of its own: it is read whole, wherever it lies. */
async function openDump({options, state, work: foreign}: Extract<Side, {kind: 'dump'}>, work: StageWork, io: StepIo): Promise<void> {
  await dumpStep(options, foreign).run(state, io)
  const server = serverOf(state)
  if (foreign.hasArchive) {
    work.archive = foreign.archive
    await decideDatabase(await foreign.maintenance(), state, server, io)
    delete state.owner
    return
  }
  await needsStep(options, foreign).run(state, io)
  io.notice('A dump in plain SQL has no table of contents: all of it is restored into the scratch database, to take some of its rows.')
}

const HOLD = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

/** One instant of it for as long as the run lasts. */
async function openDatabase({from, target}: StageOptions, work: StageWork, state: StageState, io: StepIo): Promise<void> {
  if (from.kind !== 'database') throw new Error('The source is no database.')
  const name = targetName(from.target)
  if (name === targetName(target)) throw sameDatabase(name)
  const client = await connect(from.target, {applicationName: work.applicationName, namedBy: '--from'})
  io.signal.addEventListener('abort', () => { void endQuietly(client) }, {once: true})
  try {
    if (await work.live(io.signal, (own) => isSameDatabase(own, client))) throw sameDatabase(name)
    for (const setting of STAGING_SETTINGS) await client.query(setting)
    await client.query(HOLD)
    const {at} = await rowOf<{at: string}>(client, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at`)
    // Of a point-in-time copy: what was written since is what was written after that instant, not after now.
    if (from.copy === undefined) state.source.at = at
  } catch (error) {
    await endQuietly(client)
    throw statementError(error, `Opening ${name}`)
  }
  work.opened = client
}

const sameDatabase = (name: string) => usageError('partial.source-live', `${name} is the live database itself.`, {hints: ['--from names a backup, a dump, or another database: a copy of an earlier instant.']})
