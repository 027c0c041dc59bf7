import {preflightError, verificationError} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {codeOf, statementError} from '../errors.ts'
import {qualified, quoteIdent, quoteLiteral} from '../quote.ts'
import type {TableName} from './contract.ts'
import {described, numberOf, numbers, withFullNames, type MadeObject} from './made-objects.ts'
import {dropMadeNote, madeAlone, type Made} from './made.ts'
import {nameOf, sameTable, shownName} from './names.ts'
import {dropStage, stageOf, stageSchemaName} from './stage-schema.ts'
import {writtenSince} from './written-since.ts'

/** Of rows and objects in the words of an error. */
const SHOWN = 10

const changedSince = (message: string, hint: string): Error => preflightError('partial.changed-since', message, {hints: [hint]})
const listed = (names: readonly string[]): string => `${names.slice(0, SHOWN).join('; ')}${names.length > SHOWN ? '; …' : ''}`

/** For whoever goes on with a run: throws `partial.changed-since` when tables that it had made are gone, or others by now. */
export async function assertStillThere(client: Client, {tables}: Made): Promise<void> {
  const there = await rowsOf<TableName & {oid: number}>(client, `
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`, [tables.map(({oid}) => oid)])
  const gone = tables.filter((table) => !there.some((one) => one.oid === table.oid && sameTable(one, table)))
  if (gone.length > 0) throw changedSince(`Tables that this run had made anew are gone, or others by now: ${gone.map(shownName).join(', ')}.`, 'Leave this run as it is, and begin anew: dr partial')
}

/** What is there of what the run has made. Throws `partial.changed-since`, naming it, unless it is as the run left it, and nobody has hung anything on it. */
export async function assertAsMade(client: Client, made: Made): Promise<MadeObject[]> {
  const there = await described(client, made.objects)
  const known = new Map(made.objects.map((one) => [numberOf(one), one]))
  const gone = made.tables.filter(({oid}) => !there.some((one) => one.oid === oid))
  const changed = there.filter((one) => { const was = known.get(numberOf(one)); return was?.name !== one.name || was.definition !== one.definition })
  const strangers = await strangersOn(client, made.objects, stageSchemaName(made.run))
  const words = [...gone.map((table) => `table ${shownName(table)} is gone`), ...changed.map((one) => `${known.get(numberOf(one))?.name ?? one.name} was changed`), ...strangers.map((name) => `${name} hangs on it`)]
  if (words.length > 0) throw changedSince(`What was made anew is not as it was left: ${listed(words)}.`, 'Take back what was done since, or leave the tables as they are.')
  return there
}

/** What depends on these objects and is none of them. A rewritten table has another table for its large values; staged rows go with their run. */
async function strangersOn(client: Client, objects: readonly MadeObject[], stage: string): Promise<string[]> {
  const rows = await withFullNames(client, () => rowsOf<{name: string}>(client, `
    WITH m AS MATERIALIZED (SELECT * FROM unnest($1::oid[], $2::oid[]) w (catalog, oid))
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) AS name FROM pg_catalog.pg_depend d JOIN m ON d.refclassid = m.catalog AND d.refobjid = m.oid
    WHERE NOT EXISTS (SELECT FROM m x WHERE x.catalog = d.classid AND x.oid = d.objid)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid AND (c.relkind = 't' OR n.nspname = $3))
    ORDER BY 1`, [...numbers(objects), stage]))
  return rows.map(({name}) => name)
}

/** Rows that a merge has put into what was made anew. */
export interface PutIn {
  rows: number
  /** As `xmin` shows it. */
  transaction?: string
}

/** Rows of the tables made anew beside these, which are there: `public.leads id x`, a few of them. */
async function rowsOfOthers(client: Client, {tables}: Made, {rows: known, transaction}: PutIn): Promise<string[]> {
  const found: string[] = []
  let all = 0
  for (const table of tables) {
    const {count} = await rowOf<{count: string}>(client, `SELECT count(*) FROM ONLY ${qualified(table)}`)
    all += Number(count)
    if (count === '0') continue
    const rows = await rowsOf<{key: string}>(client, `SELECT ${await keyText(client, table, 'r')} AS key FROM ONLY ${qualified(table)} r ${transaction === undefined ? '' : `WHERE r.xmin <> ${quoteLiteral(transaction)}::xid`} LIMIT ${SHOWN + 1}`)
    found.push(...rows.map((one) => `${shownName(table)} ${one.key}`))
  }
  return all === known ? [] : found.length > 0 ? found : [`${all} instead of ${known}`]
}

/** A row by its primary key, else by all of it. */
async function keyText(client: Client, {schema, name}: TableName, alias: string): Promise<string> {
  const columns = await rowsOf<{name: string}>(client, `
    SELECT a.attname::text AS name FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
    WHERE i.indisprimary AND i.indrelid = $1::regclass ORDER BY array_position(i.indkey::int2[], a.attnum)`, [qualified({schema, name})])
  if (columns.length === 0) return `left(ROW(${alias}.*)::text, 100)`
  return `concat_ws(', ', ${columns.map((one) => `${quoteLiteral(`${one.name} `)} || left(${alias}.${quoteIdent(one.name)}::text, 100)`).join(', ')})`
}

/** A table that is none of ours, with a foreign key to one of ours that the run has made. */
interface Child extends TableName {
  columns: string[]
  references: TableName
  referenced: string[]
}

/** Tables of others with foreign keys that the run has made. */
export async function childrenOf(client: Client, made: Made): Promise<Child[]> {
  return rowsOf<Child>(client, `
    SELECT n.nspname AS schema, c.relname AS name, jsonb_build_object('schema', pn.nspname, 'name', p.relname) AS references,
      ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place) AS columns,
      ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place) AS referenced
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.oid = ANY ($1::oid[]) AND NOT k.conrelid = ANY ($2::oid[])`, [numbers(made.objects)[1], made.tables.map(({oid}) => oid)])
}

/** Rows of other tables that were written since, and refer to rows of the tables made anew. */
export async function referringSince(client: Client, made: Made, children: readonly Child[]): Promise<string[]> {
  const found: string[] = []
  for (const {columns, references, referenced, ...table} of children) {
    const on = columns.map((name, index) => `p.${quoteIdent(referenced[index] ?? '')} = r.${quoteIdent(name)}`).join(' AND ')
    const rows = await rowsOf<{key: string}>(client, `
      SELECT ${await keyText(client, table, 'r')} AS key FROM ${qualified(table)} r
      WHERE ${writtenSince('r.xmin', made.snapshot)} AND EXISTS (SELECT FROM ${qualified(references)} p WHERE ${on}) LIMIT ${SHOWN + 1}`)
    found.push(...rows.map((one) => `${shownName(table)} ${one.key}`))
  }
  return found
}

/**
 * Takes away, in a transaction that is under way, what the run has made anew, and nothing else: no CASCADE. `putIn`: rows that are
 * known to be there as they were put in. Throws `partial.changed-since` (exit 3), naming rows and objects, where somebody has used it since.
 */
export async function unmake(client: Client, made: Made, putIn: PutIn): Promise<void> {
  if (made.tables.length > 0) await client.query(`LOCK TABLE ${made.tables.map(qualified).join(', ')} IN ACCESS EXCLUSIVE MODE`)
  const rows = await rowsOfOthers(client, made, putIn)
  if (rows.length > 0) throw changedSince(`Rows were written since into tables that were made anew: ${listed(rows)}.`, 'Move these rows elsewhere, or leave the tables as they are.')
  const referring = await referringSince(client, made, await childrenOf(client, made))
  if (referring.length > 0) throw changedSince(`Rows were written since that refer to rows of tables that were made anew: ${listed(referring)}.`, 'Move these rows elsewhere, or leave the tables as they are.')
  const objects = await assertAsMade(client, made)
  const stage = await stageOf(client, stageSchemaName(made.run))
  if (stage && !stage.kept) await dropStage(client, stage)
  await dropAll(client, objects)
  const [left] = await described(client, objects)
  if (left) throw verificationError('partial.proof', `The merge was not taken back: ${left.name}, which it had made anew, could not be dropped with the rest.`, {hints: ['Nothing was changed. Drop the tables by hand when they are no longer wanted.']})
}

/** The last made first; what goes with another of them is not dropped itself. One that others of them still need waits. */
async function dropAll(client: Client, objects: readonly MadeObject[]): Promise<void> {
  let left = await withFullNames(client, () => rowsOf<{sql: string}>(client, DROPS, [...numbers(objects)]))
  while (left.length > 0) {
    const waiting: typeof left = []
    let refused: unknown
    for (const one of left) {
      await client.query('SAVEPOINT unmaking')
      try {
        await client.query(one.sql)
        await client.query('RELEASE SAVEPOINT unmaking')
      } catch (error) {
        if (codeOf(error) !== '2BP01') throw error
        await client.query('ROLLBACK TO SAVEPOINT unmaking')
        refused = error
        waiting.push(one)
      }
    }
    if (waiting.length === left.length) throw refused
    left = waiting
  }
}

const DROPS = `
  WITH m AS MATERIALIZED (SELECT * FROM unnest($1::oid[], $2::oid[]) w (catalog, oid))
  SELECT coalesce(
    (SELECT CASE WHEN k.conrelid <> 0 THEN format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) ELSE format('ALTER DOMAIN %s DROP CONSTRAINT %I', k.contypid::regtype, k.conname) END
      FROM pg_catalog.pg_constraint k WHERE m.catalog = 'pg_catalog.pg_constraint'::regclass AND k.oid = m.oid),
    (SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', d.adrelid::regclass, a.attname)
      FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE m.catalog = 'pg_catalog.pg_attrdef'::regclass AND d.oid = m.oid),
    (SELECT format('DROP %s %s', CASE i.type WHEN 'statistics object' THEN 'statistics' ELSE i.type END, i.identity) FROM pg_identify_object(m.catalog, m.oid, 0) i)) AS sql
  FROM m WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN m o ON d.refclassid = o.catalog AND d.refobjid = o.oid WHERE d.classid = m.catalog AND d.objid = m.oid AND (o.catalog, o.oid) <> (m.catalog, m.oid) AND d.deptype IN ('a', 'i', 'P', 'S', 'e'))
  ORDER BY m.oid DESC`

/** How long others may keep us waiting, and we them. */
const LOCK_LIMIT_MS = 5000

/**
 * Takes away what a run has made anew whose rows were not put back, in a transaction of its own. Resolves to what was in the
 * tables by then: with rows in them they stay. Throws `partial.changed-since` where others have hung something on them.
 */
export async function unmakeAlone(client: Client, schema: string): Promise<{dropped: boolean; rows: string[]; tables: TableName[]}> {
  await client.query('BEGIN')
  try {
    await client.query(`SET LOCAL lock_timeout = ${LOCK_LIMIT_MS}`)
    const made = await madeAlone(client, schema)
    if (made === undefined) {
      await client.query('ROLLBACK')
      return {dropped: false, rows: [], tables: []}
    }
    await assertAsMade(client, made)
    await client.query(`LOCK TABLE ${made.tables.map(qualified).join(', ')} IN ACCESS EXCLUSIVE MODE`)
    const rows = await rowsOfOthers(client, made, {rows: 0})
    if (rows.length === 0) {
      await unmake(client, made, {rows: 0})
      await dropMadeNote(client, schema)
    }
    await client.query('COMMIT')
    return {dropped: rows.length === 0, rows, tables: made.tables.map(nameOf)}
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw statementError(error, 'Taking away what was made anew')
  }
}
