import {setTimeout as wait} from 'node:timers/promises'
import {lockedError, preflightError, type DrError} from '../errors.ts'
import {runTool} from '../system/tool.ts'
import type {Archive, ArchiveEntry} from './archive.ts'
import {endQuietly, rowsOf, type Client} from './connection.ts'
import type {ToolAccess} from './passfile.ts'
import {RestoreComplaints, restoreError} from './restore-errors.ts'
import {restoreLists} from './restore-lists.ts'
import {occupantNames, type Occupant} from './swap-sessions.ts'
import type {ClientTools} from './tools.ts'

/** One connection and one transaction: whatever fails leaves the old state. */
export function inPlaceArguments(tools: ClientTools, access: Pick<ToolAccess, 'url'>, {directory, list, database}: {directory: string; list: string; database: string}): [string, ...string[]] {
  return [tools.pgRestore, '--format=directory', '--clean', '--if-exists', '--single-transaction', '--exit-on-error', `--use-list=${list}`, '--verbose', `--dbname=${access.url(database)}`, directory]
}

/**
 * What is dropped and made anew. Schemas and extensions that are there stay: others may own them, or have put something into
 * them that the backup does not know.
 */
export async function inPlaceEntries(client: Client, archive: Archive, serverMajor: number): Promise<ArchiveEntry[]> {
  const dropped = new Set(restoreLists(archive, {serverMajor}).dropped.map(({dumpId}) => dumpId))
  const there = await rowsOf<{kind: string; name: string}>(client, "SELECT 'SCHEMA' AS kind, nspname AS name FROM pg_catalog.pg_namespace UNION ALL SELECT 'EXTENSION', extname FROM pg_catalog.pg_extension")
  const stays = new Set(there.map(({kind, name}) => `${kind} ${name}`))
  return archive.entries.filter(({dumpId, kind, tag}) => !dropped.has(dumpId) && !stays.has(`${kind} ${tag}`))
}

/** pg_restore from 17 on begins with a setting that an older server does not know, and that would end the transaction. */
export function assertInPlaceTools(tools: ClientTools, serverMajor: number): void {
  if (tools.major < 17 || serverMajor >= 17) return
  throw preflightError('restore.in-place-tools', `pg_restore ${tools.version} cannot restore into PostgreSQL ${serverMajor} in one transaction: it sets transaction_timeout, which that server does not know.`, {
    hints: [`Install the client tools of PostgreSQL ${Math.max(16, serverMajor)} and set DR_PG_BIN to them, when the backup was made by such ones.`, 'dr restore --swap does without.'],
  })
}

export interface InPlaceRun {
  archive: Archive
  env: Readonly<Record<string, string>>
  applicationName: string
  /** To the same server, to look after the sessions that are in the way. */
  connect: () => Promise<Client>
  signal: AbortSignal
  onBegun?: () => void
  /** How long a session that cannot be ended may be in the way. */
  patienceMs?: number
}

const LOOK_EVERY_MS = 250
const PATIENCE_MS = 15_000

/** Runs it. Sessions whose locks are in the way are ended; one that may not be ended stops the restore, and nothing has changed. */
export async function restoreInPlace(argv: [string, ...string[]], run: InPlaceRun): Promise<void> {
  const complaints = new RestoreComplaints(run.archive)
  const over = new AbortController()
  const guard = await run.connect()
  try {
    const blocked = clearTheWay(guard, run, over.signal)
    const {code, stderr} = await runTool(argv, {
      env: run.env, signal: run.signal,
      onStderrLine(line) {
        complaints.line(line)
        if (/pg_restore: (?:creating|executing|processing|dropping) /.test(line)) run.onBegun?.()
      },
    }).finally(() => { over.abort() })
    const who = await blocked
    if (who !== undefined) throw who
    // Whatever it complained of has taken the whole transaction back.
    if (code !== 0) throw restoreError(complaints.problems, code, stderr.slice(-3))
  } finally {
    over.abort()
    await endQuietly(guard)
  }
}

/** The failure, when somebody was in the way who could not be ended. Then our own session is. */
async function clearTheWay(client: Client, {applicationName, patienceMs = PATIENCE_MS}: InPlaceRun, over: AbortSignal): Promise<DrError | undefined> {
  let since: number | undefined
  while (!over.aborted) {
    const found = await blockers(client, applicationName)
    const masters = found.filter(({mayEnd}) => !mayEnd)
    since = masters.length > 0 ? since ?? performance.now() : undefined
    if (since !== undefined && performance.now() - since > patienceMs) {
      await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [applicationName])
      return lockedError('restore.in-place-blocked', `A session that this role may not end holds what is to be replaced; nothing was changed: ${occupantNames(masters)}.`, {hints: ['Ask whoever runs that session to end it, then run the command again.']})
    }
    await wait(LOOK_EVERY_MS, undefined, {signal: over}).catch(() => undefined)
  }
  return undefined
}

/** Who holds what our session waits for; those that may be ended are told to go. */
async function blockers(client: Client, applicationName: string): Promise<Occupant[]> {
  return rowsOf<Occupant>(client, `
    SELECT a.pid, coalesce(a.datname, '') AS database, coalesce(r.rolname, '') AS user, coalesce(a.application_name, '') AS application,
      CASE WHEN me.rolsuper OR (NOT r.rolsuper AND (pg_has_role(me.oid, r.oid, 'USAGE') OR pg_has_role(me.oid, 'pg_signal_backend', 'USAGE'))) THEN pg_terminate_backend(a.pid) ELSE false END AS "mayEnd"
    FROM pg_stat_activity ours, unnest(pg_blocking_pids(ours.pid)) AS b(pid) JOIN pg_stat_activity a ON a.pid = b.pid JOIN pg_roles r ON r.oid = a.usesysid JOIN pg_roles me ON me.rolname = current_user
    WHERE ours.application_name = $1 AND ours.wait_event_type = 'Lock'`, [applicationName]).catch(() => [])
}
