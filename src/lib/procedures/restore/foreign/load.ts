import {verificationError} from '../../../errors.ts'
import type {ArchiveEntry} from '../../../postgres/archive.ts'
import {psqlArguments, runScript, type Psql} from '../../../postgres/psql.ts'
import {scriptError} from '../../../postgres/psql-errors.ts'
import {entriesToRepeat, restoreArguments, tryRestore, type RestoreEnd} from '../../../postgres/restore.ts'
import {leftOut} from '../../../postgres/restore-rules.ts'
import {readLockCapacity} from '../../../postgres/database-text.ts'
import {withoutParts} from '../../../postgres/sql/cut.ts'
import {statementAt} from '../../../postgres/sql/find-line.ts'
import type {ScriptFacts} from '../../../postgres/sql/script.ts'
import type {Step, StepIo} from '../../../runbook/procedure.ts'
import {StreamTrouble, unpacked} from '../../verify/decompress.ts'
import {commentOnExtensions, settingsOf, told, watched} from '../load.ts'
import {noteEnd, noteHarmless} from '../outcome.ts'
import {loadByHand} from './by-hand.ts'
import type {ForeignOptions, ForeignState} from './options.ts'
import {serverOf} from './preflight.ts'
import {ArchiveProgress, ReadProgress} from './progress.ts'
import {identityOf} from './prove.ts'
import {bytesOf, damaged} from './receive.ts'
import {isCut} from './script.ts'
import type {ForeignWork} from './work.ts'

/** Everything in one go: an archive by one pg_restore, a script by one psql. */
export function loadStep(options: ForeignOptions, work: ForeignWork): Step<ForeignState> {
  return {
    id: 'restore.load',
    title: 'Restore the dump',
    effect: 'write',
    byHand: (state) => loadByHand(options, state),
    run: (state, io) => work.time(state.timings, 'load', async () => {
      await assertUnchanged(options, work)
      if (work.hasArchive) await loadArchive(options, work, state, io)
      else await loadScript(options, work, state, io)
    }),
  }
}

/** What was proven is what is restored. */
async function assertUnchanged({dump}: ForeignOptions, {proven}: ForeignWork): Promise<void> {
  const now = await identityOf(proven.ready.path).catch(() => '')
  if (now !== proven.identity) throw verificationError('restore.dump-changed', `${dump.location} has changed since it was read.`, {hints: ['Run the restore again, when nobody writes to it.']})
}

async function loadArchive(options: ForeignOptions, work: ForeignWork, state: ForeignState, io: StepIo): Promise<void> {
  const dropped = new Set(work.lists.dropped)
  const wanted = work.archive.entries.filter((entry) => !dropped.has(entry))
  const progress = new ArchiveProgress(io, wanted.length)
  const jobs = work.proven.ready.kind === 'tar' ? 1 : state.jobs
  const run = async (name: string, entries: readonly ArchiveEntry[], atOnce: number) => runArchive(work, state, io, {list: await work.list(name, entries), jobs: atOnce, onBegun: () => { progress.begun() }})
  const watch = {onCopies: progress.copies.bind(progress), onIndexes: progress.indexes.bind(progress)}
  const {schema} = work.lists
  const data = wanted.filter(({kind}) => kind === 'TABLE DATA')
  const before = new Set([...schema, ...data].map(({dumpId}) => dumpId))
  await watched(options, work, state, io, watch, async () => {
    // Left to itself, pg_restore -j makes the trigger of a partitioned table while its partitions load, and it fires.
    for (const [name, entries, atOnce] of [['schema', schema, 1], ['data', data, jobs]] as const) {
      const {error, problems} = await run(name, entries, atOnce)
      if (error) throw told(state, io, problems, error)
    }
    const end = await run('rest', wanted.filter(({dumpId}) => !before.has(dumpId)), jobs)
    if (end.error === undefined) return
    const again = jobs > 1 ? entriesToRepeat(work.archive, end) : undefined
    if (again === undefined) throw told(state, io, end.problems, end.error)
    io.notice(`Workers of pg_restore got into each other's way; what failed is restored again, one after the other: ${end.error.message}`)
    const {error, problems} = await run('again', again, 1)
    if (error) throw told(state, io, problems, error)
  })
  await commentOnExtensions(options, work, state)
  noteHarmless(state, leftOut(work.lists.dropped))
}

async function runArchive(work: ForeignWork, state: ForeignState, io: StepIo, {list, jobs, onBegun}: {list: string; jobs: number; onBegun: () => void}): Promise<RestoreEnd> {
  const access = await work.access(settingsOf(state))
  const argv = restoreArguments(state.tools, access, {format: formatOf(work), directory: work.proven.ready.path, list, database: state.database, jobs, verbose: true})
  const end = await tryRestore(argv, {archive: work.archive, tools: state.tools, serverMajor: serverOf(state).major, env: access.env, signal: io.signal, onBegun})
  noteEnd(state, end)
  return end
}

function formatOf({proven: {ready: {kind}}}: ForeignWork): 'custom' | 'tar' | 'directory' {
  if (kind === 'plain') throw new Error('There is no archive.')
  return kind
}

async function loadScript(options: ForeignOptions, work: ForeignWork, state: ForeignState, io: StepIo): Promise<void> {
  const {script} = work.proven
  const {psql} = work
  if (script === undefined || psql === undefined) throw new Error('There is no script.')
  state.dump.singleTransaction = await decideTransaction(work, script, state, io)
  const access = await work.access(settingsOf(state))
  const argv = psqlArguments(psql, access, {database: state.database, singleTransaction: state.dump.singleTransaction})
  await watched(options, work, state, io, {}, () => feedScript(options, work, state, io, {argv, psql, env: access.env, script}))
}

interface Feeding {
  argv: [string, ...string[]]
  psql: Psql
  env: Readonly<Record<string, string>>
  script: ScriptFacts
}

async function feedScript({dump}: ForeignOptions, work: ForeignWork, state: ForeignState, io: StepIo, {argv, psql, env, script}: Feeding): Promise<void> {
  const {ready} = work.proven
  const server = serverOf(state)
  const cuts = script.cuts.filter((cut) => isCut(cut, server))
  const read = (source: AsyncIterable<Buffer>) => unpacked(source, ready.layers)
  const progress = new ReadProgress(io, ready.bytes, 'restored')
  const whole = counted(read(progress.over(bytesOf(ready.path, io.signal))), script.bytes, dump.location)
  try {
    const {code, problem} = await runScript(argv, withoutParts(whole, cuts), {psql, env, signal: io.signal})
    if (code === 0) return
    const line = problem?.line
    throw scriptError(problem, code, line === undefined ? undefined : await statementAt(read(bytesOf(ready.path, io.signal)), line))
  } catch (error) {
    io.signal.throwIfAborted()
    if (error instanceof StreamTrouble) throw damaged(dump.location, `it ${error.message}`)
    throw error
  }
}

/** As many bytes as were proven: psql must not take an earlier end for the end. */
async function* counted(source: AsyncIterable<Buffer>, expected: number, location: string): AsyncGenerator<Buffer> {
  let total = 0
  for await (const chunk of source) {
    total += chunk.length
    yield chunk
  }
  if (total !== expected) throw verificationError('restore.dump-changed', `${location} has changed while it was restored: ${total} bytes instead of ${expected}.`, {hints: ['Run the restore again, when nobody writes to it.']})
}

/** Locks of one transaction for each object that it makes, with its TOAST table, its indexes and its sequence. */
const LOCKS_EACH = 4

/** One transaction where the script allows it, and where the server has room for the locks; else the new database is dropped all the same when something fails. */
async function decideTransaction(work: ForeignWork, script: ScriptFacts, state: ForeignState, io: StepIo): Promise<boolean> {
  const why = await againstTransaction(work, script)
  if (why === undefined) return true
  const message = `not in one transaction: ${why}; if a statement fails, the whole new database is dropped`
  io.notice(`Note: ${message}.`)
  state.findings.push({code: 'restore.transaction', severity: 'info', subject: '', message})
  return false
}

async function againstTransaction(work: ForeignWork, {notInTransaction, definitions}: ScriptFacts): Promise<string | undefined> {
  if (notInTransaction) return `line ${notInTransaction.line} has transactions of its own, or cannot be in one: ${notInTransaction.text}`
  const room = await readLockCapacity(await work.maintenance())
  return definitions * LOCKS_EACH > room ? `${definitions.toLocaleString('en-US')} statements that make objects may need more locks than the server has room for (${room.toLocaleString('en-US')})` : undefined
}
