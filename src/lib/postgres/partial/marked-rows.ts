import {rowOf, type Client} from '../connection.ts'
import type {Predicate, TableName} from './contract.ts'
import {sidesOf, type Side} from './fill.ts'
import type {Planned} from './plan.ts'
import {assertCondition, markOf} from './predicate.ts'
import {asOperator} from './session.ts'

/** A condition of the operator's on the rows of one relation. */
interface OwnCondition {
  /** For FROM. */
  from: string
  text: string
}

const SIDES: readonly Side[] = ['live', 'stage']

/** On either side, each once. */
function ownConditions(planned: Planned): OwnCondition[] {
  const found = new Map<string, OwnCondition>()
  for (const side of SIDES) {
    const {tableFor} = sidesOf(planned, side)
    const collect = (predicate: Predicate, table: TableName) => {
      if (predicate.kind === 'sql') found.set(markOf(tableFor(table), predicate.text), {from: tableFor(table), text: predicate.text})
      else if (predicate.kind === 'refers') collect(predicate.where, predicate.table)
      else if (predicate.kind === 'any' || predicate.kind === 'every') for (const part of predicate.of) collect(part, table)
    }
    for (const {selected: {where, table}} of planned.entries) collect(where, table)
  }
  return [...found.values()]
}

/** Makes the tables in which rows are marked; not in a transaction that may only read. They end with the session, or with the transaction that this is in. */
export async function makeMarks(client: Client, planned: Planned, {onCommit = ''}: {onCommit?: '' | ' ON COMMIT DROP'} = {}): Promise<void> {
  for (const [place, {from, text}] of ownConditions(planned).entries()) {
    const name = `pg_temp.dr_mark_${place}`
    await client.query(`CREATE TEMPORARY TABLE ${name} (tid tid NOT NULL, rel oid NOT NULL)${onCommit}`)
    planned.marks.set(markOf(from, text), name)
  }
}

/**
 * Marks the rows for which conditions of the operator's hold, in a statement of their own: they may name functions of the
 * application's, which nothing else of ours is to find. Throws `partial.where`.
 */
export async function markRows(client: Client, planned: Planned): Promise<void> {
  const conditions = ownConditions(planned)
  if (planned.marks.size === 0) await makeMarks(client, planned, {onCommit: ' ON COMMIT DROP'})
  for (const {from, text} of conditions) {
    const mark = planned.marks.get(markOf(from, text)) ?? ''
    await asOperator(client, planned.request.meanings, async () => {
      await assertCondition(client, from, `(\n${text}\n)`)
      await client.query(`INSERT INTO ${mark} SELECT r.ctid, r.tableoid FROM ${from} AS r WHERE (\n${text}\n)`)
    })
    const {rows} = await rowOf<{rows: number}>(client, `SELECT count(*)::float8 AS rows FROM ${mark}`)
    if (rows > LARGE) await client.query(`ANALYZE ${mark}`)
  }
}

const LARGE = 500
