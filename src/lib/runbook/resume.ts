import {access} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {lockedError, usageError} from '../errors.ts'
import type {ProcessIdentity} from '../system/process-identity.ts'
import {readJournal, runOf, type RunAbout} from './journal.ts'
import {replay, type Replayed} from './replay.ts'
import {knownRun, knownRuns, OPEN, ownersOf} from './runs.ts'

/** Where an earlier run stopped. */
export interface Resumption<S> extends Omit<Replayed<S>, 'stuck'> {
  path: string
  run: string
  procedure: string
  about: RunAbout
  /** The processes that worked on it, the last one last. */
  owners: readonly ProcessIdentity[]
  /** Why nothing holds of what was done: all is run again, from a new state. */
  anew?: string
}

/**
 * Reads back a run that can be gone on with, or undone. Refuses one that is finished or still runs. Of one that was undone
 * nothing is left: it begins anew.
 */
export async function resumption<S>(path: string): Promise<Resumption<S>> {
  const entries = await readJournal(path)
  const run = runOf(path)
  const known = knownRun(path, entries)
  if (known === undefined) throw usageError('run.empty', `The journal of ${run} does not say what was begun; nothing had been changed.`, {hints: ['Start anew.']})
  if (known.status === 'finished') throw usageError('run.finished', `The run ${run} is finished; there is nothing left to do.`, {hints: ['dr resume lists those that are not.']})
  if (known.status === 'running') throw runActive(run, known.owner)
  const {state, done, begun, before, confirmed} = replay<S>(entries)
  const resumption = {path, run, procedure: known.procedure, about: known.about, owners: ownersOf(entries), state, done, begun, before, confirmed}
  return known.status === 'undone' ? {...resumption, anew: 'what it had done was undone'} : resumption
}

export const runActive = (run: string, owner: ProcessIdentity | undefined) =>
  lockedError('run.active', `The run ${run} is still at work${owner ? `, as process ${owner.pid}` : ''}.`, {hints: ['Wait until it has ended; Ctrl-C where it runs undoes it.']})

/** The journal of a run, named by the run, by `latest` (the newest that is not over), or by the path itself. */
export async function findRun(name: string, folder: string): Promise<string> {
  if (name === 'latest') {
    const last = (await knownRuns(folder)).find(({status}) => OPEN.includes(status))
    if (last === undefined) throw usageError('run.unknown', 'There is no unfinished run.', {hints: ['dr resume --all lists the others, too.']})
    return last.path
  }
  const path = name.includes('/') || name.endsWith('.jsonl') ? resolve(name) : join(folder, `${name}.jsonl`)
  await access(path).catch((cause: unknown) => {
    throw usageError('run.unknown', `There is no run ${name}.`, {cause, hints: ['dr resume lists the unfinished ones.', `Journals lie in ${folder}`]})
  })
  return path
}
