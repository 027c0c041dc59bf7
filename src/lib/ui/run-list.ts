import type {ListedRun} from '../report/listed-run.ts'
import {age} from './format.ts'
import {oneLine} from './text.ts'
import {outTheme as theme} from './theme.ts'
import {wrapped} from './wrap.ts'

/** `dr resume` as lines of at most `width` columns; undefined breaks none. */
export function* runListLines(runs: readonly ListedRun[], now: Date, width: number | undefined): Generator<string> {
  if (runs.length === 0) yield 'There are no unfinished runs.'
  for (const [index, run] of runs.entries()) {
    if (index > 0) yield ''
    yield* runLines(run, now, width)
  }
}

function* runLines(run: ListedRun, now: Date, width: number | undefined): Generator<string> {
  yield `${theme.title(run.run)}  ${statusText(run)}`
  const facts = [oneLine(run.title), ...(run.target === null ? [] : [`at ${oneLine(run.target)}`]), `begun ${age(new Date(run.begunAt), now)}, last sign ${age(new Date(run.lastAt), now)}`]
  yield* indented(facts.join('; '), width)
  if (run.stopped && run.status !== 'undone') yield* indented(`Stopped ${WHERE[run.stopped.where]}: ${oneLine(run.stopped.title)}`, width)
  if (isOver(run)) return
  yield* indented(`Left: ${run.left.length === 0 ? 'nothing' : oneLine(run.left.join('; '))}`, width)
  if (run.continues !== null) yield* indented(`dr resume ${run.run}: ${oneLine(run.continues)}`, width)
  else if (run.whyNot !== null) yield* indented(`It cannot be gone on with: ${oneLine(run.whyNot)}.`, width)
  if (run.undoes) yield* indented(`dr resume ${run.run} --undo: removes what it left`, width)
}

const isOver = ({status}: ListedRun) => status === 'running' || status === 'finished' || status === 'undone'
const WHERE = {in: 'in', after: 'after', undoing: 'while it was undone, at'} as const

function statusText({status, process}: ListedRun): string {
  switch (status) {
    case 'running': return theme.severity.ok(process ? `running as process ${process.pid}` : 'running')
    case 'stopped': return theme.severity.warning(`stopped; its process on ${process?.host ?? '?'} is gone`)
    case 'declined': return theme.severity.warning('declined at a question')
    case 'not-undone': return theme.severity.error('failed, and was not undone to its end')
    case 'undone': return theme.faint('undone')
    case 'finished': return theme.faint('finished')
  }
}

function* indented(text: string, width: number | undefined): Generator<string> {
  for (const line of wrapped(text, width === undefined ? undefined : width - 2)) yield `  ${line}`
}
