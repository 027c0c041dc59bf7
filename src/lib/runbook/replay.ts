import type {JournalEntry} from './journal.ts'

/** Where a run stands, by its journal. */
export interface Replayed<S> {
  /** After the last step that was done or undone. */
  state: S
  /** Steps that are done and hold, with the milliseconds that they took. */
  done: ReadonlyMap<string, number>
  /** Steps that were begun and are not undone, in the order of their beginning; those of `done` are among them. */
  begun: readonly string[]
  /** The state in which a step was first begun. */
  before: ReadonlyMap<string, object>
  /** Titles of the phases whose gate was passed, since the run was last taken back. */
  confirmed: ReadonlySet<string>
  /** Steps whose undo has failed. */
  stuck: readonly string[]
}

export function replay<S>(entries: readonly JournalEntry[]): Replayed<S> {
  const done = new Map<string, number>()
  const begun = new Set<string>()
  const confirmed = new Set<string>()
  const stuck = new Set<string>()
  const before = new Map<string, object>()
  let state: object = {}
  for (const entry of entries) {
    if ('state' in entry) state = entry.state
    // What was begun before may still have to be undone.
    if (entry.event === 'resumed' && entry.anew !== undefined) for (const known of [done, confirmed, before]) known.clear()
    if (entry.event === 'started') {
      begun.add(entry.step)
      if (!before.has(entry.step)) before.set(entry.step, state)
    }
    if (entry.event === 'done') done.set(entry.step, entry.ms)
    // An undo that was cut or failed leaves the step neither done nor gone: it is run again.
    if (entry.event === 'undo-started') done.delete(entry.step)
    if (entry.event === 'undo-failed') stuck.add(entry.step)
    if (entry.event === 'undone') for (const known of [begun, stuck]) known.delete(entry.step)
    if (entry.event === 'confirmed') confirmed.add(entry.phase)
    if (entry.event === 'interrupted' || entry.event === 'ended') {
      confirmed.clear()
      // It was undone to its end; what has no undo of its own went with the rest.
      if (stuck.size === 0) for (const known of [done, begun]) known.clear()
    }
  }
  return {state: state as S, done, begun: [...begun], before, confirmed, stuck: [...stuck]}
}
