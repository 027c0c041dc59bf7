import type {CleanUpOptions, CleanUpState, LeftDatabase} from '../procedures/clean-up/index.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {markedOf} from './standing.ts'
import {targetOf} from './target.ts'

export async function composeCleanUp(context: Context, {olderThan, force}: {olderThan: string; force: boolean}): Promise<{procedure: Procedure<CleanUpState>; state: CleanUpState}> {
  const [config, {cleanUpProcedure, cleanUpState}, {durationMs, durationPattern}, {usageError}] = await Promise.all([context.config(), import('../procedures/clean-up/index.ts'), import('../config/duration.ts'), import('../errors.ts')])
  if (!durationPattern.test(olderThan)) throw usageError('clean-up.older-than', `--older-than ${olderThan} is not a duration.`, {hints: ['Write 12h or 7d.']})
  const options: CleanUpOptions = {config, target: await targetOf(config), olderThanMs: durationMs(olderThan), force, now: new Date()}
  return {procedure: cleanUpProcedure(options), state: cleanUpState(options, await markedOf(context))}
}

/** What there is, and what became of it. */
export async function cleanUpReport({databases, dropped, failed, live}: CleanUpState, olderThan: string): Promise<string[]> {
  const [{bytes, duration}, {columnsOf}, {tableLines}, {meaningOf}] = await Promise.all([import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/table.ts'), import('../procedures/clean-up/index.ts')])
  if (databases.length === 0) return [`There is nothing that swaps of ${live} have left.`]
  const became = ({database, stays}: LeftDatabase) => (dropped.includes(database) ? 'dropped' : `stays: ${failed.find((one) => one.database === database)?.why ?? stays ?? ''}`)
  return [
    ...tableLines(databases, [
      {header: 'DATABASE', value: ({database}) => database, min: 20, priority: 1},
      {header: 'AGE', value: ({ageSeconds}) => duration(ageSeconds * 1000), align: 'right'},
      {header: 'SIZE', value: (one) => (one.bytes === undefined ? '' : bytes(one.bytes)), align: 'right'},
      {header: 'WHAT', value: meaningOf, min: 12, priority: 3},
      {header: '', value: became, min: 16, priority: 2},
    ], {width: process.stderr.isTTY ? columnsOf(process.stderr) : undefined}),
    ...(databases.some(({stays}) => stays === 'younger than the limit') ? [`Younger than ${olderThan} stays; --older-than 0s takes all.`] : []),
  ]
}
