import type {Finding} from '../checks/finding.ts'
import type {CreatedRoles} from '../postgres/create-roles.ts'
import type {HarmlessError} from '../postgres/restore-rules.ts'
import type {Outcome} from '../procedures/restore/outcome.ts'
import type {RestoreState} from '../procedures/restore/options.ts'
import {swapReport, swapResult, type SwapResult} from './swap.ts'

export interface RestoreResult {
  /** The new database; with --swap the live one. */
  database: string
  label: string
  location: string
  tables: number
  rows: number
  /** `harmless`: clean, but for errors that a rule forgives; they are findings too. */
  outcome: Outcome
  harmless: HarmlessError[]
  /** With --create-roles: what was made, and who needs a password. */
  roles?: CreatedRoles
  findings: Finding[]
  /** Milliseconds: download (from S3; beside the others), pre, load, rest, analyze, integrity, total. */
  timings: {phase: string; ms: number}[]
  /** With --swap. */
  swap?: SwapResult
  run: string
  journal: string
}

export function restoreResult(state: RestoreState, ran: Pick<RestoreResult, 'run' | 'journal'>): RestoreResult {
  const {label, location, findings, timings, harmless, roles, outcome = 'failed', tables = 0, rows = 0, swap} = state
  return {database: swap ? state.live : state.database, label, location, tables, rows, outcome, harmless, ...(roles && {roles}), findings, timings, ...(swap && {swap: swapResult(swap)}), ...ran}
}

/** What is said when a restore has ended: every finding, and what can be done next. */
export async function restoreReport(state: RestoreState, run: string): Promise<string[]> {
  const {database, live, findings, timings, swap} = state
  const [{outcomeWords}, {findingLines}, {talkTheme}, {duration}, {columnsOf}, {wrapped}] = await Promise.all([import('../procedures/restore/outcome.ts'), import('../ui/findings.ts'), import('../ui/theme.ts'), import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/wrap.ts')])
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  return [
    ...findingLines(findings, {theme: talkTheme, all: true}),
    ...wrapped(outcomeWords(state), width),
    ...wrapped(timings.map(({phase, ms}) => `${phase} ${duration(ms)}`).join(', '), width),
    ...(swap ? (await swapReport({live, swap}, `what ${state.label} holds`, run)).flatMap((line) => [...wrapped(line, width)]) : [
      ...wrapped(`The live database ${live} was not touched.`, width),
      `When ${database} is no longer needed: DROP DATABASE "${database.replaceAll('"', '""')}"`,
    ]),
  ]
}
