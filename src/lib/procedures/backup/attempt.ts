import {mkdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {messageOf, lockedError, verificationError, type DrError} from '../../errors.ts'
import {dataEntries, readArchiveFile, type Archive} from '../../postgres/archive.ts'
import {dumpArguments, startDump, type FinishedItem} from '../../postgres/dump.ts'
import {startMonitor, type BlockedSession, type Monitor} from '../../postgres/monitor.ts'
import type {ToolAccess} from '../../postgres/passfile.ts'
import {openLeader, type Leader, type Snapshot} from '../../postgres/snapshot.ts'
import type {TableRef} from '../../postgres/tables.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {stopwatch, type Stopwatch} from '../../system/stopwatch.ts'
import {readUnderSnapshot, type SourceFacts} from './facts.ts'
import type {BackupOptions, BackupState} from './options.ts'
import {DumpProgress} from './progress.ts'
import {Shipper, type Destination} from './shipper.ts'

/** What one successful pass yields: everything that the manifest tells about the data. */
export interface Copied {
  snapshot: Snapshot
  facts: SourceFacts
  archive: Archive
  shipper: Shipper
  /** Holds toc.dat still. */
  directory: string
}

export interface AttemptOptions {
  options: BackupOptions
  state: BackupState
  label: string
  access: ToolAccess
  destinations: readonly Destination[]
  /** Of this label alone: pg_dump writes into `archive` below it. */
  staging: string
  io: StepIo
}

/** Someone waited for us longer than allowed; the whole backup is to be tried again. */
export class Yielded extends Error {
  readonly session: BlockedSession

  constructor(session: BlockedSession) {
    super(`yielded to ${session.pid}`)
    this.session = session
  }

  toError(attempts: number): DrError {
    const who = this.session.application === '' ? `process ${this.session.pid}` : `${this.session.application} (process ${this.session.pid})`
    return lockedError('backup.yielded', `${who} waited ${this.session.waitedMs} ms for a lock of the backup, which gave way ${attempts} ${attempts === 1 ? 'time' : 'times'}: ${this.session.query.split('\n')[0] ?? ''}`, {
      hints: ['Run the backup again when the migration is over.', 'backup.blockedLimit in dr.config.yaml changes how long others may wait.'],
    })
  }
}

export const applicationNameOf = (label: string) => `dr backup ${label}`

/** Takes the snapshot, dumps, counts and ships, once. Whatever happens, no session and no process of it is left. */
export async function attempt(given: AttemptOptions): Promise<Copied> {
  const {options, label, io} = given
  const stop = new AbortController()
  const signal = AbortSignal.any([io.signal, stop.signal])
  const watch = stopwatch(given.state.timings)
  const applicationName = applicationNameOf(label)
  const progress = new DumpProgress(io)
  const yieldTo = (session: BlockedSession) => { stop.abort(new Yielded(session)) }
  const monitor = await startMonitor(options.target, {
    applicationName, blockedLimitMs: options.config.backup.blockedLimitMs, onBlocked: yieldTo, onCopies: (copies) => { progress.copies(copies) },
    onLost: (error) => { io.notice(`Nobody watches any more whom the backup blocks: ${messageOf(error)} A migration would wait until its end.`) },
  })
  // A blocked session waits for the leader's locks as much as for the dump's: end both on the server, at once.
  const release = () => { void monitor.endSessions() }
  signal.addEventListener('abort', release, {once: true})
  try {
    return await copy({...given, io: {...io, signal}}, watch, progress)
  } catch (error) {
    throw stop.signal.aborted && !io.signal.aborted ? stop.signal.reason : error
  } finally {
    signal.removeEventListener('abort', release)
    given.state.stagingPeakBytes = Math.max(given.state.stagingPeakBytes ?? 0, progress.end())
    await endMonitor(monitor)
  }
}

async function endMonitor(monitor: Monitor): Promise<void> {
  await monitor.endSessions()
  await monitor.stop()
}

async function copy(given: AttemptOptions, watch: Stopwatch, progress: DumpProgress): Promise<Copied> {
  const {options, label, io} = given
  const {database, backup} = options.config
  io.progress('taking the snapshot')
  const leader = await watch.time('snapshot', () => openLeader(options.target, {
    applicationName: applicationNameOf(label), excludeSchemas: database.excludeSchemas, lockTimeoutMs: backup.lockTimeoutMs, signal: io.signal,
    ...(database.migrationLock !== undefined && {migrationLock: database.migrationLock}), ...(options.beforeStatement && {beforeStatement: options.beforeStatement}),
  }))
  try {
    return await copyUnder(leader, given, watch, progress)
  } finally {
    await leader.end()
  }
}

async function copyUnder(leader: Leader, given: AttemptOptions, watch: Stopwatch, progress: DumpProgress): Promise<Copied> {
  const {state, label, destinations, staging, io} = given
  const directory = join(staging, 'archive')
  await rm(directory, {recursive: true, force: true})
  await mkdir(staging, {recursive: true, mode: 0o700})
  const suffix = state.compression === 'none' ? '' : state.compression.startsWith('zstd') ? '.zst' : '.gz'
  const shipper = new Shipper({destinations, prefix: `${state.environment}/${label}/`, directory, suffix, signal: io.signal})
  progress.begin(leader.tables, shipper, directory)
  try {
    const facts = await countAndDump(leader, given, watch, {directory, shipper, progress})
    await watch.time('ship', () => shipper.drain())
    const archive = await readArchiveFile(join(directory, 'toc.dat'))
    assertComplete(archive, shipper, suffix)
    assertSameTables(archive, leader.tables)
    return {snapshot: leader.snapshot, facts, archive, shipper, directory}
  } catch (error) {
    // An upload that goes on would write after everything was removed.
    await shipper.stop()
    throw error
  }
}

interface Parts {
  directory: string
  shipper: Shipper
  progress: DumpProgress
}

async function countAndDump(leader: Leader, given: AttemptOptions, watch: Stopwatch, parts: Parts): Promise<SourceFacts> {
  const {options, io} = given
  const failing = new AbortController()
  const signal = AbortSignal.any([io.signal, failing.signal, parts.shipper.failed])
  // Whoever counts is ended with the leader's session, but only after the first failure is noted.
  failing.signal.addEventListener('abort', () => { void leader.end() }, {once: true})
  const [facts] = await bothOrNeither(
    failing,
    watch.time('count', () => readUnderSnapshot(leader, options)),
    watch.time('dump', () => dump(leader, {...given, io: {...io, signal}}, parts)),
  )
  io.signal.throwIfAborted()
  await leader.assertAlive()
  await leader.end()
  return facts
}

async function dump(leader: Leader, given: AttemptOptions, {directory, shipper, progress}: Parts): Promise<void> {
  const {options, state, access, io} = given
  const argv = dumpArguments(state.tools, access, {
    directory, snapshot: leader.snapshot.id, jobs: state.jobs, compression: state.compression,
    excludeSchemas: options.config.database.excludeSchemas, lockTimeoutMs: options.config.backup.lockTimeoutMs,
  })
  const onFinished = (item: FinishedItem) => {
    shipper.finished(item)
    progress.finished(item)
  }
  await startDump(argv, access, onFinished, io.signal).done
}

/** The set of members is what toc.dat names, neither less nor more. */
function assertComplete(archive: Archive, shipper: Shipper, suffix: string): void {
  const named = new Set(['toc.dat', ...dataEntries(archive).map(({file = ''}) => (file.endsWith('.toc') ? file : `${file}${suffix}`))])
  const missing = [...named].filter((name) => !shipper.members.has(name))
  const extra = [...shipper.members.keys()].filter((name) => !named.has(name) && !/^blob_\d+\.dat/.test(name))
  if (missing.length === 0 && extra.length === 0) return
  throw verificationError('backup.members', `The archive is not what its table of contents names: ${[...missing.map((name) => `${name} is missing`), ...extra.map((name) => `${name} is not named`)].join(', ')}.`, {hints: ['Run the backup again.']})
}

/** What was counted and what was dumped are two lists of one thing: that of the leader's locks, and that of pg_dump's own. */
export function assertSameTables(archive: Archive, tables: readonly Pick<TableRef, 'schema' | 'name' | 'kind'>[]): void {
  const dumped = new Set(archive.entries.filter(({kind}) => kind === 'TABLE DATA').map(({schema, tag}) => `${schema ?? ''}.${tag}`))
  const counted = new Set(tables.filter(({kind}) => kind === 'table').map(({schema, name}) => `${schema}.${name}`))
  const undumped = [...counted].filter((name) => !dumped.has(name)).map((name) => `${name} was not dumped`)
  const differences = [...undumped, ...[...dumped].filter((name) => !counted.has(name)).map((name) => `${name} was not counted`)]
  if (differences.length === 0) return
  throw verificationError('backup.tables', `The archive does not hold the tables that were counted: ${differences.slice(0, 8).join(', ')}${differences.length > 8 ? ` and ${differences.length - 8} more` : ''}.`, {hints: ['Run the backup again.']})
}

/** Two parts of one work: when one fails the other is ended, and the first failure is the one that counts. */
async function bothOrNeither<A, B>(failing: AbortController, a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  let first: unknown
  const note = (error: unknown) => {
    first ??= error
    failing.abort(error)
    throw error
  }
  const [one, two] = await Promise.allSettled([a.catch(note), b.catch(note)])
  if (one.status === 'rejected' || two.status === 'rejected') throw first
  return [one.value, two.value]
}
