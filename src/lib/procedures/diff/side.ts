import {messageOf, verificationError} from '../../errors.ts'
import {readLiveCounts, type LiveTableCounts} from '../../postgres/live-counts.ts'
import type {Step} from '../../runbook/procedure.ts'
import {analyzeStep} from '../restore/analyze.ts'
import {createStep, sweepStep} from '../restore/create.ts'
import {loadStep, restStep, schemaStep} from '../restore/load.ts'
import type {RestoreState} from '../restore/options.ts'
import {preflightSteps, psql} from '../restore/preflight.ts'
import {finishStep} from '../restore/prove.ts'
import {databaseOf} from '../restore/source.ts'
import {dropDatabaseSql} from '../../postgres/create-database.ts'
import type {DiffState, SideCopy} from './options.ts'

/** A step of a restore as one of the comparison, under an id of its own. */
const lifted = (side: SideCopy) => (step: Step<RestoreState>): Step<DiffState> => ({
  id: step.id.replace(/^restore\./, 'diff.copy-'),
  title: step.title,
  effect: step.effect,
  skip: () => step.skip?.(side.state),
  byHand: () => step.byHand(side.state),
  run: (_state, io) => step.run(side.state, io),
  ...(step.undo && {undo: async (_state: DiffState, io) => { await step.undo?.(side.state, io) }}),
})

export const sideChecks = (side: SideCopy): Step<DiffState>[] => preflightSteps(side.options, side.work).map(lifted(side))

/**
 * Restores the rows alone: a comparison needs no indexes, keys or privileges, and they are most of a restore's time. All the
 * while the copy bears the mark of an unfinished restore, so that the next run removes it when this one is killed.
 */
export function sideRestore(side: SideCopy): Step<DiffState>[] {
  const {options, work, keep} = side
  const create = lifted(side)(createStep(options, work))
  const {databaseBytes} = options.backup.manifest.sizes
  const announced: Step<DiffState> = {...create, run: (state, io) => {
    io.notice(`The copy takes up to ${(databaseBytes / 1e9).toFixed(1)} GB of the server's disk${keep ? '' : ' while it is there'}.`)
    return create.run(state, io)
  }}
  const rest = keep ? [restStep(options, work), analyzeStep(options, work)] : []
  return [lifted(side)(sweepStep(options, work)), announced, ...[schemaStep(options, work), loadStep(options, work), ...rest].map(lifted(side)), countStep(side)]
}

/** What the copy tells of the backup beside its rows. */
export function noteNewest({loss}: DiffState, copy: readonly LiveTableCounts[]): void {
  for (const table of loss?.tables ?? []) {
    const newest = copy.find(({schema, name}) => schema === table.schema && name === table.name)?.newest
    if (newest !== undefined) table.newestInBackup = newest
  }
}

/** A copy that is not what was backed up would show differences that are none. */
function countStep({options, work, state: restore}: SideCopy): Step<DiffState> {
  const {target, config: {database}, backup: {manifest}} = options
  return {
    id: 'diff.copy-count',
    title: 'Compare the copy with the manifest',
    effect: 'read',
    byHand: () => [psql(options, work, 'SELECT count(*) FROM ONLY …')],
    async run(state, io) {
      const {tables} = await readLiveCounts(target, {...database, database: restore.database, applicationName: work.applicationName, connections: restore.jobs, signal: io.signal})
      noteNewest(state, tables)
      const counts = new Map(tables.map(({schema, name, rows}) => [JSON.stringify([schema, name]), rows]))
      const wrong = manifest.tables.filter(({schema, name, rows}) => rows !== null && counts.get(JSON.stringify([schema, name])) !== rows)
      const [first] = wrong
      if (first === undefined) return
      throw verificationError('diff.copy', `The restored copy has ${counts.get(JSON.stringify([first.schema, first.name])) ?? 'no'} rows in ${first.schema}.${first.name}, the backup ${first.rows ?? 0}${wrong.length === 1 ? '' : `; ${wrong.length - 1} more tables differ`}.`, {hints: ['dr verify --level full looks at every byte of the backup.']})
    },
  }
}

export function sideEnd(side: SideCopy): Step<DiffState>[] {
  return side.keep ? [lifted(side)(finishStep(side.options, side.work, databaseOf(side.options.backup.manifest)))] : [dropStep(side)]
}

/** What stays behind when it fails is marked as unfinished: the next restore or comparison drops it. */
function dropStep(side: SideCopy): Step<DiffState> {
  const {options, work, state: restore} = side
  return {
    id: 'diff.copy-drop',
    title: 'Drop the copy',
    effect: 'destroy',
    byHand: () => [psql(options, work, dropDatabaseSql(restore.database))],
    async run(_state, io) {
      try {
        await work.drop(restore.database)
        restore.created = false
      } catch (error) {
        io.signal.throwIfAborted()
        io.notice(`${restore.database} could not be dropped: ${messageOf(error)}. The next dr restore does it, or: ${dropDatabaseSql(restore.database)}`)
      }
    },
  }
}
