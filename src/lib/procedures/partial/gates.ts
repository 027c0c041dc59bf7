import {usageError} from '../../errors.ts'
import {closureLines, comparisonLines, conflictLines, effectLines, goingBack, rowsText, sampleLines, timeText, type Way} from '../../report/partial-lines.ts'
import {targetLines} from '../../report/swap-lines.ts'
import type {Choice, Gate} from '../../runbook/procedure.ts'
import {needed, otherDatabase, sourceTitle, type PartialOptions, type PartialState} from './run-options.ts'

const SAMPLES_SHOWN = 2

const WAYS: readonly {value: Way | 'none'; name: string; description: string}[] = [
  {value: 'missing', name: 'missing: insert the rows that are missing', description: 'What is live stays as it is.'},
  {value: 'changed', name: 'changed: these, and put back those that differ', description: 'Rows that the backup has not stay.'},
  {value: 'exact', name: 'exact: make the selection equal to the backup', description: 'Rows that the backup has not are deleted.'},
  {value: 'side', name: 'side: only leave the rows of the backup in tables beside', description: 'Nothing of what is live is changed.'},
  {value: 'none', name: 'none: stop here', description: 'What was staged is dropped again.'},
]

/** What can be done with a selection of these columns, or of what a transaction wrote. */
export const waysFor = ({wish}: Pick<PartialState, 'wish'>): readonly Way[] => (wish.columns ? ['changed', 'side'] : wish.transaction === undefined ? ['missing', 'changed', 'exact', 'side'] : ['changed', 'exact', 'side'])

/** Asked when the comparison is there and no flag has answered it. */
export function wayChoice(): Choice<PartialState> {
  return {
    skip: ({way, nothing}) => (way === undefined ? nothing : '--merge has said it'),
    question: () => 'How are the rows put back?',
    choices: (state) => WAYS.filter(({value}) => value === 'none' || waysFor(state).includes(value)),
    details: (state) => aboutComparison(state),
    take(state, value) {
      if (value === 'none') Object.assign(state, {nothing: 'the operator chose so', declined: true})
      else Object.assign(state, {way: value as Way, asked: true})
    },
    unasked: (state) => usageError('partial.merge', 'How the rows are put back has to be said where it cannot be asked.', {hints: [`Pass --merge ${waysFor(state).join('|')}; side changes nothing.`, 'dr partial --plan shows the steps.']}),
  }
}

/** Before anything of what is live is touched: the operator sees whose rows, and what becomes of them. */
export function mergeGate({target}: PartialOptions): Gate<PartialState> {
  return {
    again: true,
    skip: ({nothing, way, merged}) => nothing ?? (way === 'side' ? 'nothing live is changed' : merged === undefined ? undefined : 'it is done'),
    question: ({live, environment}) => `Change rows of ${live} (${environment}) at ${target.host}:${target.port}?`,
    mustType: ({live}) => live,
    strict: (state) => state.way === 'exact' || otherDatabase(state) !== undefined,
    details: (state) => [...aboutTarget(state, target), ...aboutSource(state), ...aboutMerge(state)],
    declined: (state, run) => [...whatStays(state), `Go on, and be asked again: dr resume ${run}`, `Or drop what was staged: dr resume ${run} --undo`],
  }
}

/** Rows of the backup on the live server, and what costs. */
function whatStays({copy, live, staged = [], stageSchema, stageDatabase}: PartialState): string[] {
  const rows = staged.reduce((sum, one) => sum + one.rows, 0)
  const place = stageDatabase === undefined ? `${stageSchema ?? 'a schema'} of ${live}` : `the database ${stageDatabase}`
  return [
    `Nothing live was changed. ${rowsText(rows)} of the backup ${rows === 1 ? 'stays' : 'stay'} staged in ${place}.`,
    ...(copy === undefined ? [] : [`${copy.target ?? 'The copy'} stays at AWS, and costs; the same command uses it again. When it is not needed: dr pitr cleanup`]),
  ]
}

/** Before a later process takes back what a run has put into live tables; of what is only staged nothing is asked. */
export function undoGate({merged, live, environment}: PartialState): Gate<PartialState> | undefined {
  if (merged === undefined) return undefined
  return {question: () => `Take the rows that came back into ${live} (${environment}) away again?`, mustType: () => live}
}

function aboutTarget({target, live, environment}: PartialState, {host, port}: PartialOptions['target']): string[] {
  if (target === undefined) return [`Server      ${host}:${port}`, `Database    ${live} (${environment})`]
  return targetLines(target, environment, ': go on working').filter((line) => !line.startsWith('Newest row'))
}

const aboutSource = (state: PartialState): string[] => [`Comes in    ${sourceTitle(state)}${state.source.at === undefined ? '' : `, data of ${timeText(state.source.at)}`}`]

function aboutMerge(state: PartialState): string[] {
  const {comparison, source, wish, way, undoSchema, lost} = state
  if (comparison === undefined || way === undefined) return ['Safety      every row is kept as it was; dr undo takes it back']
  return [
    `Safety      rows are kept as they were in ${undoSchema ?? 'an undo schema'}; dr undo takes it back`,
    ...(state.stageDatabase === undefined ? [] : [`Staged      in the database ${state.stageDatabase}; the rows that are needed go from there into a schema of ${state.live}`]),
    ...(state.asked ? [] : aboutComparison(state)),
    ...lost.map(({schema, name}) => `CREATE  ${schema}.${name}, which is not live any more`),
    ...effectLines(comparison, way, source.at, wish.columns !== undefined),
    ...(way === 'exact' ? ['Rows that come in from now on stay, though the backup has not them.'] : []),
    ...aboutUnknown(state, way),
    ...aboutEdits(state, way),
    ...aboutList(state, way),
    ...aboutSubscribers(state),
  ]
}

/** That nothing is said of rows that were written since does not mean that there are none. */
function aboutUnknown({comparison, sinceUnknown}: PartialState, way: Way): string[] {
  const changed = comparison?.tables.filter(({role, changed: rows}) => role === 'rows' && rows > 0)
  return way === 'missing' || way === 'side' || sinceUnknown === undefined || changed?.length === 0 ? [] : [`How many of these were written since the backup, and go back, is not known: ${sinceUnknown}.`]
}

/** What the number of their last transaction does not tell, because the accident has overwritten it. */
function aboutEdits({comparison, editedSince = 0}: PartialState, way: Way): string[] {
  if (way === 'missing' || way === 'side' || comparison === undefined || editedSince <= goingBack(comparison)) return []
  return [`${rowsText(editedSince)} of these were edited since the backup, by the time of change that they bear: unless the accident has set it, such edits go back, too. A copy of the moment before it has them: --from postgres://…`]
}

/** Their keys are too many for a terminal; a question can be answered later. */
const aboutList = ({comparison, editedSince = 0}: PartialState, way: Way): string[] =>
  way !== 'missing' && comparison !== undefined && goingBack(comparison) + editedSince > 0 ? ['Which rows: --merge side --json lists their keys (since), and changes nothing.'] : []

/** The rows of a merge go to them as any write does; what is kept for its undo does not, but is there when a subscription is renewed. */
function aboutSubscribers({publications = [], undoSchema = 'the undo schema'}: PartialState): string[] {
  if (publications.length === 0) return []
  return [`Subscribers of ${publications.join(', ')}, which publishes all tables, get these rows, too.`, `ALTER SUBSCRIPTION … REFRESH PUBLICATION fails there while ${undoSchema} is here.`]
}

/** What differs, an example, and what hangs on it. */
export function aboutComparison({comparison}: PartialState): string[] {
  const found = needed(comparison, 'comparison')
  return [...comparisonLines(found), ...sampleLines(found, SAMPLES_SHOWN), ...closureLines(found.closure), ...conflictLines(found)]
}

/** What is certain beforehand: not every way fits every selection. */
export function assertWay(way: Way | undefined, state: Pick<PartialState, 'wish'>): void {
  const {wish} = state
  if (way === undefined || waysFor(state).includes(way)) return
  const [flag, why] = wish.columns ? ['--columns', 'puts back columns of rows that are still there: none is inserted or deleted'] : ['--transaction', 'takes rows that are still there: none is missing']
  throw usageError('partial.merge', `--merge ${way} does not go with ${flag}, which ${why}.`, {hints: [`Pass --merge ${waysFor(state).join('|')}, or leave out ${flag}.`]})
}
