import {withClient} from '../../postgres/connection.ts'
import {isTold, readMarker, shortXid} from '../../postgres/instance-marker.ts'
import {countLive, type LiveCounts} from '../../postgres/live.ts'
import {readServer} from '../../postgres/server.ts'
import type {Target} from '../../postgres/target.ts'
import type {Loss} from '../../report/swap-lines.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {PartyFacts} from './cutover-options.ts'
import type {RdsOptions} from './options.ts'

const COUNT_BUDGET_MS = 30_000

export interface Counted {
  facts: PartyFacts
  counts: LiveCounts
}

/** What the database holds; `sinceXid` (64 bits): with the rows that this transaction, later ones and `alsoXids` have written, where they tell. */
export async function countParty({config}: RdsOptions, target: Target, {applicationName, sinceXid, alsoXids}: {applicationName: string; sinceXid?: string | undefined; alsoXids?: readonly string[] | undefined}, io: StepIo): Promise<Counted> {
  const {marker, server} = await withClient(target, {applicationName}, async (client) => ({marker: await readMarker(client), server: await readServer(client)}))
  const since = sinceXid !== undefined && isTold(sinceXid, marker.nextXid) ? shortXid(sinceXid) : undefined
  const counts = await countLive(target, {
    ...config.database, database: target.database, applicationName, budgetMs: COUNT_BUDGET_MS, sinceXid: since, alsoXids: alsoXids?.map(shortXid), signal: io.signal,
    onCounted: (done, total) => { io.progress({unit: 'items', done, total, note: `${done} of ${total} tables of ${target.host}`}) },
  })
  const rows = counts.tables.reduce((sum, one) => sum + (one.rows ?? 0), 0)
  return {counts, facts: {...marker, serverVersion: server.version, bytes: server.databaseBytes, tables: counts.tables.length, rows, ...(counts.newest && {newest: counts.newest})}}
}

/** Table by table: what is there now, and what would be. */
export function lossOf(now: LiveCounts, coming: LiveCounts): Loss[] {
  const nameOf = ({schema, name}: {schema: string; name: string}) => `${schema}.${name}`
  const after = new Map(coming.tables.map((table) => [nameOf(table), table.rows]))
  const there = now.tables.map((table) => ({table: nameOf(table), live: table.rows, estimated: table.estimated, coming: after.get(nameOf(table)) ?? null, ...(table.written !== undefined && {written: table.written})}))
  const known = new Set(there.map(({table}) => table))
  return [...there, ...[...after].filter(([table]) => !known.has(table)).map(([table, rows]) => ({table, live: null, estimated: false, coming: rows}))]
}

/**
 * What a copy lacks, and nobody has written since: it was open at its instant and could not be told, or it was deleted in the copy.
 * Either way it is lost, and there may be more.
 */
export function withLacking(loss: readonly Loss[], coming: LiveCounts, {complete}: {complete: boolean}): Loss[] {
  const guessed = new Set(coming.tables.filter(({estimated}) => estimated).map(({schema, name}) => `${schema}.${name}`))
  return loss.map((one) => {
    if (one.written === undefined) return one
    const lacks = one.live === null || one.coming === null || one.estimated || guessed.has(one.table) ? 0 : one.live - one.coming
    return complete && lacks <= one.written ? one : {...one, written: Math.max(lacks, one.written), atLeast: true}
  })
}
