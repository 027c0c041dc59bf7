import {differing, rowLossTotal, type RowLoss, type TableRowLoss} from '../../checks/row-loss.ts'
import {DrError, messageOf, preflightError} from '../../errors.ts'
import {connect, endQuietly, rowOf, type Client} from '../../postgres/connection.ts'
import {comparedTables, textOrder, type ComparedTable, type TextOrder} from '../../postgres/compared-tables.ts'
import {digestSql, noRows, openDigestRows, type DigestRows} from '../../postgres/digest-rows.ts'
import {codeOf, isConnectionLost, statementError} from '../../postgres/errors.ts'
import {refuseFiltered} from '../../postgres/live-counts.ts'
import {readingTable, withReadSnapshot, type ReadSnapshot} from '../../postgres/read-snapshot.ts'
import type {TableScope} from '../../postgres/tables.ts'
import type {Target} from '../../postgres/target.ts'
import type {Progress} from '../../runbook/procedure.ts'
import {Pace} from '../pace.ts'
import {mergeRows} from './merge.ts'
import {pairTables, queryOf, type PairOptions, type TablePair} from './pairs.ts'

export interface CompareOptions extends TableScope, PairOptions {
  target: Target
  /** Else the target's own. */
  live?: string
  /** The restored copy, on the same server. */
  against: string
  applicationName: string
  /** Tables compared at once, each over two connections. */
  lanes: number
  /** Keys to show of each table. */
  sample: number
  onProgress?: (progress: Progress) => void
  signal: AbortSignal
}

/** What one sort may take of the server's memory before it goes to its disk. */
const WORK_MEM = "SET work_mem = '32MB'"

interface Side {
  database: string
  snapshot: ReadSnapshot
  order: TextOrder
  tables: ComparedTable[]
}

/** Compares every row of the live database with a restored copy: by key and digest, streamed, each side in one instant. */
export async function compareRows(options: CompareOptions): Promise<Omit<RowLoss, 'restored' | 'cautions'>> {
  const {target, applicationName, against, signal} = options
  const reading = {applicationName, signal, statementLimitMs: 0}
  const live = options.live ?? target.database
  return withReadSnapshot(target, {...reading, database: live}, (now) => withReadSnapshot(target, {...reading, database: against}, async (then) => {
    const sides = [await sideOf(live, now, options), await sideOf(against, then, options)] as const
    if (sides[0].encoding !== sides[1].encoding) throw preflightError('diff.encoding', `${live} is encoded in ${sides[0].encoding}, ${against} in ${sides[1].encoding}: their rows cannot be compared.`, {hints: ['Without --deep the numbers of rows are compared.']})
    const {pairs, leftOut} = pairTables(sides[0].tables, sides[1].tables, options)
    for (const {snapshot} of sides) await refuseFiltered(snapshot.client, options, pairs)
    const {tables, troubles} = await new Comparison(sides, pairs, options).run()
    const {tenant} = options
    return {against, liveAt: now.at, ...(tenant !== undefined && {tenant}), tables, total: rowLossTotal(tables), troubles, leftOut}
  }))
}

async function sideOf(database: string, snapshot: ReadSnapshot, scope: TableScope): Promise<Side & {encoding: string}> {
  const {client} = snapshot
  const {major, encoding} = await rowOf<{major: number; encoding: string}>(client, "SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_encoding') AS encoding")
  return {database, snapshot, encoding, order: await textOrder(client, major), tables: await comparedTables(client, scope)}
}

/** A connection to each side. */
type Connections = [Client, Client]

class Comparison {
  readonly #sides: readonly [Side, Side]
  readonly #queue: TablePair[]
  readonly #options: CompareOptions
  readonly #tables: TableRowLoss[] = []
  readonly #troubles: RowLoss['troubles'] = []
  readonly #open = new Set<Client>()
  readonly #pace = new Pace()
  readonly #total: number
  readonly #inHand = new Map<TablePair, number>()
  #done = 0

  constructor(sides: readonly [Side, Side], pairs: readonly TablePair[], options: CompareOptions) {
    this.#sides = sides
    this.#queue = pairs.toSorted((a, b) => rowsOf(b) - rowsOf(a))
    this.#options = options
    this.#total = pairs.reduce((sum, pair) => sum + rowsOf(pair), 0)
  }

  async run(): Promise<Pick<RowLoss, 'tables' | 'troubles'>> {
    const {signal, lanes} = this.#options
    const end = () => { for (const client of this.#open) void endQuietly(client) }
    signal.addEventListener('abort', end, {once: true})
    try {
      const results = await Promise.allSettled(Array.from({length: Math.min(lanes, this.#queue.length)}, () => this.#lane()))
      const failed = results.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
    } finally {
      signal.removeEventListener('abort', end)
      for (const client of this.#open) await endQuietly(client)
    }
    return {tables: this.#tables.toSorted((a, b) => differing(b) - differing(a) || b.live + b.backup - a.live - a.backup), troubles: this.#troubles}
  }

  async #lane(): Promise<void> {
    let connections: Connections | undefined
    for (let pair = this.#queue.shift(); pair !== undefined; pair = this.#queue.shift()) {
      this.#options.signal.throwIfAborted()
      try {
        connections ??= await this.#connect()
        await this.#compare(pair, connections)
      } catch (error) {
        await this.#afterFailure(pair, error, connections ?? [])
        connections = undefined
      }
    }
  }

  /** What one table cannot be asked is told of that table; the streams of the other side are cut with their connections. */
  async #afterFailure({schema, name}: TablePair, error: unknown, connections: readonly Client[]): Promise<void> {
    for (const client of connections) {
      this.#open.delete(client)
      await endQuietly(client)
    }
    this.#options.signal.throwIfAborted()
    if (!isOfTheTable(error)) {
      this.#queue.length = 0
      throw statementError(error, `Comparing ${schema}.${name}`)
    }
    this.#troubles.push({schema, name, message: messageOf(error)})
  }

  async #connect(): Promise<Connections> {
    const {target, applicationName} = this.#options
    const [live, backup] = await Promise.all(this.#sides.map(async ({database, snapshot}) => {
      const client = await connect(target, {database, applicationName})
      this.#open.add(client)
      for (const setting of [WORK_MEM, ...snapshot.settings]) await client.query(setting)
      return client
    }))
    if (live === undefined || backup === undefined) throw new Error('There are two sides.')
    return [live, backup]
  }

  async #compare(pair: TablePair, [live, backup]: Connections): Promise<void> {
    const unreadable = [pair.live, pair.backup].find((table) => table?.readable === false)
    if (unreadable) throw new DrError('diff.table', 'this role may not read it')
    const diff = await reading(live, pair.live, () => reading(backup, pair.backup, () => this.#merge(pair, live, backup)))
    this.#inHand.delete(pair)
    this.#done += rowsOf(pair)
    this.#report()
    this.#tables.push({
      schema: pair.schema, name: pair.name, where: pair.live === undefined ? 'backup' : pair.backup === undefined ? 'live' : 'both', ...diff,
      key: pair.key.map(({name}) => name), notes: pair.notes,
    })
  }

  async #merge(pair: TablePair, live: Client, backup: Client) {
    const {sample, signal} = this.#options
    const open = (client: Client, table: ComparedTable | undefined, {order}: Side): DigestRows =>
      table === undefined ? noRows(pair.key.length + 1) : openDigestRows(client, digestSql(queryOf(pair, table, order)), pair.key.length + 1)
    const [ours, theirs] = [open(live, pair.live, this.#sides[0]), open(backup, pair.backup, this.#sides[1])]
    const diff = await mergeRows(ours, theirs, {
      key: pair.key.map(({form}) => form), sample, signal, onRows: (rows) => {
        this.#inHand.set(pair, rows)
        this.#report()
      },
    })
    return {...diff, live: ours.rows, backup: theirs.rows}
  }

  #report(): void {
    const done = this.#done + [...this.#inHand.values()].reduce((sum, rows) => sum + rows, 0)
    const items = [...this.#inHand].map(([pair, rows]) => ({name: `${pair.schema}.${pair.name}`, done: rows, total: Math.max(rows, rowsOf(pair))}))
    const total = Math.max(done, this.#total)
    this.#options.onProgress?.({unit: 'rows', done, total, items, ...this.#pace.at(done, total)})
  }
}

/** Of both sides, as the planner guesses. */
const rowsOf = ({live, backup}: TablePair): number => (live?.estimatedRows ?? 0) + (backup?.estimatedRows ?? 0)

async function reading<T>(client: Client, table: ComparedTable | undefined, work: () => Promise<T>): Promise<T> {
  if (table === undefined) return work()
  const value = await readingTable(client, table.oid, work)
  if (value === undefined) throw new DrError('diff.table', 'it was truncated, rewritten or dropped while it was compared')
  return value
}

/** What the server says of a table leaves the others comparable. */
function isOfTheTable(error: unknown): boolean {
  if (error instanceof DrError) return error.code === 'diff.table' || error.code === 'diff.order'
  return codeOf(error) !== undefined && !isConnectionLost(error)
}
