import {messageOf} from '../../errors.ts'
import type {Client} from '../../postgres/connection.ts'
import {codeOf, isConnectionLost} from '../../postgres/errors.ts'
import type {WholeTable} from '../../postgres/investigate/tables.ts'
import {forget, readingTable, withReadSnapshot, type ReadSnapshot} from '../../postgres/read-snapshot.ts'
import {givingWay} from '../diff/yield.ts'
import type {InvestigateOptions} from './options.ts'

/** As every nightly dump reads a table; a statement that is not done by then is given up. */
const STATEMENT_LIMIT_MS = 10 * 60_000

export const applicationName = ({runId}: Pick<InvestigateOptions, 'runId'>): string => `dr investigate ${runId}`

/** Does the work while somebody watches whom it keeps waiting. */
export async function giving<T>(options: InvestigateOptions, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return givingWay({target: options.target, applicationName: applicationName(options), blockedLimitMs: options.config.backup.blockedLimitMs, signal}, work)
}

/** Reads in one instant, and gives way. */
export async function looking<T>(options: InvestigateOptions, signal: AbortSignal, work: (snapshot: ReadSnapshot, signal: AbortSignal) => Promise<T>): Promise<T> {
  const {target} = options
  return giving(options, signal, (either) => withReadSnapshot(target, {applicationName: applicationName(options), statementLimitMs: STATEMENT_LIMIT_MS, signal: either}, (snapshot) => work(snapshot, either)))
}

/** What one table cannot be asked is told of that table; the others go on. */
export async function askingTable<T>(client: Client, table: Pick<WholeTable, 'oid' | 'readable'>, work: () => Promise<T>): Promise<{value: T} | {trouble: string}> {
  if (!table.readable) return {trouble: 'this role may not read it'}
  try {
    let value: T | undefined
    const same = await readingTable(client, table.oid, async () => {
      value = await work()
      return true
    })
    return same === true ? {value: value as T} : {trouble: 'it was truncated, rewritten or dropped meanwhile'}
  } catch (error) {
    if (codeOf(error) === undefined || isConnectionLost(error)) throw error
    await forget(client)
    return {trouble: messageOf(error)}
  }
}
