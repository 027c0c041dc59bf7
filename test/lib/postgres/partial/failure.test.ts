import {expect} from 'chai'
import {DrError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {Catalog} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {mergeCommitted} from '../../../../src/lib/postgres/partial/undo-schema.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {catalogOf, createPartial, digestOf, learnColumns, relinkCalls, requestOf, resetPartial, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {watched} from '../../../support/watched-client.ts'

const DATABASE = 'partial_failure'

describe('a failure at any statement of a merge', function () {
  this.timeout(600_000)
  const options = {signal: new AbortController().signal}
  let cluster: TestCluster
  let url: string
  let admin: Client
  let live: Catalog

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase(DATABASE)
    admin = await connect(url)
    await createPartial(admin)
    await learnColumns(admin)
    live = await catalogOf(admin)
    await resetPartial(admin)
    await admin.query(`
      DELETE FROM leads WHERE id IN ('t1d1', 't1d2'); UPDATE leads SET status = 'x' WHERE id = 't2d1'; INSERT INTO leads (id, "tenantId") VALUES ('t3x', 't3'); UPDATE calls SET "leadId" = 't3x' WHERE id = (SELECT max(id) FROM calls);
      SELECT setval('incomes_id_seq', 1); DELETE FROM incomes WHERE "tenantId" = 't1'`)
  })
  after(async () => {
    await endQuietly(admin)
    await cluster.drop(DATABASE)
  })

  const request = () => requestOf(live, {tables: [tableSelection('leads'), relinkCalls(), tableSelection('incomes', undefined, {group: 2} as object)]}, 'exact')
  const merge = (client: Client) => mergeSelection(client, request(), options)
  const revert = (client: Client) => revertMerge(client, 'dr_undo_test', {...options, lockTimeoutMs: 1000})

  /** At every statement of the work: the server ends the session, or refuses the statement. The state stays as it was. */
  async function failEverywhere(work: (client: Client) => Promise<unknown>): Promise<number> {
    const seen: string[] = []
    const before = await digestOf(admin)
    const whole = await connect(url)
    const stop = new Error('enough')
    // What it would say, without the COMMIT.
    await work(watched(whole, {before: async (statement) => { seen.push(statement); if (statement === 'COMMIT') throw stop }})).catch((error: unknown) => { if (error !== stop) throw error })
    await endQuietly(whole)
    expect(seen.at(-1)).to.equal('ROLLBACK')
    expect(await digestOf(admin)).to.deep.equal(before)
    let broken = await connect(url)
    const begin = seen.findIndex((statement) => statement.startsWith('BEGIN'))
    for (const [at, statement] of seen.slice(0, -1).entries()) {
      if (at < begin) continue
      for (const kind of ['error', 'kill'] as const) {
        const {rows: [row]} = await broken.query<{pid: number}>('SELECT pg_backend_pid() AS pid')
        const error: unknown = await work(watched(broken, {before: async (_, index) => {
          if (index !== at) return
          if (kind === 'error') await broken.query('SELECT 1 / 0')
          else await admin.query('SELECT pg_terminate_backend($1, 5000)', [row?.pid])
        }})).then(() => undefined, (thrown: unknown) => thrown)
        const where = `${kind} at ${at}: ${statement.slice(0, 120)}`
        expect(error, where).to.be.instanceOf(Error)
        if (kind === 'kill') expect(error, where).to.be.instanceOf(DrError).and.include({exitCode: 5})
        expect(await digestOf(admin), where).to.deep.equal(before)
        if (kind === 'kill') {
          await endQuietly(broken)
          broken = await connect(url)
        }
      }
    }
    await endQuietly(broken)
    return seen.length
  }

  it('leaves everything as it was; so does one of its revert', async () => {
    expect(await failEverywhere(merge)).to.be.above(30)
    const before = await digestOf(admin)
    await merge(admin)
    expect(await digestOf(admin)).not.to.deep.equal(before)
    expect(await failEverywhere(revert)).to.be.above(20)
    await revert(admin)
    expect(await digestOf(admin)).to.deep.equal(before)
  })

  it('is known to have committed when only the answer was lost', async () => {
    const before = await digestOf(admin)
    const client = await connect(url)
    const lost = watched(client, {after: (statement) => { if (statement === 'COMMIT') throw Object.assign(new Error('Connection terminated unexpectedly'), {code: 'ECONNRESET'}) }})
    expect(await drErrorOf(merge(lost))).to.include({code: 'partial.commit-unknown', exitCode: 5})
    await endQuietly(client)
    expect(await mergeCommitted(admin, 'dr_undo_test')).to.equal(true)
    await revert(admin)
    expect(await mergeCommitted(admin, 'dr_undo_test')).to.equal(false)
    expect(await digestOf(admin)).to.deep.equal(before)
  })

  it('is no harm either when it is an abort', async () => {
    const before = await digestOf(admin)
    for (const at of ['LOCK TABLE', 'WITH "']) {
      const client = await connect(url)
      const controller = new AbortController()
      const reason = new Error('Ctrl-C')
      const thrown: unknown = await mergeSelection(watched(client, {before: async (statement) => { if (statement.startsWith(at)) controller.abort(reason) }}), request(), {signal: controller.signal}).then(() => undefined, (error: unknown) => error)
      expect(thrown).to.equal(reason)
      await endQuietly(client)
    }
    expect(await digestOf(admin)).to.deep.equal(before)
    expect(await rowsOf(admin, "SELECT FROM pg_namespace WHERE nspname LIKE 'dr_%'")).to.deep.equal([])
  })
})
