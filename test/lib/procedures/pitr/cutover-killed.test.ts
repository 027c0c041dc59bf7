import {expect} from 'chai'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import {CutoverFixture, dyingAt, dyingBehind, NAME} from '../../../support/cutover.ts'
import type {JournalEntry} from '../../../../src/lib/runbook/journal.ts'
import {testStage} from '../../../support/stage.ts'

const STEPS = ['mark', 'freeze', 'snapshot', 'rename-old', 'rename-new', 'prove', 'protect', 'unfreeze'].map((step) => `cutover.${step}`)
/** What a whole cut-over asks for that changes something. */
const CALLS = ['addTags', 'addTags', 'snapshot', 'modify', 'modify', 'addTags', 'modify', 'removeTags']

describe('a cut-over by rename whose process is killed', function () {
  this.timeout(300_000)
  const crm = new CutoverFixture()
  let digest = ''

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1})
    crm.copy.settings = {...crm.copy.settings, DeletionProtection: false}
    crm.keepSettings()
    digest = await crm.digest(crm.old)
  })
  after(() => crm.close())
  afterEach(() => crm.reset())

  /** What the journal holds of a run that was killed there. */
  async function killedAtCall(number: number, when: 'before' | 'after'): Promise<JournalEntry[]> {
    const {api, reached} = dyingAt(crm.api, number, when)
    const {stage, entries} = testStage()
    const options = crm.options({api})
    void crm.run(cutoverProcedure(options), cutoverState(options, new Date()), stage)
    await reached
    return entries
  }

  async function killedBehind(step: string): Promise<JournalEntry[]> {
    const {stage, entries, reached} = dyingBehind(step)
    void crm.cutover({}, stage)
    await reached
    return entries
  }

  async function assertCutOver(entries: readonly JournalEntry[]): Promise<void> {
    const {error, state} = await crm.resumed(entries)
    if (error) throw error
    expect(crm.names()).to.deep.equal({[NAME]: 'copy', [state.oldName]: 'old'})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.tags(crm.old)).to.include({'dr:replaced': NAME}).and.not.to.have.property('dr:frozen')
    expect([crm.old.settings.DeletionProtection, crm.copy.settings.DeletionProtection]).to.deep.equal([true, true])
    expect([...crm.aws.server.region.snapshots.keys()]).to.deep.equal([state.snapshot])
    expect(await crm.digest(crm.old)).to.equal(digest)
  }

  /** From another machine: there is no journal. */
  async function assertRolledBack(): Promise<void> {
    const {error} = await crm.rollback()
    if (error && error.code !== 'pitr.nothing-to-roll-back') throw error
    expect(crm.names()).to.have.property(NAME, 'old')
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(Object.keys(crm.tags(crm.old))).to.deep.equal(['team'])
    expect(Object.keys(crm.tags(crm.copy)).filter((key) => ['dr:replaces', 'dr:cutover'].includes(key))).to.deep.equal([])
    expect(await crm.digest(crm.old)).to.equal(digest)
  }

  it('asks for no more than is known here', async () => {
    const {api, calls} = dyingAt(crm.api, -1, 'before')
    const {error} = await crm.cutover({api})
    if (error) throw error
    expect(calls).to.deep.equal(CALLS)
  })

  for (const [number, call] of CALLS.entries()) {
    it(`is ended by resume when it was killed behind ${call} (${number + 1})`, async () => { await assertCutOver(await killedAtCall(number, 'after')) })
    it(`is rolled back without its journal when it was killed behind ${call} (${number + 1})`, async () => {
      await killedAtCall(number, 'after')
      await assertRolledBack()
    })
  }

  for (const step of STEPS) {
    it(`is ended by resume when it was killed behind ${step}`, async () => { await assertCutOver(await killedBehind(step)) })
    it(`is rolled back without its journal when it was killed behind ${step}`, async () => {
      await killedBehind(step)
      await assertRolledBack()
    })
  }

  it('is rolled back although the rollback is killed behind each of its calls', async () => {
    const {error} = await crm.cutover({keepFrozen: true})
    if (error) throw error
    for (let number = 0; ; number++) {
      const {api, reached} = dyingAt(crm.api, number === 0 ? 0 : 1, 'after')
      const ended = await Promise.race([crm.rollback({api}), reached])
      if (ended !== undefined) break
      if (number > 10) throw new Error('It comes to no end')
    }
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.names()).to.have.property(NAME, 'old')
    expect(Object.keys(crm.tags(crm.copy)).filter((key) => ['dr:replaces', 'dr:cutover'].includes(key))).to.deep.equal([])
    expect(await crm.digest(crm.old)).to.equal(digest)
  })
})
