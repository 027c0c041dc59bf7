import type {StopError} from '../errors.ts'

/** What a step does to the world. */
export type Effect = 'read' | 'write' | 'destroy'

export type Later = 'undo' | 'go-on'

/** What an operator would type to do the same by hand. Secrets never stand in argv. */
export interface ManualCommand {
  argv: readonly string[]
  /** A word of context printed before the command, without `#`. */
  note?: string
}

/** One thing in flight, such as a table. Units are those of the `Progress` that holds it. */
export interface ProgressItem {
  name: string
  done: number
  total?: number
}

/** How far a step is. The core measures; `ui` renders. */
export interface Progress {
  unit: 'bytes' | 'rows' | 'items'
  done: number
  total?: number
  /** Units per second, smoothed. */
  rate?: number
  secondsLeft?: number
  /** What is in flight, at most a handful. */
  items?: readonly ProgressItem[]
  /** A short word after the figures, such as `7 of 31 tables`. */
  note?: string
}

export interface StepIo {
  /** Replaces what stands under the step's title. Called often; the view throttles. */
  progress(progress: Progress | string): void
  /** A sentence that stays on the screen and goes into the journal. */
  notice(text: string): void
  /** Name of the run, which is that of its journal. */
  readonly run: string
  /** Aborted by Ctrl-C; every wait inside a step must honour it. */
  readonly signal: AbortSignal
}

export interface Step<S> {
  /** Stable: it stands in the journal and in --json. Form: `procedure.step`. */
  id: string
  title: string
  effect: Effect
  /** A reason to leave the step out, or undefined to run it. Pure. */
  skip?(state: S): string | undefined
  /** Pure, and built by the same argument builders that `run` uses. */
  byHand(state: S): readonly ManualCommand[]
  /** Must be repeatable, or detect that it is done: a killed run starts it again. */
  run(state: S, io: StepIo): Promise<void>
  /** Takes back what `run` did, wholly or in part; also called when `run` failed half-way. */
  undo?(state: S, io: StepIo): Promise<void>
  /**
   * Asked when a later process goes on with a run that stopped inside this step: whether the work is in place all the same,
   * by facts, not by the journal. It may note what it learns in the state. Without it the step is run again.
   */
  settle?(state: S, io: StepIo): Promise<'done' | 'not done'>
}

/** A confirmation, asked between two phases. All of it is pure. */
export interface Gate<S> {
  question(state: S): string
  mustType(state: S): string
  /** What must be seen before it is answered, as far as it is known: shown above the question, with a refusal, and in --plan. */
  details?(state: S): readonly string[]
  /** A reason for which it need not be asked. What counts is what it says when its phase is about to begin. */
  skip?(state: S): string | undefined
  /** Only the typed name or --confirm passes, in every environment. */
  strict?: boolean | ((state: S) => boolean)
  /** Every later process of the run asks it anew, whatever is done of its phase: what it is about has gone on since. */
  again?: true
  /** What is said when it is declined, instead of how to go on with the run, whose name is given. */
  declined?(state: S, run: string): readonly string[]
  /**
   * For a question that shows only in the middle of a run: no flag answers it beforehand. Where it cannot be asked, the run
   * stops with this; what was done stays.
   */
  unasked?(state: S): StopError
}

/** One of several ways to go on, asked before the gate of a phase. All of it but `take` is pure. */
export interface Choice<S> {
  question(state: S): string
  choices(state: S): readonly {value: string; name: string; description?: string}[]
  /** What must be seen before it is answered. */
  details?(state: S): readonly string[]
  /** A reason for which it need not be asked: a flag gave the answer, an earlier process has it. */
  skip(state: S): string | undefined
  /** Notes the answer. */
  take(state: S, value: string): void
  /** What is thrown where nobody can be asked: it names the flag. Known before the first step. */
  unasked(state: S): Error
}

export interface Phase<S> {
  title: string
  choice?: Choice<S>
  /** It only reads, and opens what lasts as long as the process: a later process of the run does it again. */
  again?: true
  gate?: Gate<S>
  steps: readonly Step<S>[]
}

/**
 * One description of the work: it drives the interactive run, --json, --plan, the journal and resume.
 * `S` is plain JSON without secrets: it is written into the journal after each step.
 */
export interface Procedure<S> {
  id: string
  title: string
  phases: readonly Phase<S>[]
  /** What it works on, `HOST:PORT/DATABASE`: a later process must not go on with it elsewhere. */
  target?: string
  /**
   * What a later process can do with it, when whoever composes it gives it what the journal holds: undo it, or also go on with
   * it. Without it neither. To go on, what lasts only as long as the process is made by phases that are done `again`.
   */
  later?: Later
  /** Why a later process cannot go on with it, and what to do instead. */
  once?: string
  /**
   * For work that goes on elsewhere when its process ends: a failure or Ctrl-C undoes nothing of what was begun, and the run is
   * where it was. What it resolves to are hints of how to go on. Undefined: it has not come so far, and all is undone.
   */
  leaves?(state: S): readonly string[] | undefined
  /** The question before a run is undone that nobody is at work on; `done` are its finished steps. Without one nothing is asked. */
  undoGate?(state: S, done: ReadonlyMap<string, number>): Gate<S> | undefined
  /** What of the state may stand in the journal; all of it without this. A later process begins with it. */
  forJournal?(state: S): S
}
