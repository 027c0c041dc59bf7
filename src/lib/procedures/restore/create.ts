import {DrError, messageOf} from '../../errors.ts'
import {abandonedDatabases, commentSql, createDatabaseSql, createMarkedDatabase, databaseNamed, databaseOf, dropDatabaseSql, dropMarkedDatabase, markText, type NewDatabase} from '../../postgres/create-database.ts'
import {codeOf, statementError} from '../../postgres/errors.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {isOurs, nameTaken, psql} from './preflight.ts'
import type {RestoreSession} from './session.ts'
import type {RestoreWork} from './work.ts'

/** Removes the half-restored databases of killed runs: marked by dr as unfinished, with a name of ours, their run's lock free. */
export function sweepStep(options: Pick<RestoreOptions, 'target'>, work: RestoreSession): Step<RestoreState> {
  return {
    id: 'restore.sweep',
    title: 'Remove what killed restores left',
    effect: 'destroy',
    byHand: () => [psql(options, work, "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE shobj_description(oid, 'pg_database') LIKE 'dr restore %, unfinished'")],
    async run(state, io) {
      const client = await work.maintenance()
      for (const {name, label} of await abandonedDatabases(client, isOurs(state))) {
        try {
          await client.query(dropDatabaseSql(name))
          io.notice(`Dropped ${name}, which a killed restore${label === undefined ? '' : ` of ${label}`} had left unfinished.`)
        } catch (error) {
          io.notice(`${name}, which a killed restore has left, cannot be dropped: ${messageOf(error)}.`)
        }
      }
      for (const {name} of await abandonedDatabases(client, (one) => !isOurs(state)(one))) {
        io.notice(`${name} was left unfinished by a killed restore with another name; if it is no longer needed: ${dropDatabaseSql(name)}`)
      }
    },
  }
}

export function createStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {encoding, collation, server} = options.backup.manifest
  return createDatabaseStep(options, work, {
    database: ({database: name, owner}) => ({name, owner, encoding, collation}),
    majorOf: (state) => state.server?.major ?? server.major,
    // The download needs no database: it begins now.
    begin: (state, io) => { work.flow(state, io.signal) },
  })
}

export interface CreateWish<S> {
  database: (state: S) => NewDatabase
  majorOf: (state: S) => number
  /** What can go on beside it. */
  begin?: (state: S, io: StepIo) => void
}

/** Makes the new database, marked as unfinished; undone by dropping it. */
export function createDatabaseStep<S extends RestoreState>(options: Pick<RestoreOptions, 'target'>, work: RestoreSession, {database, majorOf, begin}: CreateWish<S>): Step<S> {
  return {
    id: 'restore.create',
    title: 'Create the new database',
    effect: 'write',
    skip: ({swap}) => (swap?.swapped === true ? 'what was restored is live already' : undefined),
    byHand: (state) => [psql(options, work, createDatabaseSql(database(state), majorOf(state))), psql(options, work, commentSql(state.database, markText({...work.mark, run: 'RUN'})))],
    async run(state, io) {
      const client = await work.maintenance()
      state.created = true
      begin?.(state, io)
      try {
        // What an earlier process of this run has made of it is begun anew.
        await dropMarkedDatabase(client, state.database, work.mark)
        await createMarkedDatabase(client, database(state), work.mark, majorOf(state))
        state.databaseOid = (await databaseNamed(client, state.database))?.oid ?? 0
      } catch (error) {
        io.signal.throwIfAborted()
        throw codeOf(error) === '42P04' ? nameTaken(state.database, state.live) : statementError(error, `Creating ${state.database}`)
      }
    },
    // Its undo may have failed, with the server: then the database is there.
    async settle({databaseOid}) {
      return databaseOid !== undefined && (await databaseOf(await work.maintenance(), databaseOid)) !== undefined ? 'done' : 'not done'
    },
    async undo(state) {
      await work.drop(state.database).catch((error: unknown) => {
        throw new DrError('restore.not-dropped', `${state.database}, which is not complete, is still there: ${messageOf(error)}`, {cause: error, hints: [`The next dr restore drops it, or: ${dropDatabaseSql(state.database)}`]})
      })
      state.created = false
    },
  }
}
