import {DrError, messageOf, preflightError, StopError} from '../../errors.ts'
import {keptName, markedComment, operatorsComment} from '../../postgres/database-marks.ts'
import {applyChanges, readTraits, traitChanges, type DatabaseTraits} from '../../postgres/database-traits.ts'
import {commentSql, databaseNamed, databaseOf} from '../../postgres/create-database.ts'
import {swapDatabases, swapStatements, type DatabaseSwap} from '../../postgres/swap.ts'
import {endSessionsSql} from '../../postgres/swap-sessions.ts'
import {assertSwappable, readParty, readRenamer} from '../../postgres/swap-needs.ts'
import type {Client} from '../../postgres/connection.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {swapOf, type SwapOptions, type SwapSubject} from './options.ts'
import {connectOut, outside, psql} from './work.ts'

/** What belongs to the live database itself goes onto the other one before it takes its place: nothing is left for the outage. */
export function carryStep(options: SwapOptions): Step<SwapSubject> {
  return {
    id: 'swap.carry',
    title: 'Settings, privileges, owner, limit of the database itself',
    effect: 'write',
    byHand: ({live, database}) => [psql(options, `SELECT pg_get_userbyid(datdba), datconnlimit, datacl FROM pg_database WHERE datname = '${live.replaceAll("'", "''")}'`, String.raw`\drds`), {...psql(options, `ALTER DATABASE "${database}" OWNER TO …`, `ALTER DATABASE "${database}" SET …`, `GRANT … ON DATABASE "${database}" TO …`), note: 'the same for the new one'}],
    run: (state, io) => outside(options, state, async (client) => {
      const [live, side] = [await readTraits(client, state.live), await readTraits(client, state.database)]
      const oid = (await databaseNamed(client, state.database))?.oid
      if (side === undefined || oid === undefined) throw sideGone(state)
      const expected = options.source.standing ? swapOf(state).sideOid : state.databaseOid
      if (expected !== undefined && oid !== expected) throw otherSide(state)
      const wanted = live ?? options.source.traits
      swapOf(state).sideOid = oid
      if (wanted !== undefined) await carry(options, state, client, side, wanted)
      noteDifferences(options, state, live)
      // One that dr did not make must never look as if dr might drop it.
      if (options.source.standing) return
      const flawed = state.findings.some(({severity, code}) => severity === 'error' && code !== 'swap.trait-refused')
      const mark = {kind: 'ready' as const, flawed, live: state.live, name: state.database, at: new Date().toISOString(), run: io.run, comment: operatorsComment(side.comment)}
      await client.query(commentSql(state.database, markedComment(mark)))
    }),
  }
}

async function carry({hook}: SwapOptions, state: SwapSubject, client: Client, side: DatabaseTraits, wanted: DatabaseTraits): Promise<void> {
  const refused = await applyChanges(client, traitChanges(state.database, side, wanted), hook && ((sql) => hook('before', sql)))
  swapOf(state).refused = refused.map(({what}) => what)
  for (const {what, why, weighty} of refused) {
    state.findings.push({code: 'swap.trait-refused', severity: weighty ? 'error' : 'warning', subject: state.live, message: `${what} could not be given to the new database: ${why}`, hint: 'A superuser, or the role that the setting is of, can do it'})
  }
}

/** The live one's count; what the backup had otherwise is only told. */
function noteDifferences({source: {traits}}: SwapOptions, {findings, live: name}: SwapSubject, live: DatabaseTraits | undefined): void {
  if (live === undefined || traits === undefined) return
  const told = traitChanges(name, live, traits).map(({what}) => what)
  if (told.length > 0) findings.push({code: 'swap.traits-differ', severity: 'info', subject: name, message: `keeps what belongs to the database itself as it is now; the backup had it otherwise: ${told.join('; ')}`})
}

const sideGone = ({database}: SwapSubject) => new DrError('swap.side-gone', `There is no database ${database} any more.`, {exitCode: 3, hints: ['psql -l shows which databases there are.']})

const otherSide = ({database}: SwapSubject) => preflightError('swap.side-gone', `${database} is no longer the database that was looked at.`, {hints: ['psql -l shows which databases there are. Run the command again.']})

export function swapStep(options: SwapOptions): Step<SwapSubject> {
  return {
    id: 'swap.swap',
    title: 'Swap',
    effect: 'destroy',
    byHand: (state) => [
      {...psql(options, ...swapStatements(planned(options, state))), note: 'while the first RENAME waits, in another session:'},
      psql(options, endSessionsSql([state.live, state.database])),
    ],
    run: (state, io) => swapIn(options, state, io),
    settle: async (state) => ((await outside(options, state, (client) => isDone(client, state))) ? 'done' : 'not done'),
    undo: (state, io) => swapBack(options, state, io),
  }
}

/** For a plan: the names that it would have now. */
function planned({keepAs}: SwapOptions, {live, database}: SwapSubject): DatabaseSwap {
  const at = new Date()
  const kept = keptName(live, keepAs, at)
  return {live, side: database, sideOid: 0, liveComment: 'its comment as it is now', holder: {oid: 0, kept, comment: markedComment({kind: keepAs, live, name: kept, at: at.toISOString(), run: 'RUN'})}}
}

async function swapIn(options: SwapOptions, state: SwapSubject, io: StepIo): Promise<void> {
  const swap = swapOf(state)
  if (await outside(options, state, (client) => isDone(client, state))) return
  const plan = await outside(options, state, (client) => planSwap(options, state, io, client))
  if (plan.holder) swap.kept = plan.holder.kept
  try {
    const {outageMs, attempts, ended} = await swapDatabases(plan, {
      connect: () => connectOut(options, state), signal: io.signal, onWaiting: (why) => { io.notice(why) }, hook: options.hook, ...(options.patienceMs !== undefined && {patienceMs: options.patienceMs}),
    })
    Object.assign(swap, {swapped: true, attempts, ended, ...(outageMs !== undefined && {outageMs: Math.round(outageMs)})})
  } catch (error) {
    io.signal.throwIfAborted()
    throw stopped(error, options, state)
  }
}

/** A run that was killed behind COMMIT has done it. */
async function isDone(client: Client, state: SwapSubject): Promise<boolean> {
  const swap = swapOf(state)
  if (swap.sideOid === undefined || (await databaseNamed(client, state.live))?.oid !== swap.sideOid) return false
  const kept = swap.liveOid === undefined ? undefined : await databaseOf(client, swap.liveOid)
  Object.assign(swap, {swapped: true, ...(kept !== undefined && {kept})})
  return true
}

/** What was restored is worth keeping when only the moment was not right. */
function stopped(error: unknown, {again}: SwapOptions, state: SwapSubject): unknown {
  if (!(error instanceof DrError)) return error
  return new StopError(error.code, error.message, {cause: error, exitCode: error.exitCode, hints: [...error.hints, `${state.database} is complete and stays. To swap it in: ${again(state)}`]})
}

async function planSwap(options: SwapOptions, state: SwapSubject, io: StepIo, client: Client): Promise<DatabaseSwap> {
  const {keepAs} = options
  const swap = swapOf(state)
  const renamer = await readRenamer(client)
  for (const name of [state.live, state.database]) {
    const party = await readParty(client, name)
    // Who came meanwhile: a slot, a prepared transaction.
    if (party !== undefined) assertMeanwhile(() => { assertSwappable(party, renamer) }, options, state)
  }
  const [live, side] = [await readTraits(client, state.live), await readTraits(client, state.database)]
  const liveComment = live === undefined ? operatorsComment(side?.comment) : keepAs === 'undone' ? operatorsComment(side?.comment) : operatorsComment(live.comment)
  if (swap.liveOid === undefined) return {live: state.live, side: state.database, sideOid: swap.sideOid ?? 0, liveComment}
  const {name, at} = await freeName(client, state.live, keepAs)
  return {
    live: state.live, side: state.database, sideOid: swap.sideOid ?? 0, liveComment,
    holder: {oid: swap.liveOid, kept: name, comment: markedComment({kind: keepAs, live: state.live, name, at: at.toISOString(), run: io.run, comment: operatorsComment(live?.comment)})},
  }
}

function assertMeanwhile(check: () => void, options: SwapOptions, state: SwapSubject): void {
  try {
    check()
  } catch (error) {
    throw stopped(error, options, state)
  }
}

/** Two in one second would have one name. */
async function freeName(client: Client, live: string, kind: 'kept' | 'undone'): Promise<{name: string; at: Date}> {
  for (let at = new Date(); ; at = new Date(at.getTime() + 1000)) {
    const name = keptName(live, kind, at)
    if ((await databaseNamed(client, name)) === undefined) return {name, at}
  }
}

/** After a failure behind the swap: the old database gets its name back, and what had it for a moment is kept too. */
async function swapBack(options: SwapOptions, state: SwapSubject, io: StepIo): Promise<void> {
  try {
    // A process that was killed did not write down what the old one is called now: its OID tells.
    const kept = await outside(options, state, (client) => placeOf(client, state))
    if (kept === undefined) return
    const back: SwapSubject = {...state, database: kept.name ?? state.database}
    const plan = await outside(options, back, (client) => planBack(client, state, io, kept))
    await swapDatabases(plan, {connect: () => connectOut(options, back), signal: io.signal})
    swapOf(state).swapped = false
    io.notice(plan.holder ? `${state.live} is the old database again; the new one is ${plan.holder.kept}.` : `There is no ${state.live} again; what was restored is ${plan.live}.`)
    // Under its new name the restore's own undo does not find it: what was live for a moment is not dropped.
    state.finished = false
  } catch (error) {
    throw new DrError('swap.not-undone', `${state.live} is the new database still: ${messageOf(error)}`, {cause: error, hints: ['dr undo swaps back.']})
  }
}

/** Where the old database is, when the new one is live; without a name when there was none. Undefined: nothing was swapped. */
async function placeOf(client: Client, state: SwapSubject): Promise<{name?: string} | undefined> {
  const {liveOid, sideOid} = swapOf(state)
  if (sideOid === undefined || (await databaseNamed(client, state.live))?.oid !== sideOid) return undefined
  if (liveOid === undefined) return {}
  const name = await databaseOf(client, liveOid)
  if (name === undefined) throw new Error('the old database is gone')
  return {name}
}

async function planBack(client: Client, state: SwapSubject, io: StepIo, kept: {name?: string}): Promise<DatabaseSwap> {
  const {liveOid = 0, sideOid = 0} = swapOf(state)
  const {name, at} = await freeName(client, state.live, 'undone')
  const comment = markedComment({kind: 'undone', live: state.live, name, at: at.toISOString(), run: io.run, comment: operatorsComment((await readTraits(client, state.live))?.comment)})
  // Nobody had the name: then nobody gets it.
  if (kept.name === undefined) return {live: name, side: state.live, sideOid, liveComment: comment}
  const old = await readTraits(client, kept.name)
  return {
    live: state.live, side: kept.name, sideOid: liveOid, liveComment: operatorsComment(old?.comment),
    holder: {oid: sideOid, kept: name, comment},
  }
}
