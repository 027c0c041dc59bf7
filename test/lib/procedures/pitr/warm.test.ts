import {expect} from 'chai'
import {InterruptedError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowOf} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {listRecovery} from '../../../../src/lib/procedures/pitr/list.ts'
import {warmProcedure, warmState, type WarmOptions, type WarmState} from '../../../../src/lib/procedures/pitr/warm.ts'
import {perform} from '../../../../src/lib/runbook/perform.ts'
import {recoveryListLines} from '../../../../src/lib/ui/recovery.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {RecoveryFixture} from '../../../support/recovery.ts'
import {errorOf, testStage} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'

describe('reading a restored copy', function () {
  this.timeout(180_000)
  const rds = new RecoveryFixture()
  let copy: Instance

  before(async () => {
    await rds.open()
    await rds.sql((client) => client.query(`
      CREATE ROLE reader LOGIN PASSWORD 'reader';
      CREATE TABLE leads (id serial PRIMARY KEY, note text);
      CREATE TABLE "odd ""name" (id int, wide text);
      ALTER TABLE "odd ""name" ALTER wide SET STORAGE EXTERNAL;
      CREATE TABLE empty (id int PRIMARY KEY);
      CREATE TABLE own (id int); ALTER TABLE own ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON own USING (false);
      INSERT INTO leads (note) SELECT repeat('x', 200) FROM generate_series(1, 20000);
      INSERT INTO "odd ""name" SELECT i, repeat('y', 20000) FROM generate_series(1, 50) i;
      INSERT INTO own VALUES (1);
      CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM leads; CREATE MATERIALIZED VIEW none AS SELECT 1 AS one WITH NO DATA;
      GRANT SELECT ON leads, own TO reader; ALTER DATABASE postgres SET track_functions = 'all'`))
    await rds.archived()
    const {error} = await rds.recover({wish: {target: 'copy', choice: {purpose: 'side'}}})
    if (error) throw error
    copy = rds.instance('copy')
    expect(rds.source.settings.TagList, 'the source is not marked').to.deep.equal([])
  })
  after(() => rds.close())

  const options = (more: Partial<WarmOptions> = {}): WarmOptions => ({config: rds.config, api: rds.api, database: parseTarget(rds.aws.url(rds.source)), instance: undefined, top: undefined, jobs: 3, ...more})
  async function warm(more: Partial<WarmOptions> = {}): Promise<{state: WarmState; seen: string[]}> {
    const [given, {stage, seen}] = [options(more), testStage()]
    const state = warmState(given)
    await perform(warmProcedure(given), state, stage)
    return {state, seen}
  }
  const asReader = () => ({database: {...parseTarget(rds.aws.url(rds.source)), user: 'reader', password: 'reader'}})
  const inCopy = <T extends object>(sql: string) => rds.sql((client) => rowOf<T>(client, sql), copy)
  const names = (parts: readonly {name: string}[]) => parts.map(({name}) => name).toSorted()

  it('reads every block of the tables without pg_prewarm, and tells what it leaves out, and how that could be read', async () => {
    const io = "SELECT (sum(heap_blks_read) + sum(heap_blks_hit))::int AS blocks FROM pg_statio_user_tables WHERE relname = 'leads'"
    const before = await inCopy<{blocks: number}>(io)
    const {state, seen} = await warm()
    const {size, blocks} = await inCopy<{size: number; blocks: number}>("SELECT sum(pg_relation_size(oid))::int AS size, (pg_relation_size('leads') / 8192)::int AS blocks FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace")
    expect(state).to.include({instance: 'copy', bytes: size, relations: 5})
    expect(state.failed).to.deep.equal([])
    expect(state, 'not all of it was read').not.to.have.property('hydrated')
    expect(copy.settings.TagList.map(({Key}) => Key)).not.to.include('dr:hydrated')
    expect(names(state.skipped)).to.deep.equal(['public.empty_pkey', 'public.leads (TOAST)', 'public.leads_pkey', 'public.odd "name (TOAST)', 'public.odd "name (TOAST)'])
    expect(state.skipped[0]?.hint).to.contain('CREATE EXTENSION pg_prewarm')
    expect(seen.filter((line) => line.startsWith('warm.read: progress')).at(-1)).to.equal(`warm.read: progress ${size}`)
    await until(async () => (await inCopy<{blocks: number}>(io)).blocks >= before.blocks + blocks, 20_000)
    const {installed} = await inCopy<{installed: boolean}>("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_prewarm') AS installed")
    expect(installed, 'nothing is made there').to.equal(false)
  })

  it('tells of tables that row-level security hides from the role, or that it may not read, and reads the others', async () => {
    const {state} = await warm(asReader())
    expect(state.relations).to.equal(1)
    expect(state.failed.map(({name, why}) => `${name}: ${why}`)).to.deep.equal(['public.own: query would be affected by row-level security policy for table "own"'])
    expect(names(state.skipped.filter(({why}) => why.includes('may not read')))).to.include.members(['public.odd "name', 'public.totals'])
  })

  it('reads all of it with pg_prewarm, with the number of tables that was asked for only the first', async () => {
    await rds.sql((client) => client.query('CREATE SCHEMA "Ext"; CREATE EXTENSION pg_prewarm SCHEMA "Ext"'), copy)
    const {state} = await warm({instance: 'copy'})
    const {size, parts} = await inCopy<{size: number; parts: number}>(`
      SELECT sum(pg_relation_size(c.oid))::int AS size, count(*)::int AS parts FROM pg_class c
      WHERE (c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm', 'i') AND c.relispopulated)
        OR c.oid IN (SELECT reltoastrelid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relispopulated)
        OR c.oid IN (SELECT indexrelid FROM pg_index JOIN pg_class t ON t.reltoastrelid = indrelid WHERE t.relnamespace = 'public'::regnamespace AND t.relispopulated)`)
    expect(state).to.include({bytes: size, relations: parts})
    expect([state.failed, state.skipped]).to.deep.equal([[], []])
    expect(copy.settings.TagList.find(({Key}) => Key === 'dr:hydrated')?.Value).to.equal(state.hydrated).and.match(/^2\d+-/)
    const listed = await listRecovery({api: rds.api, config: rds.config, journals: ''}, undefined, new AbortController().signal)
    expect(listed.copies[0]).to.include({instance: 'copy', hydrated: state.hydrated})
    expect([...recoveryListLines(listed, new Date(), undefined)].join('\n')).to.match(/ READ .*\ncopy .* whole /)
    rds.aws.server.faults.add({match: {action: 'AddTagsToResource'}, times: 10, action: {code: 'AccessDenied', status: 403, message: 'User: arn:aws:iam::123456789012:user/x is not authorized to perform: rds:AddTagsToResource'}})
    const unmarked = await warm({instance: 'copy'}).finally(() => { rds.aws.server.faults.clear() })
    expect(unmarked.seen.join('\n'), 'it was read all the same').to.contain('copy could not be marked as read')
    const called = "SELECT coalesce(sum(calls), 0)::int AS calls FROM pg_stat_user_functions WHERE schemaname = 'Ext' AND funcname = 'pg_prewarm'"
    await until(async () => (await inCopy<{calls: number}>(called)).calls >= 6, 20_000)

    await rds.sql((client) => client.query('SELECT count(*) FROM own;'.repeat(500)))
    await until(async () => (await rds.sql((client) => rowOf<{scans: number}>(client, "SELECT seq_scan::int AS scans FROM pg_stat_user_tables WHERE relname = 'own'"))).scans >= 500, 20_000)
    copy.settings = {...copy.settings, TagList: copy.settings.TagList.filter(({Key}) => Key !== 'dr:hydrated')}
    expect((await warm({top: 1})).state, 'what clients of the source scan').to.include({relations: 1, bytes: 8192})
    expect(copy.settings.TagList.map(({Key}) => Key), 'that is not all of it').not.to.include('dr:hydrated')
    const {state: unasked, seen} = await warm({top: 1, database: {...parseTarget(rds.aws.url(rds.source)), port: 1}})
    expect(unasked.bytes, 'the largest').to.be.above(4e6).and.below(size)
    expect(seen.join('\n')).to.contain('warm.read: notice DATABASE_URL cannot be asked which tables are scanned most, so the largest come first: PostgreSQL at 127.0.0.1:1 ')
  })

  it('goes on when one table is locked', async () => {
    const holder = await connect(rds.aws.url(copy))
    try {
      await holder.query('BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE')
      const {state} = await warm()
      expect(state.failed.map(({name, why}) => `${name}: ${why}`)).to.deep.equal(['public.leads: canceling statement due to lock timeout'])
      expect(state.relations).to.be.above(5)
    } finally {
      await endQuietly(holder)
    }
  })

  it('ends at once when it is interrupted, and leaves no session', async () => {
    const {stage, controller, entries} = testStage()
    const given = options()
    const {renderer} = stage
    const view: typeof renderer = {...renderer, phase: (...args) => {
      const phase = renderer.phase(...args)
      return {...phase, step: (...of) => ({...phase.step(...of), progress() { controller.abort(new InterruptedError()) }})}
    }}
    const error = await errorOf(perform(warmProcedure(given), warmState(given), {...stage, renderer: view}))
    expect(error).to.be.instanceOf(InterruptedError)
    expect(entries.at(-1)?.event).not.to.equal('finished')
    await until(async () => (await inCopy<{sessions: number}>("SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE application_name = 'dr pitr warm'")).sessions === 0, 20_000)
  })

  it('reads the production instance too, and says what AWS shows of the volume before and after', async () => {
    const shown = [40, 90]
    const api = new Proxy(rds.api, {get: (target, property) => (property === 'instance' ? async (id: string, signal: AbortSignal) => ({...await target.instance(id, signal), StorageOperationPercentProgress: shown.shift()}) : Reflect.get(target, property) as unknown)})
    const {state} = await warm({api, instance: 'crm'})
    expect(state).to.deep.include({instance: 'crm', port: rds.source.port, initialized: {before: 40, after: 90}})
  })

  it('reads nothing that dr did not make, nor what is not available', async () => {
    await rds.aws.server.region.create('billing')
    expect(await errorOf(warm({instance: 'billing'}))).to.include({code: 'pitr.no-copy', exitCode: 3})
    copy.timeline.set('stopped')
    expect(await errorOf(warm())).to.include({code: 'rds.state', exitCode: 3})
    copy.timeline.set('available')
  })
})
