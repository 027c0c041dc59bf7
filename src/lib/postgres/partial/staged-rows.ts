import {preflightError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {qualified} from '../quote.ts'
import type {StagedTable} from './contract.ts'
import {shownName} from './names.ts'

/**
 * Proves that as many rows are staged as there were. Staged tables are not in the server's log: after a crash, and on a standby that
 * has taken over, they are empty, and everything live would seem to be too much. Throws `partial.stage-gone` (exit 3).
 */
export async function assertStaged(client: Client, staged: readonly StagedTable[]): Promise<void> {
  if (staged.length === 0) return
  const counts = await rowsOf<{place: number; rows: number}>(client, staged.map(({stage}, place) => `SELECT ${place} AS place, count(*)::float8 AS rows FROM ${qualified(stage)}`).join(' UNION ALL '))
  for (const {place, rows} of counts) {
    const one = staged[place]
    if (one === undefined || rows === one.rows) continue
    throw preflightError('partial.stage-gone', `Of the ${one.rows} rows of ${shownName(one.table)} that were staged ${rows} are there: the server has crashed since, another one has taken over, or somebody wrote into ${shownName(one.stage)}.`, {hints: ['Run dr partial again.']})
  }
}
