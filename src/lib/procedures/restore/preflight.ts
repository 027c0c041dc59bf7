import {DrError, preflightError, verificationError} from '../../errors.ts'
import type {Archive} from '../../postgres/archive.ts'
import type {Client} from '../../postgres/connection.ts'
import {abandonedDatabases, databaseNamed, databaseNameTrouble, knowsCollation, markText, restoreNamePrefix} from '../../postgres/create-database.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {mayCreateDatabase, missingExtensions} from '../../postgres/restore-needs.ts'
import {maintenanceWorkMem, readMaintenanceWorkMem} from '../../postgres/restore-settings.ts'
import {assertNoPooler} from '../../postgres/pooler.ts'
import {readServer, type ServerFacts} from '../../postgres/server.ts'
import {serverDiskSpace} from '../../postgres/server-disk.ts'
import {targetUrl} from '../../postgres/target.ts'
import {featuresBeyond} from '../../postgres/version-features.ts'
import {archiveMajor, chooseForRestore} from '../../postgres/tools.ts'
import {size} from '../../report/swap-lines.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import type {RestoreSession} from './session.ts'
import {rolesStep} from './roles.ts'
import {isSkipped, tellSkipped} from './skipped.ts'
import type {FoundBackup} from './source.ts'
import type {RestoreWork} from './work.ts'

/** Everything that can be known to fail is known here, before anything is made. */
export function preflightSteps(options: RestoreOptions, work: RestoreWork): Step<RestoreState>[] {
  return [backupStep(options, work), serverStep(options, work), toolsStep(options, work), rolesStep(options, work), extensionsStep(options, work)]
}

/** The operator's way to the maintenance database. */
export const psql = ({target}: Pick<RestoreOptions, 'target'>, {maintenanceDatabase}: RestoreSession, sql: string): ManualCommand => ({argv: ['psql', targetUrl(target, maintenanceDatabase), '-c', sql]})

function backupStep({backup}: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {manifest, directory, location} = backup
  return {
    id: 'restore.backup',
    title: `Look at the backup ${manifest.label}`,
    effect: 'read',
    byHand: (state) => directory === undefined ? [
      {argv: ['aws', 's3', 'cp', `${location}/toc.dat`, 'BACKUP/toc.dat']}, {argv: [state.tools.pgRestore, '--list', 'BACKUP']},
    ] : [{argv: [state.tools.pgRestore, '--list', directory]}],
    async run(state, io) {
      for (const notice of backup.notices) {
        io.notice(notice)
        state.findings.push({code: 'restore.choice', severity: 'warning', subject: '', message: notice.replace(/\.$/, '')})
      }
      const {entries} = await work.open(io)
      const named = entries.filter(({kind}) => kind === 'TABLE DATA').length
      if (named < manifest.tables.filter(({kind, rows}) => kind === 'table' && (rows ?? 0) > 0).length) {
        throw verificationError('restore.tables-missing', `toc.dat of ${manifest.label} names ${named} tables with data, the manifest more.`, {hints: ['Check the backup: dr verify --level full']})
      }
    },
  }
}

function serverStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {target, backup: {manifest}} = options
  return {
    id: 'restore.server',
    title: `Look at the server ${target.host}`,
    effect: 'read',
    byHand: (state) => serverByHand(options, work, state),
    async run(state, io) {
      const {client, server} = await lookAtServer(options, work, state, io)
      if (!(await knowsCollation(client, manifest.collation, server.major))) throw noCollation(manifest)
      // Rows alone, for a comparison, take an unknown part of it.
      if (!options.rowsOnly) await assertRoom(client, options)
      warnOlder(server, manifest.server.major, work.archive, state, io)
    },
  }
}

async function assertRoom(client: Client, {target, backup: {manifest}}: RestoreOptions): Promise<void> {
  const free = await serverDiskSpace(client, target)
  const {databaseBytes} = manifest.sizes
  if (free === undefined || free >= databaseBytes) return
  throw preflightError('restore.space', `The server's disk has ${size(free)} free; the database that was backed up took ${size(databaseBytes)}.`, {hints: ['Free space there: dr restore clean-up drops databases that earlier swaps have left.', 'Or restore to another server: set DATABASE_URL to it.']})
}

export const serverByHand = (options: ServerOptions, work: RestoreSession, state: RestoreState): ManualCommand[] =>
  [psql(options, work, `SELECT version(), current_user, pg_is_in_recovery(), EXISTS (SELECT FROM pg_database WHERE datname = '${state.database.replaceAll("'", "''")}') AS taken`)]

type ServerOptions = Pick<RestoreOptions, 'target' | 'config'>

/** What every restore asks of a server, whatever it restores. */
export async function lookAtServer({target, config}: ServerOptions, work: RestoreSession, state: RestoreState, io: StepIo): Promise<{client: Client; server: ServerFacts}> {
  const client = await work.maintenance()
  await assertNoPooler(client, {...target, database: work.maintenanceDatabase})
  const server = await readServer(client)
  state.server = server
  if (work.maintenanceDatabase === target.database) io.notice(`Database ${config.database.maintenanceDatabase} cannot be reached: CREATE DATABASE goes through a connection to ${target.database}, which is not changed.`)
  await assertUsable(client, server, state, work)
  state.maintenanceWorkMemBytes = maintenanceWorkMem({sharedBuffersBytes: server.sharedBuffersBytes, ownBytes: await readMaintenanceWorkMem(client), jobs: state.jobs})
  return {client, server}
}

async function assertUsable(client: Client, server: ServerFacts, state: RestoreState, {mark}: Pick<RestoreSession, 'mark'>): Promise<void> {
  if (server.inRecovery) throw preflightError('restore.standby', 'The server is a standby: nothing can be restored into it.', {hints: ['Set DATABASE_URL to the primary.']})
  if (!(await mayCreateDatabase(client))) throw preflightError('restore.createdb', `Role ${server.user} may not create databases.`, {hints: [`ALTER ROLE ${quoteIdent(server.user)} CREATEDB (needs a superuser; on RDS the master user).`]})
  const there = await databaseNamed(client, state.database)
  // An earlier process of this run has made it.
  if (there === undefined || there.comment === markText(mark) || there.oid === state.databaseOid) return
  const abandoned = await abandonedDatabases(client, (name) => name === state.database)
  if (abandoned.every(({name}) => name !== state.database)) throw nameTaken(state.database, state.live)
}

/** Only a name of ours may be spoken of as something to drop. */
export const nameTaken = (name: string, live: string): DrError => preflightError('restore.name-taken', `There is a database ${name} already; a restore never overwrites one.`, {
  hints: ['Choose another name with --into.', ...(name.startsWith(restoreNamePrefix(live)) ? [`If it is no longer needed: DROP DATABASE ${quoteIdent(name)}`] : [])],
})

/** Known before any connection: called when the state is made. */
export function assertName(name: string, live: string): void {
  const trouble = databaseNameTrouble(name)
  if (trouble !== undefined) throw preflightError('restore.name', `${JSON.stringify(name)} cannot be the name of a database: ${trouble}.`, {hints: ['Choose another name with --into.']})
  if (name === live) throw preflightError('restore.live', `${name} is the live database: dr restore never writes into it.`, {hints: ['Choose another name with --into, or leave it out.']})
}

function noCollation({collation: {provider, collate, ctype, locale}}: FoundBackup['manifest']): DrError {
  return preflightError('restore.collation', `The server does not know the collation of the backup: ${provider}, ${locale ?? `${collate}, ${ctype}`}.`, {hints: [provider === 'libc' ? 'Install the locale on the server (locale -a shows what it has), or restore into a server that has it.' : 'Restore into a server of the same or a newer major that is built with it.']})
}

/** What the server does not know is looked for in the archive, so that it is said before anything is made. A newer pg_dump may write it even for a source as old. */
export function warnOlder(server: ServerFacts, sourceMajor: number, archive: Archive | undefined, state: RestoreState, io: StepIo): void {
  const beyond = archive === undefined ? [] : featuresBeyond(archive, server.major)
  if (server.major < sourceMajor) {
    const known = archive !== undefined && beyond.length === 0
    const message = `the server is PostgreSQL ${server.major}, older than the source (${sourceMajor}): ${known ? 'nothing was found in it that the older one does not know' : 'what the older one does not know fails'}`
    io.notice(`Note: ${message}.`)
    state.findings.push({code: 'restore.older-server', severity: 'warning', subject: '', message})
  }
  for (const {feature, entries} of beyond) {
    const [subject, what] = [listed(entries, 5), `${feature.words} came with PostgreSQL ${feature.since}`]
    io.notice(`PostgreSQL ${server.major} will refuse ${subject}: ${what}.`)
    state.findings.push({code: `older-server.${feature.id}`, severity: 'warning', subject, message: what, hint: `Restore into a server of ${feature.since} or newer`})
  }
}

const listed = (names: readonly string[], most: number) => (names.length > most ? `${names.slice(0, most).join(', ')} and ${names.length - most} more` : names.join(', '))

function toolsStep({tools, backup: {manifest, directory}, skip = []}: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  return {
    id: 'restore.tools',
    title: 'Choose pg_restore',
    effect: 'read',
    byHand: (state) => [
      {argv: [state.tools.pgRestore, '--version']},
      ...(skip.length === 0 ? [] : [{argv: [state.tools.pgRestore, '--list', directory ?? 'BACKUP'], note: `the lines of ${skip.join(', ')}, and of what depends on it, are taken out of the lists below`}]),
    ],
    async run(state) {
      const major = state.server?.major ?? manifest.server.major
      state.tools = chooseForRestore(tools, archiveMajor(manifest.tool), major)
      await work.plan(state, major)
      tellSkipped(state)
    },
  }
}

function extensionsStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {extensions} = options.backup.manifest
  return {
    id: 'restore.extensions',
    title: 'Extensions',
    effect: 'read',
    skip: () => (extensions.length === 0 ? 'the backup has none' : undefined),
    byHand: () => [psql(options, work, 'SELECT name, default_version FROM pg_available_extensions ORDER BY 1')],
    async run(state) {
      const missing = await missingExtensions(await work.maintenance(), extensions.filter(({name}) => !isSkipped(state, 'EXTENSION', name)))
      if (missing.length > 0) throw preflightError('restore.extensions', `The server does not offer ${missing.length === 1 ? 'an extension' : 'extensions'} of backup ${state.label}: ${missing.join(', ')}.`, {hints: ['Install the packages on the server (postgresql-contrib and the like).', `--skip extension:${missing[0] ?? ''} leaves one out, with what depends on it.`]})
    },
  }
}

/** Names by which databases of killed restores are known as ours. */
export const isOurs = ({live, database}: RestoreState) => (name: string): boolean => name === database || name.startsWith(restoreNamePrefix(live))
