import {describeRestored} from '../../../checks/restored.ts'
import {withClient} from '../../../postgres/connection.ts'
import {databaseExists} from '../../../postgres/restore-needs.ts'
import {listTables} from '../../../postgres/tables.ts'
import {targetUrl} from '../../../postgres/target.ts'
import type {Step} from '../../../runbook/procedure.ts'
import {readRestored} from '../facts.ts'
import {keeping} from '../prove.ts'
import type {ForeignOptions, ForeignState} from './options.ts'
import type {ForeignWork} from './work.ts'

/** Without a manifest there is nothing to compare with: what is there is counted and told, beside the tables of the live database. */
export function describeStep(options: ForeignOptions, work: ForeignWork): Step<ForeignState> {
  const {target, config} = options
  return {
    id: 'restore.describe',
    title: 'Count and look at what is there',
    effect: 'read',
    byHand: (state) => [{argv: ['psql', targetUrl(target, state.database), '-c', 'SELECT schemaname, relname, n_live_tup FROM pg_stat_user_tables ORDER BY 1, 2']}],
    run: (state, io) => work.time(state.timings, 'integrity', () => keeping(state, io, 'restore.describe', 'not everything could be looked at', async () => {
      const restored = await readRestored({target, config}, state, work.applicationName, false, io)
      state.tables = restored.tables.length
      state.rows = restored.tables.reduce((sum, {rows}) => sum + (rows ?? 0), 0)
      state.findings.push(...describeRestored(restored, await liveTables(options, work)))
    })),
  }
}

/** Only their names are looked at. Undefined when there is no live database, or it does not let us in. */
async function liveTables({target, config}: ForeignOptions, work: ForeignWork): Promise<{schema: string; name: string}[] | undefined> {
  if (!(await databaseExists(await work.maintenance(), target.database))) return undefined
  return withClient(target, {applicationName: work.applicationName}, async (client) => {
    await client.query("SET statement_timeout = '10s'; SET lock_timeout = '1s'")
    return listTables(client, config.database, {sizes: false})
  }).catch(() => undefined)
}
