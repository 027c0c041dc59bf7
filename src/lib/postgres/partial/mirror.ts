import type {Client} from '../connection.ts'
import {rowOf} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {isBroughtBack, readBroughtBack} from './brought-back.ts'
import type {MirrorPlan} from './mirror-plan.ts'
import type {Catalog, TableName, TableShape} from './contract.ts'
import {keyOf, shapeOf} from './names.ts'
import {constantOf, keysFrom, readColumns, type Column} from './relations.ts'
import {leavesOf} from './scratch.ts'
import {sideTypes} from './side-types.ts'
import {stageQuery} from './stage-rows.ts'

/** The column of a mirror that tells who last wrote the live row: its `xmin`. */
export const XMIN = 'dr:xmin'
/** The column that tells whether an earlier repair has put the live row back: see `readBroughtBack`. */
export const BROUGHT = 'dr:brought'

/**
 * A copy of live rows, in another database of the same server, under the table's own name: what a comparison reads of a live table, so
 * that it can be made where the rows of the backup are, and nothing of them is in the live database before its operator has agreed.
 * Not only keys and digests: what hangs on the rows (unique keys that others hold, parents, cascades) is judged by their values, by the
 * same statements as in the live database. Numbers of transactions are the server's, and mean the same there.
 */
export interface Mirror {
  table: TableName
  /** By name, in the order that they have live: digests of rows depend on it. */
  columns: string[]
  /** Its rows, as a query for the live database; undefined of a partitioned table, whose rows are in its leaves. */
  query?: string
  /** Partitioned tables that read it as their own. */
  within: TableName[]
}

interface Shaped {
  shape: TableShape
  within: TableName[]
}

/** Makes the empty tables. Both sessions have the settings that stage. `backupAt`: as in `MergeRequest`. */
export async function createMirror(live: Client, side: Client, {whole, named}: MirrorPlan, catalog: Catalog, backupAt?: string): Promise<Mirror[]> {
  const brought = await readBroughtBack(live, backupAt)
  const shaped = await withLeaves(live, whole, catalog)
  const columnsOf = await readColumns(live, [...shaped.map(({shape}) => shape), ...named.map(({table}) => table)])
  const types = await sideTypes(live, [...shaped.map(({shape}) => shape), ...named.map(({table}) => table)].flatMap((table) => (columnsOf(table) ?? []).map(({type}) => type)))
  const mirrors: Mirror[] = []
  for (const {shape, within} of shaped) {
    const columns = columnsOf(shape) ?? []
    await side.query(tableSql(shape, withDefaults(columns, shape, catalog), types, [`${quoteIdent(XMIN)} xid`, `${quoteIdent(BROUGHT)} bool`]))
    const from = shape.kind === 'partitioned' ? undefined : queryOf(shape, columns, `, r.xmin AS ${quoteIdent(XMIN)}, ${isBroughtBack(brought, catalog, shape, 'r')} AS ${quoteIdent(BROUGHT)}`)
    mirrors.push({table: shape, columns: [...columns.map(({name}) => name), XMIN, BROUGHT], within, ...(from !== undefined && {query: from})})
  }
  for (const {table, columns: wanted} of named) {
    const columns = (columnsOf(table) ?? []).filter(({name}) => wanted.includes(name))
    await side.query(tableSql(table, columns, types, []))
    mirrors.push({table, columns: columns.map(({name}) => name), within: [], query: queryOf(shapeOf(catalog, table) ?? {...table, kind: 'table'}, columns, '')})
  }
  for (const {table, within} of mirrors) for (const parent of within) await side.query(`ALTER TABLE ${qualified(table)} INHERIT ${qualified(parent)}`)
  return mirrors
}

/** Of links that ON DELETE SET DEFAULT takes away: by the default it is seen that one was. */
function withDefaults(columns: readonly Column[], table: TableName, catalog: Catalog): (Column & {constant?: string | undefined})[] {
  const links = new Set(keysFrom(catalog, table).filter(({onDelete}) => onDelete === 'set default').flatMap((key) => key.columns))
  return columns.map((column) => (links.has(column.name) ? {...column, constant: constantOf(column)} : column))
}

/** A partitioned table is read through all of its leaves, here by inheritance: what is asked of it does not know the difference. */
async function withLeaves(live: Client, whole: readonly TableShape[], catalog: Catalog): Promise<Shaped[]> {
  const found = new Map<string, Shaped>(whole.map((shape) => [keyOf(shape), {shape, within: []}]))
  for (const parent of whole.filter(({kind}) => kind === 'partitioned')) {
    for (const leaf of await leavesOf(live, parent)) {
      const shape = shapeOf(catalog, leaf)
      if (shape === undefined) continue
      const known = found.get(keyOf(leaf)) ?? {shape, within: []}
      found.set(keyOf(leaf), {...known, within: [...known.within, {schema: parent.schema, name: parent.name}]})
    }
  }
  return [...found.values()]
}

function tableSql(table: TableName, columns: readonly (Column & {constant?: string | undefined})[], types: Map<string, string>, more: readonly string[]): string {
  const list = columns.map(({name, type, collation, constant}) => {
    const side = types.get(type) ?? 'text'
    return `${quoteIdent(name)} ${side}${collation?.startsWith('pg_catalog.') && side !== 'name' ? ` COLLATE ${collation}` : ''}${constant === undefined ? '' : ` DEFAULT ${constant}`}`
  })
  return `CREATE SCHEMA IF NOT EXISTS ${quoteIdent(table.schema)}; CREATE UNLOGGED TABLE ${qualified(table)} (${[...list, ...more].join(', ')})`
}

/** Without the children of classic inheritance, as whatever reads the live table. */
const queryOf = (table: TableName & Pick<TableShape, 'kind'>, columns: readonly Column[], more: string): string =>
  `SELECT ${columns.map(({name}) => `r.${quoteIdent(name)}`).join(', ')}${more} FROM ${table.kind === 'partitioned' ? '' : 'ONLY '}${qualified(table)} AS r`

/** What the live tables take on disk, bytes: the mirror takes no more. */
export async function mirrorBytes(live: Client, {whole, named}: MirrorPlan): Promise<number> {
  const tables = [...whole, ...named.map(({table}) => table)]
  return (await rowOf<{bytes: number}>(live, `
    SELECT coalesce(sum(CASE c.relkind WHEN 'p' THEN (SELECT sum(pg_table_size(p.relid)) FROM pg_partition_tree(c.oid) p) ELSE pg_table_size(c.oid) END), 0)::float8 AS bytes FROM unnest($1::text[], $2::text[]) w (schema, name)
    JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name WHERE NOT c.relispartition`, [tables.map(({schema}) => schema), tables.map(({name}) => name)])).bytes
}

/** Copies the rows of one instant, and gives each table the indexes by which it is looked up. Resolves to how many rows came, and the snapshot (pg_current_snapshot) of that instant. */
export async function copyMirror(live: Client, side: Client, mirrors: readonly Mirror[], catalog: Catalog, {signal, onTable}: {signal: AbortSignal; onTable: (table: TableName, place: number) => void}): Promise<{rows: number; snapshot: string}> {
  let rows = 0
  await live.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  const {snapshot} = await rowOf<{snapshot: string}>(live, 'SELECT pg_catalog.pg_current_snapshot()::text AS snapshot')
  for (const [place, {table, columns, query}] of mirrors.entries()) {
    onTable(table, place)
    if (query !== undefined) rows += await stageQuery(side, {stage: table, columns}, {client: live, query}, signal)
  }
  await live.query('COMMIT')
  for (const mirror of mirrors) await indexMirror(side, mirror, catalog)
  return {rows, snapshot}
}

async function indexMirror(side: Client, {table, columns}: Mirror, catalog: Catalog): Promise<void> {
  const root = shapeOf(catalog, table)?.root
  const isOwn = (one: TableName) => keyOf(one) === keyOf(table) || (root !== undefined && keyOf(one) === keyOf(root))
  const sets = [
    ...(shapeOf(catalog, table)?.keys ?? []).map((key) => key.columns),
    ...catalog.foreignKeys.flatMap((key) => [...(isOwn(key.table) ? [key.columns] : []), ...(isOwn(key.references) ? [key.referencedColumns] : [])]),
  ].filter((set) => set.every((name) => columns.includes(name)))
  for (const set of new Map(sets.map((one) => [JSON.stringify(one), one])).values()) await side.query(`CREATE INDEX ON ${qualified(table)} (${set.map(quoteIdent).join(', ')})`)
  await side.query(`ANALYZE ${qualified(table)}`)
}

/** When the comparison is over, and the rows of the backup stay for hand work: copies of live rows are no part of that. */
export async function dropMirror(side: Client, mirrors: readonly Mirror[]): Promise<void> {
  if (mirrors.length > 0) await side.query(`DROP TABLE IF EXISTS ${mirrors.map(({table}) => qualified(table)).join(', ')}`)
}
