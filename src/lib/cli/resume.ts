import {preflightError, usageError} from '../errors.ts'
import type {RunCommand} from '../runbook/journal.ts'
import type {ListedRun} from '../report/listed-run.ts'
import type {Context} from './context.ts'
import {RunUndone, type Resuming, type RunFlags} from './run-procedure.ts'

export interface ResumeFlags extends Pick<RunFlags, 'confirm' | 'yes'> {
  undo?: boolean | undefined
  environment?: string | undefined
  config?: string | undefined
}

/** Prints the runs, and returns them. */
export async function listRuns(context: Context, all: boolean): Promise<ListedRun[]> {
  const [{lastUndone, unfinishedRuns}, {runListLines}, {columnsOf}, {redact}] = await Promise.all([import('../procedures/unfinished.ts'), import('../ui/run-list.ts'), import('../ui/text.ts'), import('../system/redact.ts')])
  const runs = await unfinishedRuns(context.journalDirectory, {all})
  const now = new Date()
  const undone = runs.length === 0 ? await lastUndone(context.journalDirectory, new Date(now.getTime() - DAY_MS)) : undefined
  for (const line of runListLines(runs, undone, now, process.stdout.isTTY ? columnsOf(process.stdout) : undefined)) context.print(redact(line))
  return runs
}

const DAY_MS = 24 * 60 * 60_000

/** What the operator chooses of the list, where one can be asked. */
export async function chosenRun(context: Context, runs: readonly ListedRun[]): Promise<{run: string; undo: boolean} | undefined> {
  const choices = runs.flatMap(({run, continues, undoes}) => [
    ...(continues === null ? [] : [{name: `dr resume ${run}`, description: continues, value: {run, undo: false}}]),
    ...(undoes ? [{name: `dr resume ${run} --undo`, description: 'removes what it left', value: {run, undo: true}}] : []),
  ])
  if (!context.interactive || choices.length === 0) return undefined
  const {chosen} = await import('../ui/prompter.ts')
  return chosen('Which one?', [{name: 'none', value: undefined}, ...choices], await context.signal())
}

export interface OpenedRun {
  command: RunCommand
  resuming: Resuming
  /** Gives the run back. */
  close: () => Promise<void>
}

/** Finds the run, makes sure that nobody else goes on with it, and reads where it stopped. */
export async function openRun(context: Context, name: string, {undo = false, ...flags}: ResumeFlags): Promise<OpenedRun> {
  const [{findRun, resumption}, {claimRun}, {whyOnce}] = await Promise.all([import('../runbook/resume.ts'), import('../runbook/claim.ts'), import('../procedures/unfinished.ts')])
  const path = await findRun(name, context.journalDirectory)
  const release = await claimRun(path)
  try {
    const earlier = await resumption<object>(path)
    const {run, about} = earlier
    const {command} = about
    if (undo && earlier.anew !== undefined) throw usageError('run.undone', `The run ${run} is undone already.`, {hints: ['dr resume lists the runs that are not.']})
    if (command !== undefined && (undo ? about.later === undefined : about.later !== 'go-on')) throw usageError('run.once', `The run ${run} cannot be ${undo ? 'undone' : 'gone on with'}: ${whyOnce(about)}.`, {hints: about.later === undefined ? [] : [`What it left can be removed: dr resume ${run} --undo`]})
    if (command === undefined) throw preflightError('run.command', `The journal of ${run} does not say how it was called: an older dr made it.`, {hints: ['Begin anew; the next run removes what killed ones left.']})
    if (flags.environment !== undefined && flags.environment !== command.environment) throw usageError('run.environment', `The run ${run} belongs to ${command.environment}, not to ${flags.environment}.`, {hints: ['Leave out --environment.']})
    return {command: flags.config === undefined ? command : {...command, config: flags.config}, resuming: {undo, earlier, answers: flags}, close: release}
  } catch (error) {
    await release()
    throw error
  }
}

/** Throws what is a failure. */
export function undoneRun(error: unknown): RunUndone {
  if (error instanceof RunUndone) return error
  throw error
}

