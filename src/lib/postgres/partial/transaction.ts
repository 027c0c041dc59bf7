import {usageError} from '../../errors.ts'
import {rowOf, type Client} from '../connection.ts'

const XIDS = 2n ** 32n
/** Below are numbers that the server has for itself. */
const FIRST = 3n

/** Refuses, with `partial.transaction` (exit 2), a number that no row can name as its last writer: rows keep its lower 32 bits only. */
export async function assertTransaction(client: Client, transaction: string): Promise<void> {
  const {next} = await rowOf<{next: string}>(client, 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next')
  const problem = transactionProblem(BigInt(transaction), BigInt(next))
  if (problem) throw usageError('partial.transaction', problem.message, {hints: [...problem.hints, 'dr investigate --table NAME shows which transactions wrote its rows.']})
}

/** What is wrong with the number of a transaction that has ended; `next`: of the server, the first that has not. */
export function transactionProblem(number: bigint, next: bigint): {message: string; hints: string[]} | undefined {
  if (number < FIRST) return {message: `${number} is the number of no transaction of a client.`, hints: []}
  if (number >= next) return {message: `No transaction ${number} has ended yet: the newest is ${next - 1n}.`, hints: []}
  if (number + XIDS >= next) return undefined
  const whole = next - 1n - ((next - 1n - number) % XIDS)
  return {message: `Transaction ${number} is too long ago for rows to tell that it wrote them: since then there were more than ${XIDS}.`, hints: [`Where ${number} is what xmin shows, its whole number is --transaction ${whole}.`]}
}
