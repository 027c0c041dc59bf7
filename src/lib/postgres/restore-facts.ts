import {rowsOf, type Client} from './connection.ts'
import {messageOf} from '../errors.ts'
import {codeOf} from './errors.ts'
import {qualified, quoteIdent} from './quote.ts'

/** A sequence as it stands, with what it must be ahead of. */
export interface SequenceState {
  schema: string
  name: string
  lastValue: string
  isCalled: boolean
  increment: string
  /** The column that it feeds, and the largest (for a falling one: smallest) value there. */
  owned?: {table: string; column: string; furthest: string | null}
  /** Why it could not be read; then the values are empty. */
  trouble?: string
}

interface SequenceRow {
  schema: string
  name: string
  increment: string
  ownerSchema: string | null
  ownerTable: string | null
  column: string | null
  /** The column holds numbers: others have no largest value, or none that says anything. */
  numeric: boolean
}

/** Sequences of this list as they are now; without a list all of them. */
export async function readSequences(client: Client, wanted?: readonly {schema: string; name: string}[]): Promise<SequenceState[]> {
  const rows = await rowsOf<SequenceRow>(client, `
    SELECT n.nspname AS schema, c.relname AS name, s.seqincrement::text AS increment, tn.nspname AS "ownerSchema", t.relname AS "ownerTable", a.attname AS column,
      coalesce(y.oid, 0)::regtype IN ('int2', 'int4', 'int8', 'numeric') AS numeric
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    LEFT JOIN pg_type o ON o.oid = a.atttypid LEFT JOIN pg_type y ON y.oid = coalesce(nullif(o.typbasetype, 0), o.oid)
    WHERE n.nspname !~ '^pg_' ORDER BY 1, 2`)
  const names = wanted && new Set(wanted.map(({schema, name}) => JSON.stringify([schema, name])))
  const found: SequenceState[] = []
  for (const row of rows) if (!names || names.has(JSON.stringify([row.schema, row.name]))) found.push(await stateOf(client, row).catch((error: unknown) => unread(row, error)))
  return found
}

/** Only what the server refuses: a lost connection is lost for all. */
function unread({schema, name, increment}: SequenceRow, error: unknown): SequenceState {
  if (codeOf(error) === undefined) throw error
  return {schema, name, increment, lastValue: '', isCalled: false, trouble: messageOf(error)}
}

async function stateOf(client: Client, {schema, name, increment, ownerSchema, ownerTable, column, numeric}: SequenceRow): Promise<SequenceState> {
  const furthest = ownerTable === null || column === null || ownerSchema === null || !numeric ? 'NULL'
    : `(SELECT ${increment.startsWith('-') ? 'min' : 'max'}(${quoteIdent(column)})::text FROM ${qualified({schema: ownerSchema, name: ownerTable})})`
  const [row] = await rowsOf<{lastValue: string; isCalled: boolean; furthest: string | null}>(client, `SELECT last_value::text AS "lastValue", is_called AS "isCalled", ${furthest} AS furthest FROM ${qualified({schema, name})}`)
  return {
    schema, name, increment, lastValue: row?.lastValue ?? '', isCalled: row?.isCalled ?? false,
    ...(ownerTable !== null && column !== null && {owned: {table: `${ownerSchema ?? ''}.${ownerTable}`, column, furthest: row?.furthest ?? null}}),
  }
}

/** What is to be analyzed, largest first: partitioned tables as a whole, without their partitions by themselves. */
export async function tablesToAnalyze(client: Client): Promise<{schema: string; name: string}[]> {
  return rowsOf<{schema: string; name: string}>(client, `
    SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT c.relispartition AND (c.relkind IN ('r', 'p') OR (c.relkind = 'm' AND c.relispopulated))
    ORDER BY coalesce((SELECT sum(pg_relation_size(t.relid)) FROM pg_partition_tree(c.oid) t), pg_relation_size(c.oid)) DESC`)
}

export const analyzeSql = (table: {schema: string; name: string}): string => `ANALYZE ${qualified(table)}`

