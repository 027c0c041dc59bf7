import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {stillRuns, type ProcessIdentity} from '../system/process-identity.ts'
import {entriesOf, runOf, type JournalEntry, type RunAbout} from './journal.ts'
import {replay, type Replayed} from './replay.ts'

/**
 * - `running`: its process is at work.
 * - `stopped`: its process is gone, in the middle of the work.
 * - `declined`: the operator declined a question; what was done before it stays.
 * - `not-undone`: it failed or was interrupted, and an undo failed, too.
 * - `undone`: it failed or was interrupted, and nothing of it is left.
 * - `finished`: it came to its end.
 */
export type RunStatus = 'running' | 'stopped' | 'declined' | 'not-undone' | 'undone' | 'finished'

/** Neither finished nor undone. */
export const OPEN: readonly RunStatus[] = ['running', 'stopped', 'declined', 'not-undone']

/** A run as its journal tells it. */
export interface KnownRun extends Pick<Replayed<object>, 'state' | 'done' | 'begun' | 'stuck'> {
  run: string
  /** Of its journal. */
  path: string
  procedure: string
  about: RunAbout
  status: RunStatus
  /** Its process ended by itself, and has said what can be done. */
  told: boolean
  begunAt: string
  lastAt: string
  /** The last process that worked on it. */
  owner: ProcessIdentity | undefined
  /** The step that it stopped in, or after which. */
  at: {step: string; title: string; doing: 'run' | 'undo' | 'done'} | undefined
}

const READS_AT_ONCE = 8

/**
 * The runs whose journals lie in this folder, newest first. A journal that cannot be read, or does not say what was begun, is
 * left out. Finished ones are most, and of no interest here: unless `all` is set their journals are read only at the end.
 */
export async function knownRuns(folder: string, {all = false}: {all?: boolean} = {}): Promise<KnownRun[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.jsonl')).toSorted().reverse()
  const found: (KnownRun | undefined)[] = []
  for (let at = 0; at < names.length; at += READS_AT_ONCE) {
    found.push(...await Promise.all(names.slice(at, at + READS_AT_ONCE).map((name) => readRun(join(folder, name), all))))
  }
  return found.filter((run) => run !== undefined).toSorted((a, b) => (a.begunAt < b.begunAt ? 1 : a.begunAt > b.begunAt ? -1 : 0))
}

async function readRun(path: string, all: boolean): Promise<KnownRun | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '')
  if (!all && lastEvent(text)?.event === 'finished') return undefined
  return knownRun(path, entriesOf(text))
}

function lastEvent(text: string): JournalEntry | undefined {
  const whole = text.slice(0, text.lastIndexOf('\n'))
  return entriesOf(whole.slice(whole.lastIndexOf('\n') + 1))[0]
}

/** Undefined when the journal does not say what was begun: then nothing had been changed. */
export function knownRun(path: string, entries: readonly JournalEntry[]): KnownRun | undefined {
  const [first] = entries
  if (first?.event !== 'begun') return undefined
  const {title, target, steps, later, once, command} = first
  const about: RunAbout = {...(title !== undefined && {title}), ...(target !== undefined && {target}), ...(steps && {steps}), ...(later && {later}), ...(once !== undefined && {once}), ...(command && {command})}
  const {state, done, begun, stuck} = replay<object>(entries)
  const owner = ownersOf(entries).at(-1)
  return {
    run: runOf(path), path, procedure: first.procedure, about, status: statusOf(entries, owner, stuck), told: endOf(entries) !== undefined, begunAt: first.at, lastAt: entries.at(-1)?.at ?? first.at,
    owner, at: placeOf(entries, about, {begun, done}), state, done, begun, stuck,
  }
}

export const ownersOf = (entries: readonly JournalEntry[]): ProcessIdentity[] => entries.flatMap((entry) => ('process' in entry ? [entry.process] : []))

const ENDS: readonly JournalEntry['event'][] = ['interrupted', 'ended', 'declined', 'left']

/** How the last process ended, by its own word. */
const endOf = (entries: readonly JournalEntry[]): JournalEntry | undefined => entries.slice(entries.findLastIndex((entry) => 'process' in entry)).findLast(({event}) => ENDS.includes(event))

function statusOf(entries: readonly JournalEntry[], owner: ProcessIdentity | undefined, stuck: readonly string[]): RunStatus {
  if (entries.some(({event}) => event === 'finished')) return 'finished'
  const end = endOf(entries)
  if (end?.event === 'declined') return 'declined'
  if (end !== undefined && stuck.length > 0) return 'not-undone'
  if (end !== undefined) return end.event === 'left' ? 'stopped' : 'undone'
  return owner !== undefined && stillRuns(owner) ? 'running' : 'stopped'
}

/** Where it came to: what it does again on the way there does not count. */
function placeOf(entries: readonly JournalEntry[], {steps}: RunAbout, {begun, done}: Pick<Replayed<object>, 'begun' | 'done'>): KnownRun['at'] {
  const last = entries.findLast((entry) => 'step' in entry && entry.event !== 'notice')
  const isUndo = last?.event === 'undo-started' || last?.event === 'undo-failed'
  const step = isUndo ? last.step : begun.at(-1)
  if (step === undefined) return undefined
  return {step, title: steps?.find(({id}) => id === step)?.title ?? step, doing: isUndo ? 'undo' : done.has(step) ? 'done' : 'run'}
}

/** File names of the journals of runs of these procedures. */
export async function journalsOf(folder: string, ...procedures: readonly string[]): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => procedures.includes(/^\d{8}T\d{6}Z-(.+)-[\da-f]{4}\.jsonl$/.exec(name)?.[1] ?? ''))
}

/** Names of journals begin with it. Runs that were begun within one second are in no order by their names. */
const secondOf = (name: string): string => name.slice(0, '20261122T020000Z'.length)

/** Whether a run of the same procedure that was begun later is finished, and is like this by its last state and its target. */
export async function finishedLater(folder: string, {run, procedure, begunAt}: Pick<KnownRun, 'run' | 'procedure' | 'begunAt'>, like: (state: object, target: string | undefined) => boolean): Promise<boolean> {
  for (const name of await journalsOf(folder, procedure)) {
    if (secondOf(name) < secondOf(run)) continue
    const text = await readFile(join(folder, name), 'utf8').catch(() => '')
    const [last, [first]] = [lastEvent(text), entriesOf(text.slice(0, text.indexOf('\n')))]
    if (first?.event !== 'begun' || first.at <= begunAt) continue
    if (last?.event === 'finished' && like(last.state, first.target)) return true
  }
  return false
}
