import {setTimeout as wait} from 'node:timers/promises'
import {DrError, lockedError, messageOf, preflightError, unreachableError} from '../errors.ts'
import {endQuietly, rowsOf, type Client} from './connection.ts'
import {commentSql} from './create-database.ts'
import {codeOf, isConnectionLost, statementError} from './errors.ts'
import {quoteIdent} from './quote.ts'
import {endSessions, occupantNames, occupants, type Occupant} from './swap-sessions.ts'

/** Two databases that exchange a name. */
export interface DatabaseSwap {
  /** The name that the applications use. */
  live: string
  /** The database that is to have it. */
  side: string
  sideOid: number
  /** Its comment from then on. */
  liveComment?: string | undefined
  /** Who has the name now, and what becomes of it; undefined when nobody has it. */
  holder?: {oid: number; kept: string; comment: string} | undefined
}

/** Tests stop the client or the server around any statement. */
export type StatementHook = (moment: 'before' | 'after', statement: string) => Promise<void>

export interface SwapRun {
  /** A new connection to a database other than the two. */
  connect: () => Promise<Client>
  signal: AbortSignal
  /** Told when something must go before the swap can begin, and between two tries. */
  onWaiting?: (why: string) => void
  hook?: StatementHook | undefined
  /** How often it is tried. */
  attempts?: number
  /** How long sessions that cannot be ended are waited for, over all tries. */
  patienceMs?: number
}

export interface SwapOutcome {
  /** From the beginning of the transaction to the answer to COMMIT; undefined when an earlier process of the run had done it. */
  outageMs: number | undefined
  attempts: number
  /** Sessions that were ended. */
  ended: number
}

/** RENAME waits for sessions up to 5 s while it keeps everybody out: better several short tries. */
const LIMIT_MS = 1500
const ATTEMPTS = 5
const PATIENCE_MS = 60_000
const LOOK_EVERY_MS = 10
const CLEAR_MS = 2000
/** RENAME looks at most 50 times; each of these costs it one look. */
const NUDGES = 12

export const renameSql = (from: string, to: string): string => `ALTER DATABASE ${quoteIdent(from)} RENAME TO ${quoteIdent(to)}`

/**
 * The statements of the swap, in order. RENAME takes the lock on the name before it looks for sessions, so nobody can slip
 * in; and nothing is ever committed but the whole: whoever is killed at whichever statement leaves the old database open
 * under its name, or the new one.
 */
export function swapStatements({live, side, liveComment, holder}: DatabaseSwap): string[] {
  return [
    'BEGIN', `SET LOCAL lock_timeout = ${LIMIT_MS}`, `SET LOCAL statement_timeout = ${LIMIT_MS}`,
    ...(holder ? [renameSql(live, holder.kept)] : []), renameSql(side, live),
    ...(holder ? [commentSql(holder.kept, holder.comment)] : []), commentSql(live, liveComment),
    'COMMIT',
  ]
}

/**
 * Gives `live` to the database `side`. Sessions in both are ended by a second connection while RENAME waits. Tried several
 * times; what cannot be ended is waited for. Throws `swap.busy` (exit 6) naming who is in the way: then nothing has changed.
 * A connection that is lost in the middle is no answer: which database has the name is looked up.
 */
export async function swapDatabases(swap: DatabaseSwap, run: SwapRun): Promise<SwapOutcome> {
  const clients: Client[] = []
  try {
    const [renamer, ender] = [await opened(clients, run), await opened(clients, run)]
    return await new Swapper(swap, run, renamer, ender).run()
  } catch (error) {
    if (!isConnectionLost(error)) throw statementError(error, `Renaming ${swap.live}`)
    return await settled(swap, run, error)
  } finally {
    for (const client of clients) await endQuietly(client)
  }
}

async function opened(clients: Client[], {connect}: SwapRun): Promise<Client> {
  const client = await connect()
  clients.push(client)
  for (const setting of ['statement_timeout = 0', 'lock_timeout = 0', 'idle_in_transaction_session_timeout = 0', 'default_transaction_read_only = off', 'search_path = pg_catalog']) await client.query(`SET ${setting}`)
  return client
}

/** Who has which name now. */
export async function holdersOf(client: Client, names: readonly string[]): Promise<Map<string, number>> {
  const rows = await rowsOf<{name: string; oid: string}>(client, 'SELECT datname AS name, oid::text AS oid FROM pg_catalog.pg_database WHERE datname = ANY ($1::text[])', [names])
  return new Map(rows.map(({name, oid}) => [name, Number(oid)]))
}

/** The connection is gone: whether the transaction was committed the server knows. */
async function settled(swap: DatabaseSwap, {connect, signal}: SwapRun, cause: unknown): Promise<SwapOutcome> {
  for (const deadline = performance.now() + PATIENCE_MS; ;) {
    try {
      const client = await connect()
      try {
        if ((await holdersOf(client, [swap.live])).get(swap.live) === swap.sideOid) return {outageMs: undefined, attempts: 1, ended: 0}
        break
      } finally {
        await endQuietly(client)
      }
    } catch {
      if (signal.aborted || performance.now() > deadline) break
      await wait(500)
    }
  }
  throw unreachableError('swap.connection-lost', `The connection was lost while ${swap.live} was being renamed; the old database still has the name, as far as could be seen.`, {cause, hints: [`psql -l shows which databases there are: ${swap.side} was not swapped in.`]})
}

class Swapper {
  readonly #swap: DatabaseSwap
  readonly #run: SwapRun
  readonly #renamer: Client
  readonly #ender: Client
  readonly #deadline: number
  readonly #ended = new Set<number>()

  constructor(swap: DatabaseSwap, run: SwapRun, renamer: Client, ender: Client) {
    this.#swap = swap
    this.#run = run
    this.#renamer = renamer
    this.#ender = ender
    this.#deadline = performance.now() + (run.patienceMs ?? PATIENCE_MS)
  }

  async run(): Promise<SwapOutcome> {
    const attempts = this.#run.attempts ?? ATTEMPTS
    if (await this.#isDone()) return {outageMs: undefined, attempts: 0, ended: 0}
    await this.#renamer.query('LISTEN dr_swap')
    for (let attempt = 1; ; attempt++) {
      await this.#untilFree()
      await this.#clearSide()
      const failure = await this.#once()
      if (typeof failure === 'number') return {outageMs: failure, attempts: attempt, ended: this.#ended.size}
      if (attempt >= attempts) throw busy(this.#swap, await this.#occupants(), failure)
      this.#run.onWaiting?.(`${messageOf(failure)}; try ${attempt + 1} of ${attempts} follows.`)
      await wait(250 * attempt, undefined, {signal: this.#run.signal})
    }
  }

  /** The milliseconds that it took, or the failure after which another try makes sense. */
  async #once(): Promise<unknown> {
    const from = performance.now()
    try {
      for (const statement of swapStatements(this.#swap)) {
        if (statement === 'COMMIT') await this.#assertExchanged()
        if (/ RENAME TO /.test(statement)) await this.#rename(statement)
        else await this.#say(this.#renamer, statement)
      }
      return performance.now() - from
    } catch (error) {
      if (isConnectionLost(error)) throw error
      await this.#renamer.query('ROLLBACK')
      // Sessions in the database, no lock in time, no end in time: these may pass.
      if (!['55006', '55P03', '57014'].includes(codeOf(error) ?? '')) throw error
      return error
    }
  }

  /** RENAME waits for the sessions that are there; they are ended meanwhile, over the other connection. */
  async #rename(statement: string): Promise<void> {
    await this.#run.hook?.('before', statement)
    const done = new AbortController()
    const renaming = this.#renamer.query(statement).finally(() => { done.abort() })
    renaming.catch(() => undefined)
    await this.#empty(done.signal)
    await renaming
    await this.#run.hook?.('after', statement)
  }

  /**
   * RENAME looks every 100 ms whether the last session is gone. A notification for its connection ends that sleep, so it is
   * sent when nobody is left: the outage is shorter by as much.
   */
  async #empty(renamed: AbortSignal): Promise<void> {
    for (let nudges = 0; !renamed.aborted;) {
      const {told, present} = await endSessions(this.#ender, this.#names())
      for (const pid of told) this.#ended.add(pid)
      if (told.length > 0) await this.#run.hook?.('after', 'pg_terminate_backend')
      const stillWaits = await wait(LOOK_EVERY_MS, true, {signal: renamed}).catch(() => false)
      if (!stillWaits || present > 0 || nudges === NUDGES) continue
      nudges++
      await this.#ender.query('NOTIFY dr_swap')
    }
  }

  async #say(client: Client, statement: string): Promise<void> {
    await this.#run.hook?.('before', statement)
    await client.query(statement)
    await this.#run.hook?.('after', statement)
  }

  /** While the sessions left, somebody else may have exchanged the names: then the wrong database would have gone. */
  async #assertExchanged(): Promise<void> {
    const {live, sideOid, holder} = this.#swap
    const found = await holdersOf(this.#renamer, [live, ...(holder ? [holder.kept] : [])])
    if (found.get(live) !== sideOid || (holder && found.get(holder.kept) !== holder.oid)) throw liveChanged(live)
  }

  /** Whether an earlier process has done it. Throws when one of the two is no longer what it was. */
  async #isDone(): Promise<boolean> {
    const {live, side, sideOid, holder} = this.#swap
    const found = await holdersOf(this.#ender, [live, side])
    if (found.get(live) === sideOid) return true
    if (found.get(side) !== sideOid) throw preflightError('swap.side-gone', `${side} is no longer the database that was looked at.`, {hints: ['psql -l shows which databases there are. Run the command again.']})
    if (found.get(live) !== holder?.oid) throw liveChanged(live)
    return false
  }

  /** A superuser's session makes RENAME fail after it has kept everybody out: it is not begun before that one is gone. */
  async #untilFree(): Promise<void> {
    for (let told = false; ; told = true) {
      this.#run.signal.throwIfAborted()
      const found = (await this.#occupants()).filter(({mayEnd}) => !mayEnd)
      if (found.length === 0) return
      if (performance.now() > this.#deadline) throw busy(this.#swap, found)
      if (!told) this.#run.onWaiting?.(`Waiting for ${occupantNames(found)}: in ${found[0]?.database ?? this.#swap.live}, and only a superuser may end it.`)
      await wait(100, undefined, {signal: this.#run.signal})
    }
  }

  /** Nobody needs the other one yet: what can leave it before the outage begins does. Autovacuum is the usual guest. */
  async #clearSide(): Promise<void> {
    for (const deadline = performance.now() + CLEAR_MS; performance.now() < deadline;) {
      const {told, present} = await endSessions(this.#ender, [this.#swap.side])
      for (const pid of told) this.#ended.add(pid)
      if (present === 0) return
      await wait(LOOK_EVERY_MS)
    }
  }

  #occupants(): Promise<Occupant[]> {
    return occupants(this.#ender, this.#names())
  }

  #names(): string[] {
    return this.#swap.holder ? [this.#swap.live, this.#swap.side] : [this.#swap.side]
  }
}

const liveChanged = (live: string): DrError =>
  preflightError('swap.live-changed', `${live} is no longer the database that was looked at: somebody has renamed, dropped or created it meanwhile.`, {hints: ['psql -l shows which databases there are. Run the command again.']})

function busy({live}: DatabaseSwap, found: readonly Occupant[], cause?: unknown): DrError {
  const who = found.length > 0 ? `: ${occupantNames(found)}` : cause === undefined ? '' : `: ${messageOf(cause)}`
  return lockedError('swap.busy', `${live} could not be renamed; nothing was changed${who}.`, {cause, hints: [
    ...(found.some(({mayEnd}) => !mayEnd) ? ['Ask whoever runs that session to end it; pg_signal_backend lets a role end sessions of others, save superusers\'.'] : []),
    'Try again in a moment.',
  ]})
}
