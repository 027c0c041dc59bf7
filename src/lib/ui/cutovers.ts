import type {FrozenInstance, ListedCutover, CutoverSide} from '../report/recovery-list.ts'
import {outTheme as theme} from './theme.ts'
import {wrapped} from './wrap.ts'

/** A cut-over that is half done: who is who, what clients reach, and the two ways out, each command alone on its line. */
export function* cutoverLines(cutover: ListedCutover, width: number | undefined): Generator<string> {
  const {name, mode, run, old, new: copy, resume, back, rollback} = cutover
  yield theme.title(`Cut-over of ${name}, by ${mode}, not at its end`)
  yield* line('Run', `${run}, ${runWords(cutover)}`, width)
  if (rollback !== null) yield* line('Taken back', `by ${rollback}, which is not at its end either`, width)
  yield* line('Old', sideWords(old), width)
  yield* line('New', sideWords(copy), width)
  if (mode === 'rename') yield* line('Name', holderWords(cutover), width)
  yield* line('Writes', stoppedWords(cutover), width)
  if (resume) yield* line('To go on', `${theme.command(resume.command)}${resume.here ? '' : ', where it was begun'}`, undefined)
  yield* line(rollback === null ? 'To go back' : 'To go on', theme.command(back), undefined)
}

/** One that takes no writes, though no cut-over is under way. */
export function* frozenLines({databases, run, runStatus, remedies, ...side}: FrozenInstance, width: number | undefined): Generator<string> {
  yield theme.title(`${side.instance} takes no writes`)
  yield* line('Instance', sideWords(side), width)
  yield* line('Databases', databases === 'all' ? 'all that are read-only' : databases.join(', '), width)
  yield* line('Stopped by', run === null ? 'a run that is not named' : `${run}${runStatus === null ? ', of which there is no journal here' : runStatus === 'running' ? ', which is at work' : ''}`, width)
  for (const {command, does} of remedies) {
    yield `  ${theme.command(command)}`
    yield* wrapped(`    ${does}`, width, '    ')
  }
}

const LABEL = 12
const line = (label: string, text: string, width: number | undefined) => wrapped(`  ${label.padEnd(LABEL)}${text}`, width, ' '.repeat(LABEL + 2))
const sideWords = ({instance, resourceId, status}: CutoverSide): string => `${instance}, ${resourceId}, ${status}`

function runWords({status}: ListedCutover): string {
  if (status === null) return 'begun on another machine: from here nobody can tell whether it is at work'
  return status === 'running' ? 'at work on this machine' : 'begun on this machine, not at work'
}

function holderWords({name, holder}: ListedCutover): string {
  if (holder === null) return theme.severity.error(`${name} is nobody’s: clients reach nothing`)
  return holder === 'other' ? theme.severity.error(`${name} is a third instance`) : `${name} is the ${holder} instance`
}

const stoppedWords = ({stopped}: ListedCutover): string => (stopped === null ? 'not stopped by dr' : `stopped in ${stopped === 'all' ? 'every database that is read-only' : stopped.join(', ')} of the old instance`)
