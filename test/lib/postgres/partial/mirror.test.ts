import {expect} from 'chai'
import {DrError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {readCatalog} from '../../../../src/lib/postgres/partial/catalog.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {Comparison, MergeMode, MergeRequest, MergeResult, Selection, StagedTable, TableName} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {copyMirror, createMirror, dropMirror} from '../../../../src/lib/postgres/partial/mirror.ts'
import {mirrorPlan} from '../../../../src/lib/postgres/partial/mirror-plan.ts'
import {assertMirrorable, assertSideCondition} from '../../../../src/lib/postgres/partial/mirror-refusals.ts'
import {shapeOf} from '../../../../src/lib/postgres/partial/names.ts'
import {withNeededRows} from '../../../../src/lib/postgres/partial/needed-rows.ts'
import {readColumns} from '../../../../src/lib/postgres/partial/relations.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {sideTypes} from '../../../../src/lib/postgres/partial/side-types.ts'
import {STAGING_SETTINGS, rowsQuery, stageQuery} from '../../../../src/lib/postgres/partial/stage-rows.ts'
import {qualified, quoteIdent} from '../../../../src/lib/postgres/quote.ts'
import {damage} from '../../../support/partial-damage.ts'
import {partialFixture, running, selecting} from '../../../support/partial-fixture.ts'
import {readState, relinkCalls, requestOf, resetPartial, stagedFrom, table, tableSelection, tenantSelection, TENANTS} from '../../../support/partial.ts'
import {Random} from '../../../support/random.ts'
import {drErrorOf} from '../../../support/rejection.ts'

const CASES = 14
const SIDE = 'partial_mirror_side'
const STAGE = 'dr_stage_test'

describe('live rows in a database beside', function () {
  this.timeout(600_000)
  const fixture = partialFixture('partial_mirror')
  /** Both as whoever stages has them. */
  let [live, side]: Client[] = []
  let staged: StagedTable[]

  before(async () => {
    await fixture.cluster.drop(SIDE)
    side = await connect(await fixture.cluster.createDatabase(SIDE))
    live = await connect(fixture.url)
    for (const client of [live, side]) for (const setting of STAGING_SETTINGS) await client.query(setting)
    staged = stagedFrom().map((one) => ({...one, stage: {schema: STAGE, name: one.stage.name}}))
    await side.query(`CREATE SCHEMA ${STAGE}`)
    for (const [place, {stage, columns}] of staged.entries()) await intoSide(stagedFrom()[place]?.stage ?? stage, {stage, columns})
  })
  after(async () => {
    for (const client of [live, side]) if (client) await endQuietly(client)
    await fixture.cluster.drop(SIDE)
  })

  const clients = () => {
    if (live === undefined || side === undefined) throw new Error('not connected')
    return {live, side}
  }

  /** A table of the live database as one that is staged beside. */
  async function intoSide(from: TableName, {stage, columns}: {stage: TableName; columns: readonly string[]}): Promise<void> {
    const [both, found] = [clients(), (await readColumns(clients().live, [from]))(from) ?? []]
    const types = await sideTypes(both.live, found.map(({type}) => type))
    const typeOf = (name: string) => types.get(found.find((one) => one.name === name)?.type ?? '') ?? ''
    await both.side.query(`CREATE TABLE ${qualified(stage)} (${columns.map((name) => `${quoteIdent(name)} ${typeOf(name)}`).join(', ')})`)
    await stageQuery(both.side, {stage, columns}, {client: both.live, query: rowsQuery({...from, kind: 'table'}, columns)}, running.signal)
  }

  /** A request for the side database, with the mirror that it needs; the mirror is gone afterwards. */
  async function mirrored<T>(request: MergeRequest, look: (beside: MergeRequest, client: Client) => Promise<T>): Promise<T> {
    const both = clients()
    const beside: MergeRequest = {...request, staged: staged.filter(({table: {name}}) => request.staged.some((one) => one.table.name === name)), mirror: true}
    const mirrors = await createMirror(both.live, both.side, mirrorPlan(beside, []), request.live)
    await copyMirror(both.live, both.side, mirrors, request.live, {...running, onTable() {}})
    const client = await connect(fixture.cluster.url(SIDE))
    try {
      return await look(beside, client)
    } finally {
      await endQuietly(client)
      await dropMirror(both.side, mirrors)
    }
  }

  /** Brings what is needed into the live database, as the step before the merge does. Resolves to what is there, with how many rows. */
  async function bring(beside: MergeRequest, client: Client): Promise<StagedTable[]> {
    const brought: StagedTable[] = []
    await fixture.client.query(`CREATE SCHEMA ${STAGE}`)
    await withNeededRows(client, beside, [], async (needed) => {
      for (const {staged: one, query} of needed) {
        await fixture.client.query(`CREATE TABLE ${qualified(one.stage)} AS SELECT ${one.columns.map(quoteIdent).join(', ')} FROM base.${quoteIdent(one.table.name)} LIMIT 0`)
        brought.push({...one, rows: await stageQuery(fixture.client, one, {client, query}, running.signal)})
      }
    })
    return brought
  }

  const SELECTIONS: readonly ((random: Random, tenant: string, xid: string) => {words: string; selection: Selection; modes: readonly MergeMode[]})[] = [
    (_random, tenant) => ({words: `tenant ${tenant}`, selection: tenantSelection(tenant), modes: ['missing', 'changed', 'exact']}),
    (random) => {
      const name = random.pick(['leads', 'contacts', 'users', 'calls', 'incomes', 'notes', 'events', 'Team Members'])
      return {words: name, selection: selecting(tableSelection(name)), modes: ['missing', 'changed', 'exact']}
    },
    (_random, tenant) => ({words: 'leads and their calls', selection: selecting(tableSelection('leads', {kind: 'sql', text: `"tenantId" = '${tenant}' OR status = 'lost'`}), relinkCalls({kind: 'sql', text: `"tenantId" = '${tenant}' OR status = 'lost'`})), modes: ['missing', 'changed', 'exact']}),
    () => ({words: 'columns of leads', selection: selecting(tableSelection('leads', undefined, {columns: ['status', 'updatedAt']})), modes: ['changed']}),
    (_random, _tenant, xid) => ({words: 'what a transaction wrote', selection: selecting(tableSelection('leads', {kind: 'written-by', transaction: xid})), modes: ['changed', 'exact']}),
    () => ({words: 'one partition', selection: selecting({...tableSelection('events'), table: table('events_2026')}), modes: ['missing', 'changed', 'exact']}),
    () => ({words: 'auth links, and the users that they are of', selection: selecting({...tableSelection('users', {kind: 'refers', columns: ['id'], table: table('user_auth_links'), targets: ['userId'], where: {kind: 'all'}}), role: 'parent'}, {...tableSelection('user_auth_links'), group: 1}), modes: ['missing', 'exact']}),
  ]

  /** Neither the order of rows on disk nor that of tables means anything, nor the instant of the comparison. */
  const ordered = ({tables, closure, cascades, ...rest}: Comparison) => {
    const sorted = <T>(list: readonly T[]) => list.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
    return {...rest, snapshot: '', closure: sorted(closure), cascades: sorted(cascades), tables: tables.map((one) => ({...one, sample: sorted(one.sample), conflicts: sorted(one.conflicts)}))}
  }
  const attempt = async (merge: () => Promise<MergeResult>) => {
    try {
      const result = await merge()
      const after = await readState(fixture.client)
      if (result.nothing !== true) await revertMerge(fixture.client, 'dr_undo_test', {...running, lockTimeoutMs: 2000})
      return {tables: result.tables, cascades: result.cascades, after}
    } catch (error) {
      if (error instanceof DrError) return {code: error.code, message: error.message}
      throw error
    }
  }

  it(`compare as they do live, and a merge of the rows that are needed does what one of all of them does (${CASES} cases)`, async () => {
    const random = new Random(7)
    const outcomes: Record<string, number> = {}
    let [few, all] = [0, 0]
    for (let index = 0; index < CASES; index++) {
      const choose = SELECTIONS[index % SELECTIONS.length]
      if (choose === undefined) throw new Error('no selection')
      const tenant = random.pick(TENANTS)
      const {snapshot} = await rowOf<{snapshot: string}>(fixture.client, 'SELECT pg_current_snapshot()::text AS snapshot')
      await damage(fixture.client, random, random.chance(0.7) ? [tenant] : TENANTS)
      const {xid} = await rowOf<{xid: string}>(fixture.client, `WITH u AS (UPDATE leads SET status = 'lost' WHERE "tenantId" = '${tenant}' RETURNING 1) SELECT pg_current_xact_id()::text AS xid, count(*) FROM u`)
      await damage(fixture.client, random, [random.pick(TENANTS)])
      const {words, selection, modes} = choose(random, tenant, xid)
      const mode = random.pick(modes)
      const part = words === 'one partition' ? [{table: table('events_2026'), stage: {schema: 'base', name: 'events_2026'}, columns: ['id', 'tenantId', 'at', 'body'], key: ['id', 'at'], rows: 12}] : undefined
      if (part) {
        await fixture.client.query("CREATE TABLE base.events_2026 AS SELECT * FROM base.events WHERE at >= '2026-01-01'")
        await clients().side.query(`CREATE TABLE ${STAGE}.events_2026 AS SELECT * FROM ${STAGE}.events WHERE at >= '2026-01-01'`)
        staged.push({...part[0], stage: {schema: STAGE, name: 'events_2026'}} as StagedTable)
      }
      const request = requestOf(fixture.live, selection, mode, {backupSnapshot: snapshot, list: 100, sample: 1000, ...(part && {staged: part})})
      const told = `case ${index}: ${words}, ${mode}`
      const here = await compareSelection(fixture.client, request)
      const [there, brought] = await mirrored(request, async (beside, client): Promise<[Comparison, StagedTable[]]> => [await compareSelection(client, beside), await bring(beside, client)])
      expect(ordered(there), told).to.deep.equal(ordered(here))
      const narrow = await attempt(() => mergeSelection(fixture.client, {...request, staged: brought}, {...running, expected: there}))
      // What the first merge has written again is not the transaction's any more.
      if (words === 'what a transaction wrote' && !here.closure.some(({kind}) => kind === 'parent-missing')) expect('tables' in narrow ? narrow.tables : narrow.message, told).to.deep.equal([{...table('leads'), inserted: 0, updated: here.tables[0]?.changed, deleted: mode === 'exact' ? here.tables[0]?.extra : 0}])
      // Nor is what it has deleted, and its undo has brought back, what was there before.
      else expect(narrow, told).to.deep.equal(await attempt(async () => mergeSelection(fixture.client, request, {...running, expected: await compareSelection(fixture.client, request)})))
      const outcome = 'code' in narrow ? narrow.code ?? '' : mode
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      if (mode !== 'exact') for (const one of brought) [few, all] = [few + one.rows, all + (await rowOf<{rows: number}>(clients().side, `SELECT count(*)::int AS rows FROM ${qualified(one.stage)}`)).rows]
      await fixture.client.query(`DROP SCHEMA ${STAGE} CASCADE; DROP TABLE IF EXISTS base.events_2026`)
      if (part) {
        staged.pop()
        await clients().side.query(`DROP TABLE ${STAGE}.events_2026`)
      }
      await resetPartial(fixture.client)
    }
    for (const one of ['missing', 'changed', 'exact']) expect(outcomes[one] ?? 0, JSON.stringify(outcomes)).to.be.above(0)
    expect(few, `of ${all}`).to.be.below(all / 2)
  })

  it('are told apart and counted to the byte, whatever types they are of, and are the very rows that the merge then finds', async () => {
    const COLUMNS = ['id', 'flag', 'address', 'code', 'pair', 'moods', 'fixed', 'amount', 'span', 'period', 'bits', 'raw', 'doc', 'one', 'at']
    await fixture.client.query(`CREATE SCHEMA dr_odd; CREATE DOMAIN dr_odd.flag AS bool; CREATE DOMAIN dr_odd.address AS inet; CREATE DOMAIN dr_odd.code AS varchar(4) CHECK (VALUE <> ''); CREATE TYPE dr_odd.pair AS (a bool, b text);
      CREATE TABLE dr_odd.t (gone int, amount numeric, id dr_odd.code PRIMARY KEY, flag dr_odd.flag, address dr_odd.address, code dr_odd.code, pair dr_odd.pair, moods mood[], fixed char(5), span interval, "double" int GENERATED ALWAYS AS (length(id)) STORED,
        period tstzrange, bits bit(3), raw bytea, doc json, one "char", at timestamptz);
      ALTER TABLE dr_odd.t DROP COLUMN gone;
      INSERT INTO dr_odd.t (id, flag, address, code, pair, moods, fixed, amount, span, period, bits, raw, doc, one, at)
        SELECT 'k' || i, i % 2 = 0, '10.0.0.1', 'a b', '(t,"x y")', '{sad,NULL}', 'ab', 1.50, '1 mon', '[2026-01-01,2026-02-01)', '101', '\\x5c00', '{"a": 1,  "b": 2}', 'c', '2026-11-27 01:02:03.456+05' FROM generate_series(1, 30) i;
      CREATE TABLE dr_odd.was AS SELECT ${COLUMNS.join(', ')} FROM dr_odd.t`)
    const changes = ['flag = NOT flag', `address = '10.0.0.0/8'`, `code = 'c'`, `pair = '(f,"x y")'`, `moods = '{happy}'`, `fixed = 'abc'`, 'amount = 1.5', `span = '30 days'`, `period = 'empty'`, `bits = '100'`, `raw = ''`, `doc = '{"a": 1, "b": 2}'`, 'one = NULL', `at = at + interval '1 microsecond'`]
    for (const [place, change] of changes.entries()) await fixture.client.query(`UPDATE dr_odd.t SET ${change} WHERE id = 'k${place + 1}'`)
    await fixture.client.query(`DELETE FROM dr_odd.t WHERE id IN ('k20', 'k21'); INSERT INTO dr_odd.t (id, flag) VALUES ('new', true)`)
    const [name, catalog] = [{schema: 'dr_odd', name: 't'}, await readCatalog(fixture.client, {excludeSchemas: ['base']})]
    const own: StagedTable = {table: name, stage: {schema: 'dr_odd', name: 'was'}, columns: COLUMNS, key: ['id'], rows: 30}
    await intoSide(own.stage, {stage: {schema: STAGE, name: 't'}, columns: COLUMNS})
    const request = requestOf(catalog, selecting({...tableSelection('t'), table: name}), 'exact', {staged: [own], sample: 1000})
    const here = await compareSelection(fixture.client, request)
    expect(here.tables[0]).to.include({missing: 2, changed: changes.length, extra: 1})
    staged.push({...own, stage: {schema: STAGE, name: 't'}})
    const there = await mirrored(request, (beside, client) => compareSelection(client, beside))
    staged.pop()
    expect(ordered(there)).to.deep.equal(ordered(here))
    const {tables} = await mergeSelection(fixture.client, request, {...running, expected: there})
    expect(tables).to.deep.equal([{...name, inserted: 2, updated: changes.length, deleted: 1}])
  })

  it('are refused where types, collations and defaults of the live database decide', async () => {
    await fixture.client.query(`CREATE SCHEMA dr_odd; CREATE DOMAIN dr_odd.code AS varchar(10); CREATE TYPE dr_odd.pair AS (a int, b text); CREATE COLLATION dr_odd.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE dr_odd.coded (id dr_odd.code PRIMARY KEY, what public.mood UNIQUE); CREATE TABLE dr_odd.paired (id dr_odd.pair PRIMARY KEY); CREATE TABLE dr_odd.named (id text COLLATE dr_odd.any_case PRIMARY KEY);
      CREATE TABLE dr_odd.child (id int PRIMARY KEY, coded dr_odd.code DEFAULT 'x' REFERENCES dr_odd.coded ON DELETE SET DEFAULT)`)
    const catalog = await readCatalog(fixture.client, {excludeSchemas: ['base']})
    const planFor = (name: string) => mirrorPlan({live: catalog, backup: catalog, staged: [], selection: selecting({...tableSelection(name), table: {schema: 'dr_odd', name}}), mode: 'exact'}, [])
    const refused = async (name: string, mode: MergeMode = 'changed') => (await drErrorOf(assertMirrorable(clients().live, planFor(name), catalog, mode)))
    await assertMirrorable(clients().live, planFor('coded'), catalog, 'changed')
    expect(await refused('coded', 'exact')).to.include({code: 'partial.stage-database', exitCode: 3}).and.to.have.property('message').that.contains('child_coded_fkey')
    expect((await refused('paired')).message).to.contain('id, whose type dr_odd.pair')
    expect((await refused('named')).message).to.contain('id, whose collation')
  })

  it('are no ground for a condition that needs more than they have', async () => {
    const [leads, users] = ['leads', 'users'].map((name) => shapeOf(fixture.live, table(name)))
    if (!leads || !users) throw new Error('no table')
    await fixture.client.query('CREATE FUNCTION dr_odd_one(text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT true $$')
    for (const text of [`status = 'lost' AND "updatedAt" > '2026-11-01'`, `r.id ~ '^t1' OR amount > 5 -- of it`]) await assertSideCondition(clients().live, leads, text)
    for (const [shape, text, why] of [[users, `mood > 'sad'`, 'mood, whose type public.mood'], [leads, 'dr_odd_one(title)', 'does not exist'], [leads, `"tenantId" IN (SELECT id FROM public.tenants)`, 'public.tenants, too']] as const) {
      const error = await drErrorOf(assertSideCondition(clients().live, shape, text))
      expect(error).to.include({code: 'partial.stage-database', exitCode: 3})
      expect([error.message, ...error.hints].join(' ')).to.contain(why).and.to.contain('--stage schema')
    }
    await fixture.client.query('DROP FUNCTION dr_odd_one(text)')
  })
})
