import {preflightError, messageOf} from '../../errors.ts'
import {rowOf, rowsOf, type Client} from '../connection.ts'
import {codeOf} from '../errors.ts'
import {qualified, quoteIdent, quoteLiteral} from '../quote.ts'
import type {TableName} from './contract.ts'
import {ACTING, among, heads, kept, type Entry, type Planned} from './plan.ts'
import {markOf, predicateSql, transactionsOf, withoutSql, type PredicateSide} from './predicate.ts'
import {sameTable, shownName} from './names.ts'
import {column, differs, equal, exact, inLiveType, type Column} from './relations.ts'
import {linkedBy, strangersOf} from './strangers.ts'
import {XMIN} from './mirror.ts'
import {writtenSince} from './written-since.ts'

/** `everything`: also rows that this mode leaves alone, to be counted. */
export interface FillOptions {
  everything: boolean
}

/** Of a mirror `dr:xmin` is a column like others. */
const whereItIs = ({plan: {relation}}: Entry): string => `r.ctid AS "dr:tid", r.tableoid AS "dr:rel"${relation.mirrored ? '' : ', r.xmin AS "dr:xmin"'}`

/** The conditions of an entry, on either side. */
export function conditionOf(planned: Planned, {selected: {table, where}}: Entry, side: Side): string {
  return predicateSql(where, {...sidesOf(planned, side), table})
}

export type Side = 'live' | 'stage'

/** Where the rows of tables are on a side. */
export function sidesOf(planned: Planned, side: Side): Omit<PredicateSide, 'table'> {
  const stagedOf = (name: TableName) => planned.request.staged.find((one) => sameTable(one.table, name))
  const liveFor = (name: TableName) => planned.plans.find(({relation}) => sameTable(relation.table, name))?.relation.from ?? qualified(name)
  const tableFor = (name: TableName) => {
    const staged = side === 'stage' ? stagedOf(name) : undefined
    return staged ? qualified(staged.stage) : liveFor(name)
  }
  return {side, tableFor, liveFor, keyFor: (name) => stagedOf(name)?.key, markFor: (from, text) => planned.marks.get(markOf(from, text)), ...(planned.request.mirror && {xmin: `r.${quoteIdent(XMIN)}`})}
}

/** Fills the plan of an entry of role `rows` or `parent`: what is missing, changed and extra. */
export async function fillRows(client: Client, planned: Planned, entry: Entry, options: FillOptions): Promise<void> {
  try {
    await (entry.plan.key === undefined ? fillWhole(client, planned, entry, options) : fillKeyed(client, planned, entry, options))
  } catch (error) {
    throw typeError(error, entry)
  }
}

async function fillKeyed(client: Client, planned: Planned, entry: Entry, options: FillOptions): Promise<void> {
  await assertDistinct(client, entry, entry.plan.key ?? [])
  await fillStaged(client, planned, entry, options)
  if (entry.selected.role === 'rows') await fillLive(client, planned, entry, options)
}

/** Twice the same key in the backup, and a row would be put back twice. */
async function assertDistinct(client: Client, {staged, selected}: Entry, key: readonly string[]): Promise<void> {
  const list = key.map(quoteIdent).join(', ')
  const twice = await rowsOf(client, `SELECT FROM ${qualified(staged.stage)} GROUP BY ${list} HAVING count(*) > 1 LIMIT 1`)
  if (twice.length > 0) throw preflightError('partial.key', `The key of ${shownName(selected.table)} (${key.join(', ')}) does not tell the rows of the backup apart.`, {hints: ['Choose --merge side, and compare the staged rows by hand.']})
}

/** What the acts of an entry are called: those that its mode or its columns forbid are only counted. */
export function actsOf({mode}: Planned, {selected: {role, columns}, plan}: Entry): {missing: string; changed: string; extra: string} {
  const whole = columns === undefined || role === 'parent'
  return {
    missing: whole ? 'insert' : 'missing',
    changed: mode !== 'missing' && plan.key !== undefined ? 'update' : 'changed',
    extra: mode === 'exact' && whole ? 'delete' : 'extra',
  }
}

/** A row of the backup in the live types, by column. */
export function stagedValues({shared}: Entry): Map<string, string> {
  return new Map(shared.map(({live, staged}) => [live.name, inLiveType(live, staged, column('s', live.name))]))
}

export const onKey = (entry: Entry, liveAlias = 'l'): string => {
  const values = stagedValues(entry)
  return (entry.plan.key ?? []).map((name) => equal(columnOf(entry, name), column(liveAlias, name), values.get(name) ?? 'NULL')).join(' AND ')
}

function columnOf({plan}: Entry, name: string): Column {
  const found = plan.relation.columns.find((one) => one.name === name)
  if (found === undefined) throw new Error(`${shownName(plan.relation.table)} has no column ${name}.`)
  return found
}

const changedIn = (entry: Entry): string => {
  const values = stagedValues(entry)
  return entry.compared.map((one) => differs(one, column('l', one.name), values.get(one.name) ?? 'NULL')).join(' OR ') || 'false'
}

/** Before and after, where `l` is the live row and `s` the staged one; either may be missing. */
export function images(entry: Entry, putBack: readonly Column[]): string {
  const {plan: {relation: {columns}}} = entry
  const values = stagedValues(entry)
  const afterOf = (one: Column): string => {
    const staged = values.get(one.name)
    const live = column('l', one.name)
    if (staged === undefined) return live
    return putBack.includes(one) ? staged : `CASE WHEN l."dr:tid" IS NULL THEN ${staged} ELSE ${live} END`
  }
  return [...columns.map((one) => kept(one, column('l', one.name))), ...columns.map((one) => kept(one, afterOf(one)))].join(', ')
}

export const liveRows = (entry: Entry, where = 'true', more = ''): string => `(SELECT r.*, ${whereItIs(entry)}${more} FROM ${entry.plan.relation.from} AS r WHERE ${where}) AS l`
export const stagedRows = (entry: Entry, where: string, more = ''): string => `(SELECT r.*${more} FROM ${qualified(entry.staged.stage)} AS r WHERE ${where}) AS s`

/** Of one tenant's rows in a table without the tenant's column: whose they are is told by what they name. */
const isReached = ({request: {selection: {tenant}}}: Planned, {shared, selected: {role}}: Entry): boolean =>
  tenant !== undefined && role !== 'parent' && !shared.some(({live}) => live.name === tenant.column)

/** The row of the key is another tenant's: live, or in the backup. */
function isForeign(planned: Planned, entry: Entry, alias: 'l' | 's'): string {
  const {request: {selection: {tenant}}} = planned
  if (tenant === undefined || entry.selected.role === 'parent') return 'false'
  return isReached(planned, entry) ? `${alias}."dr:foreign"` : `(${column(alias, tenant.column)}::text <> ${quoteLiteral(tenant.id)})`
}

/** A row `r` that is not the tenant's, whatever else the operator's condition asks of it, but leads to another's. Of staged rows the others' parents need not be there. */
export function strangerSql(planned: Planned, entry: Entry, side: 'live' | 'stage'): string {
  const {selected} = entry
  const where = withoutSql(selected.where)
  const [own, others] = [where, (side === 'live' ? strangersOf : linkedBy)(where)].map((one) => conditionOf(planned, {...entry, selected: {...selected, where: one}}, side))
  return `((${own}) IS NOT TRUE AND ${others})`
}

const foreignColumn = (planned: Planned, entry: Entry, side: 'live' | 'stage'): string => (isReached(planned, entry) ? `, ${strangerSql(planned, entry, side)} AS "dr:foreign"` : '')

/** From the backup's side: missing rows, and those that are live in another form. */
async function fillStaged(client: Client, planned: Planned, entry: Entry, {everything}: FillOptions): Promise<void> {
  const {plan, selected: {role}} = entry
  const acts = actsOf(planned, entry)
  const foreign = isForeign(planned, entry, 'l')
  const wanted = (act: string) => everything || ACTING.includes(act as never)
  const there = role === 'rows' && wanted(acts.changed) ? `(l."dr:tid" IS NOT NULL AND (${changedIn(entry)}))` : 'false'
  await client.query(`
    INSERT INTO ${plan.sql} (${heads(plan)})
    SELECT ${entry.index}, CASE WHEN l."dr:tid" IS NULL THEN '${acts.missing}' WHEN ${foreign} THEN 'foreign' ELSE '${acts.changed}' END, l."dr:tid", l."dr:rel", 1, ${newer(planned, entry)}, ${images(entry, entry.compared)}
    FROM ${stagedRows(entry, conditionOf(planned, entry, 'stage'))} LEFT JOIN ${liveRows(entry, 'true', foreignColumn(planned, entry, 'live'))} ON ${onKey(entry)}
    WHERE ${wanted(acts.missing) ? 'l."dr:tid" IS NULL' : 'false'} OR ${there} OR ${foreign}`)
}

/** From the live side: rows that the backup has not, and those that it has, but not in the selection. What the backup has of another tenant is in the way where it would be deleted. */
async function fillLive(client: Client, planned: Planned, entry: Entry, {everything}: FillOptions): Promise<void> {
  const {plan} = entry
  const acts = actsOf(planned, entry)
  const wanted = (act: string) => everything || ACTING.includes(act as never)
  if (!wanted(acts.changed) && !wanted(acts.extra)) return
  await client.query(`
    INSERT INTO ${plan.sql} (${heads(plan)})
    SELECT ${entry.index}, CASE WHEN s."dr:in" IS NULL THEN ${extraAct(planned, acts.extra)} WHEN ${isForeign(planned, entry, 's')} THEN '${acts.extra === 'delete' ? 'foreign' : acts.extra}' ELSE '${acts.changed}' END, l."dr:tid", l."dr:rel", 1, ${newer(planned, entry)}, ${images(entry, entry.compared)}
    FROM ${liveRows(entry, conditionOf(planned, entry, 'live'))} LEFT JOIN ${stagedRows(entry, 'true', `, (${conditionOf(planned, entry, 'stage')}) IS TRUE AS "dr:in"${foreignColumn(planned, entry, 'stage')}`)} ON ${onKey(entry)}
    WHERE s."dr:in" IS NOT TRUE AND ((s."dr:in" IS NULL AND ${wanted(acts.extra) ? 'true' : 'false'}) OR (s."dr:in" IS NOT NULL AND ${wanted(acts.changed) ? `(${changedIn(entry)})` : 'false'}))`)
}

/** Of a live row that the backup has not. */
const extraAct = ({request: {comparedAt}}: Planned, act: string): string => (comparedAt === undefined ? quoteLiteral(act) : `CASE WHEN ${writtenSince('l."dr:xmin"', comparedAt)} THEN 'late' ELSE ${quoteLiteral(act)} END`)
/** Of equal rows those are too many that came last. */
const latestLast = ({request: {comparedAt}}: Planned): string => (comparedAt === undefined ? '' : ` ORDER BY ${writtenSince('r.xmin', comparedAt)}`)

/** Without a key: whole rows, each as often as it is there. */
async function fillWhole(client: Client, planned: Planned, entry: Entry, {everything}: FillOptions): Promise<void> {
  const {plan, shared, selected: {role}} = entry
  const acts = actsOf(planned, entry)
  const digest = (values: readonly string[]) => `sha256(convert_to(ROW(${values.join(', ')})::text, getdatabaseencoding()))`
  const numbered = (values: readonly string[], order = '') => `, ${digest(values)} AS "dr:whole", row_number() OVER (PARTITION BY ${digest(values)}${order}) AS "dr:copy"`
  const staged = stagedRows(entry, conditionOf(planned, entry, 'stage'), numbered(shared.map((pair) => exact(pair.live, inLiveType(pair.live, pair.staged, column('r', pair.live.name))))))
  const live = `(SELECT r.*, ${whereItIs(entry)}${numbered(shared.map((pair) => exact(pair.live, column('r', pair.live.name))), latestLast(planned))} FROM ${plan.relation.from} AS r WHERE ${conditionOf(planned, entry, 'live')}) AS l`
  const on = 's."dr:whole" = l."dr:whole" AND s."dr:copy" = l."dr:copy"'
  const insert = (act: string, join: string, where: string) => client.query(`
    INSERT INTO ${plan.sql} (${heads(plan)})
    SELECT ${entry.index}, ${act}, l."dr:tid", l."dr:rel", 1, NULL, ${images(entry, entry.compared)} FROM ${join} ON ${on} WHERE ${where}`)
  const wanted = (act: string) => everything || ACTING.includes(act as never)
  if (wanted(acts.missing)) await insert(quoteLiteral(acts.missing), `${staged} LEFT JOIN ${live}`, 'l."dr:tid" IS NULL')
  if (role === 'rows' && wanted(acts.extra)) await insert(extraAct(planned, acts.extra), `${live} LEFT JOIN ${staged}`, 's."dr:copy" IS NULL')
}

/** How many rows of the selection are alike on both sides, given how many are not. */
export async function countPairs(client: Client, planned: Planned, entry: Entry): Promise<number> {
  const stage = conditionOf(planned, entry, 'stage')
  if (entry.plan.key === undefined) {
    const {count} = await rowOf<{count: string}>(client, `SELECT (SELECT count(*) FROM ${stagedRows(entry, stage)}) - (SELECT count(*) FROM ${entry.plan.sql} p WHERE p.entry = ${entry.index} AND p.act ${among(['insert', 'missing'])}) AS count`)
    return Number(count)
  }
  const outside = entry.selected.role !== 'rows' ? '0' : `(SELECT count(*) FROM ${liveRows(entry, conditionOf(planned, entry, 'live'))} JOIN ${stagedRows(entry, `(${stage}) IS NOT TRUE`, foreignColumn(planned, entry, 'stage'))} ON ${onKey(entry)}${planned.mode === 'exact' ? '' : ` WHERE (${isForeign(planned, entry, 's')}) IS NOT TRUE`})`
  const {count} = await rowOf<{count: string}>(client, `SELECT (SELECT count(*) FROM ${stagedRows(entry, stage)} JOIN ${liveRows(entry)} ON ${onKey(entry)}) + ${outside} AS count`)
  return Number(count)
}

/** Whether the live row was written after the backup by another transaction than those of the selection. */
function newer({request: {backupSnapshot}}: Planned, {selected: {where}}: Entry): string {
  if (backupSnapshot === undefined) return 'NULL'
  const others = transactionsOf(where).map((one) => ` AND l."dr:xmin" <> '${one}'::xid`).join('')
  return `(l."dr:xmin" IS NOT NULL AND ${writtenSince('l."dr:xmin"', backupSnapshot)}${others})`
}

/** Values that the live type does not take, in words. */
export function typeError(error: unknown, {selected: {table}, shared}: Entry): unknown {
  const unlike = shared.filter(({live, staged}) => live.type !== staged.type)
  if (unlike.length === 0 || !/^(22|42846|42883)/.test(codeOf(error) ?? '')) return error
  return preflightError('partial.types', `Values of ${shownName(table)} in the backup do not fit the types that it has now (${unlike.map(({live, staged}) => `${live.name}: ${staged.type}, now ${live.type}`).join('; ')}): ${messageOf(error)}.`, {cause: error, hints: ['Choose --merge side, and bring the staged rows over by hand.', 'Or leave the column out: --columns names the ones to put back.']})
}
