import {expect} from 'chai'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import type {MergeResult} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {startLoad} from '../../../support/load.ts'
import {countsOf, partialFixture, running, selecting} from '../../../support/partial-fixture.ts'
import {digestOf, readState, relinkCalls, requestOf, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {until} from '../../../support/until.ts'

describe('a merge under load', function () {
  this.timeout(300_000)
  const fixture = partialFixture('partial_load')

  it('lets clients insert, read and lock in any order without an error, and is exact for its selection', async () => {
    await fixture.client.query(`DELETE FROM leads WHERE "tenantId" = 't1'; INSERT INTO leads (id, "tenantId") SELECT 't1e' || i, 't1' FROM generate_series(1, 50) i`)
    const base = await readState(fixture.client, 'base')
    const insert = `INSERT INTO leads (id, "tenantId", title) SELECT gen_random_uuid()::text, 't2', 'new'`
    const loads = [
      startLoad({url: fixture.url, clients: 3, statements: [insert, `SELECT count(*) FROM leads WHERE "tenantId" = 't1'`, `BEGIN; UPDATE calls SET tags = '{b}' WHERE "tenantId" = 't3'; ${insert}; COMMIT`]}),
      startLoad({url: fixture.url, clients: 2, statements: [`BEGIN; ${insert}; UPDATE calls SET tags = '{c}' WHERE "tenantId" = 't4'; UPDATE tenants SET name = name WHERE id = 't1'; COMMIT`]}),
    ]
    const results: MergeResult[] = []
    try {
      for (let round = 0; round < 6; round++) {
        const at = loads.map(({rounds}) => rounds)
        await until(() => loads.every(({rounds}, index) => rounds > (at[index] ?? 0) + 5), 60_000)
        const selection = selecting(tableSelection('leads', {kind: 'equals', column: 'tenantId', value: 't1'}), relinkCalls({kind: 'equals', column: 'tenantId', value: 't1'}))
        results.push(await mergeSelection(fixture.client, requestOf(fixture.live, selection, 'exact', {undoSchema: `dr_undo_${round}`}), running))
        expect((await readState(fixture.client)).leads?.filter(({tenantId}) => tenantId === 't1')).to.deep.equal(base.leads?.filter(({tenantId}) => tenantId === 't1'))
        await revertMerge(fixture.client, `dr_undo_${round}`, {...running, lockTimeoutMs: 2000})
      }
    } finally {
      const reports = (await Promise.all(loads.map((load) => load.stop()))).flat()
      expect(reports.map(({errors}) => errors)).to.deep.equal(reports.map(() => ({})))
    }
    expect(results.map((result) => countsOf(result, 'leads'))).to.deep.equal(results.map(() => [8, 0, 50]))
  })

  it('gives up, naming who is in the way, and has kept nobody waiting for long', async () => {
    await fixture.client.query(`UPDATE leads SET status = 'x'`)
    const before = await digestOf(fixture.client)
    await withClient(fixture.url, {applicationName: 'a migration'}, async (other) => {
      await other.query('BEGIN; LOCK TABLE leads IN ROW EXCLUSIVE MODE')
      const waits: string[] = []
      const error = await drErrorOf(mergeSelection(fixture.client, requestOf(fixture.live, selecting(tableSelection('leads')), 'changed', {lockTimeoutMs: 100}), {...running, onWaiting: (why) => { waits.push(why) }}))
      expect(error).to.include({code: 'partial.busy', exitCode: 6})
      expect(error.message).to.include('public.leads by a migration')
      expect(waits.length).to.be.above(1)
    })
    expect(await digestOf(fixture.client)).to.deep.equal(before)
  })
})
