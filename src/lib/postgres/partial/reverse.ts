import {rowsOf, type Client} from '../connection.ts'
import {quoteLiteral} from '../quote.ts'
import {among, DOOMED, heads, kept, STAYING, type Plan} from './plan.ts'
import {column, equal, exact, inLiveType, same, type Column} from './relations.ts'
import type {UndoTable} from './undo-schema.ts'

/** One touched table on its way back. */
export interface Reversed {
  undo: UndoTable
  /** Of the way back. */
  plan: Plan
  /** The columns of the table that holds the images. */
  kept: readonly Column[]
  /** That table, quoted. */
  from: string
}

/** An image of a column that is still there, in its type of now. */
function image({undo, kept: columns}: Reversed, side: 'a' | 'b', live: Column): string {
  const name = `${side}${undo.columns.indexOf(live.name) + 1}`
  const found = columns.find((one) => one.name === name)
  return found ? inLiveType(live, found, column('u', name)) : 'NULL'
}

const known = ({plan, undo}: Reversed): Column[] => plan.relation.columns.filter(({name}) => undo.columns.includes(name))

const isStaying = `u.act ${among(STAYING)}`

/** `l` is the row that `u` tells of, and is as the merge left it. */
function matches(one: Reversed): {rows: string; on: string; unchanged: string} {
  const {plan: {relation}, undo, from} = one
  const live = (more = '') => `(SELECT r.*, r.ctid AS "dr:tid", r.tableoid AS "dr:rel"${more} FROM ${relation.from} AS r) AS l`
  const given = known(one).filter(({name}) => undo.inserted.includes(name))
  if (undo.key) {
    const key = known(one).filter(({name}) => undo.key?.includes(name) === true)
    const on = key.map((part) => equal(part, column('l', part.name), `CASE WHEN ${isStaying} THEN ${image(one, 'a', part)} ELSE ${image(one, 'b', part)} END`)).join(' AND ')
    const unchanged = known(one).map((part) => `(${given.includes(part) ? '' : "u.act = 'insert' OR "}${same(part, column('l', part.name), image(one, 'a', part))})`).join(' AND ')
    return {rows: `${from} AS u LEFT JOIN ${live()} ON ${on}`, on, unchanged}
  }
  const compared = given.length > 0 ? given : known(one)
  const digest = (value: (part: Column) => string) => `sha256(convert_to(ROW(${compared.map((part) => exact(part, value(part))).join(', ')})::text, getdatabaseencoding()))`
  const numbered = (value: (part: Column) => string, partition = '') => `, ${digest(value)} AS "dr:whole", row_number() OVER (PARTITION BY ${partition}${digest(value)}) AS "dr:copy"`
  const on = `${isStaying} AND l."dr:whole" = u."dr:whole" AND l."dr:copy" = u."dr:copy"`
  return {rows: `(SELECT u.*${numbered((part) => image(one, 'a', part), `${isStaying}, `)} FROM ${from} AS u) AS u LEFT JOIN ${live(numbered((part) => column('r', part.name)))} ON ${on}`, on, unchanged: 'true'}
}

/** Rows that are not as the merge left them, a few of them with their number. */
export async function changedRows(client: Client, one: Reversed, limit: number): Promise<{key: Record<string, string>; count: number}[]> {
  const {rows, unchanged} = matches(one)
  const key = known(one).filter(({name}) => undoKey(one).includes(name))
  return rowsOf(client, `
    SELECT jsonb_object(ARRAY[${key.map(({name}) => quoteLiteral(name)).join(', ')}]::text[], ARRAY[${key.map((part) => `left((CASE WHEN ${isStaying} THEN ${image(one, 'a', part)} ELSE ${image(one, 'b', part)} END)::text, 100)`).join(', ')}]::text[]) AS key, (count(*) OVER ())::int AS count
    FROM ${rows} WHERE (${isStaying} AND (l."dr:tid" IS NULL OR NOT (${unchanged}))) OR (u.act ${among(DOOMED)} AND l."dr:tid" IS NOT NULL) LIMIT ${limit}`)
}

const undoKey = ({undo}: Reversed): readonly string[] => undo.key ?? undo.columns

/** Inserts become deletes, deletes inserts, and updates their opposite. */
export async function fillReverse(client: Client, one: Reversed): Promise<void> {
  const {plan} = one
  const {relation: {columns}} = plan
  const was = new Set(known(one))
  const afterOf = (part: Column) => (was.has(part) ? image(one, 'b', part) : column('l', part.name))
  await client.query(`
    INSERT INTO ${plan.sql} (${heads(plan)})
    SELECT 0, CASE WHEN u.act = 'insert' THEN 'delete' WHEN u.act ${among(DOOMED)} THEN 'insert' ELSE 'update' END, l."dr:tid", l."dr:rel", 1, NULL, ${[...columns.map((part) => kept(part, column('l', part.name))), ...columns.map((part) => kept(part, afterOf(part)))].join(', ')}
    FROM ${matches(one).rows}`)
}
