import type {Config} from '../config/config.ts'
import type {DatabaseTraits} from '../postgres/database-traits.ts'
import type {Target} from '../postgres/target.ts'
import type {FoundDump} from '../procedures/restore/foreign/dump.ts'
import type {Safety, SwapOptions, SwapSource, SwapState} from '../procedures/swap/options.ts'
import type {Loss, SwapTarget} from '../report/swap-lines.ts'
import type {Manifest} from '../repository/manifest.ts'
import {composeBackup} from './backup.ts'
import type {Context} from './context.ts'

export interface SwapWish {
  /** From --safety. */
  safety?: Safety | undefined
  /** From --from. */
  from?: string | undefined
  /** From --accept. */
  accept?: boolean | undefined
  plan: boolean
  drVersion: string
}

/** What the swap of a restore, or of a database that is there, has to be told. */
export interface SwapResult {
  /** The database that had the name, under the one that it has now; null when there was none. */
  kept: string | null
  /** Milliseconds from the beginning of the transaction to the answer to COMMIT. */
  outageMs: number | null
  attempts: number
  /** Sessions that were ended. */
  endedSessions: number
  /** Label of the backup of the state before; null when none was made. */
  safetyBackup: string | null
  /** Why none was made; null when there is one. */
  noSafetyBackup: string | null
  /** The live database as it was before; null when there was none. */
  target: SwapTarget | null
  /** Rows of each table before, and in what took its place. */
  loss: Loss[]
}

export const swapResult = ({kept, outageMs, attempts = 0, ended = 0, safety, safetyBackup, missing, unreadable, target, loss = []}: SwapState): SwapResult => ({
  kept: kept ?? null, outageMs: outageMs ?? null, attempts, endedSessions: ended, safetyBackup: safetyBackup?.label ?? null,
  noSafetyBackup: safetyBackup?.label !== undefined ? null : missing ? 'there was no live database' : unreadable === undefined ? `safety: ${safety}` : `the live database could not be read: ${unreadable}`,
  target: target ?? null, loss,
})

export interface ComposedSwap {
  options: SwapOptions
  close: () => Promise<void>
}

/** Joins what is wanted and the configuration; where a safety backup belongs to it, that is composed too. */
export async function composeSwap(context: Context, config: Config, target: Target, source: SwapSource, wish: SwapWish, applicationName: string): Promise<ComposedSwap> {
  const safety = wish.safety ?? (config.protected ? 'backup' : 'none')
  const backup = safety === 'backup' ? await composeBackup(context, wish.drVersion, {plan: wish.plan, accept: false, purpose: 'safety'}) : undefined
  const {shellQuote} = await import('../system/shell.ts')
  const options: SwapOptions = {
    config, target, applicationName, source, safety, safetyWanted: wish.safety !== undefined, keepAs: 'kept', ...(backup && {backup}), ...(wish.from !== undefined && {from: wish.from}), ...(wish.accept && {accept: true}),
    again: ({database, live}) => `dr swap ${shellQuote(database)} --confirm ${shellQuote(live)}`,
  }
  return {options, close: async () => { await backup?.close() }}
}

/** What the manifest says of the database that comes in. */
export function manifestSource(manifest: Manifest): SwapSource {
  const {label, environment, source: {database, systemIdentifier, databaseOid}, snapshot: {at, xmax, current, timeline, lsn}, sizes: {databaseBytes}, tables, database: own} = manifest
  const traits: DatabaseTraits | undefined = own && {
    owner: own.owner, connectionLimit: own.connectionLimit, allowsConnections: true, settings: own.settings, ...(own.comment !== undefined && {comment: own.comment}),
    // None written down are the default ones.
    grants: own.grants.length > 0 ? own.grants : [{grantee: 'public', privileges: ['CONNECT', 'TEMPORARY']}, {grantee: own.owner, privileges: ['CONNECT', 'CREATE', 'TEMPORARY']}],
  }
  return {
    title: `backup ${label} of ${database} (${environment})`, at, environment, database, bytes: databaseBytes, tables: tables.filter(({kind}) => kind === 'table'), ...(traits && {traits}),
    snapshot: {systemIdentifier, databaseOid, current, timeline, lsn, xmax},
  }
}

/** What is known of a dump that dr did not make before it is read. Its size says little of the database's: most are compressed. */
export const dumpSource = ({name}: FoundDump): SwapSource => ({title: `the dump ${name}`})

/** What is said when a swap has ended. */
export async function swapReport(state: {live: string; swap: SwapState}, what: string, run: string): Promise<string[]> {
  const [{number}, {shellQuote}] = await Promise.all([import('../ui/format.ts'), import('../ui/shell.ts')])
  const {live, swap: {kept, outageMs, ended = 0, safetyBackup, attempts = 1, swapped}} = state
  if (!swapped) return [`${live} was restored in place. The state before is backed up as ${safetyBackup?.label ?? ''}; to go back to it: dr restore ${safetyBackup?.label ?? ''} --in-place`]
  const how = [...(outageMs === undefined ? [] : [`${number(outageMs)} ms out of reach`]), `${number(ended)} ${ended === 1 ? 'session' : 'sessions'} ended`, ...(attempts > 1 ? [`at try ${attempts}`] : [])]
  return [
    `${live} is now ${what} (${how.join(', ')}).`,
    ...(safetyBackup?.label === undefined ? [] : [`The state before is backed up as ${safetyBackup.label}.`]),
    ...(kept === undefined ? [] : [`What was live until now is ${kept}. To bring it back: dr undo ${shellQuote(run)}. When it is no longer needed: dr restore clean-up`]),
  ]
}
