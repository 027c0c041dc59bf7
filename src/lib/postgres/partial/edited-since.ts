import {rowOf, rowsOf, type Client} from '../connection.ts'
import {isOfCreation} from '../investigate/tables.ts'
import {qualified} from '../quote.ts'
import type {RowsSince} from './contract.ts'
import {stagedValues} from './fill.ts'
import {keyJson} from './telling.ts'
import {nameOf} from './names.ts'
import {among, before, type Entry} from './plan.ts'
import {differs, equal, type Column} from './relations.ts'

/** Where the rows of a plan are that differ, each beside the row of the backup; `edited`: it bears another time of change than that. */
interface Differing {
  from: string
  /** The column that tells the time of a change. */
  witness: Column | undefined
  edited: string
  live: string
  backup: string
}

/** Undefined of an entry whose rows nothing tells apart, or that puts back no rows. `timestampColumns`: as configured, those of the creation among them. */
function differing(entry: Entry, timestampColumns: readonly string[]): Differing | undefined {
  const {plan, index, staged, shared, selected: {role}} = entry
  if (role !== 'rows' || plan.key === undefined) return undefined
  const times = shared.map(({live}) => live).filter(({base}) => ['timestamp', 'timestamptz'].includes(base))
  const [witness] = timestampColumns.filter((name) => !isOfCreation(name)).flatMap((name) => times.find((one) => one.name === name) ?? [])
  const values = stagedValues(entry)
  const on = shared.filter(({live}) => plan.key?.includes(live.name) === true).map(({live}) => equal(live, before(plan, live.name), values.get(live.name) ?? 'NULL')).join(' AND ')
  const [live, backup] = witness === undefined ? ['NULL', 'NULL'] : [before(plan, witness.name), values.get(witness.name) ?? 'NULL']
  return {
    from: `${plan.sql} p JOIN ${qualified(staged.stage)} AS s ON ${on} WHERE p.entry = ${index} AND p.act ${among(['update', 'changed'])}`,
    witness, edited: witness === undefined ? 'false' : differs(witness, live, backup), live, backup,
  }
}

/**
 * Rows in the plan of this entry that differ from the backup, and bear another time of change than there: somebody edited them in
 * between, which a transaction that has overwritten them since hides from everything else. Undefined where the table has none of these
 * columns.
 */
export async function editedSince(client: Client, entry: Entry, timestampColumns: readonly string[]): Promise<number | undefined> {
  const found = differing(entry, timestampColumns)
  if (found?.witness === undefined) return undefined
  return (await rowOf<{count: number}>(client, `SELECT count(*)::float8 AS count FROM ${found.from} AND ${found.edited}`)).count
}

/**
 * The rows themselves that `changedSince` and `editedSince` count, by their key, in its order, those that were edited first: an accident
 * may have written all of them. No more than `limit`. Undefined where neither tells anything. `known`: the numbers of transactions can be compared with the backup's snapshot.
 */
export async function rowsSince(client: Client, entry: Entry, {timestampColumns, known, limit}: {timestampColumns: readonly string[]; known: boolean; limit: number}): Promise<RowsSince | undefined> {
  const {plan, selected: {table}} = entry
  const {key} = plan
  const found = differing(entry, timestampColumns)
  if (found === undefined || key === undefined || (found.witness === undefined && !known)) return undefined
  const {from, witness, edited, live, backup} = found
  const written = known ? 'coalesce(p.since, false)' : 'NULL::boolean'
  const rows = await rowsOf<RowsSince['rows'][number] & {total: number}>(client, `
    SELECT ${keyJson(key, (name) => before(plan, name))} AS key, ${written} AS written, ${witness === undefined ? 'NULL::boolean' : edited} AS edited, (${live})::text AS live, (${backup})::text AS backup, (count(*) OVER ())::float8 AS total
    FROM ${from} AND (${known ? written : 'false'} OR ${edited}) ORDER BY (${edited}) IS TRUE DESC, ${key.map((name) => before(plan, name)).join(', ')} LIMIT ${limit}`)
  return {...nameOf(table), timeColumn: witness?.name ?? null, total: rows[0]?.total ?? 0, listed: rows.length, rows: rows.map((row) => ({key: row.key, written: row.written, edited: row.edited, live: row.live, backup: row.backup}))}
}
