import {rowOf, type Client} from '../connection.ts'
import type {ForeignKeyShape, KeyChange} from './contract.ts'
import {after, among, before, mayChange, plansOf, REWRITTEN, unplanned, type Plan, type Planned} from './plan.ts'
import {column, differs, equals, fromOf} from './relations.ts'
import type {Tally} from './tally.ts'

/**
 * Rows that name others by a value that the plans change, and that the server would change with it (ON UPDATE CASCADE, SET NULL,
 * SET DEFAULT): nobody has compared them. Those that are put back themselves, so that they name it no more, are none. What a
 * generated column would become is not known beforehand: there the proof of the merge stands alone.
 */
export async function findKeyChanges(client: Client, planned: Planned, counts: Tally): Promise<KeyChange[]> {
  const found: KeyChange[] = []
  for (const key of planned.live.foreignKeys) {
    if (key.onUpdate === 'no action' || key.onUpdate === 'restrict') continue
    let rows = 0
    for (const parent of plansOf(planned, key.references)) if (counts.of(parent, REWRITTEN) > 0 && mayChange(parent, key)) rows += await naming(client, planned, key, parent)
    if (rows > 0) found.push({foreignKey: key.name, rule: key.onUpdate, table: key.table, references: key.references, columns: key.referencedColumns, rows})
  }
  return found
}

async function naming(client: Client, planned: Planned, key: ForeignKeyShape, parent: Plan): Promise<number> {
  const on = (value: (name: string) => string) => key.columns.map((name, index) => `${value(name)} ${equals(key, index)} ${before(parent, key.referencedColumns[index] ?? '', 'd')}`).join(' AND ')
  const changed = parent.relation.columns.filter(({name}) => key.referencedColumns.includes(name)).map((one) => differs(one, before(parent, one.name, 'd'), after(parent, one.name, 'd'))).join(' OR ')
  const parents = `${parent.sql} d ON d.act ${among(REWRITTEN)} AND (${changed})`
  const untouched = `(SELECT count(*) FROM ${fromOf(planned.live, key.table)} c JOIN ${parents} AND ${on((name) => column('c', name))} WHERE ${unplanned(planned, key.table, 'c')})`
  const touched = plansOf(planned, key.table).map((plan) => `(SELECT count(*) FROM ${plan.sql} p JOIN ${parents} AND ${on((name) => after(plan, name))} WHERE p.act ${among([...REWRITTEN, 'insert'])})`)
  return (await rowOf<{count: number}>(client, `SELECT (${[untouched, ...touched].join(' + ')})::float8 AS count`)).count
}
