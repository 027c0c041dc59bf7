import {DrError, messageOf} from '../../errors.ts'
import {dropDatabaseSql} from '../../postgres/create-database.ts'
import {dropStage, keepStage, stageSchemaName} from '../../postgres/partial/stage-schema.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {dropBeside, keepBeside} from './beside.ts'
import type {StageOptions, StageState} from './options.ts'
import type {StageWork} from './work.ts'

/** Throws `partial.not-dropped`, saying what does it. */
export async function dropStaged({target}: StageOptions, work: StageWork, state: StageState): Promise<void> {
  const schema = stageSchemaName(work.run)
  const left = (what: string, error: unknown, statement: string) => new DrError('partial.not-dropped', `The ${what} is still there: ${messageOf(error)}`, {cause: error, hints: [`The next dr partial drops it, or: ${statement}`]})
  await work.live(new AbortController().signal, (client) => dropStage(client, {schema, run: work.run})).catch((error: unknown) => { throw left(`staging schema ${schema} in ${target.database}`, error, `DROP SCHEMA ${schema} CASCADE`) })
  if (work.isBeside) await dropBeside(work).catch((error: unknown) => { throw left(`database ${work.stageDatabase}`, error, dropDatabaseSql(work.stageDatabase)) })
  delete state.stageSchema
  delete state.staged
  delete state.brought
  delete state.stageDatabase
}

export interface Keeping<S> {
  keep: (state: S) => boolean
  /** What whoever has them kept must know. */
  tell: (state: S, note: string) => void
}

/** The end of staging: schema and database go, or stay for hand work under a mark that no later run sweeps. */
export function dropStageStep<S extends StageState>(options: StageOptions, work: StageWork, {keep, tell}: Keeping<S> = {keep: () => false, tell: () => {}}): Step<S> {
  const {target, config} = options
  const schema = stageSchemaName(work.run)
  return {
    id: 'partial.stage-drop',
    title: 'Drop the staged rows',
    effect: 'destroy',
    byHand: () => [
      {argv: ['psql', targetUrl(target), '-c', `DROP SCHEMA ${schema} CASCADE`]},
      ...(work.isBeside ? [{argv: ['psql', targetUrl(target, config.database.maintenanceDatabase), '-c', dropDatabaseSql(work.stageDatabase)]}] : []),
    ],
    async run(state, io) {
      if (keep(state)) {
        const note = await keepStaged(work, state, io)
        if (note === undefined) return
        tell(state, note)
        io.notice(note)
        return
      }
      await dropStaged(options, work, state).catch((error: unknown) => {
        io.signal.throwIfAborted()
        io.notice(messageOf(error))
      })
    },
  }
}

async function keepStaged(work: StageWork, state: StageState, io: StepIo): Promise<string | undefined> {
  if (work.isBeside) {
    await keepBeside(work, state, io)
    return undefined
  }
  const schema = stageSchemaName(work.run)
  const publications = await work.live(io.signal, (client) => keepStage(client, {schema, run: work.run}))
  return publications.length === 0 ? undefined : `The tables of ${schema} stay UNLOGGED, so that no subscriber of ${publications.join(', ')} stops over them: a crash of the server, or its failover, empties them. Those of --stage database outlast it.`
}
