import type {ListedRun} from '../report/listed-run.ts'
import {age} from './format.ts'
import {oneLine} from './text.ts'
import {outTheme as theme} from './theme.ts'
import {wrapped} from './wrap.ts'

/** `dr resume` as lines of at most `width` columns; undefined breaks none. `undone`: the last one, which could be begun anew. */
export function* runListLines(runs: readonly ListedRun[], undone: ListedRun | undefined, now: Date, width: number | undefined): Generator<string> {
  if (runs.length === 0) yield 'There are no unfinished runs.'
  if (undone && undone.continues !== null) {
    yield* wrapped(`The last one that was stopped has undone itself ${age(new Date(undone.lastAt), now)}: ${oneLine(undone.title)}`, width)
    yield* action(`dr resume ${undone.run}`, undone.continues, width)
  }
  for (const [index, run] of runs.entries()) {
    if (index > 0) yield ''
    yield* runLines(run, now, width)
  }
}

function* runLines(run: ListedRun, now: Date, width: number | undefined): Generator<string> {
  yield `${theme.title(run.run)}  ${STATUS[run.status](statusText(run))}`
  yield* indented(oneLine(run.title), width)
  const place = run.target === null ? '' : `at ${oneLine(run.target)}, `
  yield* indented(`${place}begun ${age(new Date(run.begunAt), now)}, last sign of life ${age(new Date(run.lastAt), now)}`, width)
  if (isOver(run)) return
  yield* indented(`left: ${run.left.length === 0 ? 'nothing' : oneLine(run.left.join('; '))}`, width)
  if (run.continues !== null) yield* action(`dr resume ${run.run}`, run.continues, width)
  else if (run.whyNot !== null) yield* indented(`it cannot be gone on with: ${oneLine(run.whyNot)}`, width)
  if (run.undoes) yield* action(`dr resume ${run.run} --undo`, run.left.length === 0 ? 'takes it off this list' : 'removes what it left', width)
}

/** The command alone on its line, to be copied. */
function* action(command: string, meaning: string, width: number | undefined): Generator<string> {
  yield `  ${theme.command(command)}`
  for (const line of indented(oneLine(meaning), width === undefined ? undefined : width - 2)) yield `  ${line}`
}

const isOver = ({status}: ListedRun) => status === 'running' || status === 'finished' || status === 'undone'
const WHERE = {in: 'in', after: 'after', undoing: 'in the undo of'} as const
const {severity, faint} = theme
const STATUS = {running: severity.ok, stopped: severity.warning, declined: severity.warning, 'not-undone': severity.error, undone: faint, finished: faint} as const

function statusText({status, process, stopped}: ListedRun): string {
  const where = stopped ? ` ${WHERE[stopped.where]}: ${oneLine(stopped.title)}` : ''
  switch (status) {
    case 'running': return process ? `running, process ${process.pid} on ${process.host}` : 'running'
    case 'stopped': return `stopped${where}`
    case 'declined': return `a question was declined${where}`
    case 'not-undone': return `failed, and not undone to its end${where}`
    case 'undone': return 'undone'
    case 'finished': return 'finished'
  }
}

function* indented(text: string, width: number | undefined): Generator<string> {
  for (const line of wrapped(text, width === undefined ? undefined : width - 2)) yield `  ${line}`
}
