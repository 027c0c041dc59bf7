import {rowOf, rowsOf, type Client} from '../connection.ts'
import {qualified, quoteIdent} from '../quote.ts'
import {writtenColumns} from './apply.ts'
import {after, among, before, plansOf, type Act, type Plan, type Planned} from './plan.ts'
import {heldAlike, isPlanned, isSpecial, keyList, readUniqueIndexes, type UniqueIndex} from './unique-indexes.ts'
import {column, differs, keysFrom, keysTo, type Column} from './relations.ts'
import {withFunctions} from './session.ts'
import type {Tally} from './tally.ts'
import {keyJson, tellingOf} from './telling.ts'

const MOVED: readonly Act[] = ['update', 'link']
/** So many of them are named. */
const NAMED = 1000

/**
 * Unique values that move from one row to another: the server looks at each row when it writes it, so their holders are first given a
 * value that nobody has (NULL, or a free one). Marks these rows, and notes what they are given; where no column can be given
 * such a value, the rows are noted as stuck. Reads the unique indexes of what is planned on the way. Of a mirror nothing is
 * known: there it is left to the merge.
 */
export async function planMoves(client: Client, planned: Planned, counts: Tally): Promise<void> {
  const touched = planned.plans.filter((plan) => counts.of(plan, [...MOVED, 'insert']) > 0)
  if (touched.length === 0 || planned.request.mirror) return
  const indexesOf = await readUniqueIndexes(client, touched.map(({relation}) => relation.table))
  for (const plan of touched) {
    const indexes = indexesOf(plan.relation.table).filter((index) => isPlanned(index, plan))
    planned.uniques.set(plan, indexes)
    const written = writtenColumns(planned, plan)
    if (counts.of(plan, MOVED) === 0) continue
    for (const index of indexes) if (index.immediate && index.reads.some((name) => written.includes(name))) await planMove(client, planned, plan, index)
  }
}

async function planMove(client: Client, planned: Planned, plan: Plan, index: UniqueIndex): Promise<void> {
  const pairs = pairsOf(planned, plan, index)
  const evaluated = <T>(work: () => Promise<T>) => (isSpecial(index) ? withFunctions(client, work) : work())
  let moves = 0
  for (const pair of pairs) moves += (await evaluated(() => client.query(`UPDATE ${plan.sql} AS p SET parked = true, n = p.n + CASE WHEN p.parked THEN 0 ELSE 1 END FROM (SELECT DISTINCT b.at ${pair}) AS f WHERE p.ctid = f.at`))).rowCount ?? 0
  if (moves === 0) return
  const parking = planned.parking.get(plan) ?? new Map<string, string>()
  for (const [name, value] of await places(client, planned, plan, index)) {
    const more = new Map(parking).set(name, value)
    if (!await passesChecks(client, plan, more)) continue
    planned.parking.set(plan, more)
    return
  }
  for (const pair of pairs) planned.stuck.push(...(await evaluated(() => rowsOf<{entry: number; key: Record<string, string>; holder: Record<string, string>}>(client, `SELECT a.entry, a.told AS key, b.told AS holder ${pair} LIMIT ${NAMED}`))).map((row) => ({...row, plan, index: index.name})))
}

/** Rows `b` of the plan whose value a row `a` is to get, for each plan of the same rows. */
function pairsOf(planned: Planned, plan: Plan, index: UniqueIndex): string[] {
  return plansOf(planned, plan.relation.table).filter((other) => isPlanned(index, other)).map((other) => `
    FROM ${planRows(plan, before, index, MOVED)} AS b JOIN ${planRows(other, after, index, other === plan ? MOVED : [...MOVED, 'insert'])} AS a ON ${heldAlike(index, 'a', 'b')}${other === plan ? ' AND a.at <> b.at' : ''}`)
}

/** Rows of these acts that have, or get, other values in the index, in the form of one of their images: `at` in the plan, and the keys of the index. */
export function planRows(plan: Plan, side: typeof before, index: UniqueIndex, acts: readonly Act[]): string {
  const {relation: {columns}, sql} = plan
  const changed = columns.filter(({name}) => index.reads.includes(name)).map((one) => differs(one, before(plan, one.name), after(plan, one.name)))
  const image = columns.map(({name}) => `${side(plan, name)} AS ${quoteIdent(name)}`)
  return `(
    SELECT r."dr:at" AS at, r."dr:entry" AS entry, ${keyJson(tellingOf(plan), (name) => column('r', name))} AS told, ${keyList(index)}
    FROM (SELECT p.ctid AS "dr:at", p.entry AS "dr:entry", ${image.join(', ')} FROM ${sql} p WHERE p.act ${among(acts)} AND (p.act = 'insert' OR ${changed.join(' OR ')})) AS r${index.predicate === null ? '' : ` WHERE (${index.predicate})`})`
}

const INTEGERS: Readonly<Record<string, bigint>> = {int2: 2n ** 15n, int4: 2n ** 31n, int8: 2n ** 63n}
/** Of a random UUID. */
const UUID_CHARACTERS = 36

/** Columns of the index with a value that nobody has, as SQL with the row's number as `p.place`; NULL where it may be, which no check can but refuse. */
async function places(client: Client, planned: Planned, plan: Plan, {keys, nullsEqual}: UniqueIndex): Promise<[string, string][]> {
  const {relation: {table, columns, shape}} = plan
  const written = writtenColumns(planned, plan)
  const partitioned = await partitionColumns(client, plan)
  const named = keysTo(planned.live, table).flatMap(({referencedColumns}) => referencedColumns)
  const links = keysFrom(planned.live, table).flatMap((key) => key.columns)
  const found: [string, string][] = []
  const fitting = columns.filter(({name, alwaysIdentity}) => keys.some((key) => key.column === name) && written.includes(name) && !alwaysIdentity && ![...plan.key ?? [], ...partitioned, ...named].includes(name))
  for (const one of fitting.toSorted((a, b) => Number(links.includes(a.name)) - Number(links.includes(b.name)))) {
    if (!nullsEqual && shape.columns.find(({name}) => name === one.name)?.notNull === false) found.push([one.name, 'NULL'])
    const value = links.includes(one.name) ? undefined : await freeValue(client, planned, plan, one)
    if (value !== undefined) found.push([one.name, value])
  }
  return found
}

async function freeValue(client: Client, planned: Planned, plan: Plan, {name, type, base, builtin}: Column): Promise<string | undefined> {
  if (!builtin) return undefined
  if (base === 'uuid') return 'pg_catalog.gen_random_uuid()'
  const length = /^character varying\((\d+)\)$/.exec(type)?.[1]
  if (base === 'text' || (base === 'varchar' && Number(length ?? UUID_CHARACTERS) >= UUID_CHARACTERS)) return 'pg_catalog.gen_random_uuid()::pg_catalog.text'
  const limit = INTEGERS[base]
  if (limit === undefined) return undefined
  const others = plansOf(planned, plan.relation.table).filter(({relation}) => relation.columns.some((one) => one.name === name))
  const {most, rows} = await rowOf<{most: string; rows: string}>(client, `
    SELECT greatest(0, (SELECT max(${quoteIdent(name)}) FROM ${plan.relation.from})${others.map((other) => `, (SELECT max(${after(other, name)}) FROM ${other.sql} p)`).join('')})::text AS most, (SELECT count(*) FROM ${plan.sql})::text AS rows`)
  return BigInt(most) + BigInt(rows) < limit ? `(${most}::pg_catalog.int8 OPERATOR(pg_catalog.+) p.place)` : undefined
}

/** By which its rows find their partition, at any level: with another value they would go elsewhere. */
const partitionColumns = async (client: Client, {relation: {family}}: Plan): Promise<string[]> => (await rowOf<{names: string[]}>(client, `
  SELECT ARRAY(SELECT a.attname::text FROM pg_partition_tree($1::regclass) t JOIN pg_partitioned_table p ON p.partrelid = t.relid JOIN pg_attribute a ON a.attrelid = p.partrelid AND (a.attnum = ANY (p.partattrs::int2[]) OR p.partexprs IS NOT NULL)) AS names`, [qualified(family)])).names

/** Whether rows in which these columns have such values pass what the table asks of each row. */
async function passesChecks(client: Client, plan: Plan, parking: ReadonlyMap<string, string>): Promise<boolean> {
  const {relation: {table, columns, from}, sql} = plan
  const checks = await rowsOf<{expression: string}>(client, `
    SELECT pg_get_expr(c.conbin, c.conrelid) AS expression FROM pg_constraint c WHERE c.conrelid = $1::regclass AND c.contype = 'c' AND coalesce((to_jsonb(c) ->> 'conenforced')::bool, true)
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname = ANY ($2))`, [qualified(table), [...parking.keys()]])
  if (checks.length === 0) return true
  const image = columns.map(({name, type}) => `${parking.has(name) ? `(${parking.get(name) ?? ''})::${type}` : before(plan, name)} AS ${quoteIdent(name)}`)
  // Generated columns are taken as they are: what they are made of is not known here.
  const generated = plan.relation.shape.columns.filter((one) => one.generated).map(({name}) => `${column('t', name)} AS ${quoteIdent(name)}`)
  const {rows} = await withFunctions(client, () => rowOf<{rows: number}>(client, `
    SELECT count(*)::int AS rows FROM (SELECT ${[...image, ...generated].join(', ')} FROM (SELECT p.*, row_number() OVER () AS place FROM ${sql} p WHERE p.parked) AS p JOIN ${from} AS t ON t.ctid = p.tid AND t.tableoid = p.rel) AS r
    WHERE ${checks.map(({expression}) => `(${expression}) IS FALSE`).join(' OR ')}`))
  return rows === 0
}
