import {rowOf, type Client} from '../connection.ts'
import {qualified} from '../quote.ts'
import {stagedValues} from './fill.ts'
import {among, before, type Entry} from './plan.ts'
import {differs, equal} from './relations.ts'

/** What an application calls the time of a row's last change. */
const WITNESSES = ['updatedAt', 'updated_at']

/**
 * Rows in the plan of this entry that differ from the backup, and bear another time of change than there: somebody edited them in
 * between, which a transaction that has overwritten them since hides from everything else. Undefined where the table has no such column.
 */
export async function editedSince(client: Client, entry: Entry): Promise<number | undefined> {
  const {plan, index, staged, shared, selected: {role}} = entry
  const witness = shared.map(({live}) => live).find(({name}) => WITNESSES.includes(name))
  if (role !== 'rows' || plan.key === undefined || witness === undefined) return undefined
  const values = stagedValues(entry)
  const key = shared.filter(({live}) => plan.key?.includes(live.name) === true)
  const on = key.map(({live}) => equal(live, before(plan, live.name), values.get(live.name) ?? 'NULL')).join(' AND ')
  return (await rowOf<{count: number}>(client, `
    SELECT count(*)::float8 AS count FROM ${plan.sql} p JOIN ${qualified(staged.stage)} AS s ON ${on}
    WHERE p.entry = ${index} AND p.act ${among(['update', 'changed'])} AND ${differs(witness, before(plan, witness.name), values.get(witness.name) ?? 'NULL')}`)).count
}
