import {preflightError} from '../../errors.ts'
import type {Archive, ArchiveEntry} from '../../postgres/archive.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import {codeOf, statementError} from '../../postgres/errors.ts'
import {entryName} from '../../postgres/restore-lists.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step} from '../../runbook/procedure.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import type {RestoreSession} from './session.ts'

interface Trial {
  matches(entry: ArchiveEntry): boolean
  /** Undone at once. Providers let their master do what stock PostgreSQL does not: so it is tried, not derived. */
  statements: readonly string[]
  skip: string
}

const TRIALS: readonly Trial[] = [
  {
    matches: ({kind}) => kind === 'EVENT TRIGGER', skip: 'event-triggers',
    statements: ["CREATE FUNCTION pg_temp.dr_trial() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", 'CREATE EVENT TRIGGER dr_trial ON ddl_command_end EXECUTE FUNCTION pg_temp.dr_trial()'],
  },
  {
    matches: ({kind, definition}) => kind === 'PUBLICATION TABLES IN SCHEMA' || (kind === 'PUBLICATION' && /^CREATE PUBLICATION .* FOR ALL TABLES/.test(definition.trimStart())), skip: 'publications',
    statements: ['CREATE PUBLICATION dr_trial FOR ALL TABLES'],
  },
  {
    matches: ({kind}) => kind === 'SUBSCRIPTION', skip: 'subscriptions',
    statements: ["CREATE SUBSCRIPTION dr_trial CONNECTION 'host=127.0.0.1 password=x dbname=x' PUBLICATION x WITH (connect = false, slot_name = NONE)"],
  },
]

const trialsOf = (archive: Archive | undefined) => archive === undefined ? [] : TRIALS.flatMap((trial) => {
  const entries = archive.entries.filter((entry) => trial.matches(entry))
  return entries.length === 0 ? [] : [{...trial, entries}]
})

/** What only superusers may make stands last in an archive: it is tried in the empty database, before the rows are loaded. */
export function rightsStep<S extends RestoreState>({target}: Pick<RestoreOptions, 'target'>, work: RestoreSession, archive: () => Archive | undefined): Step<S> {
  return {
    id: 'restore.rights',
    title: 'Try what needs special rights',
    effect: 'write',
    skip: (state) => (state.server !== undefined && trialsOf(archive()).length === 0 ? 'the backup holds nothing of the kind' : undefined),
    byHand: (state) => TRIALS.map(({statements}) => ({argv: ['psql', targetUrl(target, state.database), '-c', ['BEGIN', ...statements, 'ROLLBACK'].join('; ')], note: 'when the backup holds such objects'})),
    run: (state) => withClient(target, {database: state.database, applicationName: work.applicationName}, async (client) => {
      const refused: ReturnType<typeof trialsOf> = []
      for (const trial of trialsOf(archive())) if (!(await isAllowed(client, trial))) refused.push(trial)
      if (refused.length === 0) return
      throw preflightError('restore.superuser', `Role ${state.server?.user ?? ''} may not make what only superusers may: ${refused.flatMap(({entries}) => entries.map(entryName)).join(', ')}.`, {
        hints: [`Leave them out: ${refused.map(({skip}) => `--skip ${skip}`).join(' ')}`, 'Or restore as a superuser.'],
      })
    }),
  }
}

async function isAllowed(client: Client, {statements}: Trial): Promise<boolean> {
  await client.query('BEGIN')
  try {
    for (const statement of statements) await client.query(statement)
    return true
  } catch (error) {
    if (codeOf(error) !== '42501') throw statementError(error, 'Trying what needs special rights')
    return false
  } finally {
    await client.query('ROLLBACK')
  }
}
