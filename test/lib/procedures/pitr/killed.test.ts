import {expect} from 'chai'
import {DeclinedError, InterruptedError} from '../../../../src/lib/errors.ts'
import {adoptProcedure, findCopies, findCopy, findUnfinished, stateOfCopy, wishOfCopy} from '../../../../src/lib/procedures/pitr/adopt.ts'
import type {RecoveryState} from '../../../../src/lib/procedures/pitr/recover-options.ts'
import type {JournalEntry} from '../../../../src/lib/runbook/journal.ts'
import {perform, undoEarlier} from '../../../../src/lib/runbook/perform.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {replay} from '../../../../src/lib/runbook/replay.ts'
import {recoveryProcedure} from '../../../../src/lib/procedures/pitr/index.ts'
import {RecoveryFixture} from '../../../support/recovery.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {openGates, testStage} from '../../../support/stage.ts'

const STEPS = ['pitr.look', 'pitr.ask', 'pitr.wait', 'pitr.settings', 'pitr.prove'] as const

describe('a recovery that is cut off', function () {
  this.timeout(180_000)
  const rds = new RecoveryFixture()
  const signal = new AbortController().signal

  before(async () => {
    await rds.open({MonitoringInterval: 60, MonitoringRoleArn: 'arn:role'})
    await rds.archived()
  })
  after(() => rds.close())
  afterEach(async () => {
    for (const name of copies()) await rds.remove(name)
    expect(changed().filter((one) => !/^(AddTagsToResource|ModifyDBInstance|RestoreDBInstanceToPointInTime) (arn:\S+:)?copy$/.test(one)), 'nothing was deleted, and nobody else was touched').to.deep.equal([])
  })

  const copies = () => [...rds.aws.server.region.instances.keys()].filter((name) => name !== 'crm')
  /** Which instance each call that changes something was about. */
  const changed = () => rds.aws.server.requests.filter(({action}) => !/^(Describe|List)/.test(action)).map(({action, body}) => {
    const sent = new URLSearchParams(body)
    return `${action} ${sent.get('TargetDBInstanceIdentifier') ?? sent.get('DBInstanceIdentifier') ?? sent.get('ResourceName') ?? ''}`
  })
  const asked = () => rds.aws.server.requests.filter(({action, refused}) => action === 'RestoreDBInstanceToPointInTime' && refused === undefined).length
  const unproven = {proof: {storages: [], jobs: 1}}
  const goOn = (entries: readonly JournalEntry[]) => rds.recover({run: 'cut', options: unproven, earlier: replay<RecoveryState>(entries)})

  it('is gone on with after every line of its journal, as after kill -9, and has asked AWS once', async () => {
    const before = asked()
    const {entries, error} = await rds.recover({run: 'cut', wish: {target: 'copy'}, options: unproven})
    if (error) throw error
    for (const [index, {event}] of entries.entries()) {
      if (event === 'finished') continue
      const resumed = await goOn(entries.slice(0, index + 1))
      expect(resumed.error, `after line ${index}`).to.equal(undefined)
      expect(resumed.state.copy).to.include({instance: 'copy', resourceId: rds.instance('copy').resourceId})
    }
    expect(asked() - before).to.equal(1)
    expect(copies()).to.deep.equal(['copy'])
    expect(rds.instance('copy').settings.MonitoringInterval).to.equal(60)
  })

  it('is left as it is by Ctrl-C in each step, says how to go on, and is gone on with to its end', async () => {
    for (const step of STEPS) {
      const [controller, before] = [new AbortController(), asked()]
      const cut = await rds.recover({run: 'cut', wish: {target: 'copy'}, options: unproven, signal: controller.signal, onStep: (id) => { if (id === step) controller.abort(new InterruptedError()) }})
      expect(cut.error, step).to.include({exitCode: 130})
      const begun = step !== 'pitr.look'
      expect(cut.entries.at(-1)?.event, step).to.equal(begun ? 'left' : 'interrupted')
      if (step === 'pitr.wait') expect(cut.error?.hints?.join('\n')).to.contain('dr pitr resume copy').and.contain('dr resume cut')
      const there = copies().length
      if (!begun) continue
      const {state, error} = await goOn(cut.entries)
      if (error) throw error
      expect(asked() - before, step).to.equal(1)
      expect(state.settled?.modified, step).to.deep.equal(['MonitoringInterval', 'MonitoringRoleArn'])
      expect(rds.instance('copy').settings.MonitoringInterval, step).to.equal(60)
      expect(copies(), step).to.deep.equal(['copy'])
      expect(there).to.be.at.most(1)
      await rds.remove('copy')
    }
  })

  it('deletes nothing when it is undone: it says what stays', async () => {
    const controller = new AbortController()
    const cut = await rds.recover({run: 'cut', wish: {target: 'copy'}, options: unproven, signal: controller.signal, onStep: (id) => { if (id === 'pitr.wait') controller.abort(new InterruptedError()) }})
    const earlier = replay<RecoveryState>(cut.entries)
    const {stage, seen} = testStage()
    await undoEarlier(recoveryProcedure(rds.options({wish: {target: 'copy'}, options: unproven})), earlier.state, stage, earlier)
    expect(seen.join('\n')).to.contain('copy stays at AWS').and.contain('dr pitr cleanup')
    expect(copies()).to.deep.equal(['copy'])
    expect(rds.aws.server.requests.some(({action}) => action === 'DeleteDBInstance')).to.equal(false)
  })

  it('has asked nothing of AWS when the question is declined', async () => {
    const before = asked()
    const {error} = await rds.recover({wish: {target: 'copy'}, gatekeeper: {...openGates, pass: (gate, state) => {
      expect(gate.mustType(state)).to.equal('copy')
      expect(gate.details?.(state).join('\n')).to.match(/^Source {6}crm\nNew {9}copy \(primary/).and.contain('Settings    DBInstanceClass db.t4g.micro; VpcSecurityGroupIds sg-default;').and.contain('Afterwards  MonitoringInterval, MonitoringRoleArn').and.contain('Warning     A proxy')
      return Promise.reject(new DeclinedError())
    }}})
    expect(error).to.include({exitCode: 8})
    expect(asked()).to.equal(before)
  })

  it('is taken up from another machine by the marks of the copy alone, which get their settings and are proven', async () => {
    const controller = new AbortController()
    const at = new Date().toISOString()
    await rds.archived(new Date(at))
    await rds.recover({run: 'lost', wish: {target: 'copy', to: at, choice: {purpose: 'side'}}, signal: controller.signal, onStep: (id) => { if (id === 'pitr.wait') controller.abort(new InterruptedError()) }})
    const copy = await findCopy(rds, undefined, signal)
    const options = rds.options({wish: wishOfCopy(copy)})
    const state = await stateOfCopy(options, copy, signal)
    expect(state).to.deep.include({source: 'crm', to: at, purpose: 'side', runId: 'lost', target: 'copy'})
    const there = rds.instance('copy')
    there.settings = {...there.settings, TagList: [...there.settings.TagList, {Key: 'dr:hydrated', Value: at}]}
    const {stage} = testStage()
    await perform(adoptProcedure(options, copy), state, stage)
    expect(state.marks.hydrated, 'by dr pitr warm').to.equal(at)
    expect(state.settled?.modified).to.deep.equal(['MonitoringInterval', 'MonitoringRoleArn'])
    expect(rds.instance('copy').settings.MonitoringInterval).to.equal(60)
    expect(state.marks.verified).not.to.equal(undefined)
    expect(state.reference).to.include({kind: 'live'})
  })

  /** A copy with settings to be made and a restart to be had, as far as its recovery came before it was cut off. */
  async function unsettled(target: string): Promise<readonly JournalEntry[]> {
    const controller = new AbortController()
    const {entries} = await rds.recover({run: 'cut', wish: {target}, options: unproven, signal: controller.signal, onStep: (id) => { if (id === 'pitr.settings') controller.abort(new InterruptedError()) }})
    rds.instance(target).parameterStatus = 'pending-reboot'
    return entries
  }
  const tag = (Key: string, Value: string) => {
    const there = rds.instance('copy')
    there.settings = {...there.settings, TagList: [...there.settings.TagList.filter((one) => one.Key !== Key), {Key, Value}]}
  }

  const LIVE: [what: string, why: string, prepare: () => void, more?: () => Parameters<typeof rds.options>[0]][] = [
    ['that has taken a place', 'in a cut-over of crm', () => { tag('dr:replaces', 'url/crm/db-OLD/700'); tag('dr:cutover', 'run-9') }],
    ['that was replaced by another one', 'was live as crm', () => { tag('dr:replaced', 'crm') }],
    ['that has the name of its source', 'has the name', () => { tag('dr:source', 'copy') }],
    ['that is called production', 'the production instance', () => {}, () => ({options: {config: {...rds.config, rds: {...rds.config.rds, instance: 'Copy'}}}})],
    ['that DATABASE_URL leads to', 'DATABASE_URL leads to it', () => {}, () => ({options: {proof: {database: parseTarget(rds.aws.url(rds.instance('copy'))), storages: [], jobs: 1}}})],
  ]
  for (const [what, why, prepare, more] of LIVE) {
    it(`neither sets nor restarts an instance ${what}`, async () => {
      await unsettled('copy')
      prepare()
      const before = changed().length
      const copy = await findUnfinished(rds, 'copy', signal)
      const error = await drErrorOf(stateOfCopy(rds.options({wish: wishOfCopy(copy), ...more?.()}), copy, signal))
      expect(error).to.include({code: 'pitr.live', exitCode: 3})
      expect(error.message).to.contain(why)
      expect(changed().slice(before)).to.deep.equal([])
      expect(rds.instance('copy').parameterStatus).to.equal('pending-reboot')
    })
  }

  it('is not gone on with by its journal when its copy has taken a place meanwhile, which is not chosen unless it is named, either', async () => {
    const entries = await unsettled('copy')
    tag('dr:replaces', 'proxy/crm/db-OLD/700')
    const before = changed().length
    const {error} = await goOn(entries)
    expect(error).to.include({code: 'pitr.live', exitCode: 3})
    expect(error?.hints?.join(' ')).to.contain('dr pitr list').and.not.to.contain('cleanup').and.not.to.contain('dr pitr resume')
    expect(changed().slice(before)).to.deep.equal([])
    expect(await drErrorOf(findUnfinished(rds, undefined, signal))).to.include({code: 'pitr.no-copy', exitCode: 3})
    expect((await findCopy(rds, undefined, signal)).instance.DBInstanceIdentifier, 'to be read through it may be').to.equal('copy')
  })

  it('goes on with one that AWS makes under the name of a source that is gone', async () => {
    const tags = [{Key: 'dr:run-id', Value: '1'}, {Key: 'dr:purpose', Value: 'primary'}, {Key: 'dr:source', Value: 'heir'}]
    rds.aws.server.region.instance('heir', {...rds.source.settings, TagList: tags}, 'creating')
    const copy = await findUnfinished(rds, 'heir', signal)
    expect(await stateOfCopy(rds.options({wish: wishOfCopy(copy), options: {config: {...rds.config, rds: {...rds.config.rds, instance: 'heir'}}}}), copy, signal)).to.include({target: 'heir', runId: '1'})
  })

  it('asks which one is meant when there are several copies, and takes none that dr did not make', async () => {
    const tags = (run: string) => [{Key: 'dr:run-id', Value: run}, {Key: 'dr:purpose', Value: 'side'}, {Key: 'dr:source', Value: 'crm'}]
    for (const [name, TagList] of [['one', tags('1')], ['two', tags('2')], ['other', [{Key: 'dr:purpose', Value: 'side'}]]] as const) rds.aws.server.region.instance(name, {...rds.source.settings, TagList}, 'available')
    expect((await findCopies(rds, undefined, signal)).map(({instance}) => instance.DBInstanceIdentifier)).to.deep.equal(['one', 'two'])
    const error = await drErrorOf(findCopy(rds, undefined, signal))
    expect(error).to.include({code: 'pitr.which', exitCode: 2})
    expect(error.hints.join('\n')).to.contain('dr pitr resume one').and.contain('dr pitr resume two')
    expect((await findCopy(rds, 'two', signal)).marks.run).to.equal('2')
    expect(await drErrorOf(findCopy(rds, 'other', signal))).to.include({code: 'pitr.no-copy', exitCode: 3})
    expect(await drErrorOf(findCopy(rds, 'nobody', signal))).to.include({code: 'pitr.no-copy'})
  })
})
