import {rowsOf, type Client} from '../connection.ts'
import {quoteLiteral} from '../quote.ts'
import type {TableComparison} from './contract.ts'
import {planRows} from './moves.ts'
import {after, among, before, plansOf, type Act, type Entry, type Plan, type Planned} from './plan.ts'
import {column, differs} from './relations.ts'
import {withFunctions} from './session.ts'
import {keyJson, tellingOf} from './telling.ts'
import {heldAlike, isSpecial, keyList, type UniqueIndex} from './unique-indexes.ts'

const WRITTEN: readonly Act[] = ['insert', 'update', 'link']
/** So many are listed of one index. */
const LISTED = 1000

/** Rows that a unique index of expressions, or of a part of the rows, does not let in, with whoever holds it: a live row that stays as it is, or another row to come. */
export async function specialConflicts(client: Client, planned: Planned, entry: Entry): Promise<TableComparison['conflicts']> {
  const found: TableComparison['conflicts'] = []
  for (const index of planned.uniques.get(entry.plan) ?? []) if (isSpecial(index)) found.push(...await withFunctions(client, () => heldBy(client, planned, entry, index)))
  return found
}

function heldBy(client: Client, planned: Planned, {plan, index: entry}: Entry, index: UniqueIndex): Promise<TableComparison['conflicts']> {
  const told = keyJson(tellingOf(plan), (name) => column('r', name))
  const rows = planRows(plan, after, index, WRITTEN)
  const changed = (other: Plan) => other.relation.columns.filter(({name}) => index.reads.includes(name)).map((one) => differs(one, before(other, one.name, 'x'), after(other, one.name, 'x'))).join(' OR ') || 'false'
  const untouched = plansOf(planned, plan.relation.table).map((other) => `NOT EXISTS (SELECT FROM ${other.sql} x WHERE x.tid = h.tid AND x.rel = h.rel AND (x.act = 'delete' OR x.act ${among(['update', 'link'])} AND (${changed(other)})))`)
  const live = `(SELECT r.ctid AS tid, r.tableoid AS rel, ${told} AS told, ${keyList(index)} FROM ${plan.relation.from} AS r${index.predicate === null ? '' : ` WHERE (${index.predicate})`})`
  const list = (from: string) => `(SELECT n.told AS key, ${quoteLiteral(index.name)} AS index, h.told AS holder FROM ${from} WHERE n.entry = ${entry}`
  return rowsOf(client, [
    `${list(`${rows} AS n JOIN ${live} AS h ON ${heldAlike(index, 'n', 'h')}`)} AND ${untouched.join(' AND ')} LIMIT ${LISTED})`,
    `${list(`${rows} AS n JOIN ${rows} AS h ON ${heldAlike(index, 'n', 'h')}`)} AND n.at < h.at LIMIT ${LISTED})`,
  ].join(' UNION ALL '))
}
