import {compareIntegrity} from '../../checks/integrity.ts'
import type {Finding} from '../../checks/finding.ts'
import {messageOf} from '../../errors.ts'
import {commentSql, databaseNamed, markText} from '../../postgres/create-database.ts'
import type {DatabaseFacts} from '../../postgres/roles.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {readRestored} from './facts.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {settleOutcome} from './outcome.ts'
import {psql} from './preflight.ts'
import type {RestoreSession} from './session.ts'
import {explained} from './skipped.ts'
import type {RestoreWork} from './work.ts'

/** Compares the new database with the manifest. Deviations are findings, not failures: the database is kept to be looked into. */
export function integrityStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {manifest} = options.backup
  return {
    id: 'restore.integrity',
    title: 'Compare with the manifest',
    effect: 'read',
    byHand: (state) => [
      {argv: ['psql', targetUrl(options.target, state.database), '-c', "SELECT schemaname, relname, (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %I.%I', schemaname, relname), false, true, '')))[1] AS rows FROM pg_stat_user_tables ORDER BY 1, 2"], note: 'compare with "tables" in manifest.json'},
    ],
    run: (state, io) => work.time(state.timings, 'integrity', async () => {
      const digests = manifest.digests && options.digest !== false
      await keeping(state, io, 'restore.integrity', 'not everything could be compared with the backup', async () => {
        const restored = await readRestored({...options, manifest}, state, work.applicationName, digests, io)
        state.tables = restored.tables.length
        state.rows = restored.tables.reduce((sum, {rows}) => sum + (rows ?? 0), 0)
        state.findings.push(...explained(compareIntegrity(manifest, restored), state))
      })
      const wrong = state.findings.filter(({severity}) => severity === 'error').length
      if (wrong > 0) io.notice(`${wrong} ${wrong === 1 ? 'thing is' : 'things are'} not as in the backup; ${state.database} is kept to be looked into.`)
    }),
  }
}

/** What is restored is not thrown away because looking at it failed: that is a finding. Only an abort ends the run. */
export async function keeping(state: RestoreState, io: StepIo, code: string, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    io.signal.throwIfAborted()
    state.findings.push({code, severity: 'error', subject: '', message: `${what}: ${messageOf(error)}`, hint: `${state.database} is kept: look into it before it is used`})
  }
}

/** The new database gets the source's comment and is ours no longer. What else belongs to a database is carried over when it takes the live one's place. */
export function finishStep(options: Pick<RestoreOptions, 'target'>, work: RestoreSession, database: Partial<DatabaseFacts> | undefined): Step<RestoreState> {
  return {
    id: 'restore.finish',
    title: 'Hand it over',
    effect: 'write',
    skip: ({swap}) => (swap?.swapped === true ? 'it is live already' : undefined),
    byHand: (state) => [psql(options, work, commentSql(state.database, database?.comment))],
    async run(state) {
      if (database && !state.swap) state.findings.push(...settingsFinding(database, state))
      settleOutcome(state)
      await work.persistently((client) => client.query(commentSql(state.database, database?.comment)))
      state.finished = true
      state.timings.push({phase: 'total', ms: Math.round(performance.now() - work.startedAt) + (state.earlierMs ?? 0)})
    },
    async undo(state) {
      // Also when it is not known to be finished: a process that was killed may have taken the mark away.
      await work.persistently(async (client) => {
        const there = await databaseNamed(client, state.database)
        if (there !== undefined && there.oid === state.databaseOid) await client.query(commentSql(state.database, markText(work.mark)))
      })
      state.finished = false
    },
  }
}

function settingsFinding({owner, settings = [], grants = [], connectionLimit = -1}: Partial<DatabaseFacts>, state: RestoreState): Finding[] {
  const parts = [
    ...(owner === undefined || owner === state.owner ? [] : [`owner ${owner}`]),
    ...settings.map(({role, name, value}) => `${role === undefined ? '' : `[${role}] `}${name} = ${value}`),
    ...grants.map(({grantee, privileges}) => `${grantee}: ${privileges.join(', ')}`),
    ...(connectionLimit === -1 ? [] : [`connection limit ${connectionLimit}`]),
  ]
  if (parts.length === 0) return []
  return [{code: 'restore.database-settings', severity: 'info', subject: '', message: `of the source's database, to be set on this one before it takes the live one's place: ${parts.join('; ')}`}]
}
