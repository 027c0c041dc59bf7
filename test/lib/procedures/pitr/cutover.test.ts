import {expect} from 'chai'
import {readFile} from 'node:fs/promises'
import {createConnection, createServer, type AddressInfo} from 'node:net'
import {cutoverReport, cutoverResult, rollbackReport, rollbackResult} from '../../../../src/lib/cli/pitr-cutover.ts'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {InterruptedError} from '../../../../src/lib/errors.ts'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import {cutoverGate} from '../../../../src/lib/procedures/pitr/cutover-gate.ts'
import type {CutoverOptions, CutoverState} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import {listRecovery} from '../../../../src/lib/procedures/pitr/list.ts'
import {planRecovery} from '../../../../src/lib/procedures/pitr/look.ts'
import type {RecoverySource} from '../../../../src/lib/procedures/pitr/recover-options.ts'
import {systemPollClock} from '../../../../src/lib/procedures/pitr/wait.ts'
import type {Clock} from '../../../../src/lib/rds/poller.ts'
import {replay} from '../../../../src/lib/runbook/replay.ts'
import type {Stage} from '../../../../src/lib/runbook/stage.ts'
import {proxyAddress} from '../../../../src/lib/sandbox/rds/saved-region.ts'
import {COPY, CutoverFixture, NAME} from '../../../support/cutover.ts'
import {testStage} from '../../../support/stage.ts'

describe('a cut-over by rename', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()
  const notes = () => withClient(crm.url, {}, (client) => rowOf<{spoiled: string; later: string; deals: string}>(client, "SELECT count(*) FILTER (WHERE note = 'spoiled') AS spoiled, count(*) FILTER (WHERE note = 'later') AS later, (SELECT count(*) FROM deals) AS deals FROM calls"))

  before(() => crm.open())
  after(() => crm.close())
  afterEach(() => crm.reset())

  it('has clients find the copy at the same address, loses no row of the old one, and is rolled back', async () => {
    const before = await crm.digest(crm.old)
    expect(await notes()).to.deep.equal({spoiled: '40', later: '7', deals: '45'})
    const {state, error, seen} = await crm.cutover()
    if (error) throw error
    expect(seen.join('\n')).to.contain('Writes to crm-prod are stopped since')
    expect(crm.names()).to.deep.equal({[NAME]: 'copy', [state.oldName]: 'old'})
    expect(await notes(), 'by the same URL').to.deep.equal({spoiled: '0', later: '0', deals: '50'})
    expect(state.loss?.map(({table, live, coming, written}) => ({table, live, coming, written}))).to.deep.equal([{table: 'public.calls', live: 307, coming: 300, written: 47}, {table: 'public.deals', live: 45, coming: 50, written: 0}])
    expect(crm.aws.server.region.snapshots.get(state.snapshot)).to.include({status: 'available', resourceId: crm.old.resourceId})
    expect([crm.old.settings.DeletionProtection, crm.copy.settings.DeletionProtection]).to.deep.equal([true, true])
    expect(crm.tags(crm.old)).to.include({'dr:replaced': NAME, team: 'crm'})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(await crm.digest(crm.old)).to.equal(before)
    await withClient(crm.url, {}, (client) => client.query("INSERT INTO deals (title) VALUES ('on the new one'), ('another')"))
    const back = await crm.rollback()
    if (back.error) throw back.error
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [back.state.backName]: 'copy'})
    expect(back.state.loss?.find(({table}) => table === 'public.deals')).to.include({live: 52, coming: 45, written: 2})
    expect(await notes()).to.deep.equal({spoiled: '40', later: '7', deals: '45'})
    expect(await crm.digest(crm.old)).to.equal(before)
    expect(Object.keys(crm.tags(crm.old))).to.deep.equal(['team'])
    expect(Object.keys(crm.tags(crm.copy)).filter((key) => ['dr:replaces', 'dr:cutover'].includes(key))).to.deep.equal([])
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query("DELETE FROM deals WHERE title IN ('on the new one', 'another')"))
  })

  /** Ctrl-C when this step begins. */
  async function cutIn(step: string) {
    const controller = new AbortController()
    const {stage, entries, seen} = testStage({signal: controller.signal})
    const write: Stage['journal']['write'] = (entry) => {
      if (entry.event === 'started' && entry.step === step) controller.abort(new InterruptedError())
      return stage.journal.write(entry)
    }
    const options = crm.options()
    const {error} = await crm.run(cutoverProcedure(options), cutoverState(options, new Date()), {...stage, journal: {...stage.journal, write}})
    expect(error, step).to.include({exitCode: 130})
    return {entries, seen, error}
  }

  for (const step of ['protect', 'unfreeze']) {
    it(`that is proven stays at Ctrl-C in ${step}, which says how to go on and back, and is ended by resume`, async () => {
      crm.copy.settings = {...crm.copy.settings, DeletionProtection: false}
      const {entries, seen, error} = await cutIn(`cutover.${step}`)
      expect(entries.at(-1)?.event).to.equal('left')
      expect(seen.join('\n')).to.contain('nothing is undone').and.not.to.contain('Undo')
      expect(error?.hints?.join('\n')).to.match(/The cut-over stands: clients of crm-prod reach db-\w+/).and.contain('dr pitr rollback').and.contain('dr resume run-1')
      expect(crm.names()).to.have.property(NAME, 'copy')
      const earlier = replay<CutoverState>(entries)
      expect(cutoverProcedure(crm.options()).undoGate?.(earlier.state, earlier.done)?.mustType(earlier.state), 'to undo it now asks').to.equal(NAME)
      const resumed = await crm.resumed(entries)
      if (resumed.error) throw resumed.error
      expect(crm.names()).to.deep.equal({[NAME]: 'copy', [resumed.state.oldName]: 'old'})
      expect(await crm.frozen(crm.old)).to.deep.equal([])
      expect(crm.tags(crm.old)).to.include({'dr:replaced': NAME}).and.not.to.have.property('dr:frozen')
      expect([crm.old.settings.DeletionProtection, crm.copy.settings.DeletionProtection]).to.deep.equal([true, true])
    })
  }

  it('that is not proven yet is taken back at Ctrl-C', async () => {
    const {entries} = await cutIn('cutover.prove')
    expect(entries.at(-1)?.event).to.equal('interrupted')
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(cutoverProcedure(crm.options()).undoGate?.(cutoverState(crm.options(), new Date()), new Map()), 'nothing that clients have felt is undone').to.equal(undefined)
  })

  it('by url runs the configured command with each address, and keeps the old one read-only until it is rolled back', async () => {
    const log = `${crm.home}/switched`
    const {config} = crm.options()
    const told = {config: {...config, rds: {...config.rds, switchCommand: ['/bin/sh', '-c', `echo "$0" >> '${log}'`, '{host}:{port}/{instance}']}}}
    const {error, state} = await crm.cutover({mode: 'url', keepFrozen: true, ...told})
    if (error) throw error
    const asked = (options: Partial<CutoverOptions>) => (cutoverGate(crm.options({mode: 'url', ...options})).details?.(state) ?? []).filter((line) => line.startsWith('By hand'))
    expect([asked(told), asked({}).join()]).to.deep.equal([[], 'By hand     rds.switchCommand is not set: YOU point the application there, when dr says so; until then it cannot write'])
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
    expect(await crm.frozen(crm.old)).to.deep.equal(['crm'])
    const without = await crm.rollback({run: 'run-1'})
    expect(without.error).to.include({code: 'config.switch-command', exitCode: 3})
    expect(await crm.frozen(crm.old), 'nothing was changed').to.deep.equal(['crm'])
    expect(crm.tags(crm.copy)['dr:replaces']).to.match(/^url\+command\/crm-prod\//)
    const back = await crm.rollback({...told, name: COPY})
    if (back.error) throw back.error
    expect(back.state, 'by the copy, where that is rds.instance').to.include({name: NAME, byHand: false})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(await readFile(log, 'utf8')).to.equal(`127.0.0.1:${crm.copy.port}/${COPY}\n127.0.0.1:${crm.old.port}/${NAME}\n`)
  })

  it('by url has the replaced one refused as production, the copy listed as live, and is rolled back by its run whatever rds.instance is', async () => {
    const {config} = crm.options()
    const {error, state, entries} = await crm.cutover({mode: 'url', keepFrozen: true})
    if (error) throw error
    const result = cutoverResult({state, run: 'run-1', journal: '', timings: {totalMs: 0, gatesMs: 0, phases: []}}, {plan: false, mode: 'url'})
    expect(result.switched, 'there is no command').to.equal(false)
    const report = await cutoverReport(result)
    expect(report[0]).to.contain(`Clients do NOT reach ${COPY} yet: point the application at 127.0.0.1:${crm.copy.port}`)
    expect(report[1]).to.equal(`Set rds.instance to ${COPY}, or DR_RDS_INSTANCE: that is the production instance from now on.`)
    expect((await cutoverReport({...result, switched: true}))[0]).to.equal(`Clients reach ${COPY} at 127.0.0.1:${crm.copy.port} now.`)
    expect(cutoverProcedure(crm.options({mode: 'url'})).leaves?.(state)?.[0]).to.contain(`pointed at 127.0.0.1:${crm.copy.port}`)
    expect(entries.filter(({event}) => event === 'notice').map((entry) => ('detail' in entry ? entry.detail : '')).join('\n')).to.contain(`Point the application at 127.0.0.1:${crm.copy.port} now`)

    const again = await crm.cutover({mode: 'url', copy: COPY})
    expect(again.error).to.include({code: 'pitr.replaced', exitCode: 3}).and.have.property('hints').that.includes(`Set rds.instance to ${COPY}, or DR_RDS_INSTANCE.`).and.includes('To go back: dr pitr rollback run-1')
    const plan = (source: RecoverySource) => planRecovery({config, api: crm.api, wish: {source, to: null, choice: {purpose: 'primary'}}, proof: {storages: [], jobs: 1}, now: () => new Date()}, {target: 'crm-prod-pitr-2', purpose: 'primary', to: null, runId: 'run-2'}, new AbortController().signal)
    expect(await plan({instance: NAME}).catch((thrown: unknown) => thrown)).to.include({code: 'pitr.replaced', exitCode: 3})
    expect((await plan({instance: NAME, named: true})).warnings.join('\n'), 'who names it may have it').to.contain(`${COPY} has taken its place`)

    const list = (source?: string) => listRecovery({...crm.options(), journals: crm.home}, source, new AbortController().signal)
    const found = await list()
    expect(found.sources.map(({instance}) => instance)).to.deep.equal([COPY])
    expect(found.copies.find(({instance}) => instance === COPY)).to.include({live: true})
    expect(found.replaced).to.have.length(1)
    expect(found.replaced[0]).to.include({instance: NAME, was: NAME, by: COPY})
    expect((await list(NAME)).sources, 'what has its place').to.have.length(1)
    expect(found.frozen[0]?.remedies.map(({command}) => command)).to.deep.equal([`DATABASE_URL: 127.0.0.1:${crm.copy.port}`, 'dr pitr rollback run-1'])

    const moved = {config: {...config, rds: {...config.rds, instance: COPY}}, name: COPY}
    const none = await crm.rollback({...moved, run: 'run-9'})
    expect(none.error).to.include({code: 'pitr.nothing-to-roll-back'})
    const back = await crm.rollback({...moved, run: 'run-1'})
    if (back.error) throw back.error
    expect(back.state).to.include({name: NAME, cutoverRun: 'run-1', byHand: true})
    expect(rollbackReport(rollbackResult({state: back.state, run: 'run-1', journal: '', timings: {totalMs: 0, gatesMs: 0, phases: []}}))[0]).to.contain(`Clients do NOT reach ${NAME} again yet: point the application at 127.0.0.1:${crm.old.port}`)
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(Object.keys(crm.tags(crm.old))).to.deep.equal(['team'])
  })

  it('by url leads back to the old one when the command fails', async () => {
    const {config} = crm.options()
    const told = {config: {...config, rds: {...config.rds, switchCommand: ['/bin/sh', '-c', `test "$0" = ${NAME}`, '{instance}']}}}
    const {error} = await crm.cutover({mode: 'url', ...told})
    expect(error).to.include({code: 'pitr.switch-failed', exitCode: 1})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.tags(crm.copy)).not.to.have.property('dr:replaces')
  })

  it('by proxy has the one target exchanged, and exchanged again by a rollback', async () => {
    const {region} = crm.aws.server
    const proxy = await region.createProxy('crm-proxy')
    await region.aim(proxy, crm.old)
    const {config, target} = crm.options()
    const told = {config: {...config, rds: {...config.rds, proxy: 'crm-proxy'}}, target: {...target, port: region.endpoints.portOf(proxyAddress('crm-proxy')) ?? 0}}
    const {error} = await crm.cutover({mode: 'proxy', ...told})
    if (error) throw error
    expect(proxy.target?.resourceId).to.equal(crm.copy.resourceId)
    const back = await crm.rollback(told)
    if (back.error) throw back.error
    expect(proxy.target?.resourceId).to.equal(crm.old.resourceId)

    const direct = await crm.cutover({mode: 'proxy', config: told.config})
    expect(direct.error?.message).to.contain(`leads to ${NAME} itself`)
    expect(direct.error).to.include({code: 'pitr.proxy', exitCode: 3})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(proxy.target?.resourceId, 'nothing was switched').to.equal(crm.old.resourceId)
  })

  it('by proxy that is not proven is taken back, and says what clients of the proxy wrote on the copy meanwhile', async () => {
    const {region} = crm.aws.server
    const proxy = region.proxies.get('crm-proxy') ?? await region.createProxy('crm-proxy')
    await region.aim(proxy, crm.old)
    // Something in between that the proxy's switch does not move.
    const other = createServer((client) => {
      const through = createConnection(crm.old.port ?? 0, '127.0.0.1')
      for (const one of [client, through]) one.on('error', () => { client.destroy(); through.destroy() })
      client.pipe(through).pipe(client)
    })
    await new Promise<void>((resolve) => { other.listen(0, '127.0.0.1', resolve) })
    const {port} = other.address() as AddressInfo
    const {config, target, clock = systemPollClock} = crm.options()
    let begun = 0
    const write = async () => {
      if (proxy.target?.resourceId !== crm.copy.resourceId || begun++ > 0) return
      await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query("INSERT INTO deals (title) VALUES ('by the proxy'), ('and another')"))
    }
    const hasty: Clock = {...clock, now: () => clock.now() * 1000, pause: async (ms, signal) => {
      await write()
      await clock.pause(ms, signal)
    }}
    try {
      const {error, seen} = await crm.cutover({mode: 'proxy', clock: hasty, config: {...config, rds: {...config.rds, proxy: 'crm-proxy'}}, target: {...target, port}})
      expect(error).to.include({code: 'pitr.not-cut-over', exitCode: 4})
      expect(seen.join('\n')).to.contain(`2 rows were inserted or changed on ${COPY} while clients could reach it; what was written there stays there.`)
      expect(proxy.target?.resourceId).to.equal(crm.old.resourceId)
      expect(await crm.frozen(crm.old)).to.deep.equal([])
    } finally {
      await new Promise((resolve) => { other.close(resolve) })
      await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query("DELETE FROM deals WHERE title IN ('by the proxy', 'and another')"))
    }
  })
})
