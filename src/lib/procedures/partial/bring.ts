import type {StagedTable} from '../../postgres/partial/contract.ts'
import {statementError} from '../../postgres/errors.ts'
import {shapeOf} from '../../postgres/partial/names.ts'
import {withNeededRows, type Needed} from '../../postgres/partial/needed-rows.ts'
import {stageColumns} from '../../postgres/partial/stage-columns.ts'
import {finishStage, stageQuery} from '../../postgres/partial/stage-rows.ts'
import {createStage, dropStage, stageSchemaName} from '../../postgres/partial/stage-schema.ts'
import {targetUrl} from '../../postgres/target.ts'
import {rowsText} from '../../report/partial-lines.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {widest} from './beside.ts'
import {leftOut} from './merge.ts'
import {lostTables, needed, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'
import {rowError} from './stage.ts'

/** Once it is agreed to: the rows that the merge needs go from the database beside into a staging schema of the live one. */
export function bringStep({target}: PartialOptions, work: PartialWork): Step<PartialState> {
  const schema = stageSchemaName(work.run)
  return {
    id: 'partial.bring',
    title: 'Bring the rows that are needed into a staging schema of the live database',
    effect: 'write',
    skip: (state) => leftOut(state) ?? (state.merged === undefined ? undefined : 'it is done'),
    byHand: () => [{argv: ['sh', '-c', `pg_dump --table='${schema}.*' '${targetUrl(target, work.stageDatabase)}' | psql '${targetUrl(target)}'`], note: 'only the rows that differ; of exact all'}],
    run: (state, io) => stopwatch(state.timings).time('bring', async () => {
      try {
        await bring(work, state, io)
      } catch (error) {
        io.signal.throwIfAborted()
        throw statementError(error, 'Bringing the rows into the live database')
      }
    }),
    async undo(state) {
      await work.live(new AbortController().signal, (client) => dropStage(client, {schema, run: work.run}))
      delete state.stageSchema
      delete state.brought
    },
  }
}

async function bring(work: PartialWork, state: PartialState, io: StepIo): Promise<void> {
  const request = work.comparing(state, widest(state.way))
  await work.beside(io.signal, async (side) => withNeededRows(side, request, lostTables(state), async (wanted) => {
    const brought = await makeTables(work, state, io, wanted)
    let rows = 0
    for (const [place, {staged: {table}, query}] of wanted.entries()) {
      const into = needed(brought[place], 'table to bring rows into')
      io.progress({unit: 'items', done: place, total: wanted.length, note: `${table.schema}.${table.name}`})
      await work.live(io.signal, (client) => stageQuery(client, into, {client: side, query}, io.signal)).catch((error: unknown) => {
        io.signal.throwIfAborted()
        throw rowError(error, table)
      })
      into.rows = await work.live(io.signal, (client) => finishStage(client, into.stage, into.key))
      rows += into.rows
    }
    state.brought = brought
    const all = wanted.reduce((sum, one) => sum + one.staged.rows, 0)
    io.notice(`${rowsText(rows)} of ${all.toLocaleString('en-US')} that were staged are brought into ${state.live}.`)
  }))
}

/** In the backup's types, as they are live now: a lost table may have brought its own back. */
async function makeTables(work: PartialWork, state: PartialState, io: StepIo, wanted: readonly Needed[]): Promise<StagedTable[]> {
  const {live, backup} = work.catalogs
  const schema = stageSchemaName(work.run)
  return work.live(io.signal, async (client) => {
    await dropStage(client, {schema, run: work.run})
    const tables = []
    for (const {staged: {table, stage}} of wanted) {
      const {columns} = await stageColumns(client, needed(shapeOf(backup, table), 'table of the backup'), shapeOf(live, table))
      tables.push({schema, name: stage.name, columns})
    }
    state.stageSchema = schema
    await createStage(client, work.run, tables)
    return wanted.map(({staged}) => ({...staged, stage: {schema, name: staged.stage.name}, rows: 0}))
  })
}
