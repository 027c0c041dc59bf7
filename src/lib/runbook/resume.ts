import {access, readdir} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {lockedError, usageError} from '../errors.ts'
import {stillRuns, type ProcessIdentity} from '../system/process-identity.ts'
import {readJournal, runOf, type JournalEntry} from './journal.ts'

/** Where an earlier run stopped. */
export interface Resumption<S> {
  path: string
  /** After the last step that was done or undone. */
  state: S
  /** Steps that are done and hold, with the milliseconds that they took. */
  done: ReadonlyMap<string, number>
  /** Steps that were begun and are not undone, in the order of their beginning; those of `done` are among them. */
  begun: readonly string[]
  /** Titles of the phases whose gate was passed, since the run was last taken back. */
  confirmed: ReadonlySet<string>
}

/**
 * Reads back a run of this procedure, named by its run, by `latest` or by the path of its journal.
 * Refuses one that is finished, that still runs, or that belongs to another procedure.
 */
export async function resumption<S>(name: string, folder: string, procedure: string): Promise<Resumption<S>> {
  const path = await findJournal(name, folder, procedure)
  const entries = await readJournal(path)
  const [first] = entries
  const run = runOf(path)
  if (first?.event !== 'begun') throw usageError('run.empty', `The journal of ${run} does not say what was begun; nothing had been changed.`, {hints: ['Start anew, without --resume']})
  if (first.procedure !== procedure) throw usageError('run.procedure', `The run ${run} is a ${first.procedure}, not a ${procedure}.`)
  if (entries.some(({event}) => event === 'finished')) throw usageError('run.finished', `The run ${run} is finished; there is nothing left to do.`, {hints: ['Start anew, without --resume']})
  const owner = lastProcess(entries)
  if (owner && stillRuns(owner)) throw lockedError('run.active', `The run ${run} is still at work, as process ${owner.pid}.`)
  return {path, ...replay<S>(entries)}
}

function replay<S>(entries: readonly JournalEntry[]): Omit<Resumption<S>, 'path'> {
  const done = new Map<string, number>()
  const begun = new Set<string>()
  const confirmed = new Set<string>()
  let state: object = {}
  for (const entry of entries) {
    if ('state' in entry) state = entry.state
    if (entry.event === 'started') begun.add(entry.step)
    if (entry.event === 'done') done.set(entry.step, entry.ms)
    // An undo that was cut or failed leaves the step neither done nor gone: it is run again.
    if (entry.event === 'undo-started') done.delete(entry.step)
    if (entry.event === 'undone') begun.delete(entry.step)
    if (entry.event === 'confirmed') confirmed.add(entry.phase)
    if (entry.event === 'interrupted' || entry.event === 'ended') confirmed.clear()
  }
  return {state: state as S, done, begun: [...begun], confirmed}
}

function lastProcess(entries: readonly JournalEntry[]): ProcessIdentity | undefined {
  const last = entries.findLast((entry) => 'process' in entry)
  const ended = entries.findLast(({event}) => event === 'interrupted' || event === 'ended' || event === 'declined')
  if (last === undefined || (ended && entries.indexOf(ended) > entries.indexOf(last))) return undefined
  return 'process' in last ? last.process : undefined
}

async function findJournal(name: string, folder: string, procedure: string): Promise<string> {
  if (name === 'latest') {
    const files = (await readdir(folder).catch(() => [])).filter((file) => isRunOf(file, procedure)).sort()
    const last = files.at(-1)
    if (last === undefined) throw usageError('run.unknown', `There is no run of ${procedure} to go on with in ${folder}.`)
    return join(folder, last)
  }
  const path = name.includes('/') || name.endsWith('.jsonl') ? resolve(name) : join(folder, `${name}.jsonl`)
  await access(path).catch((cause: unknown) => {
    throw usageError('run.unknown', `There is no run ${name}.`, {cause, hints: [`Name a file in ${folder}, or pass --resume latest`]})
  })
  return path
}

const isRunOf = (file: string, procedure: string) => /^\d{8}T\d{6}Z-(.+)-[\da-f]{4}\.jsonl$/.exec(file)?.[1] === procedure
