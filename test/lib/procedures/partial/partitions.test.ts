import {expect} from 'chai'
import {rowOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {contentsOf, differences, sampleFixture} from './sample.ts'

describe('a partial restore of partitions', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_partitions', {rows: 900, tenants: 4})
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
