import {connect, endQuietly, type Client} from './connection.ts'
import {statementError} from './errors.ts'
import type {Target} from './target.ts'

export interface ParallelOptions {
  target: Target
  database: string
  applicationName: string
  connections: number
  /** Sent on each connection first. */
  settings: readonly string[]
  /** For the message of an error: `Counting the rows`. */
  doing: string
  signal: AbortSignal
}

/** Does the work for every item, in order, over a few connections of their own. The first failure or an abort ends them all. */
export async function inParallel<T>(items: readonly T[], options: ParallelOptions, work: (client: Client, item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const clients: Client[] = []
  const end = () => { for (const client of clients) void endQuietly(client) }
  const lane = async () => {
    options.signal.throwIfAborted()
    const client = await connect(options.target, {database: options.database, applicationName: options.applicationName})
    clients.push(client)
    for (const setting of options.settings) await client.query(setting)
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      options.signal.throwIfAborted()
      await work(client, item)
    }
  }
  options.signal.addEventListener('abort', end, {once: true})
  try {
    const lanes = Array.from({length: Math.max(1, Math.min(options.connections, items.length))}, () => lane().catch((error: unknown) => {
      queue.length = 0
      end()
      throw error
    }))
    const failed = (await Promise.allSettled(lanes)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  } catch (error) {
    options.signal.throwIfAborted()
    throw statementError(error, options.doing)
  } finally {
    options.signal.removeEventListener('abort', end)
    for (const client of clients) await endQuietly(client)
  }
}
