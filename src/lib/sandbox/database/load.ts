import {copyIn} from '../../postgres/copy.ts'
import type {Client} from '../../postgres/connection.ts'
import {quoteIdent as q} from '../../postgres/quote.ts'
import {heavyRows} from './data/heavy.ts'
import {integrationRows} from './data/integrations.ts'
import {HEAVY, SamplePlan, type SampleSize} from './data/plan.ts'
import {filled, smallRows} from './data/small.ts'
import {adoptKey, createIndexes, declareForeignKeys, validateForeignKeys} from './schema/ddl.ts'
import type {Table} from './schema/notation.ts'
import {sampleTables} from './schema/schema.ts'

export interface LoadProgress {
  phase: 'rows' | 'indexes' | 'foreign keys'
  done: number
  total: number
}

export interface LoadOptions extends Partial<SampleSize> {
  /** The key under which integration tokens are readable. */
  encryptionKey: string
  progress?: (progress: LoadProgress) => void
  signal?: AbortSignal | undefined
}

type Job = (client: Client) => Promise<void>
interface Load {
  plan: SamplePlan
  options: LoadOptions
  report: (more: number) => void
}

export const DEFAULT_SIZE: SampleSize = {rows: 20_000, tenants: 12, seed: 1}
const ROWS_AT_ONCE = 400

/**
 * Fills the empty tables of the sample schema, then builds keys, indexes and foreign keys. All clients are connected as
 * the tables' owner; two are worth having, each works on a table of its own. Returns the rows of each table.
 */
export async function loadSampleData(clients: readonly Client[], options: LoadOptions): Promise<ReadonlyMap<string, number>> {
  const size = {rows: options.rows ?? DEFAULT_SIZE.rows, tenants: options.tenants ?? DEFAULT_SIZE.tenants, seed: options.seed ?? DEFAULT_SIZE.seed}
  const plan = new SamplePlan(size, sampleTables)
  const bySize = sampleTables.toSorted((a, b) => plan.count(b.name) - plan.count(a.name))
  for (const client of clients) await client.query("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; SET client_min_messages = warning")
  await inPhase('rows', sum(bySize.map(({name}) => plan.count(name))), options, (report) => shared(clients, bySize.map((table) => rowsJob(table, {plan, options, report}))))
  await inPhase('indexes', sum(bySize.map(({indexes}) => indexes.length + 1)), options, (report) => shared(clients, bySize.flatMap((table) => indexJobs(table, report))))
  await inPhase('foreign keys', sampleTables.length, options, (report) => foreignKeys(clients, bySize, report))
  return plan.counts
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

async function inPhase(phase: LoadProgress['phase'], total: number, {progress, signal}: LoadOptions, work: (report: (more: number) => void) => Promise<void>): Promise<void> {
  let done = 0
  await work((more) => {
    signal?.throwIfAborted()
    done += more
    progress?.({phase, done, total})
  })
}

/** Every client takes the next job as soon as it is free; the first failure stops them all. */
async function shared(clients: readonly Client[], jobs: readonly Job[]): Promise<void> {
  const queue = [...jobs]
  await Promise.all(clients.map(async (client) => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      await job(client).catch((error: unknown) => {
        queue.length = 0
        throw error
      })
    }
  }))
}

/** TRUNCATE and COPY in one transaction let COPY write rows that need no vacuum. */
function rowsJob(table: Table, load: Load): Job {
  const columns = filled(table).map(({name}) => q(name)).join(', ')
  return async (client) => {
    await client.query(`BEGIN; TRUNCATE ${q(table.name)}`)
    await copyIn(client, `COPY ${q(table.name)} (${columns}) FROM STDIN (FREEZE)`, rowsOf(table, load), load.options.signal)
    await client.query('COMMIT')
    await client.query(`ANALYZE ${q(table.name)}`)
  }
}

function* rowsOf(table: Table, {plan, options, report}: Load): Generator<string> {
  const row = heavyRows(plan)[table.name]
  const count = plan.count(table.name)
  if (row === undefined || HEAVY[table.name] === undefined) {
    yield* table.name === 'integrations' ? integrationRows(plan, options.encryptionKey) : smallRows(table, plan)
    report(count)
    return
  }
  for (let start = 0; start < count; start += ROWS_AT_ONCE) {
    const end = Math.min(start + ROWS_AT_ONCE, count)
    let text = ''
    for (let index = start; index < end; index += 1) text += row(index)
    yield text
    report(end - start)
  }
}

/** The indexes of a heavy table are a job each; those of a small one go together. */
function indexJobs(table: Table, report: (more: number) => void): Job[] {
  const statements = createIndexes(table)
  const batches = HEAVY[table.name] === undefined ? [statements] : statements.map((statement) => [statement])
  return batches.map((batch) => async (client) => {
    await client.query(batch.join(';'))
    report(batch.length)
  })
}

async function foreignKeys(clients: readonly Client[], bySize: readonly Table[], report: (more: number) => void): Promise<void> {
  const [first] = clients
  await first?.query([...sampleTables.map(adoptKey), ...sampleTables.flatMap(declareForeignKeys)].join(';'))
  await shared(clients, bySize.map((table) => async (client) => {
    await client.query(validateForeignKeys(table).join(';'))
    report(1)
  }))
}
