import {rowOf, rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent, quoteLiteral} from '../quote.ts'
import type {MergeResult, TableName} from './contract.ts'
import type {Planned} from './plan.ts'
import type {Tally} from './tally.ts'

/** Moves the sequences of columns that were written past the data, never back. What they are set to outlasts a ROLLBACK: it is only further on. */
export async function moveSequences(client: Client, {plans}: Planned, counts: Tally): Promise<MergeResult['sequences']> {
  const moved: MergeResult['sequences'] = []
  for (const plan of plans) {
    const {relation} = plan
    if (counts.of(plan, ['insert', 'update']) === 0) continue
    for (const sequence of relation.shape.sequences) {
      const base = relation.columns.find(({name}) => name === sequence.column)?.base ?? ''
      if (!['int2', 'int4', 'int8', 'numeric'].includes(base)) continue
      if (!(await mayMove(client, sequence))) {
        const {value} = await rowOf<{value: string | null}>(client, `SELECT max(${quoteIdent(sequence.column)})::text AS value FROM ${relation.from}`)
        if (value !== null) moved.push({schema: sequence.schema, name: sequence.name, value, denied: true})
        continue
      }
      const [row] = await rowsOf<{value: string}>(client, `
        WITH s AS (SELECT seqincrement < 0 AS falls, seqmin, seqmax, q.last_value, q.is_called FROM pg_catalog.pg_sequence, ${qualified(sequence)} q WHERE seqrelid = ${quoteLiteral(qualified(sequence))}::regclass),
          d AS (SELECT CASE WHEN (SELECT falls FROM s) THEN min(${quoteIdent(sequence.column)}) ELSE max(${quoteIdent(sequence.column)}) END::bigint AS furthest FROM ${relation.from})
        SELECT setval(${quoteLiteral(qualified(sequence))}::regclass, d.furthest)::text AS value FROM s, d
        WHERE d.furthest BETWEEN s.seqmin AND s.seqmax AND CASE WHEN s.falls THEN d.furthest < s.last_value ELSE d.furthest > s.last_value END OR (d.furthest = s.last_value AND NOT s.is_called)`)
      if (row) moved.push({schema: sequence.schema, name: sequence.name, value: row.value})
    }
  }
  return moved
}

/** One that the table does not own may be somebody else's. */
async function mayMove(client: Client, {schema, name}: TableName): Promise<boolean> {
  const [found] = await rowsOf<{may: boolean}>(client, `
    SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') AS may
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'S'`, [schema, name])
  return found?.may === true
}
