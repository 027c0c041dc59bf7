import {DrError, messageOf} from '../../errors.ts'
import {mergeSelection} from '../../postgres/partial/merge.ts'
import type {SelectedTable} from '../../postgres/partial/contract.ts'
import {revertMerge} from '../../postgres/partial/revert.ts'
import {mergeCommitted, undoSchemas} from '../../postgres/partial/undo-schema.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {afterRevert} from './aftermath.ts'
import {needed, wayOf, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'

export const leftOut = ({nothing, way}: PartialState): string | undefined => nothing ?? (way === 'side' ? 'nothing live is changed' : undefined)

/** One transaction. It is done, whatever the journal knows, when its undo schema is there. */
export function mergeStep(options: PartialOptions, work: PartialWork): Step<PartialState> {
  const {target} = options
  return {
    id: 'partial.merge',
    title: 'Put the rows back, in one transaction',
    effect: 'destroy',
    skip: leftOut,
    byHand: (state) => [{argv: ['psql', targetUrl(target), '-v', 'ON_ERROR_STOP=1', '-c', 'BEGIN ISOLATION LEVEL REPEATABLE READ', ...mergeByHand(state).flatMap((sql) => ['-c', sql]), '-c', 'COMMIT'], note: 'in the order of the foreign keys'}],
    run: (state, io) => stopwatch(state.timings).time('merge', () => merge(options, work, state, io)),
    settle: async (state) => ((await isCommitted(work, state)) ? 'done' : 'not done'),
    undo: (state, io) => takeBack(options, work, state, io),
  }
}

/** Before anything is known of the tables, with their names as they were given, and in capitals what has to be looked up. */
function mergeByHand({selection, staged, way, stageSchema, wish}: PartialState): string[] {
  const named = (wish.tables.length > 0 ? wish.tables : ['TABLE']).map((name) => ({table: {schema: name.includes('.') ? name.split('.')[0] ?? '' : 'public', name: name.split('.').at(-1) ?? ''}, role: 'rows' as const, columns: wish.columns}))
  const tables: readonly Pick<SelectedTable, 'table' | 'role' | 'columns'>[] = selection?.tables ?? named.map(({columns, ...one}) => ({...one, ...(columns && {columns: [...columns]})}))
  return tables.flatMap(({table, role, columns}) => {
    const stage = staged?.find((one) => one.table.schema === table.schema && one.table.name === table.name)
    const [live, from] = [`${table.schema}.${table.name}`, stage ? `${stage.stage.schema}.${stage.stage.name}` : `${stageSchema ?? 'dr_stage_RUN'}.${table.name}`]
    const key = stage?.key?.join(', ') ?? 'KEY'
    const all = columns?.join(', ') ?? stage?.columns.join(', ') ?? 'COLUMNS'
    const update = `UPDATE ${live} l SET (${all}) = ROW(${all.split(', ').map((column) => `s.${column}`).join(', ')}) FROM ${from} s WHERE l.${key} = s.${key}`
    if (role === 'links') return [update]
    return [
      ...(way === 'exact' && role === 'rows' ? [`DELETE FROM ${live} l WHERE NOT EXISTS (SELECT FROM ${from} s WHERE s.${key} = l.${key})`] : []),
      ...(columns === undefined ? [`INSERT INTO ${live} (${all}) OVERRIDING SYSTEM VALUE SELECT ${all} FROM ${from} s WHERE NOT EXISTS (SELECT FROM ${live} l WHERE l.${key} = s.${key})`] : []),
      ...(way !== 'missing' && role === 'rows' ? [update] : []),
    ]
  })
}

async function merge({config}: PartialOptions, work: PartialWork, state: PartialState, io: StepIo): Promise<void> {
  if (await isCommitted(work, state)) return
  const way = wayOf(state)
  if (way === 'side') return
  try {
    state.merged = await work.inLive((client) => mergeSelection(client, work.request(state, way), {signal: io.signal, ...(state.comparison && {expected: state.comparison}), onWaiting: (why) => { io.progress(why) }}))
  } catch (error) {
    // The answer to COMMIT was lost: whether it was done is a fact, and the fact can be asked for.
    if (!(error instanceof DrError) || error.code !== 'partial.commit-unknown' || !(await isCommitted(work, state))) throw error
  }
  for (const {schema, name, value} of (state.merged?.sequences ?? []).filter(({denied}) => denied)) io.notice(`This role may not move the sequence ${schema}.${name}: see that it is past ${value}, or new rows will collide.`)
  if (state.merged?.nothing) state.nothing = `nothing remained to be done: ${config.environment} has caught up meanwhile`
}

/** Notes what a process that was killed behind COMMIT could not. */
async function isCommitted(work: PartialWork, state: PartialState): Promise<boolean> {
  const schema = state.undoSchema
  if (schema === undefined) return false
  const found = await work.inLive(async (client) => ((await mergeCommitted(client, schema)) ? (await undoSchemas(client)).find((one) => one.schema === schema) : undefined))
  if (found === undefined) return false
  state.merged ??= {tables: [], cascades: [], sequences: [], undoSchema: schema, ms: 0}
  return true
}

async function takeBack({config}: PartialOptions, work: PartialWork, state: PartialState, io: StepIo): Promise<void> {
  if (!(await isCommitted(work, state))) return
  const schema = needed(state.undoSchema, 'undo schema')
  try {
    const reverted = await work.inLive((client) => revertMerge(client, schema, {lockTimeoutMs: config.partial.lockTimeoutMs, signal: io.signal, onWaiting: (why) => { io.progress(why) }}))
    state.takenBack = {transaction: reverted.transaction}
    delete state.merged
    io.notice('The rows are as they were before.')
    // The rows are back whatever becomes of this.
    const findings = await work.inLive((client) => afterRevert(client, reverted, {lockTimeoutMs: config.partial.lockTimeoutMs, signal: io.signal})).catch((error: unknown) => [{severity: 'warning', subject: 'Materialized views', message: messageOf(error)}])
    for (const {severity, subject, message} of findings) if (severity === 'warning') io.notice(`${subject}: ${message}`)
  } catch (error) {
    throw new DrError('partial.not-reverted', `The rows that came back are still there: ${messageOf(error)}`, {cause: error, hints: [`dr undo ${io.run}`, ...(error instanceof DrError ? error.hints : [])], details: error instanceof DrError ? error.details : []})
  }
}

