import {expect} from 'chai'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {contentsOf, differences, sampleFixture} from './sample.ts'

describe('a partial restore of partitions', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_partitions', {rows: 900, tenants: 4})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const schema = () => schemaOf(sample.cluster.url('dr_partitions_live'), 17)

  beforeEach(() => sample.anew())

  it('brings back one partition that was dropped, as a partition', async () => {
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
})
