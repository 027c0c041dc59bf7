import {preflightError} from '../../errors.ts'
import type {Finding} from '../../checks/finding.ts'
import {wasLive, type MarkedDatabase} from '../../postgres/database-marks.ts'
import {targetName} from '../../postgres/target.ts'
import type {Procedure} from '../../runbook/procedure.ts'
import {carryStep, swapStep} from './exchange.ts'
import {findingsGate, replaceGate} from './gates.ts'
import type {SwapOptions, SwapState, SwapSubject} from './options.ts'
import {preflightSteps} from './preflight.ts'
import {probeStep} from './probe.ts'
import {safetySteps} from './safety.ts'

/** Plain data: it stands in the journal and in --json. */
export interface StandingState extends SwapSubject {
  swap: SwapState
}

/** Puts a database that is there in the live one's place. */
export function swapProcedure(options: SwapOptions, database: string): Procedure<StandingState> {
  return {
    id: 'swap',
    title: `Swap ${database} in for ${options.target.database} (${options.config.environment})`,
    target: targetName(options.target),
    once: 'the names are exchanged in one transaction, so nothing is half done; run the command again',
    phases: [
      {title: 'Check', steps: preflightSteps(options)},
      {title: 'Safety backup', gate: replaceGate(options, ['LIVE NOW', 'COMING IN']), steps: safetySteps(options)},
      {title: 'Prepare the swap', steps: [carryStep(options)]},
      {title: 'Swap', gate: findingsGate(options), steps: [swapStep(options), probeStep(options)]},
    ],
  }
}

/** Gives the live name back to a database that had it. Its own settings and privileges are as they were. */
export function undoProcedure(options: SwapOptions, database: string): Procedure<StandingState> {
  return {
    id: 'undo',
    title: `Bring ${database} back as ${options.target.database} (${options.config.environment})`,
    target: targetName(options.target),
    once: 'the names are exchanged in one transaction, so nothing is half done; run the command again',
    phases: [
      {title: 'Check', steps: preflightSteps(options)},
      {title: 'Swap', gate: replaceGate(options, ['LIVE NOW', 'COMING BACK']), steps: [swapStep(options), probeStep(options)]},
    ],
  }
}

export function standingState({config, target, safety, backup}: SwapOptions, database: string): StandingState {
  return {environment: config.environment, label: database, live: target.database, database, findings: [], swap: {safety, ...(backup && {safetyBackup: backup.state})}}
}

/** The database that a swap has taken the name from: of this run, else of the last one. Throws in words when there is none. */
export function databaseToBringBack(marked: readonly MarkedDatabase[], live: string, run: string | undefined): MarkedDatabase {
  const candidates = marked.filter((one) => one.live === live && wasLive(one) && one.proven)
  const chosen = run === undefined || run === 'latest' ? candidates[0] : candidates.find((one) => one.run === run || one.database === run)
  if (chosen) return chosen
  const others = candidates.map((one) => `${one.run} (${one.database})`)
  if (run !== undefined && others.length > 0) throw preflightError('undo.unknown', `No database that the run ${run} has replaced is there any more.`, {hints: [`There are those of ${others.slice(0, 5).join(', ')}.`]})
  const renamed = marked.filter((one) => one.live === live && wasLive(one) && !one.proven)
  throw preflightError('undo.nothing', `There is nothing to undo: no database that ${live} was before is there.`, {hints: [
    ...renamed.slice(0, 3).map((one) => `${one.database} was ${one.name}, but has been renamed since; to bring it back: dr swap ${one.database}`),
    'dr restore --swap keeps the old database; dr restore clean-up drops it.', 'dr list shows the backups: dr restore LABEL --swap goes back to one of them.',
  ]})
}

/** A database that may be swapped in by name; what its mark says against it comes back as findings. */
export function assertMayComeIn(name: string, live: string, marked: readonly MarkedDatabase[]): Finding[] {
  if (name === live) throw preflightError('swap.same', `${name} is the live database already.`, {hints: ['Name the database that is to take its place.']})
  const mark = marked.find(({database}) => database === name)
  if (mark && mark.live !== live) throw preflightError('swap.other-source', `${name} was made to be ${mark.live}, not ${live}.`, {hints: [`Set DATABASE_URL to ${mark.live} if that is meant.`]})
  if (mark?.kind === 'stage') throw preflightError('swap.other-source', `${name} holds some rows of a backup, for hand work: it is no copy of ${live}.`, {hints: ['dr restore makes one that may take its place.']})
  return mark?.flawed ? [{code: 'swap.flawed', severity: 'error', subject: name, message: `the restore that made it (${mark.run}) found that it is not as in the backup`}] : []
}
