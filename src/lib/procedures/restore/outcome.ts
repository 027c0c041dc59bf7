import type {Finding} from '../../checks/finding.ts'
import {addHarmless, harmlessReason, type HarmlessError, type RestoreProblem} from '../../postgres/restore-rules.ts'
import {classifiedLine} from '../../postgres/restore-errors.ts'
import type {RestoreEnd} from '../../postgres/restore.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {RestoreState} from './options.ts'

/** `clean`: no error at all. `harmless`: only errors that a rule forgives. `failed`: the database is not what the backup says. */
export type Outcome = 'clean' | 'harmless' | 'failed'

type Gathering = Pick<RestoreState, 'findings' | 'harmless' | 'outcome'>

const MOST_TOLD = 20
const SERVER_WARNING = 'restore.server-warning'

/** Keeps what one pg_restore complained of without harm. */
export function noteEnd(state: Gathering, {harmless, warnings}: Pick<RestoreEnd, 'harmless' | 'warnings'>): void {
  noteHarmless(state, harmless)
  for (const message of warnings) {
    if (!state.findings.some((finding) => finding.code === SERVER_WARNING && finding.message === message)) state.findings.push({code: SERVER_WARNING, severity: 'warning', subject: '', message})
  }
}

/** Says each error with its object and class, before the first of them ends the restore. */
export function tellProblems(state: Pick<RestoreState, 'tools' | 'server'>, io: Pick<StepIo, 'notice'>, problems: readonly RestoreProblem[]): void {
  const majors = {clientMajor: state.tools.major, serverMajor: state.server?.major ?? 0}
  for (const problem of problems.slice(0, MOST_TOLD)) io.notice(classifiedLine(problem, majors))
  if (problems.length > MOST_TOLD) io.notice(`… and ${problems.length - MOST_TOLD} more`)
}

/** Also for what psql or our own statements met. */
export const noteHarmless = (state: Gathering, harmless: readonly HarmlessError[]): void => { addHarmless(state.harmless ??= [], harmless) }

/** One finding for each harmless error, with the name of its rule. */
export const harmlessFindings = ({harmless = []}: Gathering): Finding[] => harmless.map(({rule, subject, message, count}) => ({
  code: `harmless.${rule}`, severity: 'info', subject, message: `${message}${count === 1 ? '' : ` (${count} times)`}: ${harmlessReason(rule)}`,
}))

/** What the result is by all that has been found so far. */
export const outcomeOf = ({findings, harmless = []}: Gathering): Outcome => (findings.some(({severity}) => severity === 'error') ? 'failed' : harmless.length > 0 ? 'harmless' : 'clean')

/** Adds the findings of harmless errors, and the result, once everything has been looked at. */
export function settleOutcome(state: Gathering): void {
  state.findings.push(...harmlessFindings(state))
  state.outcome = outcomeOf(state)
}

/** In closing. */
export function outcomeWords(state: Gathering): string {
  const {harmless = [], findings} = state
  const number = harmless.reduce((sum, {count}) => sum + count, 0)
  const rules = [...new Set(harmless.map(({rule}) => rule))].join(', ')
  const forgiven = number === 0 ? '' : ` with ${number} harmless ${number === 1 ? 'error' : 'errors'} (${rules})`
  if (outcomeOf(state) !== 'failed') return `The restore is clean${forgiven}.`
  const wrong = findings.filter(({severity}) => severity === 'error').length
  return `The restore failed: ${wrong} ${wrong === 1 ? 'thing is' : 'things are'} not as in the backup${forgiven === '' ? '' : `; pg_restore ended${forgiven}`}.`
}
