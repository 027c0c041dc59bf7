import type {Clock} from '../system/clock.ts'
import type {Journal, RunCommand} from './journal.ts'
import type {Choice, Gate, Progress} from './procedure.ts'

/** One row of the picture. A view never decides anything; the engine tells it. */
export interface StepView {
  start(): void
  progress(progress: Progress | string): void
  /** Stays on the screen. */
  notice(text: string): void
  skip(reason: string): void
  done(): void
  fail(error: unknown): void
}

export interface PhaseView {
  step(id: string): StepView
  /** Something the operator must see at once. */
  notice(text: string): void
  /** Resolves when the picture stands still, so that a question can follow. */
  close(): Promise<void>
}

export interface Renderer {
  phase(title: string, steps: readonly {id: string; title: string}[]): PhaseView
}

export interface Gatekeeper {
  /** Without these two a choice is never asked for. Throws when nobody could be asked, so that it is known before the first step. */
  checkChoice?<S>(choice: Choice<S>, state: S): void
  /** Resolves to the value that was chosen. */
  choose?<S>(choice: Choice<S>, state: S, signal: AbortSignal): Promise<string>

  /** Throws when this gate could not even be asked, so that it is known before the first step. */
  check<S>(gate: Gate<S>, state: S): void
  /** Resolves to the answer, or throws DeclinedError. */
  pass<S>(gate: Gate<S>, state: S, signal: AbortSignal): Promise<string>
}

/** What the engine plays on. */
export interface Stage {
  clock: Clock
  /** Stands in the journal, so that the run can be gone on with. */
  command?: RunCommand
  gatekeeper: Gatekeeper
  journal: Journal
  renderer: Renderer
  signal: AbortSignal
}
