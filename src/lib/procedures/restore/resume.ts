import {isDeepStrictEqual} from 'node:util'
import {DrError, usageError} from '../../errors.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import {databaseNamed, databaseOf, endDeadRun} from '../../postgres/create-database.ts'
import {codeOf} from '../../postgres/errors.ts'
import {readServer} from '../../postgres/server.ts'
import {isLabel} from '../../repository/label.ts'
import {LocalStorage} from '../../repository/storage/local.ts'
import type {Gate} from '../../runbook/procedure.ts'
import type {Resumption} from '../../runbook/resume.ts'
import {surelyEnded} from '../../system/process-identity.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import type {FoundBackup, WantedBackup} from './source.ts'
import type {RestoreWork} from './work.ts'

/** The step after which the new database holds everything. */
export const LOADED = 'restore.rest'
/** The first one after the checks. */
const FIRST = 'restore.sweep'
const DEAD_SESSIONS_LIMIT_MS = 20_000

type Session = Pick<RestoreWork, 'maintenance' | 'maintenanceDatabase' | 'mark'>
type Earlier = Resumption<RestoreState>

/**
 * Takes over a restore whose process is gone, and says why nothing of it holds; undefined when its new database is there and
 * was restored to its end. One that was restored in part is begun anew: of each of its objects it would have to be proven
 * that it is there, whole, and only once.
 */
export async function settleRestore({target, swap}: Pick<RestoreOptions, 'target' | 'swap'>, session: Session, earlier: Earlier): Promise<string | undefined> {
  const {state, done, begun, before} = earlier
  await takeOver(target, session, earlier)
  if (!done.has(LOADED)) return begun.includes('restore.create') ? `${state.database} had been restored only in part` : 'nothing had been made yet'
  const client = await session.maintenance()
  const {systemIdentifier} = await readServer(client)
  const known = state.server?.systemIdentifier
  if (known !== undefined && systemIdentifier !== undefined && known !== systemIdentifier) throw usageError('run.other-target', `The run ${earlier.run} works on another server than the one that answers at ${target.host}:${target.port}.`, {hints: ['Set DATABASE_URL to what it was when the run was begun.']})
  const trouble = await whyGone(client, earlier)
  if (trouble !== undefined) return trouble
  state.earlierMs = [...done.values()].reduce((sum, ms) => sum + ms, 0)
  // The checks are made again, and find again what they had found.
  const checked = (before.get(FIRST) as RestoreState | undefined)?.findings ?? []
  await reopenSwap(client, swap, earlier)
  state.findings = state.findings.filter((finding) => !checked.some((one) => isDeepStrictEqual(one, finding)))
  return undefined
}

/** Why the new database is no longer what the journal says: another one, or a part of an undo, must never pass for it. */
async function whyGone(client: Client, {state, done, begun}: Earlier): Promise<string | undefined> {
  const name = state.databaseOid === undefined ? undefined : await databaseOf(client, state.databaseOid)
  if (name === undefined) return `${state.database} is gone; a later restore removes what killed ones left`
  if (await isSwappedIn(client, state)) return undefined
  if (name !== state.database) return `${state.database} is called ${name} by now, where it stays`
  return done.has('restore.create') || begun.includes('restore.create') ? undefined : `an undo of ${state.database} had begun`
}

/** By the facts. */
const isSwappedIn = async (client: Client, {live, swap}: RestoreState): Promise<boolean> =>
  swap?.sideOid !== undefined && (await databaseNamed(client, live))?.oid === swap.sideOid

/**
 * What was looked at, agreed to and backed up may be long past: before a swap it is done again. One that has happened, by
 * the facts, is not.
 */
async function reopenSwap(client: Client, options: RestoreOptions['swap'], earlier: Earlier): Promise<void> {
  const {swap} = earlier.state
  if (swap === undefined || (await isSwappedIn(client, earlier.state))) return
  earlier.done = new Map([...earlier.done].filter(([step]) => !/^(swap|safety)\./.test(step)))
  earlier.confirmed = new Set()
  for (const past of ['safetyComplete', 'swapped', 'sideOid', 'kept', 'outageMs'] as const) Reflect.deleteProperty(swap, past)
  if (options?.backup) swap.safetyBackup = options.backup.state
}

/** Asked before a restore is undone that somebody may want to keep. */
export function undoGate(state: RestoreState, done: Earlier['done']): Gate<RestoreState> | undefined {
  const {database, label} = state
  if (state.swap && done.has('swap.carry')) return {question: () => `Undo the restore of ${label}? If it is ${state.live} by now, the old database takes its place again.`, mustType: () => state.live}
  return done.has(LOADED) ? {question: () => `Drop ${database}, which holds all of backup ${label}?`, mustType: () => database} : undefined
}

/** Gets the lock of the run. Sessions that its dead process has left may still hold it. */
export async function takeOver(target: RestoreOptions['target'], session: Session, {owners}: Pick<Earlier, 'owners'>): Promise<void> {
  try {
    await session.maintenance()
  } catch (error) {
    if (!(error instanceof DrError) || error.code !== 'restore.running' || !owners.every(surelyEnded)) throw error
    await withClient(target, {database: session.maintenanceDatabase}, (client) => endDeadRun(client, session.mark.run, DEAD_SESSIONS_LIMIT_MS)).catch((cause: unknown) => { throw codeOf(cause) === '55P03' ? error : cause })
    await session.maintenance()
  }
}

/** The same backup as in the beginning, whatever is the latest now. */
export function pinned<W extends WantedBackup>(wish: W, {label, location}: RestoreState): W {
  const {backup = 'latest', s3} = wish
  if (s3 !== undefined) return s3 === 'latest' ? {...wish, s3: label} : wish
  if (backup === 'latest') return {...wish, backup: label}
  return isLabel(backup) || backup.startsWith('s3://') ? wish : {...wish, backup: location}
}

/** Who undoes a restore needs the name of the backup, not the backup. */
export function namedBackup({label, location, live, environment}: RestoreState): FoundBackup {
  const manifest = {label, environment, source: {database: live}, snapshot: {}, sizes: {}, tables: [], members: [], extensions: [], roles: [], digests: false} as unknown as FoundBackup['manifest']
  return {storage: new LocalStorage(location), prefix: '', location, manifest, suspect: false, notices: []}
}
