import {rowOf, type Client} from '../connection.ts'
import type {Comparison, ForeignKeyShape} from './contract.ts'
import {after, afterColumn, among, before, DOOMED, heads, kept, plansOf, REWRITTEN, unplanned, type Plan, type Planned} from './plan.ts'
import {sameTable} from './names.ts'
import {column, equals, fromOf, type Column} from './relations.ts'
import {analyzed, type Tally} from './tally.ts'

/** Of no entry of the selection. */
const NOBODYS = -1

/** Adds to the plans what the deletes in them take and change elsewhere, until nothing is added. */
export async function fillCascades(client: Client, planned: Planned): Promise<void> {
  const followed = new Map<Plan, number>()
  for (;;) {
    const counts = await analyzed(client, planned)
    const grown = planned.plans.filter((plan) => counts.of(plan, DOOMED) > (followed.get(plan) ?? 0))
    if (grown.length === 0) return
    for (const plan of grown) followed.set(plan, counts.of(plan, DOOMED))
    for (const key of planned.live.foreignKeys.filter(({onDelete}) => onDelete !== 'no action' && onDelete !== 'restrict')) {
      for (const parent of plansOf(planned, key.references)) if (grown.includes(parent)) await cascade(client, planned, key, parent)
    }
  }
}

const deletes = (alias: string): string => `${alias}.act ${among(DOOMED)}`

async function cascade(client: Client, planned: Planned, key: ForeignKeyShape, parent: Plan): Promise<void> {
  const child = planned.plans.find(({relation}) => sameTable(relation.table, key.table))
  if (child === undefined) return
  const on = (value: (name: string) => string) => key.columns.map((name, index) => `${value(name)} ${equals(key, index)} ${before(parent, key.referencedColumns[index] ?? '', 'd')}`).join(' AND ')
  const {columns, from, table} = child.relation
  const taken = key.onDelete === 'cascade'
  const images = [...columns.map((one) => kept(one, column('c', one.name))), ...columns.map((one) => (taken ? 'NULL' : kept(one, nulled(key, one) ?? column('c', one.name))))]
  await client.query(`
    INSERT INTO ${child.sql} (${heads(child)})
    SELECT ${NOBODYS}, '${taken ? 'cascade-delete' : 'cascade-null'}', c.ctid, c.tableoid, 1, NULL, ${images.join(', ')}
    FROM ${from} AS c JOIN ${parent.sql} AS d ON ${on((name) => column('c', name))} WHERE ${deletes('d')} AND ${unplanned(planned, table, 'c')}`)
  for (const plan of plansOf(planned, key.table)) {
    await client.query(`UPDATE ${plan.sql} AS p SET ${taken ? "act = 'cascade-delete'" : [...nulling(key, plan), 'n = p.n + 1'].join(', ')} FROM ${parent.sql} AS d WHERE ${deletes('d')} AND p.act ${among(REWRITTEN)} AND ${on((name) => after(plan, name))}`)
  }
}

const nulling = (key: ForeignKeyShape, plan: Plan): string[] =>
  plan.relation.columns.flatMap((one) => (nulled(key, one) === undefined ? [] : [`${afterColumn(plan, one.name)} = ${kept(one, nulled(key, one) ?? 'NULL')}`]))

/** What ON DELETE SET NULL or SET DEFAULT writes into a column; undefined where it leaves it alone. */
function nulled({onDelete, columns, setColumns}: ForeignKeyShape, {name, fallback}: Column): string | undefined {
  if (!(setColumns ?? columns).includes(name)) return undefined
  return onDelete === 'set default' ? fallback ?? 'NULL' : 'NULL'
}

/** Keys that name deleted rows from rows that stay, and let nobody delete them. */
export async function findRefusals(client: Client, planned: Planned, counts: Tally): Promise<NonNullable<Comparison['refusals']>> {
  const found: NonNullable<Comparison['refusals']> = []
  for (const key of planned.live.foreignKeys) {
    if (key.onDelete !== 'no action' && key.onDelete !== 'restrict') continue
    let rows = 0
    for (const parent of plansOf(planned, key.references)) if (counts.of(parent, DOOMED) > 0) rows += await naming(client, planned, key, parent)
    if (rows > 0) found.push({foreignKey: key.name, table: key.table, references: key.references, rows})
  }
  return found
}

async function naming(client: Client, planned: Planned, key: ForeignKeyShape, parent: Plan): Promise<number> {
  const on = (value: (name: string) => string) => key.columns.map((name, index) => `${value(name)} ${equals(key, index)} ${before(parent, key.referencedColumns[index] ?? '', 'd')}`).join(' AND ')
  const untouched = `(SELECT count(*) FROM ${fromOf(planned.live, key.table)} c JOIN ${parent.sql} d ON ${on((name) => column('c', name))} WHERE ${deletes('d')} AND ${unplanned(planned, key.table, 'c')})`
  const planneds = plansOf(planned, key.table).map((plan) => `(SELECT count(*) FROM ${plan.sql} p JOIN ${parent.sql} d ON ${on((name) => after(plan, name))} WHERE ${deletes('d')} AND p.act ${among([...REWRITTEN, 'insert'])})`)
  return Number((await rowOf<{count: string}>(client, `SELECT ${[untouched, ...planneds].join(' + ')} AS count`)).count)
}
