import {rowOf, type Client} from '../connection.ts'
import {isOfCreation} from '../investigate/tables.ts'
import {qualified} from '../quote.ts'
import {stagedValues} from './fill.ts'
import {among, before, type Entry} from './plan.ts'
import {differs, equal} from './relations.ts'

/**
 * Rows in the plan of this entry that differ from the backup, and bear another time of change than there: somebody edited them in
 * between, which a transaction that has overwritten them since hides from everything else. Undefined where the table has none of these
 * columns. `timestampColumns`: as configured, those of the creation among them.
 */
export async function editedSince(client: Client, entry: Entry, timestampColumns: readonly string[]): Promise<number | undefined> {
  const {plan, index, staged, shared, selected: {role}} = entry
  const times = shared.map(({live}) => live).filter(({base}) => ['timestamp', 'timestamptz'].includes(base))
  const [witness] = timestampColumns.filter((name) => !isOfCreation(name)).flatMap((name) => times.find((one) => one.name === name) ?? [])
  if (role !== 'rows' || plan.key === undefined || witness === undefined) return undefined
  const values = stagedValues(entry)
  const key = shared.filter(({live}) => plan.key?.includes(live.name) === true)
  const on = key.map(({live}) => equal(live, before(plan, live.name), values.get(live.name) ?? 'NULL')).join(' AND ')
  return (await rowOf<{count: number}>(client, `
    SELECT count(*)::float8 AS count FROM ${plan.sql} p JOIN ${qualified(staged.stage)} AS s ON ${on}
    WHERE p.entry = ${index} AND p.act ${among(['update', 'changed'])} AND ${differs(witness, before(plan, witness.name), values.get(witness.name) ?? 'NULL')}`)).count
}
