import {expect} from 'chai'
import {undoEarlier} from '../../../../src/lib/runbook/perform.ts'
import {replay} from '../../../../src/lib/runbook/replay.ts'
import {cutoverProcedure} from '../../../../src/lib/procedures/pitr/cutover.ts'
import type {CutoverState} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import {COPY, CutoverFixture, dyingBehind, NAME} from '../../../support/cutover.ts'
import type {Stage} from '../../../../src/lib/runbook/stage.ts'
import {testStage} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'

/** A run of this name that stands still when this step has done its work, until it is released. */
function standingBehind(step: string, run: string): {stage: Partial<Stage>; reached: Promise<void>; release: () => void} {
  const {journal} = testStage().stage
  let [tell, release] = [() => {}, () => {}]
  const reached = new Promise<void>((resolve) => { tell = resolve })
  const released = new Promise<void>((resolve) => { release = resolve })
  return {reached, release, stage: {journal: {...journal, run, path: `/journal/${run}.jsonl`, async write(entry) {
    if (entry.event === 'done' && entry.step === step) {
      tell()
      await released
    }
    return journal.write(entry)
  }}}}
}

function stageOf(run: string): Partial<Stage> {
  const {journal} = testStage().stage
  return {journal: {...journal, run, path: `/journal/${run}.jsonl`}}
}

describe('a rollback beside another run', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()
  let digest = ''

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1})
    digest = await crm.digest(crm.old)
  })
  after(() => crm.close())
  afterEach(() => crm.reset())

  async function assertOldIsBack(): Promise<void> {
    expect(crm.names()).to.have.property(NAME, 'old')
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(Object.keys(crm.tags(crm.old))).to.deep.equal(['team'])
    expect(Object.keys(crm.tags(crm.copy)).filter((key) => ['dr:replaces', 'dr:cutover', 'dr:rollback'].includes(key))).to.deep.equal([])
    expect(await crm.digest(crm.old)).to.equal(digest)
  }

  for (const step of ['freeze', 'rename-old', 'rename-new', 'prove', 'protect']) {
    it(`has a cut-over that lives on another machine stop behind ${step}, which finds nothing to undo`, async () => {
      const {stage, reached, release} = standingBehind(`cutover.${step}`, 'run-1')
      const cutover = crm.cutover({}, stage)
      await reached
      const back = await crm.rollback({}, stageOf('back-1'))
      if (back.error) throw back.error
      release()
      const {error} = await cutover
      expect(error).to.include({code: 'pitr.in-cutover', exitCode: 6})
      expect(error?.message).to.contain('somebody has rolled it back').and.not.to.contain('Not undone')
      await assertOldIsBack()
    })
  }

  for (const again of ['the same copy', 'another one']) {
    it(`lets a cut-over that was killed end when ${again} has taken the place since, with nothing undone`, async () => {
      const {stage, entries, reached} = dyingBehind('cutover.snapshot')
      void crm.cutover({}, stage)
      await reached
      const back = await crm.rollback({}, stageOf('back-1'))
      if (back.error) throw back.error
      const copy = again === 'another one' ? (await crm.restored('crm-prod-second')).id : COPY
      const second = await crm.cutover({copy, keepFrozen: true}, stageOf('run-2'))
      if (second.error) throw second.error
      const [names, tags] = [crm.names(), crm.tags(crm.old)]
      const resumed = await crm.resumed(entries)
      expect(resumed.error).to.include({code: 'pitr.in-cutover', exitCode: 6})
      expect(resumed.error?.message).not.to.contain('Not undone')
      expect(resumed.seen.join('\n')).to.contain('nothing of this run is left to undo')
      expect(resumed.entries.at(-1)?.event, 'it is over').to.equal('ended')
      const {state, ...earlier} = replay<CutoverState>(entries)
      await undoEarlier(cutoverProcedure(crm.options()), state, testStage().stage, earlier)
      expect([crm.names(), crm.tags(crm.old)], 'the good one stays').to.deep.equal([names, tags])
      expect(await crm.frozen(crm.old)).to.deep.equal(['crm'])
      const last = await crm.rollback({}, stageOf('back-2'))
      if (last.error) throw last.error
      if (copy === COPY) return
      const gone = crm.aws.server.region.find(last.state.backName)
      gone.settings = {...gone.settings, DeletionProtection: false}
      await crm.api.remove({instance: gone.id, finalSnapshot: null}, new AbortController().signal)
      await until(() => !crm.aws.server.region.instances.has(gone.id), 60_000)
    })
  }

  it('is left alone by the cut-over while it is at work', async () => {
    const first = standingBehind('cutover.rename-old', 'run-1')
    const cutover = crm.cutover({}, first.stage)
    await first.reached
    const second = standingBehind('rollback.claim', 'back-1')
    let shown = ''
    const back = crm.rollback({}, {...second.stage, gatekeeper: {check() {}, pass(gate, state) {
      shown = gate.details?.(state).join('\n') ?? ''
      return Promise.resolve('yes')
    }}})
    await second.reached
    expect(shown).to.contain('run-1 was begun on another machine; if it is at work still, it stops before its next step')
    first.release()
    const {error, entries} = await cutover
    expect(error).to.include({code: 'pitr.in-cutover', exitCode: 6})
    expect(error?.message).to.contain('back-1 has begun to take the cut-over back').and.not.to.contain('Not undone')
    expect(entries.filter(({event}) => event.startsWith('undo'))).to.deep.equal([])
    expect(crm.tags(crm.copy)).to.include({'dr:cutover': 'run-1', 'dr:rollback': 'back-1'})
    second.release()
    const ended = await back
    if (ended.error) throw ended.error
    await assertOldIsBack()
  })

  for (const step of ['claim', 'rename-new', 'rename-old', 'prove']) {
    it(`stops behind ${step} when another has taken it over, which goes on from what it finds`, async () => {
      const cutover = await crm.cutover({keepFrozen: true})
      if (cutover.error) throw cutover.error
      const {stage, reached, release} = standingBehind(`rollback.${step}`, 'back-1')
      const first = crm.rollback({}, stage)
      await reached
      let shown = ''
      const second = await crm.rollback({}, {...stageOf('back-2'), gatekeeper: {check() {}, pass(gate, state) {
        shown = gate.details?.(state).join('\n') ?? ''
        return Promise.resolve('yes')
      }}})
      if (second.error) throw second.error
      expect(shown).to.contain('Rollback    back-1 has begun one; if it is at work still, it stops before its next step')
      release()
      expect((await first).error).to.include({code: 'pitr.in-rollback', exitCode: 6})
      await assertOldIsBack()
    })
  }

  it('stops before it has changed anything when another says so at the same moment', async () => {
    const cutover = await crm.cutover()
    if (cutover.error) throw cutover.error
    const api = new Proxy(crm.api, {get(target, property) {
      const method = Reflect.get(target, property) as unknown
      if (property === 'addTags') return async (arn: string, tags: {Key: string; Value: string}[], signal: AbortSignal) => {
        await target.addTags(arn, tags, signal)
        await target.addTags(arn, tags.map((tag) => (tag.Key === 'dr:rollback' ? {...tag, Value: 'back-9'} : tag)), signal)
      }
      return typeof method === 'function' ? (method as () => unknown).bind(target) : method
    }})
    const names = crm.names()
    const {error} = await crm.rollback({api}, stageOf('back-1'))
    expect(error).to.include({code: 'pitr.in-rollback', exitCode: 6})
    expect(error?.message).to.contain('back-9')
    expect(crm.names()).to.deep.equal(names)
    expect(crm.tags(crm.copy)).to.have.property('dr:rollback', 'back-9')
    const back = await crm.rollback({}, stageOf('back-2'))
    if (back.error) throw back.error
    await assertOldIsBack()
  })
})
