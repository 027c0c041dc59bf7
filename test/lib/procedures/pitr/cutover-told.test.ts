import {expect} from 'chai'
import {cutoverResult} from '../../../../src/lib/cli/pitr-cutover.ts'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import type {CutoverState} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import type {Stage} from '../../../../src/lib/runbook/stage.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import type {Proxy} from '../../../../src/lib/sandbox/rds/saved-region.ts'
import {COPY, CutoverFixture, NAME} from '../../../support/cutover.ts'

describe('what the gate of a cut-over says', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()

  before(() => crm.open({millisecondsPerSecond: 0.1}))
  after(() => crm.close())
  afterEach(() => crm.reset())

  /** What the gate shows; nothing is done. */
  async function gateOf(run: (stage: Partial<Stage>) => Promise<unknown>): Promise<string> {
    let shown = ''
    await run({gatekeeper: {check() {}, pass(gate, state) {
      shown = (gate.details?.(state) ?? []).join('\n')
      throw new Error('not answered')
    }}})
    return shown
  }

  it('names the databases that are not counted, and those that the other one lacks', async () => {
    const admin = (sql: string, one: Instance) => withClient(crm.aws.url(one), {}, (client) => client.query(sql))
    await admin('CREATE DATABASE crm2', crm.old)
    await admin('CREATE DATABASE crm3', crm.copy)
    try {
      let state: CutoverState | undefined
      const shown = await gateOf(async (stage) => { ({state} = await crm.cutover({}, stage)) })
      expect(shown).to.match(/^Lost +.*\n {12}in crm alone; not counted: crm2, postgres \(what was written there since is lost as well, and stays in the old instance\)$/m).and.match(/^WARNING +crm-prod-pitr: has no database crm2: all of it stays in crm-prod alone$/m).and.not.to.contain('crm3')
      expect(cutoverResult({state, run: 'run-1', journal: ''} as Parameters<typeof cutoverResult>[0], {plan: false}).lost.uncountedDatabases).to.deep.equal(['crm2', 'postgres'])
      const {error} = await crm.cutover({snapshot: false})
      if (error) throw error
      expect(await gateOf((stage) => crm.rollback({}, stage))).to.match(/^Written +0 rows .*\n +in crm alone; not counted: crm3, postgres \(what was written there since is kept there as well\)$/m)
      const back = await crm.rollback()
      if (back.error) throw back.error
    } finally {
      await admin('DROP DATABASE crm2', crm.old)
      await admin('DROP DATABASE crm3', crm.copy)
    }
  })

  describe('with a proxy in front of the old one', () => {
    let proxy: Proxy

    before(async () => { proxy = await crm.aws.server.region.createProxy('crm-proxy') })
    beforeEach(() => crm.aws.server.region.aim(proxy, crm.old))

    it('is refused before anything where rds.proxy names it: its clients would write to the old one', async () => {
      const {config} = crm.options()
      const asked = crm.aws.server.requests.length
      const {error} = await crm.cutover({config: {...config, rds: {...config.rds, proxy: 'crm-proxy'}}})
      expect(error).to.include({code: 'pitr.proxy', exitCode: 3})
      expect(error?.hints?.join('\n')).to.contain(`dr pitr cutover ${COPY} --mode proxy`).and.contain(`aws rds deregister-db-proxy-targets --db-proxy-name crm-proxy --db-instance-identifiers ${NAME}`)
      expect(crm.aws.server.requests.slice(asked).filter(({action}) => !action.startsWith('Describe'))).to.deep.equal([])
      expect(await crm.frozen(crm.old)).to.deep.equal([])
    })

    for (const mode of ['rename', 'url'] as const) {
      it(`that nobody has named is told at the gate, by ${mode}`, async () => {
        expect(await gateOf((stage) => crm.cutover({mode}, stage))).to.contain(`WARNING     ${NAME}: the proxy crm-proxy leads to it and stays with it`)
      })
    }

    it('is not told of where it leads elsewhere, or where it is led over', async () => {
      const {config, target} = crm.options()
      expect(await gateOf((stage) => crm.cutover({mode: 'proxy', target: {...target, port: crm.aws.server.region.proxyPort(proxy)}, config: {...config, rds: {...config.rds, proxy: 'crm-proxy'}}}, stage))).to.contain('Lost').and.not.to.contain('crm-proxy')
      await crm.aws.server.region.aim(proxy, crm.copy)
      expect(await gateOf((stage) => crm.cutover({}, stage))).to.contain('Lost').and.not.to.contain('crm-proxy')
    })

    it('goes on where the role may not look at proxies, and says so', async () => {
      crm.aws.server.faults.add({match: {action: 'DescribeDBProxies'}, times: 1, action: {code: 'AccessDenied'}})
      expect(await gateOf((stage) => crm.cutover({}, stage))).to.match(/WARNING +crm-prod: whether a proxy leads to it is not known: AWS denies rds:DescribeDBProxies/)
    })

    it('is told before a rollback where it leads to the new one', async () => {
      const {error} = await crm.cutover({snapshot: false})
      if (error) throw error
      expect(await gateOf((stage) => crm.rollback({}, stage))).to.contain('Written').and.not.to.contain('crm-proxy')
      await crm.aws.server.region.aim(proxy, crm.copy)
      expect(await gateOf((stage) => crm.rollback({}, stage))).to.contain(`WARNING     ${NAME}: the proxy crm-proxy leads to it and stays with it`)
      const back = await crm.rollback()
      if (back.error) throw back.error
    })
  })
})
