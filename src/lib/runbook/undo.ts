import {DrError, messageOf} from '../errors.ts'
import type {JournalEvent} from './journal.ts'
import type {Step} from './procedure.ts'
import type {Stage} from './stage.ts'

export interface UndoFailure {
  title: string
  error: unknown
}

type Note = (event: JournalEvent) => Promise<void>

/**
 * Undoes these steps in this order, and goes on past one that fails. The abort that caused it does not stop it:
 * undo gets a signal of its own. Nor does a journal that can no longer be written.
 */
export async function undoAll<S extends object>(steps: readonly Step<S>[], state: S, stage: Stage, note: Note): Promise<UndoFailure[]> {
  const undoable = steps.filter((step) => step.undo !== undefined)
  if (undoable.length === 0) return []
  const view = stage.renderer.phase('Undo', undoable.map(({id, title}) => ({id, title: `Undo: ${title}`})))
  const failures: UndoFailure[] = []
  const tryNote: Note = (event) => note(event).catch(() => undefined)
  for (const step of undoable) {
    const row = view.step(step.id)
    await tryNote({event: 'undo-started', step: step.id})
    row.start()
    try {
      await step.undo?.(state, {
        progress: (progress) => { row.progress(progress) },
        notice: (text) => {
          row.notice(text)
          void tryNote({event: 'notice', step: step.id, detail: text})
        },
        run: stage.journal.run,
        signal: new AbortController().signal,
      })
      await tryNote({event: 'undone', step: step.id, state})
      row.done()
    } catch (error) {
      failures.push({title: step.title, error})
      await tryNote({event: 'undo-failed', step: step.id, detail: messageOf(error)})
      row.fail(error)
    }
  }
  await view.close()
  return failures
}

/** The cause, with a sentence for each step that could not be undone, and the hints of both. */
export function withUndoFailures(cause: unknown, failures: readonly UndoFailure[]): unknown {
  if (failures.length === 0) return cause
  const lines = [messageOf(cause), ...failures.map(({title, error}) => `Not undone: ${title}: ${messageOf(error)}`)]
  const hints = [...new Set(failures.flatMap(({error}) => (error instanceof DrError ? error.hints : [])))]
  // A bug carries no hints of its own.
  if (!(cause instanceof DrError)) return new Error([...lines, ...hints.map((hint) => `  Hint: ${hint}`)].join('\n'), {cause})
  return new DrError(cause.code, lines.join('\n'), {cause, exitCode: cause.exitCode, details: cause.details, hints: [...new Set([...cause.hints, ...hints])]})
}
