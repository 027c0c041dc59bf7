import {preflightError} from '../../errors.ts'
import {rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {withFullNames} from './made-objects.ts'
import type {Catalog, ForeignKeyShape, TableName, TableShape} from './contract.ts'
import {keyOf, sameTable, shapeOf, shownName} from './names.ts'

/** A column as the server has it now. */
export interface Column {
  name: string
  /** As any session may write it: with its schema when it is not of pg_catalog. */
  type: string
  /** The type's own name, of a domain that of its base: `int4`. */
  base: string
  /** Not made by anybody, so that a table that holds it stands in nobody's way. */
  builtin: boolean
  /** Quoted; undefined when it is the database's own, or the type has none. */
  collation?: string
  generated: boolean
  alwaysIdentity: boolean
  /** The operator by which its index takes values for equal, with its schema; undefined: the server's own `=`. */
  equality?: string
  /** Of DEFAULT. */
  fallback?: string
}

/** A default that is the same whenever it is asked for, and asking for it changes nothing. */
const CONSTANT = /^(?:('(?:[^']|'')*')(?:::[\w\s."(),[\]]+)?|\d+(?:\.\d+)?)$/

/** That default, without the type that it is of; undefined where there is none, or it is not the same each time. */
export function constantOf({fallback}: Pick<Column, 'fallback'>): string | undefined {
  const found = fallback === undefined ? null : CONSTANT.exec(fallback)
  return found ? found[1] ?? found[0] : undefined
}

export interface Relation {
  table: TableName
  /** The partitioned table at the top, or the table itself. */
  family: TableName
  /** For FROM, UPDATE and DELETE: classic children are not meant, partitions are. */
  from: string
  /** Without generated ones. */
  columns: Column[]
  shape: TableShape
  /** It is a mirror of the live table, with `xmin` in a column of its own. */
  mirrored?: true
}

export const familyOf = (live: Catalog, table: TableName): TableName => shapeOf(live, table)?.root ?? table

/** For FROM, UPDATE and DELETE: without the children of classic inheritance, with partitions. */
export const fromOf = (live: Catalog, table: TableName): string => `${shapeOf(live, table)?.kind === 'partitioned' ? '' : 'ONLY '}${qualified(table)}`

/** Foreign keys that rows of this table have, also as a partition. */
export const keysFrom = (live: Catalog, table: TableName): ForeignKeyShape[] =>
  live.foreignKeys.filter((key) => sameTable(key.table, table) || sameTable(key.table, familyOf(live, table)))

/** Foreign keys that name rows of this table, also as those of a partition. */
export const keysTo = (live: Catalog, table: TableName): ForeignKeyShape[] =>
  live.foreignKeys.filter((key) => sameTable(key.references, table) || sameTable(key.references, familyOf(live, table)))

/** Of a type of an extension (citext): its default way to sort says which operator that is. */
const EQUALITY = `(
  SELECT quote_ident(pn.nspname) || '.' || o.oprname FROM pg_opclass oc JOIN pg_am am ON am.oid = oc.opcmethod AND am.amname = 'btree'
  JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3 AND ao.amoplefttype = b.oid AND ao.amoprighttype = b.oid
  JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace pn ON pn.oid = o.oprnamespace WHERE oc.opcdefault AND oc.opcintype = b.oid LIMIT 1)`

/** The columns of tables as they are now, also of staged ones. Those that are not there are left out. */
export async function readColumns(client: Client, tables: readonly TableName[]): Promise<(table: TableName) => Column[] | undefined> {
  const rows = await withFullNames(client, () => rowsOf<TableName & {columns: (Omit<Column, 'collation' | 'fallback' | 'equality'> & {collation: string | null; fallback: string | null; equality: string | null})[]}>(client, `
    SELECT n.nspname AS schema, c.relname AS name, jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'base', b.typname,
      'builtin', tn.nspname = 'pg_catalog', 'collation', CASE WHEN co.collname <> 'default' THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
      'generated', a.attgenerated <> '', 'alwaysIdentity', a.attidentity = 'a', 'fallback', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
      'equality', CASE WHEN b.typnamespace <> 'pg_catalog'::regnamespace THEN ${EQUALITY} END) ORDER BY a.attnum) AS columns
    FROM unnest($1::text[], $2::text[]) w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
    LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    GROUP BY n.nspname, c.relname`, [tables.map(({schema}) => schema), tables.map(({name}) => name)]))
  const known = new Map(rows.map(({schema, name, columns}) => [
    keyOf({schema, name}), columns.map(({collation, fallback, equality, ...column}): Column => ({...column, ...(equality !== null && {equality}), ...(collation !== null && {collation}), ...(fallback !== null && {fallback})})),
  ]))
  return (table) => known.get(keyOf(table))
}

export function relationOf(live: Catalog, table: TableName, columns: readonly Column[] | undefined): Relation {
  const shape = shapeOf(live, table)
  if (shape === undefined || columns === undefined) {
    throw preflightError('partial.no-table', `There is no table ${shownName(table)} in the live database.`, {hints: ['dr partial makes a table that is gone anew when it is named with --table.']})
  }
  return {
    table: {schema: table.schema, name: table.name}, family: shape.root ?? {schema: table.schema, name: table.name}, shape,
    from: fromOf(live, table), columns: columns.filter(({generated}) => !generated),
  }
}

/** What dr adds to rows in its queries has names of this kind. Throws `partial.column-name` (exit 3). */
export function assertOwnNames(table: TableName, columns: readonly {name: string}[]): void {
  const taken = columns.find(({name}) => name.startsWith('dr:'))
  if (taken) throw preflightError('partial.column-name', `${shownName(table)} has a column ${taken.name}: names that begin with dr: are those of dr itself.`, {hints: [`ALTER TABLE ${qualified(table)} RENAME COLUMN ${quoteIdent(taken.name)} TO …`]})
}

/** Types whose equal values are the same bytes. */
const SAME_BYTES = new Set(['bool', 'int2', 'int4', 'int8', 'oid', 'uuid', 'date', 'timestamp', 'timestamptz', 'time', 'bytea'])
const TEXTS = new Set(['text', 'varchar'])

/** What two values are told apart by: to the byte, where `=` would take 1.0 for 1.00, or is not there. */
export function exact({base}: Column, value: string): string {
  if (SAME_BYTES.has(base)) return value
  return `${TEXTS.has(base) ? value : `(${value})::text`} COLLATE "C"`
}

export const differs = (column: Column, one: string, other: string): string => `${exact(column, one)} IS DISTINCT FROM ${exact(column, other)}`
export const same = (column: Column, one: string, other: string): string => `${exact(column, one)} IS NOT DISTINCT FROM ${exact(column, other)}`

/** As the index on the live column compares. */
export const equal = ({collation, equality}: Column, live: string, other: string): string => `${live} ${equality === undefined ? '=' : `OPERATOR(${equality})`} ${other}${collation === undefined ? '' : ` COLLATE ${collation}`}`

/** A staged value in the live type. Texts keep what is too long for it, so that writing it fails instead of cutting it off. */
export function inLiveType(live: Column, staged: Column, value: string): string {
  if (live.type === staged.type) return value
  const cut = ['varchar', 'bpchar', 'bit', 'varbit'].includes(live.base) && live.builtin
  const type = cut ? {varchar: 'varchar', bpchar: 'bpchar', bit: 'varbit', varbit: 'varbit'}[live.base] ?? live.type : live.type
  return `(${value})::text::${type}`
}

/** The operator between the columns of a foreign key in this place. */
export const equals = ({operators}: ForeignKeyShape, place: number): string => (operators?.[place] === undefined ? '=' : `OPERATOR(${operators[place]})`)

export const column = (alias: string, name: string): string => `${alias}.${quoteIdent(name)}`
