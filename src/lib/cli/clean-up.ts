import type {CleanUpOptions, CleanUpState, LeftDatabase} from '../procedures/clean-up/index.ts'
import type {LeftSchema} from '../procedures/clean-up/schemas.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {abandonedOf, markedOf} from './standing.ts'
import {targetOf} from './target.ts'

export async function composeCleanUp(context: Context, {olderThan, force}: {olderThan: string; force: boolean}): Promise<{procedure: Procedure<CleanUpState>; state: CleanUpState}> {
  const [config, {cleanUpProcedure, cleanUpState}, {durationMs, durationPattern}, {usageError}] = await Promise.all([context.config(), import('../procedures/clean-up/index.ts'), import('../config/duration.ts'), import('../errors.ts')])
  if (!durationPattern.test(olderThan)) throw usageError('clean-up.older-than', `--older-than ${olderThan} is not a duration.`, {hints: ['Write 12h or 7d.']})
  const options: CleanUpOptions = {config, target: await targetOf(config), olderThanMs: durationMs(olderThan), force, now: new Date()}
  return {procedure: cleanUpProcedure(options), state: cleanUpState(options, await markedOf(context), await schemasIn(options), await abandonedOf(context))}
}

/** None when the live database is gone. */
async function schemasIn({target, olderThanMs, now}: CleanUpOptions): Promise<LeftSchema[]> {
  const [{leftSchemas}, {DrError}] = await Promise.all([import('../procedures/clean-up/schemas.ts'), import('../errors.ts')])
  return leftSchemas(target, {olderThanMs, now}).catch((error: unknown) => {
    if (error instanceof DrError && ['postgres.no-database', 'postgres.denied'].includes(error.code)) return []
    throw error
  })
}

/** What there is, and what became of it. */
export async function cleanUpReport(state: CleanUpState, olderThan: string): Promise<string[]> {
  const [{bytes, duration}, {columnsOf}, {tableLines}, {meaningOf}] = await Promise.all([import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/table.ts'), import('../procedures/clean-up/index.ts')])
  const {databases, schemas, dropped, droppedSchemas, failed, failedSchemas, live} = state
  if (databases.length + schemas.length === 0) return [`There is nothing that swaps and partial restores of ${live} have left.`]
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  const schemaBecame = ({schema, stays}: LeftSchema) => (droppedSchemas.includes(schema) ? 'dropped' : `stays: ${failedSchemas.find((one) => one.schema === schema)?.why ?? stays ?? ''}`)
  const became = ({database, stays}: LeftDatabase) => (dropped.includes(database) ? 'dropped' : `stays: ${failed.find((one) => one.database === database)?.why ?? stays ?? ''}`)
  return [
    ...tableLines(databases, [
      {header: 'DATABASE', value: ({database}) => database, min: 20, priority: 1},
      {header: 'AGE', value: ({ageSeconds}) => duration(ageSeconds * 1000), align: 'right'},
      {header: 'SIZE', value: (one) => (one.bytes === undefined ? '' : bytes(one.bytes)), align: 'right'},
      {header: 'WHAT', value: meaningOf, min: 12, priority: 3},
      {header: '', value: became, min: 16, priority: 2},
    ], {width}),
    ...tableLines(schemas, [
      {header: 'SCHEMA', value: ({schema}) => schema, min: 20, priority: 1},
      {header: 'AGE', value: ({ageSeconds}) => duration(ageSeconds * 1000), align: 'right'},
      {header: 'WHAT', value: ({kind}) => (kind === 'undo' ? 'rows before a partial restore' : 'rows of a backup'), min: 12, priority: 3},
      {header: '', value: schemaBecame, min: 16, priority: 2},
    ], {width}),
    ...([...databases, ...schemas].some(({stays}) => stays === 'younger than the limit') ? [`Younger than ${olderThan} stays; --older-than 0s takes all.`] : []),
  ]
}
