import {expect} from 'chai'
import {loadConfig} from '../../../../src/lib/config/load.ts'
import {DeclinedError} from '../../../../src/lib/errors.ts'
import {rowOf, rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {stageDatabaseName} from '../../../../src/lib/postgres/create-database.ts'
import {markedDatabases, type MarkedDatabase} from '../../../../src/lib/postgres/database-marks.ts'
import {abandonedStageDatabases} from '../../../../src/lib/postgres/stage-database.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {cleanUpProcedure, cleanUpState, type CleanUpState} from '../../../../src/lib/procedures/clean-up/index.ts'
import {leftSchemas} from '../../../../src/lib/procedures/clean-up/schemas.ts'
import {assertMayComeIn, databaseToBringBack} from '../../../../src/lib/procedures/swap/standing.ts'
import {perform} from '../../../../src/lib/runbook/perform.ts'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {errorOf, openGates, testStage} from '../../../support/stage.ts'
import {contentsOf, differences, sampleFixture} from './sample.ts'

const ANSWERS = "CREATE TYPE public.answer AS ENUM ('yes', 'no'); CREATE TABLE public.polls (id int PRIMARY KEY, answer public.answer, \"updatedAt\" timestamp); INSERT INTO public.polls SELECT i, 'yes', '2026-11-01' FROM generate_series(1, 40) i"

describe('a partial restore by way of a database beside', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_beside', {rows: 400, tenants: 3, more: ANSWERS})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, stage: 'database', ...more})
  const admin = <T>(work: Parameters<typeof withClient<T>>[2]) => withClient(sample.cluster.adminUrl, {}, work)
  const beside = () => admin(async (client) => (await rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE datname ~ '_stage_|_scratch$|^dr_unfinished' ORDER BY 1")).map(({name}) => name))
  /** Everything of the live database that a catalog knows. */
  const objects = () => sample.live((client) => rowsOf(client, `
    SELECT 'class' AS what, c.oid::text, c.relname::text AS name, c.relnamespace::regnamespace::text AS place, c.relacl::text AS rights FROM pg_class c WHERE c.relnamespace <> 'pg_toast'::regnamespace
    UNION ALL SELECT 'schema', oid::text, nspname::text, '', nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' UNION ALL SELECT 'type', oid::text, typname::text, typnamespace::regnamespace::text, typacl::text FROM pg_type ORDER BY 1, 2`))
  const damage = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))

  beforeEach(() => sample.anew())
  afterEach('nothing is left', async () => {
    expect(await beside()).to.deep.equal([])
  })

  async function cleanUp(olderThanMs: number): Promise<CleanUpState> {
    const {config} = await loadConfig({env: {}, cwd: sample.directory, configDir: sample.directory, dataDir: sample.directory})
    const options = {config, target: parseTarget(sample.url), olderThanMs, force: false, now: new Date(Date.now() + 1000)}
    const [marked, abandoned] = await admin(async (client) => [await markedDatabases(client), await abandonedStageDatabases(client, 'dr_beside_live')] as const)
    const state = cleanUpState(options, marked, await leftSchemas(options.target, options), abandoned)
    await perform(cleanUpProcedure(options), state, testStage().stage)
    return state
  }

  const tenantOf = () => sample.live(async (client) => (await rowOf<{id: string}>(client, 'SELECT min(id) AS id FROM public.tenants')).id)
  const half = (seed: number) => `hashtextextended(id, ${seed}) % 2 = 0`
  const DAMAGES: readonly [string, (tenant: string) => string, (tenant: string, xid: string) => Pick<PartialSetting, 'wish' | 'way'>][] = [
    ['a tenant that is muddled', (tenant) => `UPDATE contacts SET name = 'x' WHERE "tenantId" = '${tenant}'; DELETE FROM calls WHERE ${half(2)}; INSERT INTO leads (id, "tenantId", title, "createdAt", "updatedAt") VALUES ('extra', '${tenant}', 'x', now(), now())`, (tenant) => ({wish: {tenant}, way: 'exact'})],
    ['leads, and the links to them', () => `DELETE FROM leads WHERE ${half(1)}; UPDATE leads SET title = 'x' WHERE ${half(5)}`, () => ({wish: {tables: ['leads'], relink: true}, way: 'changed'})],
    ['a column of what one transaction wrote', () => `UPDATE leads SET status = 'gone' WHERE ${half(1)}`, (_tenant, transaction) => ({wish: {tables: ['leads'], columns: ['status'], transaction}, way: 'changed'})],
    ['tables that are dropped, one with its type, one with its parents', () => 'DROP TABLE tariffs CASCADE; DELETE FROM courses; DROP TABLE polls; DROP TYPE answer', () => ({wish: {tables: ['tariffs', 'polls'], withParents: true}, way: 'missing'})],
    ['a table with a type of its own', () => "UPDATE polls SET answer = 'no', \"updatedAt\" = now() WHERE id > 30; DELETE FROM polls WHERE id < 5; INSERT INTO polls VALUES (100, 'no')", () => ({wish: {tables: ['polls']}, way: 'exact'})],
  ]
  for (const [what, sql, setting] of DAMAGES) {
    it(`repairs ${what} as by way of a schema, and can be taken back`, async () => {
      const tenant = await tenantOf()
      const repaired = async (stage: 'schema' | 'database') => {
        await sample.anew()
        const {xid} = await sample.live(async (client) => {
          await client.query('BEGIN; SET LOCAL search_path = public')
          for (const statement of sql(tenant).split('; ')) await client.query(statement.replaceAll('now()', "'2026-11-27 05:00'"))
          const found = await rowOf<{xid: string}>(client, 'SELECT txid_current()::text AS xid')
          await client.query('COMMIT')
          return found
        })
        const damaged = await sample.live(contentsOf)
        const {state, since, error} = await run({...setting(tenant, xid), stage})
        if (error) throw error
        expect(state.findings.filter(({severity}) => severity !== 'ok'), stage).to.deep.equal([])
        const contents = await sample.live(contentsOf)
        const reverted = await runRevert(sample)
        if (reverted.error) throw reverted.error
        expect(differences(damaged, await sample.live(contentsOf)), `${stage}, taken back`).to.deep.equal({})
        const samples = state.comparison?.tables.map(({sample: rows, ...rest}) => ({...rest, samples: rows.length}))
        return {contents, changed: Object.keys(differences(damaged, contents)), compared: {...state.comparison, snapshot: '', tables: samples}, merged: state.merged?.tables, since, brought: state.brought}
      }
      const [one, other] = [await repaired('schema'), await repaired('database')]
      expect(differences(one.contents, other.contents)).to.deep.equal({})
      expect(one.changed, 'something was put back').not.to.deep.equal([])
      expect({...other, contents: 0, brought: 0}).to.deep.equal({...one, contents: 0, brought: 0})
    })
  }

  it('brings over no more than the rows that it puts back, where it has not to know of every other', async () => {
    await damage("UPDATE leads SET title = 'x' WHERE id IN (SELECT id FROM leads ORDER BY id LIMIT 3)")
    let brought: unknown
    const {state, seen, error} = await run({wish: {tables: ['leads']}, way: 'changed', onStep: async (id) => {
      if (id === 'partial.merge') brought = await sample.live((client) => rowsOf(client, "SELECT c.relname AS name, (xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || c.oid::regclass, false, true, '')))[1]::text AS rows FROM pg_class c WHERE c.relnamespace::regnamespace::text LIKE 'dr_stage%' AND c.relkind = 'r'"))
    }})
    if (error) throw error
    expect(brought).to.deep.equal([{name: 'leads', rows: '3'}])
    expect(seen.join('\n')).to.contain('3 rows of').and.to.match(/rows of live tables, .* are copied into dr_beside_live_stage_/)
    expect(state.findings.find(({code}) => code === 'partial.rows')?.message).to.equal('every row that was to be put back is as in the backup: 3 rows looked at')
  })

  it('writes nothing into the live database before it is agreed to; declined, it leaves one closed database that is known as its own, and clean-up drops it', async () => {
    await damage(`DELETE FROM leads WHERE ${half(1)}`)
    const before = {objects: await objects(), contents: await sample.live(contentsOf)}
    let asked: readonly string[] = []
    let during: unknown
    const {error, runId} = await run({wish: {tables: ['leads'], relink: true}, way: 'changed', gatekeeper: {...openGates, pass: async (gate, state) => {
      asked = gate.details?.(state) ?? []
      during = await objects()
      throw new DeclinedError('Declined.')
    }}})
    expect(error).to.include({exitCode: 8})
    const name = stageDatabaseName('dr_beside_live', runId)
    expect(asked.join('\n')).to.contain(`Staged      in the database ${name}`)
    expect(during).to.deep.equal(before.objects)
    expect(await objects()).to.deep.equal(before.objects)
    expect(differences(before.contents, await sample.live(contentsOf))).to.deep.equal({})
    expect(await beside()).to.include(name)
    for (const role of [{name: 'dashboarduz_app', password: 'a'}, {name: 'dashboarduz_reader', password: 'r'}]) expect(await errorOf(withClient(sample.cluster.url(name, role), {}, () => Promise.resolve()))).to.include({code: 'postgres.denied'})
    expect(await admin((client) => abandonedStageDatabases(client, 'another'))).to.deep.equal([])
    const state = await cleanUp(7 * 24 * 3600_000)
    expect(state.databases.map(({database, kind, abandoned, stays}) => ({database, kind, abandoned, stays}))).to.deep.equal([{database: name, kind: 'stage', abandoned: true, stays: undefined}])
    expect(state.dropped).to.deep.equal([name])
    await run({wish: {tables: ['polls']}, way: 'missing'})
  })

  it('leaves no database that is not marked, wherever it is killed; the next run, or the same gone on with, removes it', async () => {
    await damage(`DELETE FROM leads WHERE ${half(1)}`)
    const damaged = await sample.live(contentsOf)
    const names: string[] = []
    const seen: string[] = []
    for (const killedAfter of ['partial.stage', 'partial.mirror', 'partial.bring']) {
      const killed = await run({wish: {tables: ['leads']}, way: 'missing', killedAfter})
      expect(killed.error, killedAfter).to.equal(undefined)
      seen.push(...killed.seen)
      names.push(stageDatabaseName('dr_beside_live', killed.runId))
      expect((await admin((client) => abandonedStageDatabases(client, 'dr_beside_live'))).map(({database}) => database), killedAfter).to.deep.equal(names.slice(-1))
      expect(differences(damaged, await sample.live(contentsOf)), killedAfter).to.deep.equal({})
    }
    const killed = await run({wish: {tables: ['leads']}, way: 'missing', killedAfter: 'partial.bring'})
    for (const name of names) expect([...seen, ...killed.seen].join('\n')).to.contain(`Dropped ${name}, which a killed run had left.`)
    const {error, runId} = await run({wish: {tables: ['leads']}, way: 'missing', resumed: killed})
    if (error) throw error
    expect(runId).to.equal(killed.runId)
    expect(differences(damaged, await sample.live(contentsOf))).to.have.property('leads')
    expect(await leftIn("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dr\\_stage%'")).to.deep.equal([])
  })
  const leftIn = (sql: string) => sample.live((client) => rowsOf(client, sql))

  it('leaves live as it was when it is interrupted or fails, and nothing beside', async () => {
    await damage(`DELETE FROM calls WHERE ${half(1)}`)
    const before = await sample.live(contentsOf)
    for (const at of ['partial.mirror', 'partial.bring', 'partial.prove']) {
      const controller = new AbortController()
      const {error} = await run({wish: {tables: ['calls']}, way: 'missing', signal: controller.signal, onStep(step) { if (step === at) controller.abort(new Error(`stopped at ${at}`)) }})
      expect(error?.message, at).to.equal(`stopped at ${at}`)
      expect(differences(before, await sample.live(contentsOf)), at).to.deep.equal({})
      expect(await leftIn("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dr\\_stage%'"), at).to.deep.equal([])
      expect(await beside(), at).to.deep.equal([])
    }
  })

  it('refuses at the merge what was changed between the comparison and the answer', async () => {
    await damage(`UPDATE leads SET title = 'x' WHERE ${half(1)}`)
    const {error} = await run({wish: {tables: ['leads']}, way: 'changed', gatekeeper: {...openGates, pass: async () => {
      await damage(`UPDATE leads SET title = 'rightful' WHERE id = (SELECT min(id) FROM leads WHERE title = 'x')`)
      return 'yes'
    }}})
    expect(error).to.include({code: 'partial.moved-on', exitCode: 3})
  })

  it('leaves the rows of the backup there with side, and those alone, for nobody else; clean-up drops them when they are old', async () => {
    await damage(`DELETE FROM leads WHERE ${half(1)}`)
    const before = {objects: await objects(), contents: await sample.live(contentsOf)}
    const {state, error} = await run({wish: {tables: ['leads']}, way: 'side'})
    if (error) throw error
    expect(await objects()).to.deep.equal(before.objects)
    const name = state.stageDatabase ?? ''
    expect(await beside()).to.deep.equal([name])
    const leads = state.staged?.find(({table}) => table.name === 'leads')
    const found = await withClient(sample.cluster.url(name), {}, (client) => rowOf(client, `SELECT (SELECT count(*)::int FROM ${leads?.stage.schema ?? ''}.leads) AS leads, (SELECT count(*)::int FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema|dr_stage)') AS others`))
    expect(found).to.deep.equal({leads: leads?.rows, others: 0})
    expect(await errorOf(withClient(sample.cluster.url(name, {name: 'dashboarduz_app', password: 'a'}), {}, () => Promise.resolve()))).to.include({code: 'postgres.denied'})
    // A later run says so, and leaves it alone.
    expect((await run({wish: {tables: ['polls']}, way: 'missing'})).seen.join('\n')).to.contain(`kept for hand work: database ${name}`)
    const marked: MarkedDatabase[] = await admin(markedDatabases)
    expect((await drErrorOf(Promise.resolve().then(() => assertMayComeIn(name, 'dr_beside_live', marked)))).message).to.contain('for hand work')
    expect((await drErrorOf(Promise.resolve().then(() => databaseToBringBack(marked, 'dr_beside_live', undefined)))).code).to.equal('undo.nothing')
    expect((await cleanUp(24 * 3600_000)).databases.map(({database, kind, stays}) => ({database, kind, stays}))).to.deep.equal([{database: name, kind: 'stage', stays: 'younger than the limit'}])
    expect((await cleanUp(0)).dropped).to.deep.equal([name])
  })

  it('refuses beforehand what can only be compared in the live database', async () => {
    await damage("UPDATE polls SET answer = 'no'")
    const before = await objects()
    const {error, entries} = await run({wish: {tables: ['polls'], where: "answer > 'yes'"}, way: 'changed'})
    expect(error).to.include({code: 'partial.stage-database', exitCode: 3})
    expect(error?.hints?.join()).to.contain('--stage schema')
    expect(entries.some((entry) => entry.event === 'started' && entry.step === 'partial.stage')).to.equal(false)
    expect(await objects()).to.deep.equal(before)
    expect((await run({wish: {tables: ['polls'], where: "answer > 'yes'"}, way: 'changed', stage: 'schema'})).error).to.equal(undefined)
  })

  it('takes its rows from a database that answers, too', async () => {
    await damage(`DELETE FROM contacts WHERE ${half(1)}; UPDATE polls SET answer = 'no'`)
    const {error, state} = await run({wish: {tables: ['contacts', 'polls'], relink: true}, way: 'changed', from: {kind: 'database', target: parseTarget(sample.cluster.url('dr_beside_pristine'))}})
    if (error) throw error
    const left = differences(await sample.pristine(contentsOf), await sample.live(contentsOf))
    expect(left).not.to.have.any.keys('contacts', 'polls', 'leads', 'calls')
    expect(state.findings.filter(({severity}) => severity !== 'ok')).to.deep.equal([])
  })
})
