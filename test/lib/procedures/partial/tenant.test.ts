import {expect} from 'chai'
import {rowOf, rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {contentsOf, differences, sampleFixture, type Contents} from './sample.ts'

/** The same with more: DR_TEST_TENANT_ROWS=1000000 npx mocha test/lib/procedures/partial/tenant.test.ts */
const ROWS = Number(process.env.DR_TEST_TENANT_ROWS ?? 6000)
const TENANTS = 20

describe('a tenant is deleted, and comes back', function () {
  this.timeout(ROWS > 100_000 ? 3_600_000 : 300_000)
  const sample = sampleFixture('dr_tenant', {rows: ROWS, tenants: TENANTS})
  let before: Contents
  let tenant = ''

  beforeEach(async () => {
    await sample.anew()
    before = await sample.live(contentsOf)
    tenant = await sample.live(async (client) => (await rowsOf<{id: string}>(client, 'SELECT "tenantId" AS id FROM public.leads GROUP BY 1 ORDER BY count(*) DESC LIMIT 1'))[0]?.id ?? '')
    await sample.live((client) => client.query(`DELETE FROM public.incomes WHERE "tenantId" = '${tenant}'; DELETE FROM public.tenants WHERE id = '${tenant}'`))
  })

  it('with every row in every table, and its webhook events attached again; nobody else’s row is touched', async () => {
    const deleted = await sample.live(contentsOf)
    const lost = differences(before, deleted)
    expect(Object.keys(lost).length, 'tables that lost rows').to.be.above(20)
    expect(lost).to.include.keys('tenants', 'user_auth_links', 'webhook_events', 'incomes')
    expect(await sample.live((client) => rowOf(client, `SELECT count(*)::int AS attached FROM public.webhook_events WHERE "tenantId" = '${tenant}'`))).to.deep.equal({attached: 0})

    const from = performance.now()
    const {state, run, error} = await runPartial({url: sample.url, directory: sample.directory, wish: {tenant}, way: 'missing'})
    if (error) throw error
    const ms = Math.round(performance.now() - from)
    const after = await sample.live(contentsOf)
    expect(differences(before, after)).to.deep.equal({})
    expect(differences(deleted, after, (_table, row) => row !== tenant && row !== '')).to.deep.equal({})
    expect(state.findings.filter(({severity}) => severity !== 'ok')).to.deep.equal([])
    const total = [...before.values()].reduce((sum, rows) => sum + rows.size, 0)
    const back = state.merged?.tables.reduce((sum, {inserted, updated}) => sum + inserted + updated, 0) ?? 0
    expect(back).to.be.above(total / TENANTS / 4)
    if (ROWS > 100_000) console.log(JSON.stringify({run, rows: total, tenants: TENANTS, back, ms, fetched: state.fetched, timings: state.timings}))
  })

  it('is deleted again by taking the restore back', async () => {
    const deleted = await sample.live(contentsOf)
    const {error} = await runPartial({url: sample.url, directory: sample.directory, wish: {tenant}, way: 'missing'})
    if (error) throw error
    const {error: trouble, state} = await runRevert(sample)
    if (trouble) throw trouble
    expect(differences(deleted, await sample.live(contentsOf))).to.deep.equal({})
    expect(state.reverted?.tables.length).to.be.above(20)
  })

  it('is made exact only where no row would be taken that the backup has of another tenant', async () => {
    const one = await sample.live((client) => rowOf<{id: string; lead: string; link: string}>(client, `
      WITH u AS (SELECT min(id) AS id, "tenantId" FROM public.users WHERE "tenantId" <> '${tenant}' GROUP BY 2 LIMIT 1),
        moved AS (UPDATE public.leads SET "tenantId" = u."tenantId" FROM u WHERE leads.id = (SELECT min(l.id) FROM public.leads l, u WHERE l."tenantId" <> u."tenantId") RETURNING leads.id),
        linked AS (UPDATE public.user_auth_links SET "userId" = u.id FROM u WHERE user_auth_links.id = (SELECT min(k.id) FROM public.user_auth_links k JOIN public.users o ON o.id = k."userId", u WHERE o."tenantId" <> u."tenantId") RETURNING user_auth_links.id)
      SELECT u."tenantId" AS id, moved.id AS lead, linked.id AS link FROM u, moved, linked`))
    const damaged = await sample.live(contentsOf)
    const {error, state} = await runPartial({url: sample.url, directory: sample.directory, wish: {tenant: one.id}, way: 'exact'})
    expect(error).to.include({code: 'partial.conflict', exitCode: 3})
    expect(state.comparison?.tables.flatMap(({name, extra, conflicts}) => (extra + conflicts.length > 0 ? [[name, extra, conflicts[0]?.key.id]] : []))).to.have.deep.members([['leads', 0, one.lead], ['user_auth_links', 0, one.link]])
    expect(differences(damaged, await sample.live(contentsOf))).to.deep.equal({})
  })
})
