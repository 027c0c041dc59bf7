import {messageOf} from '../errors.ts'
import type {Progress} from '../runbook/procedure.ts'
import type {PhaseView, Renderer, StepView} from '../runbook/stage.ts'
import {redact} from '../system/redact.ts'
import {duration} from './format.ts'
import {progressText} from './progress.ts'

const EVERY_MS = 5000

export interface LineListOptions {
  write: (line: string) => void
  /** Milliseconds that only grow. */
  elapsed: () => number
}

/** Plain lines for a log: each begins with the step's title; of a progress, one in five seconds. */
export function lineList({write, elapsed}: LineListOptions): Renderer {
  const say = (text: string) => { write(redact(text)) }
  return {
    phase(title, steps) {
      say(title)
      const rows = new Map(steps.map((step) => [step.id, lineRow(`  ${step.title}`, say, elapsed)]))
      return {
        step: (id) => rows.get(id) ?? lineRow(`  ${id}`, say, elapsed),
        notice: say,
        close: () => Promise.resolve(),
      } satisfies PhaseView
    },
  }
}

function lineRow(title: string, say: (text: string) => void, elapsed: () => number): StepView {
  let started = 0
  let spoken = 0
  return {
    start() {
      started = spoken = elapsed()
      say(`${title}: started`)
    },
    progress(progress: Progress | string) {
      if (elapsed() - spoken < EVERY_MS) return
      spoken = elapsed()
      say(`${title}: ${progressText(progress)}`)
    },
    notice(text) { say(`${title}: ${text}`) },
    skip(reason) { say(`${title}: skipped, ${reason}`) },
    done() { say(`${title}: done in ${duration(elapsed() - started)}`) },
    fail(error) { say(`${title}: failed: ${messageOf(error)}`) },
  }
}
