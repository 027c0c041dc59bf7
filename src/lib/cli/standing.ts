import type {Client} from '../postgres/connection.ts'
import type {MarkedDatabase} from '../postgres/database-marks.ts'
import type {AbandonedStage} from '../postgres/stage-database.ts'
import type {SwapSource} from '../procedures/swap/options.ts'
import type {StandingState} from '../procedures/swap/standing.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {composeSwap, type SwapWish} from './swap.ts'
import {targetOf} from './target.ts'

export interface ComposedStanding {
  procedure: Procedure<StandingState>
  state: StandingState
  close: () => Promise<void>
}

/** Databases of the server with a mark of ours; asked from outside of the live one, which need not be there. */
export async function markedOf(context: Context): Promise<MarkedDatabase[]> {
  const {markedDatabases} = await import('../postgres/database-marks.ts')
  return outside(context, markedDatabases)
}

/** Those where killed runs had staged rows for the live one. */
export async function abandonedOf(context: Context): Promise<AbandonedStage[]> {
  const {abandonedStageDatabases} = await import('../postgres/stage-database.ts')
  return outside(context, abandonedStageDatabases)
}

async function outside<T>(context: Context, look: (client: Client, live: string) => Promise<T>): Promise<T> {
  const [config, {connectOutside}, {endQuietly}] = await Promise.all([context.config(), import('../postgres/swap-needs.ts'), import('../postgres/connection.ts')])
  const target = await targetOf(config)
  const client = await connectOutside(target, [target.database], config.database.maintenanceDatabase, 'dr')
  try {
    return await look(client, target.database)
  } finally {
    await endQuietly(client)
  }
}

/** The procedure that puts a database that is there in the live one's place. */
export async function composeStandingSwap(context: Context, database: string, wish: SwapWish): Promise<ComposedStanding> {
  const [config, {assertMayComeIn, standingState, swapProcedure}] = await Promise.all([context.config(), import('../procedures/swap/standing.ts')])
  const target = await targetOf(config)
  const findings = assertMayComeIn(database, target.database, await markedOf(context))
  const {options, close} = await composeSwap(context, config, target, {title: `the database ${database}`, standing: true}, wish, 'dr swap')
  return {procedure: swapProcedure(options, database), state: {...standingState(options, database), findings}, close}
}

/** The procedure that brings back what a swap has replaced. */
export async function composeUndo(context: Context, run: string | undefined, wish: SwapWish): Promise<ComposedStanding> {
  const [config, {databaseToBringBack, standingState, undoProcedure}, {shellQuote}] = await Promise.all([context.config(), import('../procedures/swap/standing.ts'), import('../system/shell.ts')])
  const target = await targetOf(config)
  const found = databaseToBringBack(await markedOf(context), target.database, run)
  const source: SwapSource = {title: `${found.database}, which was ${target.database} until ${found.at.slice(0, 19).replace('T', ' ')} UTC`, standing: true}
  const {options, close} = await composeSwap(context, config, target, source, {...wish, safety: 'none'}, 'dr undo')
  const undo = {...options, keepAs: 'undone' as const, countWritten: true, again: ({live}: {live: string}) => `dr undo ${shellQuote(found.run)} --confirm ${shellQuote(live)}`}
  return {procedure: undoProcedure(undo, found.database), state: standingState(undo, found.database), close}
}
