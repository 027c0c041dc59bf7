import {expect} from 'chai'
import {rowOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {contentsOf, differences, sampleFixture} from './sample.ts'

/** Partitions of partitions, three floors of them. */
const VISITS = `
  SET search_path = public;
  CREATE TABLE visits (id int NOT NULL, region text NOT NULL, day int NOT NULL, note text DEFAULT 'none', PRIMARY KEY (id, region, day), UNIQUE (note, region, day, id)) PARTITION BY LIST (region); CREATE INDEX ON visits (lower(note)); CREATE INDEX ON visits (day);
  CREATE TABLE visits_north PARTITION OF visits FOR VALUES IN ('north') PARTITION BY RANGE (day); CREATE INDEX ON visits_north (day, note); CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
  CREATE TABLE visits_north_1 PARTITION OF visits_north FOR VALUES FROM (0) TO (10) PARTITION BY HASH (id); CREATE TABLE visits_north_2 PARTITION OF visits_north FOR VALUES FROM (10) TO (20);
  CREATE TABLE visits_north_1_even PARTITION OF visits_north_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE visits_north_1_odd PARTITION OF visits_north_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  INSERT INTO visits SELECT i, CASE WHEN i % 3 = 0 THEN 'south' ELSE 'north' END, i % 20, 'visit ' || i FROM generate_series(1, 120) i`

describe('a partial restore of partitions', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_partitions', {rows: 900, tenants: 4, more: VISITS})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const schema = () => schemaOf(sample.cluster.url('dr_partitions_live'), 17)
  const one = async <R extends object>(sql: string) => sample.live((client) => rowOf<R>(client, sql))

  beforeEach(() => sample.anew())

  it('brings back one partition that was dropped, as a partition, and takes it back again', async () => {
    const whole = {contents: await sample.live(contentsOf), schema: await schema()}
    await live('DROP TABLE event_log_2026_01')
    const damaged = {contents: await sample.live(contentsOf), schema: await schema()}
    const {error} = await run({wish: {tables: ['event_log_2026_01']}, way: 'missing'})
    if (error) throw error
    expect(firstDifference(await schema(), whole.schema)).to.equal(undefined)
    expect(differences(whole.contents, await sample.live(contentsOf))).to.deep.equal({})
    const undone = await runRevert({url: sample.url, directory: sample.directory})
    if (undone.error) throw undone.error
    expect(firstDifference(await schema(), damaged.schema)).to.equal(undefined)
    expect(differences(damaged.contents, await sample.live(contentsOf))).to.deep.equal({})
  })

  for (const {gone, tables, stage} of [
    {gone: 'visits_north', tables: ['visits_north'], stage: 'schema'}, {gone: 'visits_north', tables: ['visits_north_2', 'visits_north', 'visits_north_1_odd'], stage: 'database'},
    {gone: 'visits_north_1', tables: ['visits_north_1_even', 'visits_north_1'], stage: 'schema'}, {gone: 'visits', tables: ['visits_rest', 'visits'], stage: 'schema'},
  ] as const) {
    it(`brings back one that has partitions itself, with all of them${gone === tables[0] ? ', and takes it back again' : ''}: --table ${tables.join(' --table ')}`, async () => {
      const whole = {contents: await sample.live(contentsOf), schema: await schema()}
      await live(`DROP TABLE ${gone}`)
      const damaged = gone === tables[0] && {contents: await sample.live(contentsOf), schema: await schema()}
      const {error, state} = await run({wish: {tables: [...tables]}, way: 'missing', stage})
      if (error) throw error
      expect(state.recreated?.leftOut).to.deep.equal([])
      expect(firstDifference(await schema(), whole.schema)).to.equal(undefined)
      expect(differences(whole.contents, await sample.live(contentsOf))).to.deep.equal({})
      expect(await one('SELECT count(*)::int AS n FROM pg_index WHERE NOT indisvalid')).to.deep.equal({n: 0})
      if (!damaged) return
      const undone = await runRevert({url: sample.url, directory: sample.directory})
      if (undone.error) throw undone.error
      expect(firstDifference(await schema(), damaged.schema)).to.equal(undefined)
      expect(differences(damaged.contents, await sample.live(contentsOf))).to.deep.equal({})
    })
  }

  for (const {gone, table, message} of [
    {gone: 'visits_north', table: 'visits', message: '80 rows of visits were in its partition visits_north, which is not live: they would go into visits_rest.'},
    {gone: 'visits_north_1', table: 'visits_north', message: '40 rows of visits_north were in its partition visits_north_1, which is not live: no other partition takes them.'},
  ]) {
    it(`names the topmost lost partition, which brings all of it back: ${gone} of ${table}`, async () => {
      await live(`DROP TABLE ${gone}`)
      const {error} = await run({wish: {tables: [table]}, way: 'missing'})
      expect(error).to.include({code: 'partial.partition-lost', exitCode: 3, message})
      expect(error?.hints?.[0]).to.equal(`Bring it back first, as a partition with its rows: dr partial --table ${gone} --merge missing`)
    })
  }

  it('names a partition of partitions that was detached', async () => {
    await live('ALTER TABLE visits DETACH PARTITION visits_north')
    const {error} = await run({wish: {tables: ['visits']}, way: 'missing'})
    expect(error).to.include({code: 'partial.partition-lost', message: '80 rows of visits were in its partition visits_north, which is by now a table of its own: they would go into visits_rest.'})
    expect(error?.hints?.[0]).to.include('ALTER TABLE "public"."visits" ATTACH PARTITION "public"."visits_north" FOR VALUES')
  })

  it('makes no partition of what is lost itself: it names the topmost that is, before anything is made', async () => {
    for (const [gone, table] of [['visits_north', 'visits_north_1_odd'], ['visits', 'visits_north_2']] as const) {
      await live(`DROP TABLE ${gone}`)
      const {error, entries} = await run({wish: {tables: [table]}, way: 'missing'})
      expect(error).to.include({code: 'partial.partition-lost', exitCode: 3, message: `${table} was a partition of ${gone}, which is not live either.`})
      expect(error?.hints?.[0]).to.equal(`Bring that back, and all of its lost partitions with it: dr partial --table ${gone} --merge missing`)
      expect(entries.flatMap((entry) => (entry.event === 'started' ? [entry.step] : []))).to.include('partial.refuse').and.not.include('partial.recreate')
    }
    const {error} = await run({wish: {tables: ['visits_north_2']}, way: 'side'})
    if (error) throw error
  })

  it('says before anything is made which new rows keep a lost partition from being attached, and what to do with them', async () => {
    await live(`DROP TABLE event_log_2026_01; INSERT INTO event_log SELECT 'new ' || i, min(id), 'new', '2026-01-20' FROM tenants, generate_series(1, 3) i GROUP BY i;
      INSERT INTO event_log SELECT 'later', min(id), 'new', '2027-01-20' FROM tenants`)
    const rows = () => one<{n: number}>("SELECT count(*)::int AS n FROM event_log WHERE kind = 'new'")
    for (const stage of ['schema', 'database'] as const) {
      const {error, entries} = await run({wish: {tables: ['event_log_2026_01']}, way: 'missing', stage})
      expect(error).to.include({code: 'partial.partition-taken', exitCode: 3})
      expect(error?.message).to.equal('3 rows of event_log that belong to its lost partition event_log_2026_01 are in event_log_rest, the default one: the partition cannot be attached while that is so.')
      expect(entries.flatMap((entry) => (entry.event === 'started' ? [entry.step] : []))).to.include('partial.refuse').and.not.include('partial.recreate')
      if (stage === 'schema') continue
      const [aside = '', back = ''] = error?.hints ?? []
      await live(aside.replace('Set them aside: ', ''))
      expect(await rows()).to.deep.equal({n: 1})
      const {error: failed} = await run({wish: {tables: ['event_log_2026_01']}, way: 'missing'})
      if (failed) throw failed
      await live(back.replace('When the partition is back: ', ''))
    }
    expect(await rows()).to.deep.equal({n: 4})
    expect(await one("SELECT count(*)::int AS n, count(*) FILTER (WHERE kind = 'new')::int AS new FROM event_log_2026_01")).to.deep.equal({n: 43, new: 3})
  })

  it('says which partition has by now taken the place of a lost one', async () => {
    await live("DROP TABLE event_log_2026_01; CREATE TABLE january PARTITION OF event_log FOR VALUES FROM ('2025-12-01') TO ('2026-02-01'); INSERT INTO event_log SELECT 'new', min(id), 'new', '2026-01-20' FROM tenants")
    const {error} = await run({wish: {tables: ['event_log_2026_01']}, way: 'missing'})
    expect(error).to.include({code: 'partial.partition-taken', message: '1 row of event_log that belongs to its lost partition event_log_2026_01 is in january: the partition cannot be attached while that is so.'})
    expect(error?.hints?.join('\n')).to.include('dr partial --table event_log --merge missing')
  })

  for (const [what, stage] of [['beside the live tables', 'schema'], ['in a database beside', 'database']] as const) {
    it(`does not put the rows of a lost partition into the default one, compared ${what}`, async () => {
      const before = await one('SELECT count(*)::int AS n FROM event_log_rest')
      await live('DROP TABLE event_log_2026_01')
      const {error} = await run({wish: {tables: ['event_log']}, way: 'missing', stage})
      expect(error).to.include({code: 'partial.partition-lost', exitCode: 3})
      expect(error?.message).to.equal('40 rows of event_log were in its partition event_log_2026_01, which is not live: they would go into event_log_rest.')
      expect(error?.hints?.join('\n')).to.include('dr partial --table event_log_2026_01 --merge missing')
      expect(await one('SELECT count(*)::int AS n FROM event_log_rest')).to.deep.equal(before)
    })
  }

  it('does not put the rows of a detached partition in a second time', async () => {
    await live('ALTER TABLE event_log DETACH PARTITION event_log_2026_01')
    const {error} = await run({wish: {tables: ['event_log']}, way: 'missing'})
    expect(error).to.include({code: 'partial.partition-lost', exitCode: 3})
    expect(error?.message).to.include('which is by now a table of its own')
    expect(error?.hints?.join('\n')).to.include('ATTACH PARTITION "public"."event_log_2026_01"')
  })

  it('puts rows into the partition that takes them now, and others that no lost partition held', async () => {
    const before = await one("SELECT count(*)::int AS n FROM event_log WHERE \"createdAt\" < '2026-02-01'")
    await live(`DROP TABLE event_log_2026_01; CREATE TABLE january PARTITION OF event_log FOR VALUES FROM ('2025-12-01') TO ('2026-02-01');
      DELETE FROM event_log_rest WHERE id IN (SELECT id FROM event_log_rest LIMIT 3)`)
    const {error, state} = await run({wish: {tables: ['event_log']}, way: 'missing'})
    if (error) throw error
    expect(state.merged?.tables[0]?.inserted).to.equal(43)
    expect(await one('SELECT count(*)::int AS n FROM january')).to.deep.equal(before)
  })
})
