import {preflightError} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {shownName} from './names.ts'
import {keyJson} from './telling.ts'
import {among, STAYING} from './plan.ts'
import {runOf} from './run-schema.ts'
import {manifestOf, undoSchemas, type UndoTable} from './undo-schema.ts'

/** Of rows in the words of an error. */
const SHOWN = 3

/**
 * Throws `partial.changed-since` (exit 3) where a newer merge, which stands, has written rows of this one: to take this one back would
 * bring back what the newer one has repaired, though the rows look as this one left them; and then the newer one could not be taken back
 * any more. `undoSchema` must be a merge's; `named` says what the run of such a schema is called.
 */
export async function assertNewest(client: Client, undoSchema: string, named: (schema: string) => string = runOf): Promise<void> {
  const own = await manifestOf(client, undoSchema)
  for (const {schema} of (await undoSchemas(client)).filter((one) => one.schema !== undoSchema && !one.undone)) {
    if (own.length === 0 || !await isNewer(client, schema, undoSchema)) continue
    const others = await manifestOf(client, schema)
    for (const table of own) for (const other of await ofSameRows(client, table, others)) await assertApart(client, {undoSchema, table}, {schema, run: named(schema), table: other})
  }
}

/** By the clock of the server, to the microsecond. */
const isNewer = async (client: Client, schema: string, than: string): Promise<boolean> =>
  (await rowOf<{newer: boolean}>(client, `SELECT coalesce((SELECT max(at) FROM ${quoteIdent(schema)}.manifest) > (SELECT max(at) FROM ${quoteIdent(than)}.manifest), false) AS newer`)).newer

/** Of the same table, or of one that is partitioned and its partition. */
async function ofSameRows(client: Client, table: UndoTable, others: readonly UndoTable[]): Promise<UndoTable[]> {
  const {related} = await rowOf<{related: boolean[]}>(client, `
    SELECT ARRAY(SELECT w.schema = $1 AND w.name = $2 OR coalesce(pg_partition_root(to_regclass(format('%I.%I', w.schema, w.name))) = pg_partition_root(to_regclass(format('%I.%I', $1::text, $2::text))), false)
      FROM unnest($3::text[], $4::text[]) WITH ORDINALITY w (schema, name, place) ORDER BY w.place) AS related`, [table.schema, table.name, others.map(({schema}) => schema), others.map(({name}) => name)])
  return others.filter(({columns}, index) => related[index] === true && tellingOf(table).every((name) => columns.includes(name)))
}

/** What tells its rows; without a key all columns, as their values were or are. */
const tellingOf = ({key, columns}: UndoTable): readonly string[] => key ?? columns

async function assertApart(client: Client, {undoSchema, table}: {undoSchema: string; table: UndoTable}, other: {schema: string; run: string; table: UndoTable}): Promise<void> {
  const value = ({columns}: UndoTable, alias: string, name: string) => {
    const place = columns.indexOf(name) + 1
    return `(CASE WHEN ${alias}.act ${among(STAYING)} THEN ${alias}."a${place}"::text ELSE ${alias}."b${place}"::text END)`
  }
  const told = tellingOf(table)
  const found = await rowsOf<{key: Record<string, string>; count: number}>(client, `
    SELECT ${keyJson(told, (name) => `left(${value(table, 'u', name)}, 100)`)} AS key, (count(*) OVER ())::int AS count FROM ${qualified({schema: undoSchema, name: table.images})} u
    WHERE EXISTS (SELECT FROM ${qualified({schema: other.schema, name: other.table.images})} o WHERE ${told.map((name) => `${value(table, 'u', name)} ${table.key ? '=' : 'IS NOT DISTINCT FROM'} ${value(other.table, 'o', name)}`).join(' AND ')}) LIMIT ${SHOWN}`)
  const [first] = found
  if (first === undefined) return
  const rows = found.map(({key}) => `${shownName(table)} ${Object.entries(key).map(([name, text]) => `${name} ${text}`).join(', ')}`)
  throw preflightError('partial.changed-since', `${first.count} ${first.count === 1 ? 'row was' : 'rows were'} written again by the newer partial restore ${other.run}: ${rows.join('; ')}${first.count > rows.length ? '; …' : ''}.`, {hints: [
    `Take that one back first: dr undo ${other.run}`, `What each row was before is in the schema ${undoSchema}.`,
  ]})
}
