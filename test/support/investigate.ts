import {loadConfig} from '../../src/lib/config/load.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import {investigateProcedure, investigateState} from '../../src/lib/procedures/investigate/index.ts'
import type {InvestigateOptions, InvestigateState} from '../../src/lib/procedures/investigate/options.ts'
import {releaseProcedure} from '../../src/lib/procedures/investigate/preserve.ts'
import type {Investigation} from '../../src/lib/report/investigation.ts'
import {createJournal} from '../../src/lib/runbook/journal.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Procedure} from '../../src/lib/runbook/procedure.ts'
import type {Gatekeeper} from '../../src/lib/runbook/stage.ts'
import {systemClock} from '../../src/lib/system/clock.ts'
import {localRepository} from './backup.ts'
import {openGates, testStage} from './stage.ts'

export interface InvestigateSetting extends Partial<Omit<InvestigateOptions, 'config' | 'target'>> {
  url: string
  /** Holds the repository and the journals. */
  directory: string
  /** Of the configuration file, by path. */
  settings?: Record<string, unknown>
  /** Else every gate is passed. */
  gatekeeper?: Gatekeeper
}

export interface InvestigateOutcome {
  state: InvestigateState
  investigation: Investigation
  notices: string[]
}

/** Performs an investigation in this process, as the command does. */
export async function runInvestigation(setting: InvestigateSetting): Promise<InvestigateOutcome> {
  const {url, directory, settings = {}, gatekeeper = openGates, ...more} = setting
  const {config} = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory, flags: settings})
  const options: InvestigateOptions = {config, target: parseTarget(url), storages: [localRepository(directory)], runId: 'test', journals: `${directory}/journal`, tables: [], preserve: false, backups: 30, jobs: 2, ...more}
  const state = investigateState(options)
  const notices = await performed(investigateProcedure(options), state, directory, gatekeeper)
  if (state.investigation === undefined) throw new Error('nothing was found out')
  return {state, investigation: state.investigation, notices}
}

export async function runRelease({url, directory, tables = []}: {url: string; directory: string; tables?: string[]}): Promise<InvestigateState> {
  const target = parseTarget(url)
  const {config} = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory})
  const state = investigateState({config, target})
  await performed(releaseProcedure({target, runId: 'test', folder: `${directory}/journal`, tables}), state, directory)
  return state
}

/** What is said to the operator. */
async function performed(procedure: Procedure<InvestigateState>, state: InvestigateState, directory: string, gatekeeper: Gatekeeper = openGates): Promise<string[]> {
  const journal = await createJournal(`${directory}/journal`, procedure.id, new Date())
  const {stage, seen} = testStage({journal, gatekeeper, clock: systemClock})
  try {
    await perform(procedure, state, stage)
    return seen
  } finally {
    await journal.close()
  }
}
