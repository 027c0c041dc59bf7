import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteLiteral} from '../quote.ts'
import type {ClosureFinding, ForeignKeyShape, KeyShape, TableComparison} from './contract.ts'
import {parentJoins} from './links.ts'
import {after, among, before, DOOMED, plansOf, type Entry, type Plan, type Planned} from './plan.ts'
import {column, differs, keysFrom} from './relations.ts'
import type {Tally} from './tally.ts'

/** Longer values are cut in samples. */
const SHOWN_CHARACTERS = 200
/** So many conflicts are listed; with a single one nothing is merged. */
const CONFLICTS = 1000

/** Of a row's key, as text, by column. */
export const keyJson = (key: readonly string[], value: (name: string) => string): string =>
  `jsonb_object(ARRAY[${key.map(quoteLiteral).join(', ')}]::text[], ARRAY[${key.map((name) => `${value(name)}::text`).join(', ')}]::text[])`

/** What tells a row to the operator; without a key all columns. */
const tellingOf = (plan: Plan): readonly string[] => plan.key ?? plan.relation.columns.map(({name}) => name)

export async function sampleOf(client: Client, {index, plan, compared}: Entry, limit: number): Promise<TableComparison['sample']> {
  if (plan.key === undefined || compared.length === 0 || limit === 0) return []
  const cut = (value: string) => `CASE WHEN length(${value}) > ${SHOWN_CHARACTERS} THEN left(${value}, ${SHOWN_CHARACTERS}) || '…' ELSE ${value} END`
  const values = compared.map((one) => `(${quoteLiteral(one.name)}, ${before(plan, one.name)}::text, ${after(plan, one.name)}::text, ${differs(one, before(plan, one.name), after(plan, one.name))})`)
  return rowsOf(client, `
    SELECT p.key, (SELECT jsonb_agg(jsonb_build_object('name', v.name, 'live', ${cut('v.live')}, 'backup', ${cut('v.backup')})) FROM (VALUES ${values.join(', ')}) v (name, live, backup, differs) WHERE v.differs) AS columns
    FROM (SELECT p.*, ${keyJson(plan.key, (name) => before(plan, name))} AS key FROM ${plan.sql} p WHERE p.entry = ${index} AND p.act IN ('update', 'changed') ORDER BY p.tid LIMIT ${limit}) p`)
}

/** Rows that a unique key does not let in, whoever holds it: a live row that stays as it is. */
export async function conflictsOf(client: Client, planned: Planned, entry: Entry, counts: Tally): Promise<TableComparison['conflicts']> {
  const {plan, index} = entry
  if (counts.of(plan, ['insert', 'update', 'link', 'foreign'], index) === 0) return []
  const key = tellingOf(plan)
  const foreign = plan.key === undefined ? [] : await rowsOf<{key: Record<string, string>}>(client, `SELECT ${keyJson(key, (name) => before(plan, name))} AS key FROM ${plan.sql} p WHERE p.entry = ${index} AND p.act = 'foreign' LIMIT ${CONFLICTS}`)
  const own = plan.relation.shape.keys.find(({columns}) => plan.key?.length === columns.length && columns.every((name) => plan.key?.includes(name)))
  const found = foreign.map((one) => ({key: one.key, index: own?.name ?? '', holder: one.key}))
  for (const unique of plan.relation.shape.keys) if (unique !== own && unique.columns.every((name) => plan.relation.columns.some((one) => one.name === name))) found.push(...await heldBy(client, planned, entry, unique))
  return found.slice(0, CONFLICTS)
}

async function heldBy(client: Client, planned: Planned, {plan, index}: Entry, {name: indexName, columns}: KeyShape): Promise<TableComparison['conflicts']> {
  const key = tellingOf(plan)
  const others = plansOf(planned, plan.relation.table)
  const touched = others.map((other) => `NOT EXISTS (SELECT FROM ${other.sql} x WHERE x.tid = h.ctid AND x.rel = h.tableoid AND (x.act ${among(DOOMED)}
    OR x.act IN ('update', 'link', 'cascade-null') AND (${columns.map((name) => `${after(other, name, 'x')} IS DISTINCT FROM ${column('h', name)}`).join(' OR ')})))`)
  return rowsOf(client, `
    SELECT ${keyJson(key, (name) => after(plan, name))} AS key, ${quoteLiteral(indexName)} AS index, ${keyJson(key, (name) => column('h', name))} AS holder
    FROM ${plan.sql} p JOIN ${plan.relation.from} AS h ON ${columns.map((name) => `${column('h', name)} = ${after(plan, name)}`).join(' AND ')}
    WHERE p.entry = ${index} AND p.act IN ('insert', 'update', 'link') AND (p.tid IS NULL OR p.tid <> h.ctid OR p.rel <> h.tableoid) AND ${touched.join(' AND ')} LIMIT ${CONFLICTS}`)
}

const allNamed = ({columns}: ForeignKeyShape, value: (name: string) => string): string => columns.map((name) => `${value(name)} IS NOT NULL`).join(' AND ')

/** Rows to come back whose parent neither lives nor comes back. */
export async function missingParents(client: Client, planned: Planned, counts: Tally): Promise<ClosureFinding[]> {
  const found: ClosureFinding[] = []
  for (const plan of planned.plans.filter((one) => counts.of(one, ['insert', 'update', 'link']) > 0)) {
    for (const key of keysFrom(planned.live, plan.relation.table)) {
      const given = (name: string) => plan.relation.columns.some((one) => one.name === name)
      if (!key.columns.every(given)) continue
      const {joins, there} = parentJoins(planned, key, (name) => after(plan, name))
      const changed = key.columns.map((name) => `${before(plan, name)} IS DISTINCT FROM ${after(plan, name)}`).join(' OR ')
      const rows = await count(client, `${plan.sql} p ${joins} WHERE (p.act = 'insert' OR p.act IN ('update', 'link') AND (${changed})) AND ${allNamed(key, (name) => after(plan, name))} AND NOT ${there}`)
      if (rows > 0) found.push({foreignKey: key.name, kind: 'parent-missing', table: key.table, references: key.references, columns: key.columns, rows})
    }
  }
  return found
}

const count = async (client: Client, from: string): Promise<number> => Number((await rowOf<{count: string}>(client, `SELECT count(*) FROM ${from}`)).count)
