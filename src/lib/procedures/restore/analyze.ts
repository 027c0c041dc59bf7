import {withClient} from '../../postgres/connection.ts'
import {carriesStatistics} from '../../postgres/restore-lists.ts'
import {analyzeSql, tablesToAnalyze} from '../../postgres/restore-facts.ts'
import {inParallel} from '../../postgres/restore-parallel.ts'
import {setStatements} from '../../postgres/restore-settings.ts'
import {targetUrl} from '../../postgres/target.ts'
import {codeOf} from '../../postgres/errors.ts'
import {messageOf} from '../../errors.ts'
import type {Step} from '../../runbook/procedure.ts'
import {settingsOf} from './load.ts'
import {keeping} from './prove.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import type {RestoreSession} from './session.ts'
import type {RestoreWork} from './work.ts'

/** Without statistics the first minutes of the application would be slower than the outage was long. */
export const analyzeStep = (options: RestoreOptions, work: RestoreWork): Step<RestoreState> =>
  analyzing(options, work, (state) => state.server !== undefined && carriesStatistics(work.lists))

/** `brings`: the statistics came along with the data. */
export function analyzing({target}: Pick<RestoreOptions, 'target'>, work: RestoreSession, brings: (state: RestoreState) => boolean): Step<RestoreState> {
  return {
    id: 'restore.analyze',
    title: 'Statistics for the planner',
    effect: 'write',
    skip: (state) => (brings(state) ? 'the backup brings them along' : undefined),
    byHand: (state) => [{argv: ['vacuumdb', '--analyze-only', `--jobs=${state.jobs}`, `--dbname=${targetUrl(target, state.database)}`]}],
    run: (state, io) => work.time(state.timings, 'analyze', () => keeping(state, io, 'restore.analyze', 'ANALYZE did not come to its end', async () => {
      const {applicationName} = work
      const tables = await withClient(target, {database: state.database, applicationName}, tablesToAnalyze)
      let done = 0
      const options = {target, database: state.database, applicationName, connections: state.jobs, settings: setStatements(settingsOf(state)), doing: 'ANALYZE', signal: io.signal}
      await inParallel(tables, options, async (client, table) => {
        await client.query(analyzeSql(table)).catch((error: unknown) => {
          if (!isOfTheTable(error)) throw error
          state.findings.push({code: 'restore.analyze', severity: 'warning', subject: `${table.schema}.${table.name}`, message: `ANALYZE failed: ${messageOf(error)}`})
        })
        io.progress({unit: 'items', done: ++done, total: tables.length})
      })
    })),
  }
}

/** A function in an index expression may fail where its search_path is not that of the application: the data is none the worse. */
const isOfTheTable = (error: unknown) => /^(22|23|42|P0)/.test(codeOf(error) ?? '')
