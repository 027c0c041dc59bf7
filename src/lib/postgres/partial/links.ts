import type {Client} from '../connection.ts'
import {isBroughtBack} from './brought-back.ts'
import type {ForeignKeyShape} from './contract.ts'
import {conditionOf, images, liveRows, onKey, stagedRows} from './fill.ts'
import {after, afterColumn, among, DOOMED, heads, kept, mayChange, plansOf, REWRITTEN, unplanned, type Entry, type Plan, type Planned} from './plan.ts'
import {quoteIdent} from '../quote.ts'
import {BROUGHT} from './mirror.ts'
import {sameTable} from './names.ts'
import {column, constantOf, equals, fromOf, inLiveType, keysFrom, same, type Column} from './relations.ts'

/**
 * Joins by which the parent of a row is found that lives or comes back; `valueOf` gives the row's column. `there` holds when it is
 * found, `wasLost` when it comes back, or another repair has brought it back already. That it was written since the backup says nothing:
 * rows are edited all the time.
 */
export function parentJoins(planned: Planned, key: ForeignKeyShape, valueOf: (name: string) => string): {joins: string; there: string; wasLost: string} {
  const {columns, references, referencedColumns} = key
  const plans = plansOf(planned, references)
  const on = (value: (name: string) => string) => referencedColumns.map((name, index) => `${value(name)} ${equals(key, index)} ${valueOf(columns[index] ?? '')}`).join(' AND ')
  const loses = (plan: Plan, index: number) => referencedColumns.map((name, place) => `${after(plan, name, `d${index}`)} IS DISTINCT FROM ${valueOf(columns[place] ?? '')}`).join(' OR ')
  const joins = [
    `LEFT JOIN ${fromOf(planned.live, references)} AS h ON ${on((name) => column('h', name))}`,
    ...plans.flatMap((plan, index) => [
      `LEFT JOIN ${plan.sql} AS q${index} ON q${index}.act ${mayChange(plan, key) ? among([...REWRITTEN, 'insert']) : "= 'insert'"} AND ${on((name) => after(plan, name, `q${index}`))}`,
      `LEFT JOIN ${plan.sql} AS d${index} ON d${index}.rel = h.tableoid AND d${index}.tid = h.ctid AND (d${index}.act ${among(DOOMED)}${mayChange(plan, key) ? ` OR d${index}.act ${among(REWRITTEN)} AND (${loses(plan, index)})` : ''})`,
    ]),
  ]
  const lives = ['h.ctid IS NOT NULL', ...plans.map((_, index) => `d${index}.act IS NULL`)].join(' AND ')
  const brought = planned.request.mirror ? `h.${quoteIdent(BROUGHT)}` : isBroughtBack(planned.brought, planned.live, references, 'h')
  const found = (ofLiving: string) => `((${lives}${ofLiving})${plans.map((_, index) => ` OR q${index}.act IS NOT NULL`).join('')})`
  return {joins: joins.join(' '), there: found(''), wasLost: found(` AND (${brought})`)}
}

/** The foreign key that an entry of role `links` puts back; undefined when there is none live. */
function keyOfLinks({live}: Planned, {selected: {table, columns = [], where}}: Entry): ForeignKeyShape | undefined {
  const candidates = keysFrom(live, table).filter((key) => columns.every((name) => key.columns.includes(name)))
  const named = where.kind === 'refers' ? candidates.find((key) => sameTable(key.references, where.table) && where.columns.every((name) => key.columns.includes(name))) : undefined
  return named ?? candidates.toSorted((a, b) => a.columns.length - b.columns.length)[0]
}

/** Whether a column is as the end of the row that it named has left it: NULL, or its default. */
export function isLeft(key: ForeignKeyShape | undefined, column: Pick<Column, 'fallback'>, value: string): string {
  return key?.onDelete === 'set default' && constantOf(column) !== undefined ? `(${value} IS NULL OR ${value} = ${column.fallback ?? 'NULL'})` : `${value} IS NULL`
}

/** Fills the plan of an entry of role `links`: rows that are there, whose link is NULL or the default of SET DEFAULT, and whose parent was lost. A link that was taken away while its parent was there is none of the accident's. */
export async function fillLinks(client: Client, planned: Planned, entry: Entry): Promise<void> {
  const {plan, shared, selected} = entry
  const links = shared.filter(({live}) => selected.columns?.includes(live.name) === true)
  if (links.length === 0 || plan.key === undefined) return
  const valueOf = (name: string): string => {
    const pair = shared.find(({live}) => live.name === name)
    return pair ? inLiveType(pair.live, pair.staged, column('s', name)) : 'NULL'
  }
  const foreignKey = keyOfLinks(planned, entry)
  const {joins, wasLost} = foreignKey ? parentJoins(planned, foreignKey, valueOf) : {joins: '', wasLost: 'true'}
  const left = (one: Column, now: string) => `(${isLeft(foreignKey, one, now)} AND NOT ${same(one, now, valueOf(one.name))})`
  const detached = (now: (one: Column) => string) => [
    `(${links.map(({live}) => left(live, now(live))).join(' OR ')})`,
    ...links.flatMap(({live}) => [`(${isLeft(foreignKey, live, now(live))} OR ${same(live, now(live), valueOf(live.name))})`, `${valueOf(live.name)} IS NOT NULL`]),
  ].join(' AND ')
  const staged = stagedRows(entry, conditionOf(planned, entry, 'stage'))
  // A row that another link puts back already gets this one, too.
  const onPlan = plan.key.map((name) => `${after(plan, name)} = ${valueOf(name)}`).join(' AND ')
  await client.query(`
    UPDATE ${plan.sql} AS p SET ${links.map(({live}) => `${afterColumn(plan, live.name)} = ${kept(live, valueOf(live.name))}`).join(', ')}
    FROM ${staged} ${joins} WHERE p.act = 'link' AND ${onPlan} AND ${detached((one) => after(plan, one.name))} AND ${wasLost}`)
  await client.query(`
    INSERT INTO ${plan.sql} (${heads(plan)})
    SELECT ${entry.index}, 'link', l."dr:tid", l."dr:rel", 1, NULL, ${images(entry, links.map(({live}) => live))}
    FROM ${staged} JOIN ${liveRows(entry)} ON ${onKey(entry)} ${joins}
    WHERE ${detached((one) => column('l', one.name))} AND ${wasLost} AND ${unplanned(planned, plan.relation.table, 'l', {tid: '"dr:tid"', rel: '"dr:rel"'})}`)
}
