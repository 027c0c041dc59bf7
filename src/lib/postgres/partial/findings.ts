import {rowOf, rowsOf, type Client} from '../connection.ts'
import {quoteLiteral} from '../quote.ts'
import type {ClosureFinding, ForeignKeyShape, KeyShape, TableComparison} from './contract.ts'
import {parentJoins} from './links.ts'
import {after, before, plansOf, type Entry, type Planned} from './plan.ts'
import {column, differs, equal, keysFrom} from './relations.ts'
import {specialConflicts} from './special-conflicts.ts'
import type {Tally} from './tally.ts'
import {keyJson, tellingOf} from './telling.ts'

/** Longer values are cut in samples. */
const SHOWN_CHARACTERS = 200
/** Columns whose values are nobody's to see, by their names. */
const SECRET = /hash|token|secret|passw|encrypted|cipher|credential|(api|private)_?key/i
/** So many conflicts are listed; with a single one nothing is merged. */
const CONFLICTS = 1000

export async function sampleOf(client: Client, {index, plan, compared}: Entry, limit: number): Promise<TableComparison['sample']> {
  if (plan.key === undefined || compared.length === 0 || limit === 0) return []
  const cut = (value: string) => `CASE WHEN length(${value}) > ${SHOWN_CHARACTERS} THEN left(${value}, ${SHOWN_CHARACTERS}) || '…' ELSE ${value} END`
  const values = compared.map((one) => `(${quoteLiteral(one.name)}, ${SECRET.test(one.name) ? 'NULL, NULL, true' : `${before(plan, one.name)}::text, ${after(plan, one.name)}::text, NULL::boolean`}, ${differs(one, before(plan, one.name), after(plan, one.name))})`)
  return rowsOf(client, `
    SELECT p.key, (SELECT jsonb_agg(jsonb_build_object('name', v.name, 'live', ${cut('v.live')}, 'backup', ${cut('v.backup')}) || CASE WHEN v.hidden THEN '{"hidden": true}'::jsonb ELSE '{}'::jsonb END) FROM (VALUES ${values.join(', ')}) v (name, live, backup, hidden, differs) WHERE v.differs) AS columns
    FROM (SELECT p.*, ${keyJson(plan.key, (name) => before(plan, name))} AS key FROM ${plan.sql} p WHERE p.entry = ${index} AND p.act IN ('update', 'changed') ORDER BY p.tid LIMIT ${limit}) p`)
}

/** Rows that a unique key does not let in, whoever holds it: a live row that stays as it is, or that goes only behind the statement, by a cascade; or one that would have to give it away first, and cannot. */
export async function conflictsOf(client: Client, planned: Planned, entry: Entry, counts: Tally): Promise<TableComparison['conflicts']> {
  const {plan, index} = entry
  if (counts.of(plan, ['insert', 'update', 'link', 'foreign'], index) === 0) return []
  const key = tellingOf(plan)
  const foreign = plan.key === undefined ? [] : await rowsOf<{key: Record<string, string>}>(client, `SELECT ${keyJson(key, (name) => before(plan, name))} AS key FROM ${plan.sql} p WHERE p.entry = ${index} AND p.act = 'foreign' LIMIT ${CONFLICTS}`)
  const own = plan.relation.shape.keys.find(({columns}) => plan.key?.length === columns.length && columns.every((name) => plan.key?.includes(name)))
  const found = foreign.map((one) => ({key: one.key, index: own?.name ?? '', holder: one.key}))
  for (const unique of plan.relation.shape.keys) if (unique !== own && unique.columns.every((name) => plan.relation.columns.some((one) => one.name === name))) found.push(...await heldBy(client, planned, entry, unique))
  found.push(...await specialConflicts(client, planned, entry))
  found.push(...planned.stuck.filter((one) => one.plan === plan && one.entry === index).map(({key: told, index: name, holder}) => ({key: told, index: name, holder})))
  return found.slice(0, CONFLICTS)
}

async function heldBy(client: Client, planned: Planned, {plan, index}: Entry, {name: indexName, columns}: KeyShape): Promise<TableComparison['conflicts']> {
  const key = tellingOf(plan)
  const others = plansOf(planned, plan.relation.table)
  const touched = others.map((other) => `NOT EXISTS (SELECT FROM ${other.sql} x WHERE x.tid = h.ctid AND x.rel = h.tableoid AND (x.act = 'delete'
    OR x.act IN ('update', 'link') AND (${columns.map((name) => `${after(other, name, 'x')} IS DISTINCT FROM ${column('h', name)}`).join(' OR ')})))`)
  return rowsOf(client, `
    SELECT ${keyJson(key, (name) => after(plan, name))} AS key, ${quoteLiteral(indexName)} AS index, ${keyJson(key, (name) => column('h', name))} AS holder
    FROM ${plan.sql} p JOIN ${plan.relation.from} AS h ON ${plan.relation.columns.filter((one) => columns.includes(one.name)).map((one) => equal(one, column('h', one.name), after(plan, one.name))).join(' AND ')}
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
