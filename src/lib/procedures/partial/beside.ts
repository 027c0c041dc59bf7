import {preflightError} from '../../errors.ts'
import {readDatabaseText} from '../../postgres/database-text.ts'
import {statementError} from '../../postgres/errors.ts'
import type {MergeMode} from '../../postgres/partial/contract.ts'
import {rightsError} from '../../postgres/partial/guard.ts'
import {copyMirror, createMirror, dropMirror, mirrorBytes} from '../../postgres/partial/mirror.ts'
import {mirrorPlan, type MirrorPlan} from '../../postgres/partial/mirror-plan.ts'
import {assertMirrorable, assertSideCondition} from '../../postgres/partial/mirror-refusals.ts'
import {shapeOf} from '../../postgres/partial/names.ts'
import {keepStage, stageSchemaName} from '../../postgres/partial/stage-schema.ts'
import {serverDiskSpace} from '../../postgres/server-disk.ts'
import {createStageDatabase, dropKeptStageDatabase, keepStageDatabase} from '../../postgres/stage-database.ts'
import {targetUrl} from '../../postgres/target.ts'
import {size} from '../../report/swap-lines.ts'
import {rowsText, type Way} from '../../report/partial-lines.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import type {StageState} from './options.ts'
import {needed, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'
import {there, type StageWork} from './work.ts'

/*
 * --stage database. The rows of the backup are loaded into a database of their own on the same server, and what a comparison reads of
 * the live tables is copied there, so that the comparison is made by the statements that a staging schema is compared with, and finds
 * the same. Into the live database nothing is written until its operator has agreed; then the rows that the merge needs are brought
 * into a staging schema of it, and the merge looks everything up anew there, as ever: what it finds must be what was agreed to.
 */

/** Way of which the most of what is live is looked at. */
export const widest = (way: Way | undefined): MergeMode => (way === undefined || way === 'side' ? 'exact' : way)

/** Makes the database, marked and closed; what an earlier process of this run has made of it is begun anew. */
export async function createBeside(work: StageWork, state: StageState): Promise<void> {
  const client = await work.session.maintenance()
  const {major} = there(state.server, 'The server has not been looked at.')
  const text = there(await readDatabaseText(client, state.live, major), `There is no database ${state.live}.`)
  await dropBeside(work)
  state.stageDatabase = work.stageDatabase
  await createStageDatabase(client, {name: work.stageDatabase, encoding: text.encoding, collation: text.collation}, work.session.mark, major)
}

/** Only when it bears a mark of this run. */
export async function dropBeside(work: StageWork): Promise<void> {
  await work.leaveBeside()
  await work.session.drop(work.stageDatabase)
  await dropKeptStageDatabase(await work.session.maintenance(), work.stageDatabase, work.run)
}

/** With --merge side: the rows of the backup stay, the copies of live ones do not. */
export async function keepBeside(work: StageWork, state: StageState, io: StepIo): Promise<void> {
  const {mirrored} = work
  await work.beside(io.signal, async (client) => {
    if (mirrored) await dropMirror(client, mirrored.mirrors)
    await keepStage(client, {schema: stageSchemaName(work.run), run: work.run})
  })
  await work.leaveBeside()
  await keepStageDatabase(await work.session.maintenance(), {name: work.stageDatabase, live: state.live, run: work.run, at: new Date()})
}

const planFor = (work: PartialWork, state: PartialState, staged: Parameters<typeof mirrorPlan>[0]['staged']): MirrorPlan =>
  mirrorPlan({...work.catalogs, selection: needed(state.selection, 'selection'), staged, mode: widest(state.way)}, state.lost)

/** Refuses, before anything is made, a selection that can only be compared in the live database. `also`: staged beside it. */
export async function refuseBeside({wish}: PartialOptions, work: PartialWork, state: PartialState, also: Parameters<typeof mirrorPlan>[0]['staged'], signal: AbortSignal): Promise<void> {
  const {where} = wish
  const [first] = needed(state.selection, 'selection').tables
  const shape = first && shapeOf(work.catalogs.live, first.table)
  await work.live(signal, async (client) => {
    await assertMirrorable(client, planFor(work, state, also), work.catalogs.live, widest(state.way))
    if (where !== undefined && shape !== undefined) await assertSideCondition(client, shape, where)
  })
}

/** Copies what a comparison reads of the live tables, as they are at one instant, to where the rows of the backup are. */
export function mirrorStep(options: PartialOptions, work: PartialWork): Step<PartialState> {
  const {target} = options
  return {
    id: 'partial.mirror',
    title: 'Copy the live rows beside those of the backup',
    effect: 'write',
    byHand: () => [{argv: ['sh', '-c', `pg_dump --data-only --table=TABLE '${targetUrl(target)}' | psql '${targetUrl(target, work.stageDatabase)}'`], note: 'into tables of the same columns'}],
    run: (state, io) => stopwatch(state.timings).time('mirror', () => mirror(options, work, state, io).catch((error: unknown) => {
      io.signal.throwIfAborted()
      throw statementError(rightsError(error), 'Copying the live rows')
    })),
  }
}

async function mirror({target}: PartialOptions, work: PartialWork, state: PartialState, io: StepIo): Promise<void> {
  const plan = planFor(work, state, needed(state.staged, 'staging'))
  const {live} = work.catalogs
  await work.live(io.signal, async (client) => {
    const bytes = await mirrorBytes(client, plan)
    await assertRoom(work, target, bytes)
    await work.beside(io.signal, async (side) => {
      const mirrors = await createMirror(client, side, plan, live, state.source.at)
      work.mirrored = {mirrors, live}
      const {rows, snapshot} = await copyMirror(client, side, mirrors, live, {signal: io.signal, onTable: ({schema, name}, done) => { io.progress({unit: 'items', done, total: mirrors.length, note: `${schema}.${name}`}) }})
      work.mirrored = {mirrors, live, snapshot}
      io.notice(`${rowsText(rows)} of live tables, ${size(bytes)} there at most, are copied into ${work.stageDatabase} to be compared.`)
    })
  })
}

async function assertRoom(work: PartialWork, target: PartialOptions['target'], bytes: number): Promise<void> {
  const free = await serverDiskSpace(await work.session.maintenance(), target)
  if (free === undefined || free >= bytes) return
  throw preflightError('partial.stage-space', `The server's disk has ${size(free)} free; the live tables that are to be compared take ${size(bytes)}.`, {hints: ['--stage schema compares them where they are.', 'dr restore clean-up drops what earlier runs have left.']})
}
