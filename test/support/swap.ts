import {manifestSource} from '../../src/lib/cli/swap.ts'
import type {Config} from '../../src/lib/config/config.ts'
import {loadConfig} from '../../src/lib/config/load.ts'
import {withClient} from '../../src/lib/postgres/connection.ts'
import {markedDatabases} from '../../src/lib/postgres/database-marks.ts'
import {parseTarget} from '../../src/lib/postgres/target.ts'
import type {SwapOptions} from '../../src/lib/procedures/swap/options.ts'
import {assertMayComeIn, databaseToBringBack, standingState, swapProcedure, undoProcedure, type StandingState} from '../../src/lib/procedures/swap/standing.ts'
import {perform} from '../../src/lib/runbook/perform.ts'
import type {Gatekeeper} from '../../src/lib/runbook/stage.ts'
import {openGates, testStage} from './stage.ts'

export {manifestSource}

export interface StandingSetting {
  /** Of the live database. */
  url: string
  /** Holds the configuration's folders. */
  directory: string
  environment?: Config['environment']
  options?: Partial<SwapOptions>
  gatekeeper?: Gatekeeper
}

export interface StandingOutcome {
  state: StandingState
  /** What the view was told. */
  seen: string[]
  error?: Error & {code?: string; exitCode?: number; hints?: readonly string[]}
}

async function optionsOf({url, directory, environment, options}: StandingSetting, title: string): Promise<SwapOptions> {
  const {config} = await loadConfig({env: {}, cwd: directory, configDir: directory, dataDir: directory, flags: {environment}})
  return {
    config, target: parseTarget(url), applicationName: 'dr swap', source: {title, standing: true}, safety: 'none', safetyWanted: false, keepAs: 'kept',
    again: ({database, live}) => `dr swap ${database} --confirm ${live}`, ...options,
  }
}

/** Swaps a database in that is there, as `dr swap` does. */
export async function runSwap(database: string, setting: StandingSetting): Promise<StandingOutcome> {
  const options = await optionsOf(setting, `the database ${database}`)
  const findings = assertMayComeIn(database, options.target.database, await withClient(options.target, {database: 'postgres'}, markedDatabases))
  return run(swapProcedure(options, database), {...standingState(options, database), findings}, setting)
}

/** Brings back what was swapped out, as `dr undo` does. */
export async function runUndo(setting: StandingSetting, which?: string): Promise<StandingOutcome> {
  const options = {...await optionsOf(setting, 'the old database'), keepAs: 'undone' as const, countWritten: true}
  const {database} = databaseToBringBack(await withClient(options.target, {database: 'postgres'}, markedDatabases), options.target.database, which)
  return run(undoProcedure(options, database), standingState(options, database), setting)
}

async function run(procedure: ReturnType<typeof swapProcedure>, state: StandingState, {gatekeeper = openGates}: StandingSetting): Promise<StandingOutcome> {
  const {stage, seen} = testStage({gatekeeper})
  try {
    await perform(procedure, state, stage)
    return {state, seen}
  } catch (error) {
    return {state, seen, error: error as Error}
  }
}
