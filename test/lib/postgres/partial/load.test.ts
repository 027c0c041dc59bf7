import {expect} from 'chai'
import {connect, endQuietly, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {MergeResult} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {startLoad} from '../../../support/load.ts'
import {countsOf, partialFixture, running, selecting} from '../../../support/partial-fixture.ts'
import {digestOf, readState, relinkCalls, requestOf, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {until} from '../../../support/until.ts'
import {watched} from '../../../support/watched-client.ts'

/** What a client may have to wait for the locks to be given up again, as transact() promises: half of deadlock_timeout, which is a second. */
const BUDGET_MS = 500
const SHORT_BUDGET_MS = 300
/** Of a machine that others use, too. */
const SLACK_MS = 1000
const HELD_MS = 4000

/** The client, with the longest time noted from the locks that it got until the transaction was over. */
function timed(client: Client, held: {longestMs: number}): Client {
  let since: number | undefined
  return watched(client, {after(statement) {
    if (statement.startsWith('LOCK TABLE')) since = performance.now()
    if (/^(COMMIT|ROLLBACK)/.test(statement) && since !== undefined) {
      held.longestMs = Math.max(held.longestMs, performance.now() - since)
      since = undefined
    }
  }})
}

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
    const held = {longestMs: 0}
    const client = timed(fixture.client, held)
    try {
      for (let round = 0; round < 6; round++) {
        const at = loads.map(({rounds}) => rounds)
        await until(() => loads.every(({rounds}, index) => rounds > (at[index] ?? 0) + 5), 60_000)
        const selection = selecting(tableSelection('leads', {kind: 'equals', column: 'tenantId', value: 't1'}), relinkCalls({kind: 'equals', column: 'tenantId', value: 't1'}))
        results.push(await mergeSelection(client, requestOf(fixture.live, selection, 'exact', {undoSchema: `dr_undo_${round}`}), running))
        expect((await readState(fixture.client)).leads?.filter(({tenantId}) => tenantId === 't1')).to.deep.equal(base.leads?.filter(({tenantId}) => tenantId === 't1'))
        await revertMerge(client, `dr_undo_${round}`, {...running, lockTimeoutMs: 2000})
      }
    } finally {
      const reports = (await Promise.all(loads.map((load) => load.stop()))).flat()
      expect(reports.map(({errors}) => errors)).to.deep.equal(reports.map(() => ({})))
      // Of a round each of up to five statements may have had to wait.
      expect(Math.max(...reports.map(({longestGapMs}) => longestGapMs))).to.be.below(5 * (BUDGET_MS + held.longestMs) + SLACK_MS)
    }
    expect(results.map((result) => countsOf(result, 'leads'))).to.deep.equal(results.map(() => [8, 0, 50]))
  })

  it('gives way to a client that holds a lock for long, so that no other waits longer than the limit and the merge itself', async () => {
    const held = {longestMs: 0}
    const own = await connect(fixture.url)
    const holder = await connect(fixture.url)
    // Single statements: between two answers lies one wait. Those of the second kind see only how busy the machine is.
    const load = startLoad({url: fixture.url, clients: 2, statements: [`UPDATE calls SET tags = '{d}' WHERE "tenantId" = 't3'`], reconnectEvery: 1_000_000})
    const control = startLoad({url: fixture.url, clients: 2, statements: [`UPDATE webhook_events SET payload = '{}' WHERE "tenantId" = 't3'`], reconnectEvery: 1_000_000})
    try {
      await own.query(`SET deadlock_timeout = '${2 * SHORT_BUDGET_MS}ms'`)
      await until(() => load.rounds > 20 && control.rounds > 20, 60_000)
      await fixture.client.query(`DELETE FROM leads WHERE "tenantId" = 't1'`)
      await holder.query('BEGIN; LOCK TABLE calls IN ROW EXCLUSIVE MODE')
      const from = performance.now()
      let tries = 0
      const merge = mergeSelection(timed(own, held), requestOf(fixture.live, selecting(tableSelection('leads'), relinkCalls()), 'missing'), {...running, onWaiting() { tries++ }})
      await until(() => tries >= 4 && performance.now() - from > HELD_MS, 60_000)
      await holder.query('COMMIT')
      expect(countsOf(await merge, 'leads')).to.deep.equal([8, 0, 0])
    } finally {
      await endQuietly(holder)
      await endQuietly(own)
      const [reports, others] = [await load.stop(), await control.stop()]
      expect([...reports, ...others].map(({errors}) => errors)).to.deep.equal([{}, {}, {}, {}])
      const noise = Math.max(...others.map(({longestGapMs}) => longestGapMs))
      const limit = SHORT_BUDGET_MS + held.longestMs + 2 * noise + SLACK_MS
      expect(Math.max(...reports.map(({longestGapMs}) => longestGapMs))).to.be.within(SHORT_BUDGET_MS / 2, limit)
      // Whoever had queued behind the merge until the holder went would have waited as long as that.
      expect(limit, 'the limit tells something').to.be.below(HELD_MS)
    }
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
