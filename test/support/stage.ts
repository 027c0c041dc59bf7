import type {JournalEntry} from '../../src/lib/runbook/journal.ts'
import type {ManualCommand, Procedure, Step} from '../../src/lib/runbook/procedure.ts'
import type {Gatekeeper, Renderer, Stage} from '../../src/lib/runbook/stage.ts'

export interface LogState {
  log: string[]
}

/** A step that writes its name into the state, and `undo NAME` when it is undone. */
export const logStep = (id: string, more: Partial<Step<LogState>> = {}): Step<LogState> => ({
  id,
  title: `Title of ${id}`,
  effect: 'write',
  byHand: (): readonly ManualCommand[] => [{argv: ['echo', id]}],
  run: (state) => {
    state.log.push(id)
    return Promise.resolve()
  },
  undo: (state) => {
    state.log.push(`undo ${id}`)
    return Promise.resolve()
  },
  ...more,
})

/** One phase a list of steps. */
export const procedureOf = (...phases: (readonly Step<LogState>[])[]): Procedure<LogState> => ({
  id: 'test',
  title: 'Test',
  phases: phases.map((steps, index) => ({title: `Phase ${index + 1}`, steps})),
})

export const openGates: Gatekeeper = {check() {}, pass: () => Promise.resolve('yes')}

export interface TestStage {
  stage: Stage
  entries: JournalEntry[]
  /** What the view was told, as `title: event`. */
  seen: string[]
  controller: AbortController
}

/** A stage that keeps everything in memory; its clock goes on by 10 ms each time it is read. */
export function testStage(more: Partial<Stage> = {}): TestStage {
  const entries: JournalEntry[] = []
  const seen: string[] = []
  const controller = new AbortController()
  let time = 0
  const stage: Stage = {
    clock: {now: () => new Date(0), elapsed: () => (time += 10)},
    gatekeeper: openGates,
    journal: {
      run: 'run-1',
      path: '/journal/run-1.jsonl',
      write(entry) {
        entries.push(structuredClone(entry))
        return Promise.resolve()
      },
      close: () => Promise.resolve(),
    },
    renderer: recorder(seen),
    signal: controller.signal,
    ...more,
  }
  return {stage, entries, seen, controller}
}

function recorder(seen: string[]): Renderer {
  const say = (text: string) => { seen.push(text) }
  return {
    phase(title) {
      say(`${title}: open`)
      return {
        step: (id) => ({
          start() { say(`${id}: start`) },
          progress(progress) { say(`${id}: progress ${typeof progress === 'string' ? progress : progress.done}`) },
          notice(text) { say(`${id}: notice ${text}`) },
          skip(reason) { say(`${id}: skip ${reason}`) },
          done() { say(`${id}: done`) },
          fail() { say(`${id}: fail`) },
        }),
        notice(text) { say(`${title}: ${text}`) },
        close() {
          say(`${title}: close`)
          return Promise.resolve()
        },
      }
    },
  }
}

/** A step's `run` that fails. */
export const failing = (message: string) => ({run: () => Promise.reject(new Error(message))})
/** `started a`, `done a`, …: what the journal holds, in short. */
export const events = (entries: readonly {event: string; step?: string}[]) => entries.map(({event, step}) => (step === undefined ? event : `${event} ${step}`))
export const errorOf = (promise: Promise<unknown>): Promise<Error> => promise.then(() => { throw new Error('nothing was thrown') }, (error: unknown) => error as Error)

/** Two steps, with a question before the second, and the stage where it is answered. */
export const gated = (answer: Partial<typeof openGates>): [Procedure<LogState>, ReturnType<typeof testStage>] => {
  const procedure = procedureOf([logStep('a')], [logStep('b', {effect: 'destroy'})])
  const [first, second] = procedure.phases
  if (!first || !second) throw new Error('two phases')
  return [{...procedure, phases: [first, {...second, gate: {question: () => 'Really?', mustType: () => 'crm'}}]}, testStage({gatekeeper: {...openGates, ...answer}})]
}
