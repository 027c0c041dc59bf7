import {preflightError} from '../../errors.ts'
import {readPlace} from '../../postgres/newer-rows.ts'
import {publicationsOfAll} from '../../postgres/partial/publications.ts'
import {partialRights} from '../../postgres/partial/rights.ts'
import {readMeanings} from '../../postgres/partial/session.ts'
import {assertNoPooler} from '../../postgres/pooler.ts'
import {readServer} from '../../postgres/server.ts'
import {occupants} from '../../postgres/swap-sessions.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step} from '../../runbook/procedure.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {byApplication} from '../swap/preflight.ts'
import {undoSchemaOf, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'

/** With the rows in a database beside that is left for hand work, nothing is ever made in the live one. */
const writesNothing = ({isBeside}: PartialWork, {way}: PartialState): boolean => isBeside && way === 'side'

/** Who the target is, and whether this role can do there what is needed; nothing is made yet. */
export function targetStep({target}: PartialOptions, work: PartialWork): Step<PartialState> {
  return {
    id: 'partial.target',
    title: `Look at the live database ${target.database}`,
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', "SELECT version(), pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE, TEMPORARY')", '-c', 'SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1']}],
    run: (state, io) => work.inLive(async (client) => {
      const {version, systemIdentifier, inRecovery, database, databaseBytes} = await readServer(client)
      if (inRecovery) throw preflightError('partial.standby', `The server ${target.host}:${target.port} is a standby: nothing can be written there.`, {hints: ['Set DATABASE_URL to the primary.']})
      await assertNoPooler(client, {...target, database})
      const {owner, user, missing} = await partialRights(client)
      if (missing.length > 0 && !writesNothing(work, state)) throw preflightError('partial.rights', `The role ${user} may not make ${missing.join(' and ')} in ${target.database}.`, {hints: [`GRANT ${missing.includes('schemas') ? 'CREATE, ' : ''}TEMPORARY ON DATABASE ${quoteIdent(target.database)} TO ${quoteIdent(user)}`, `Or connect as ${owner}, who owns the database.`]})
      state.target = {host: target.host, port: target.port, serverVersion: version, systemIdentifier, database: state.live, owner, bytes: databaseBytes, sessions: byApplication(await occupants(client, [state.live]))}
      state.place = await readPlace(client)
      state.meanings = await readMeanings(client)
      state.undoSchema ??= undoSchemaOf(io.run)
      state.publications = await publicationsOfAll(client)
    }),
  }
}
