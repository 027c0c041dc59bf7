import {messageOf, preflightError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {codeOf} from '../../postgres/errors.ts'
import {countLive, lastChangeOf, unreadableBecause, type LiveCounts} from '../../postgres/live.ts'
import {incomparable, readPlace} from '../../postgres/newer-rows.ts'
import {serverDiskSpace} from '../../postgres/server-disk.ts'
import {assertNoPooler} from '../../postgres/pooler.ts'
import {readServer} from '../../postgres/server.ts'
import {occupantNames, occupants, type Occupant} from '../../postgres/swap-sessions.ts'
import {assertSwappable, readParty, readRenamer, type Renamer, type SwapParty} from '../../postgres/swap-needs.ts'
import {targetUrl} from '../../postgres/target.ts'
import {size, type SwapTarget} from '../../report/swap-lines.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import {swapOf, tableName, type SwapOptions, type SwapState, type SwapSubject} from './options.ts'
import {outside, psql} from './work.ts'

const COUNT_BUDGET_MS = 30_000

/** Refuses a database of another environment or name, unless it was named. Known before any connection. */
export function assertSource({source, target, config, from}: SwapOptions): void {
  const {environment, database} = source
  if (environment === undefined && database === undefined) return
  const name = `${environment ?? '?'}/${database ?? '?'}`
  const own = environment === config.environment && database === target.database
  if (own || from === name) return
  const which = environment === config.environment ? `database ${database ?? ''}` : `environment ${environment ?? ''}`
  throw preflightError('swap.other-source', `The ${source.title} is of another ${which}; the target is ${target.database} (${config.environment}).`, {hints: [
    `Pass --from ${shellQuote(name)} if it is to take the place of ${target.database} all the same.`, 'dr list shows the backups; --environment names another environment.',
  ]})
}

/** Everything that can be known to hinder the swap is known here, before anything is made. */
export function preflightSteps(options: SwapOptions): Step<SwapSubject>[] {
  return [targetStep(options), spaceStep(options), lossStep(options)]
}

function targetStep(options: SwapOptions): Step<SwapSubject> {
  const {target} = options
  return {
    id: 'swap.target',
    title: `Look at the live database ${target.database}`,
    effect: 'read',
    byHand: ({live}) => [psql(options,
      `SELECT oid, pg_get_userbyid(datdba) AS owner, pg_has_role(current_user, datdba, 'USAGE') AS may_rename FROM pg_database WHERE datname = '${live.replaceAll("'", "''")}'`,
      `SELECT pid, usename, application_name, state FROM pg_stat_activity WHERE datname = '${live.replaceAll("'", "''")}'`,
      `SELECT slot_name FROM pg_replication_slots WHERE database = '${live.replaceAll("'", "''")}'`, `SELECT gid FROM pg_prepared_xacts WHERE database = '${live.replaceAll("'", "''")}'`,
      "SELECT subname, datname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid")],
    run: (state, io) => outside(options, state, async (client) => {
      const [party, renamer] = [await readParty(client, state.live), await readRenamer(client)]
      const {version, systemIdentifier, database} = await readServer(client)
      await assertNoPooler(client, {...target, database})
      if (options.source.standing) swapOf(state).sideOid = assertSide(await readParty(client, state.database), state, renamer)
      if (party !== undefined && party.oid === swapOf(state).sideOid) {
        // An earlier process of the run was killed behind COMMIT.
        swapOf(state).swapped = true
        return
      }
      forget(swapOf(state))
      if (party === undefined) {
        swapOf(state).missing = true
        io.notice(`There is no database ${state.live}: the restored one gets its name, and nothing is replaced.`)
        assertSwappable({name: state.live, oid: 0, owner: renamer.user, owned: true, template: false, invalid: false, unfinished: false, slots: [], prepared: [], subscriptions: []}, renamer)
        return
      }
      assertSwappable(party, renamer)
      const found = await occupants(client, [state.live])
      warnOfMasters(found, io)
      swapOf(state).liveOid = party.oid
      swapOf(state).target = {host: target.host, port: target.port, serverVersion: version, systemIdentifier, database: state.live, owner: party.owner, sessions: byApplication(found)}
    }),
  }
}

/** A later process of a run looks anew. */
function forget(swap: SwapState): void {
  delete swap.missing
  delete swap.unreadable
  delete swap.troubles
  delete swap.loss
  delete swap.target
  delete swap.liveOid
}

function assertSide(side: SwapParty | undefined, {database}: SwapSubject, renamer: Renamer): number {
  if (side === undefined) throw preflightError('swap.side-gone', `There is no database ${database}.`, {hints: ['psql -l shows which databases there are.']})
  assertSwappable(side, renamer)
  return side.oid
}

/** They are waited for when it is time; to know it now may save an hour. */
function warnOfMasters(found: readonly Occupant[], io: StepIo): void {
  const masters = found.filter(({mayEnd}) => !mayEnd)
  if (masters.length > 0) io.notice(`Note: this role may not end ${occupantNames(masters)}. The swap waits until ${masters.length === 1 ? 'that session has' : 'those sessions have'} left.`)
}

export function byApplication(found: readonly Occupant[]): SwapTarget['sessions'] {
  const counts = new Map<string, number>()
  for (const {application, user} of found) if (user !== '') counts.set(application, (counts.get(application) ?? 0) + 1)
  return [...counts].map(([application, count]) => ({application, count})).toSorted((a, b) => b.count - a.count)
}

/** Both databases are there at once. Providers do not let the disk be looked at. */
function spaceStep(options: SwapOptions): Step<SwapSubject> {
  const {target, source: {bytes}} = options
  return {
    id: 'swap.space',
    title: 'Room for a second database',
    effect: 'read',
    skip: () => (bytes === undefined ? 'how much it takes is not known, or it is there already' : undefined),
    byHand: () => [psql(options, 'SHOW data_directory'), {argv: ['df', '-h', 'DATA_DIRECTORY'], note: `on ${target.host}; the new database takes about ${size(bytes ?? 0)}`}],
    run: (state, io) => outside(options, state, async (client) => {
      const free = await serverDiskSpace(client, target)
      if (free === undefined) {
        io.notice(`How much room the server has cannot be seen from here; the new database takes about ${size(bytes ?? 0)} beside the old one.`)
      } else if (free < (bytes ?? 0)) {
        throw preflightError('swap.space', `The server's disk has ${size(free)} free; the new database takes about ${size(bytes ?? 0)} beside the old one.`, {hints: ['Free space there: dr restore clean-up drops databases that earlier swaps have left.', 'Give the server a larger disk; on RDS: aws rds modify-db-instance --allocated-storage.']})
      }
    }),
  }
}

/** How many rows there are now, and how many there would be. */
export function lossStep(options: SwapOptions): Step<SwapSubject> {
  const {target, config, applicationName, source} = options
  const count = (database: string, io: StepIo, sinceXid?: string) => countLive(target, {
    sinceXid,
    ...config.database, database, applicationName, budgetMs: COUNT_BUDGET_MS, signal: io.signal,
    onCounted: (done, total) => { io.progress({unit: 'items', done, total, note: `${done} of ${total} tables of ${database}`}) },
  })
  return {
    id: 'swap.loss',
    title: 'Count what would be replaced',
    effect: 'read',
    byHand: ({live}) => [{argv: ['psql', targetUrl(target, live), '-c', 'SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY 1'], note: 'estimates; dr counts'}],
    async run(state, io) {
      const swap = swapOf(state)
      if (swap.target === undefined || swap.swapped) return
      try {
        const counts = await count(state.live, io, await firstUnknown(options, state))
        const bytes = await withClient(target, {database: state.live, applicationName}, async (client) => (await readServer(client)).databaseBytes)
        note(swap, counts, bytes, source.standing ? (await count(state.database, io)).tables : source.tables)
      } catch (error) {
        io.signal.throwIfAborted()
        const why = unreadableBecause(error) ?? (codeOf(error) === undefined ? undefined : messageOf(error))
        if (why === undefined) throw error
        swap.unreadable = why
      }
      const why = swap.unreadable ?? swap.troubles?.join('; ')
      if (why !== undefined) io.notice(`${state.live} cannot be read in full: ${why}.`)
    },
  }
}

/** The first transaction whose rows are not in what comes in, where that can be told. */
async function firstUnknown(options: SwapOptions, state: SwapSubject): Promise<string | undefined> {
  const {source: {snapshot}, countWritten} = options
  const {liveOid} = swapOf(state)
  if (countWritten) return outside(options, state, (client) => lastChangeOf(client, state.database))
  if (snapshot === undefined || liveOid === undefined) return undefined
  const place = await outside(options, state, readPlace)
  if (incomparable(snapshot, {...place, databaseOid: liveOid}) !== undefined) return undefined
  // Rows carry the lower half only.
  return String(BigInt(snapshot.xmax) & 0xff_ff_ff_ffn)
}

function note(swap: ReturnType<typeof swapOf>, counts: LiveCounts, bytes: number, tables: readonly {schema: string; name: string; rows: number | null}[] | undefined): void {
  const {target} = swap
  if (target === undefined) return
  Object.assign(target, {bytes, tables: counts.tables.length, rows: counts.tables.reduce((sum, {rows}) => sum + (rows ?? 0), 0), tenants: counts.tenants, newest: counts.newest})
  // Of single tables: the safety backup is to say what it makes of them.
  if (counts.troubles[0] !== undefined) swap.troubles = counts.troubles.slice(0, 3)
  const coming = new Map((tables ?? []).map((table) => [tableName(table), table.rows]))
  const live = counts.tables.map((table) => ({table: tableName(table), live: table.rows, estimated: table.estimated, ...(table.written !== undefined && {written: table.written}), coming: tables === undefined ? null : coming.get(tableName(table)) ?? null}))
  const there = new Set(live.map(({table}) => table))
  swap.loss = [...live, ...[...coming].filter(([table, rows]) => !there.has(table) && rows !== null).map(([table, rows]) => ({table, live: null, estimated: false, coming: rows}))]
}
