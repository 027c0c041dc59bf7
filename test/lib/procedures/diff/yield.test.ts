import {expect} from 'chai'
import {connect, endQuietly, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {readLiveCounts} from '../../../../src/lib/postgres/live-counts.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {givingWay} from '../../../../src/lib/procedures/diff/yield.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {until} from '../../../support/until.ts'

/** A tenant column that takes a fifth of a second to be read: the count lasts as long as a test needs. */
const SLOW = `
  CREATE TYPE slow AS ENUM ('a');
  CREATE FUNCTION slow_text(slow) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN 'a'; END $$;
  CREATE CAST (slow AS text) WITH FUNCTION slow_text(slow);
  CREATE TABLE leads ("tenantId" slow); INSERT INTO leads SELECT 'a' FROM generate_series(1, 600)`

describe('a comparison that others wait for', function () {
  this.timeout(120_000)
  const applicationName = 'dr diff yielding'
  let cluster: TestCluster
  let url = ''
  let other: Client

  before(async () => {
    cluster = await testCluster()
    url = await cluster.createDatabase('yielding')
    other = await connect(url)
    await other.query(SLOW)
  })
  after(async () => {
    await endQuietly(other)
    await cluster.drop('yielding')
  })

  const sessions = () => withClient(cluster.adminUrl, {}, async (admin) => (await admin.query('SELECT FROM pg_stat_activity WHERE application_name = $1', [applicationName])).rowCount ?? 0)
  const counting = () => withClient(cluster.adminUrl, {}, async (admin) => (await admin.query("SELECT FROM pg_stat_activity WHERE application_name = $1 AND query LIKE '%FROM ONLY%' AND state = 'active'", [applicationName])).rowCount ?? 0)
  const count = (signal: AbortSignal) => givingWay({target: parseTarget(url), applicationName, blockedLimitMs: 300, signal}, (either) =>
    readLiveCounts(parseTarget(url), {excludeSchemas: [], tenantColumn: 'tenantId', applicationName, connections: 1, signal: either})).catch((error: unknown) => error)

  it('gives way, and says to whom', async () => {
    const failure = count(new AbortController().signal)
    await until(async () => (await counting()) > 0)
    await other.query("SET application_name = 'a migration'; BEGIN; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE; COMMIT")
    expect(await failure).to.include({code: 'diff.yielded', exitCode: 6})
    expect((await failure as Error).message).to.match(/^a migration \(process \d+ of the server\) waited \d+ ms/)
    await until(async () => (await sessions()) === 0)
  })

  it('ends its statement on the server when it is interrupted', async () => {
    const controller = new AbortController()
    const failure = count(controller.signal)
    await until(async () => (await counting()) > 0)
    controller.abort(new Error('enough'))
    expect(await failure).to.have.property('message', 'enough')
    await until(async () => (await sessions()) === 0)
  })
})
