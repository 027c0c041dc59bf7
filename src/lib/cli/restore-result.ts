import type {Finding} from '../checks/finding.ts'
import type {CreatedRoles} from '../postgres/create-roles.ts'
import type {HarmlessError} from '../postgres/restore-rules.ts'
import type {DumpFacts} from '../procedures/restore/foreign/options.ts'
import type {RestoreState} from '../procedures/restore/options.ts'
import {outcomeOf, type Outcome} from '../procedures/restore/outcome.ts'
import type {RunResult} from './run-procedure.ts'
import {swapResult, type SwapResult} from './swap.ts'

/** What `dr restore --json` prints. */
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
  /** Of a dump that dr did not make: what it is, and how far it was proven. */
  dump?: DumpFacts
  findings: Finding[]
  /** Milliseconds: download (from S3; beside the others), pre, load, rest, analyze, integrity, total; of a dump: read, load, analyze, integrity, total. */
  timings: {phase: string; ms: number}[]
  /** With --swap. */
  swap?: SwapResult
  run: string
  journal: string
}

export function restoreResult({state, run, journal}: RunResult<RestoreState>): RestoreResult {
  const {label, location, findings, timings, harmless = [], roles, tables = 0, rows = 0, dump, swap} = state
  return {
    database: swap ? state.live : state.database, label, location, tables, rows, outcome: outcomeOf(state), harmless, ...(roles && {roles}), ...(dump && {dump}), findings, timings,
    ...(swap && {swap: swapResult(swap)}), run, journal,
  }
}
