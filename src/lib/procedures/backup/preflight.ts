import {mkdir, statfs} from 'node:fs/promises'
import {preflightError} from '../../errors.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import {chooseCompression} from '../../postgres/dump.ts'
import {assertNoPooler} from '../../postgres/pooler.ts'
import {readServer, tablesFilteredByRls, unreadableLargeObjects, unreadableTables, type FilteredTable} from '../../postgres/server.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {targetUrl} from '../../postgres/target.ts'
import {chooseForDump, knowsZstd} from '../../postgres/tools.ts'
import type {Step} from '../../runbook/procedure.ts'
import type {BackupOptions, BackupState} from './options.ts'
import type {BackupWork} from './work.ts'

/** Everything that can be known to fail is known here, before anything is written. */
export function preflightSteps(options: BackupOptions, work: BackupWork): Step<BackupState>[] {
  return [sourceStep(options), toolsStep(options), storageStep(options, work), spaceStep(options, work)]
}

function sourceStep(options: BackupOptions): Step<BackupState> {
  const {target, config} = options
  return {
    id: 'backup.source',
    title: `Look at the database ${target.database}`,
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', 'SELECT version(), current_user, pg_size_pretty(pg_database_size(current_database()))']}],
    run: (state) => withClient(target, {applicationName: 'dr backup preflight'}, async (client) => {
      await assertNoPooler(client, target)
      state.server = await readServer(client)
      refuseFiltered(await tablesFilteredByRls(client, config.database), state.server.user)
      await refuseUnreadable(client, options, state.server.user)
    }),
  }
}

async function refuseUnreadable(client: Client, {config}: BackupOptions, user: string): Promise<void> {
  const tables = await unreadableTables(client, config.database)
  if (tables.length > 0) {
    throw preflightError('backup.permission', `Role ${user} may not read ${listed(tables)}.`, {hints: ['Back up with the role that owns the tables.', `GRANT pg_read_all_data TO ${quoteIdent(user)}`]})
  }
  const objects = await unreadableLargeObjects(client)
  if (objects > 0) {
    throw preflightError('backup.permission', `Role ${user} may not read ${objects} large ${objects === 1 ? 'object' : 'objects'}.`, {hints: ['Back up with the role that owns them.', `GRANT SELECT ON LARGE OBJECT … TO ${quoteIdent(user)}, for each: pg_read_all_data does not cover large objects.`]})
  }
}

const listed = (names: readonly string[]) => (names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', '))

function refuseFiltered(tables: readonly FilteredTable[], user: string): void {
  if (tables.length === 0) return
  const [{owner} = {owner: ''}] = tables
  const forced = tables.filter((table) => table.forced).map(({schema, name}) => `${schema}.${name}`)
  throw preflightError('backup.row-security', `Row-level security hides rows of ${listed(tables.map(({schema, name}) => `${schema}.${name}`))} from role ${user}: a backup would be incomplete.`, {
    hints: [
      `${forced.length < tables.length ? `Back up as ${owner}, who owns the tables, or: ` : ''}ALTER ROLE ${quoteIdent(user)} BYPASSRLS (needs a superuser; on RDS the master user).`,
      ...(forced.length > 0 ? [`FORCE ROW LEVEL SECURITY is set on ${listed(forced)}: there even the owner is filtered, so BYPASSRLS is needed.`] : []),
    ],
  })
}

function toolsStep(options: BackupOptions): Step<BackupState> {
  return {
    id: 'backup.tools',
    title: 'Choose the client tools',
    effect: 'read',
    byHand: (state) => [{argv: [state.tools.pgDump, '--version']}],
    async run(state, io) {
      const major = state.server?.major ?? state.tools.major
      state.tools = chooseForDump(options.tools, major)
      state.compression = chooseCompression(options.compress, state.tools, await knowsZstd(state.tools))
      if (state.tools.major > major) io.notice(`pg_dump ${state.tools.version} is used for a server of ${major}: the manifest and RECOVER.md say which pg_restore the archive needs.`)
    },
  }
}

function storageStep(options: BackupOptions, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.storage',
    title: 'Reach the destinations',
    effect: 'read',
    byHand: () => options.storages.map((storage) => ({argv: storage.kind === 's3' ? ['aws', 's3', 'ls', `${storage.location}/`] : ['ls', '-ld', storage.location]})),
    async run(state, io) {
      await makeLocalFolder(options)
      await work.reach(io)
      await work.sweep(io)
      await work.findLastGood(io)
      const last = work.lastGood
      if (last) state.lastGood = {label: last.label, archiveBytes: last.sizes.archiveBytes, databaseBytes: last.sizes.databaseBytes}
    },
  }
}

/** The first backup makes the folder. Elsewhere than in our own data folder only its last part: a disk that is not mounted must not be filled by mistake. */
async function makeLocalFolder({storages, config}: BackupOptions): Promise<void> {
  for (const {location} of storages.filter(({kind}) => kind === 'local')) {
    const ours = location.startsWith(`${config.dataDirectory}/`)
    await mkdir(location, {recursive: ours, mode: 0o700}).catch(() => {})
  }
}

function spaceStep(options: BackupOptions, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.space',
    title: 'Room for staging',
    effect: 'read',
    byHand: () => [{argv: ['df', '-h', options.stagingRoot]}],
    async run(state, io) {
      const stagingRoot = await work.makeStaging()
      const {bavail, bsize} = await statfs(stagingRoot)
      const free = bavail * bsize
      const wanted = state.lastGood?.archiveBytes ?? (state.server?.databaseBytes ?? 0) / 4
      if (free < wanted) io.notice(`Only ${(free / 1e9).toFixed(1)} GB are free at ${stagingRoot}; the archive takes about ${(wanted / 1e9).toFixed(1)} GB. Under --s3 alone a part of that is enough.`)
    },
  }
}
