import {preflightError, usageError} from '../../errors.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import {statementError} from '../../postgres/errors.ts'
import {isPreserved, notOurs, preserveSql, preserveTables, releaseTables, storageOptions, type PreservedTable, type Released} from '../../postgres/investigate/preserve.ts'
import type {WholeTable} from '../../postgres/investigate/tables.ts'
import {targetName, targetUrl, type Target} from '../../postgres/target.ts'
import type {Gate, Procedure, Step} from '../../runbook/procedure.ts'
import {knownRuns, type KnownRun} from '../../runbook/runs.ts'
import {applicationName} from './looking.ts'
import type {InvestigateOptions, InvestigateState} from './options.ts'
import {tableName} from './proposal.ts'

export const PRESERVE = 'investigate.preserve'

/** Whether it is allowed, and what the tables have now: known before anything is changed. */
export async function formerOf(client: Client, tables: readonly WholeTable[], {standby}: {standby: boolean}): Promise<PreservedTable[]> {
  if (standby) throw preflightError('investigate.standby', 'The server is a standby: its tables cannot be changed.', {hints: ['Set DATABASE_URL to the primary.', 'Leave out --preserve: what is read on a standby removes nothing.']})
  const oids = tables.flatMap(({parts}) => parts.map(({oid}) => oid))
  const [other] = await notOurs(client, oids)
  if (other !== undefined) throw preflightError('investigate.not-owner', `Autovacuum of ${tableName(other)} can be switched off only by its owner.`, {hints: [`Connect as ${other.owner}.`, 'Leave out --preserve.']})
  const former = (await storageOptions(client, oids)).filter((table) => !isPreserved(table))
  return former
}

const names = (tables: readonly {schema: string; name: string}[]): string => tables.map(tableName).join(', ')

export function preserveGate({config, target}: InvestigateOptions): Gate<InvestigateState> {
  return {
    skip: ({former = []}) => (!config.protected ? 'the environment is not protected' : former.length === 0 ? 'autovacuum is off already' : undefined),
    question: () => `Switch autovacuum off for these tables of ${target.database} at ${target.host}:${target.port}?`,
    mustType: ({database}) => database,
    details: ({former}) => [`Tables      ${former === undefined ? 'those that are named' : names(former)}`, 'Until       dr investigate --release; they grow meanwhile, as their dead row versions stay'],
    declined: () => ['Nothing was changed.'],
  }
}

export function preserveStep(options: InvestigateOptions): Step<InvestigateState> {
  const {target} = options
  return {
    id: PRESERVE,
    title: 'Switch autovacuum off for the tables',
    effect: 'write',
    skip: ({former}) => (former?.length === 0 ? 'it is off already' : undefined),
    byHand: ({former = []}) => (former.length === 0 ? [{argv: ['psql', targetUrl(target), '-c', 'ALTER TABLE … SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)']}] : former.map((table) => ({argv: ['psql', targetUrl(target), '-c', preserveSql(table)]}))),
    async run(state, io) {
      const {former = []} = state
      await changing(options, (client) => preserveTables(client, former))
      state.preserved = true
      io.notice(`Autovacuum is off for ${names(former)}. When the repair is done: dr investigate --release`)
    },
    async undo(state, io) {
      const released = await changing(options, (client) => releaseTables(client, state.former ?? []))
      const failed = released.filter(({outcome}) => outcome === 'failed')
      if (failed.length > 0) throw preflightError('investigate.not-released', `Autovacuum is still off for ${names(failed)}: ${failed[0]?.why ?? ''}.`, {hints: ['dr investigate --release']})
      state.preserved = false
      io.notice('Autovacuum of the tables is as it was.')
    },
  }
}

async function changing<T>({target, runId}: Pick<InvestigateOptions, 'target' | 'runId'>, work: (client: Client) => Promise<T>): Promise<T> {
  try {
    return await withClient(target, {applicationName: applicationName({runId})}, work)
  } catch (error) {
    throw statementError(error, 'Changing the autovacuum of the tables')
  }
}

export interface ReleaseOptions {
  target: Target
  runId: string
  /** Of the journals. */
  folder: string
  /** Only these; empty for all. */
  tables: readonly string[]
}

/** Gives the tables of earlier runs their autovacuum back. */
export function releaseProcedure(options: ReleaseOptions): Procedure<InvestigateState> {
  const {target} = options
  return {
    id: 'investigate', title: `Give tables of ${target.database} their autovacuum back`, target: targetName(target), once: 'run dr investigate --release again',
    phases: [{title: 'Release', steps: [{
      id: 'investigate.release', title: 'Give the tables their former parameters back', effect: 'write',
      byHand: () => [{argv: ['psql', targetUrl(target), '-c', 'ALTER TABLE … RESET (autovacuum_enabled, toast.autovacuum_enabled)'], note: 'or what it was before: "former" in the journal of the run'}],
      run: (state, io) => release(options, state, (text) => { io.notice(text) }),
    }]}],
  }
}

interface Held {
  run: string
  table: PreservedTable
}

async function release(options: ReleaseOptions, state: InvestigateState, notice: (text: string) => void): Promise<void> {
  const held = (await heldTables(options)).filter(({table}) => options.tables.length === 0 || options.tables.some((name) => name === table.name || name === `${table.schema}.${table.name}`))
  if (held.length === 0) throw usageError('investigate.not-preserved', `No journal here says that dr has switched off autovacuum of ${options.tables.length === 0 ? 'a table' : options.tables.join(', ')} at ${targetName(options.target)}.`, {hints: ['--release looks into the journals of this machine and this data folder (DR_DATA_DIR).', 'By hand: ALTER TABLE … RESET (autovacuum_enabled, toast.autovacuum_enabled)']})
  const outcomes = await changing(options, (client) => releaseTables(client, held.map(({table}) => table)))
  state.released = outcomes.map((one, index) => ({...one, run: held[index]?.run ?? '', oid: held[index]?.table.oid ?? 0}))
  for (const one of outcomes) notice(`${tableName(one)}: ${OUTCOMES[one.outcome]}${one.why === undefined ? '' : `: ${one.why}`}`)
}

const OUTCOMES: Readonly<Record<Released['outcome'], string>> = {released: 'as it was', changed: 'autovacuum is on already; nothing was done', gone: 'there is no such table any more', failed: 'not changed'}

/** Newest runs first; of each table the newest one that nobody has released. */
async function heldTables({folder, target}: ReleaseOptions): Promise<Held[]> {
  const runs = (await knownRuns(folder, {all: true})).filter(({procedure, about}) => procedure === 'investigate' && about.target === targetName(target))
  const stateOf = (run: KnownRun) => run.state as InvestigateState
  const over = new Set(runs.flatMap((run) => (stateOf(run).released ?? []).filter(({outcome}) => outcome !== 'failed').map(({run: of, oid}) => `${of} ${oid}`)))
  const seen = new Set<number>()
  return runs.filter(({begun, status}) => begun.includes(PRESERVE) && status !== 'undone').flatMap((run) => (stateOf(run).former ?? []).flatMap((table) => {
    if (seen.has(table.oid)) return []
    seen.add(table.oid)
    return over.has(`${run.run} ${table.oid}`) ? [] : [{run: run.run, table}]
  }))
}
