import {DrError, preflightError} from '../errors.ts'
import {connect, rowsOf, type Client} from './connection.ts'
import {quoteIdent, quoteLiteral} from './quote.ts'
import type {Target} from './target.ts'

/** A connection to a database that is none of these: from inside, none can be renamed. */
export async function connectOutside(target: Target, not: readonly string[], maintenanceDatabase: string, applicationName: string): Promise<Client> {
  const candidates = [...new Set([maintenanceDatabase, 'postgres', 'template1'])].filter((name) => !not.includes(name))
  const tried: string[] = []
  for (const database of candidates) {
    try {
      const client = await connect(target, {database, applicationName})
      await client.query('SET search_path = pg_catalog')
      return client
    } catch (error) {
      if (!(error instanceof DrError) || !['postgres.no-database', 'postgres.denied'].includes(error.code)) throw error
      tried.push(database)
    }
  }
  throw preflightError('swap.no-other-database', `No other database of the server can be reached (tried ${tried.join(', ')}): a database cannot be renamed from inside.`, {hints: ['Set database.maintenanceDatabase to one that this role may connect to.', 'dr restore --in-place needs no other database.']})
}

/** What a database is to a swap. */
export interface SwapParty {
  name: string
  oid: number
  owner: string
  /** The connected role owns it, or is a member of who does. */
  owned: boolean
  template: boolean
  /** An interrupted DROP DATABASE has left it. */
  invalid: boolean
  /** A restore is at work in it, or was killed there. */
  unfinished: boolean
  slots: string[]
  prepared: string[]
  subscriptions: string[]
}

/** Undefined when there is no such database. */
export async function readParty(client: Client, name: string): Promise<SwapParty | undefined> {
  const [row] = await rowsOf<{oid: string; owner: string; owned: boolean; template: boolean; invalid: boolean; unfinished: boolean}>(client, `
    SELECT oid::text AS oid, pg_get_userbyid(datdba) AS owner, pg_has_role(current_user, datdba, 'USAGE') AS owned, datistemplate AS template, datconnlimit = -2 AS invalid,
      starts_with(datname, 'dr_unfinished_') OR coalesce(shobj_description(oid, 'pg_database'), '') ~ '^dr restore .*, unfinished$' AS unfinished
    FROM pg_catalog.pg_database WHERE datname = $1`, [name])
  if (row === undefined) return undefined
  const namesOf = async (sql: string, value: unknown) => (await rowsOf<{name: string}>(client, sql, [value])).map((one) => one.name)
  return {
    ...row, name, oid: Number(row.oid),
    slots: await namesOf('SELECT slot_name AS name FROM pg_catalog.pg_replication_slots WHERE database = $1 ORDER BY 1', name),
    prepared: await namesOf('SELECT gid AS name FROM pg_catalog.pg_prepared_xacts WHERE database = $1 ORDER BY 1', name),
    subscriptions: await namesOf('SELECT subname AS name FROM pg_catalog.pg_subscription WHERE subdbid = $1 ORDER BY 1', row.oid),
  }
}

export interface Renamer {
  user: string
  superuser: boolean
  createDb: boolean
  inRecovery: boolean
}

export async function readRenamer(client: Client): Promise<Renamer> {
  const [row] = await rowsOf<Renamer>(client, 'SELECT current_user AS user, rolsuper AS superuser, rolcreatedb AS "createDb", pg_is_in_recovery() AS "inRecovery" FROM pg_catalog.pg_roles WHERE rolname = current_user')
  return row ?? {user: '', superuser: false, createDb: false, inRecovery: false}
}

/** Throws what would make the swap fail, or take something along that must not go with it. */
export function assertSwappable(party: SwapParty, renamer: Renamer): void {
  if (renamer.inRecovery) throw preflightError('restore.standby', 'The server is a standby: nothing can be restored into it.', {hints: ['Set DATABASE_URL to the primary.']})
  if (!renamer.superuser && !renamer.createDb) throw preflightError('swap.rights', `Role ${renamer.user} may not rename databases: it needs CREATEDB.`, {hints: [`ALTER ROLE ${quoteIdent(renamer.user)} CREATEDB (needs a superuser; on RDS the master user).`]})
  if (!party.owned) throw preflightError('swap.rights', `Role ${renamer.user} may not rename ${party.name}: it belongs to ${party.owner}.`, {hints: [`GRANT ${quoteIdent(party.owner)} TO ${quoteIdent(renamer.user)}`, 'Or connect as its owner.']})
  const trouble = troubleOf(party)
  if (trouble !== undefined) throw trouble
}

function troubleOf({name, template, invalid, unfinished, prepared, slots, subscriptions}: SwapParty): DrError | undefined {
  if (template) return preflightError('swap.template', `${name} is a template database.`, {hints: [`ALTER DATABASE ${quoteIdent(name)} IS_TEMPLATE false`]})
  if (invalid) return preflightError('swap.invalid', `${name} is what an interrupted DROP DATABASE has left.`, {hints: [`DROP DATABASE ${quoteIdent(name)}`]})
  if (unfinished) return preflightError('swap.unfinished', `${name} is what a restore is making, or has left half made.`, {hints: ['dr resume shows the run: go on with it, or undo it.']})
  if (prepared.length > 0) {
    return preflightError('swap.prepared', `${name} holds ${counted(prepared, 'a prepared transaction', 'prepared transactions')}, so it cannot be renamed: ${prepared.join(', ')}.`, {hints: prepared.slice(0, 3).map((gid) => `In ${name}: ROLLBACK PREPARED ${quoteLiteral(gid)}, or COMMIT PREPARED`)})
  }
  if (slots.length > 0) {
    return preflightError('swap.slots', `${name} has ${counted(slots, 'a logical replication slot', 'logical replication slots')}, which would follow the old database and vanish when that is dropped: ${slots.join(', ')}.`, {hints: [...slots.slice(0, 3).map((slot) => `SELECT pg_drop_replication_slot(${quoteLiteral(slot)})`), 'Its consumers must begin anew after the swap.']})
  }
  if (subscriptions.length > 0) {
    return preflightError('swap.subscriptions', `${name} has ${counted(subscriptions, 'a subscription', 'subscriptions')}, which would go on writing into the old database: ${subscriptions.join(', ')}.`, {hints: subscriptions.slice(0, 3).map((subscription) => `In ${name}: DROP SUBSCRIPTION ${quoteIdent(subscription)}`)})
  }
  return undefined
}

const counted = (names: readonly string[], one: string, many: string) => (names.length === 1 ? one : `${names.length} ${many}`)
