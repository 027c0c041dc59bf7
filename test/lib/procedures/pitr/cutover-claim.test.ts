import {expect} from 'chai'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {COPY, CutoverFixture, dyingBehind, NAME} from '../../../support/cutover.ts'
import type {Stage} from '../../../../src/lib/runbook/stage.ts'
import {testStage} from '../../../support/stage.ts'

/** Of a run of this name. */
function stageOf(run: string): Partial<Stage> {
  const {journal} = testStage().stage
  return {journal: {...journal, run, path: `/journal/${run}.jsonl`}}
}

describe('two cut-overs of one instance', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()

  before(() => crm.open({millisecondsPerSecond: 0.1}))
  after(() => crm.close())
  afterEach(() => crm.reset())

  const marks = () => crm.tags(crm.copy)

  async function killed(step: string): Promise<void> {
    const {stage, reached} = dyingBehind(step)
    void crm.cutover({}, stage)
    await reached
  }

  it('the second is refused where the first was killed behind the freeze, and a rollback has the old one take writes again', async () => {
    await killed('cutover.freeze')
    const {error} = await crm.cutover({}, stageOf('run-2'))
    expect(error).to.include({code: 'pitr.in-cutover', exitCode: 6})
    expect(error?.hints?.join(' ')).to.contain('dr resume run-1').and.contain('dr pitr rollback run-1')
    expect(crm.tags(crm.old)).to.have.property('dr:frozen', 'crm @run-1')
    expect(marks()).to.include({'dr:cutover': 'run-1'})
    const back = await crm.rollback()
    if (back.error) throw back.error
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.tags(crm.old)).not.to.have.property('dr:frozen')
  })

  it('what an earlier run has stopped stays on the list of a later one', async () => {
    await killed('cutover.freeze')
    crm.copy.settings = {...crm.copy.settings, TagList: crm.copy.settings.TagList.filter(({Key}) => !['dr:replaces', 'dr:cutover'].includes(Key))}
    const {error} = await crm.cutover({}, stageOf('run-2'))
    if (error) throw error
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.tags(crm.old)).not.to.have.property('dr:frozen')
  })

  it('a rollback does not say that all is well while the old one is read-only, whoever made it so', async () => {
    await killed('cutover.rename-new')
    await withClient(crm.aws.url(crm.old), {}, (client) => client.query('ALTER DATABASE crm SET default_transaction_read_only = on'))
    crm.old.settings = {...crm.old.settings, TagList: crm.old.settings.TagList.filter(({Key}) => Key !== 'dr:frozen')}
    const {error} = await crm.rollback()
    expect(error).to.include({code: 'pitr.not-writable', exitCode: 4})
    expect(error?.hints?.join(' ')).to.contain('ALTER DATABASE "crm" RESET default_transaction_read_only')
    expect(marks(), 'it can be run again').to.have.property('dr:cutover')
  })

  it('the one whose mark is overwritten at the same moment stops, and takes nothing back of the other', async () => {
    const api = new Proxy(crm.api, {get(target, property) {
      const method = Reflect.get(target, property) as unknown
      if (property === 'addTags') return async (arn: string, tags: {Key: string; Value: string}[], signal: AbortSignal) => {
        await target.addTags(arn, tags, signal)
        await target.addTags(arn, tags.map((tag) => (tag.Key === 'dr:cutover' ? {...tag, Value: 'run-9'} : tag)), signal)
      }
      return typeof method === 'function' ? (method as () => unknown).bind(target) : method
    }})
    const {error} = await crm.cutover({api})
    expect(error).to.include({code: 'pitr.in-cutover', exitCode: 6})
    expect(marks()).to.include({'dr:cutover': 'run-9'})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
  })

  it('stops before the rename when another has taken it over, and leaves the old one frozen for that one', async () => {
    const {journal} = testStage().stage
    const stage: Partial<Stage> = {journal: {...journal, async write(entry) {
      if (entry.event === 'done' && entry.step === 'cutover.freeze') for (const [one, key] of [[crm.copy, 'dr:cutover'], [crm.old, 'dr:frozen']] as const) {
        one.settings = {...one.settings, TagList: one.settings.TagList.map((tag) => (tag.Key === key ? {...tag, Value: tag.Value.replace('run-1', 'run-9')} : tag))}
      }
      return journal.write(entry)
    }}}
    const {error} = await crm.cutover({snapshot: false}, stage)
    expect(error).to.include({code: 'pitr.in-cutover', exitCode: 6})
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
    expect(await crm.frozen(crm.old)).to.deep.equal(['crm'])
    expect(marks()).to.include({'dr:cutover': 'run-9'})
  })

  it('takes no snapshot of another instance that has the name by now', async () => {
    const {journal} = testStage().stage
    const {region} = crm.aws.server
    const stage: Partial<Stage> = {journal: {...journal, async write(entry) {
      if (entry.event === 'done' && entry.step === 'cutover.freeze') {
        await region.rename(crm.old, 'elsewhere')
        await region.rename(crm.copy, NAME)
      }
      return journal.write(entry)
    }}}
    const {error} = await crm.cutover({}, stage)
    expect(error).to.include({code: 'pitr.renamed', exitCode: 3})
    expect(region.snapshots.size).to.equal(0)
  })

  it('takes what waits for a maintenance window along, with --accept-pending, and waits for nothing that never comes', async () => {
    crm.old.pending = {settings: {MultiAZ: true}}
    const {error} = await crm.cutover({acceptPending: true, accept: true})
    if (error) throw error
    expect(crm.names()).to.have.property(NAME, 'copy')
  })

  it('says before it asks which writes cannot be stopped, and what is read-only already', async () => {
    for (const sql of ['CREATE DATABASE second', 'CREATE DATABASE archive OWNER master', 'ALTER DATABASE archive SET default_transaction_read_only = on', 'ALTER ROLE app SET default_transaction_read_only = off']) await withClient(crm.aws.url(crm.old), {}, (client) => client.query(sql))
    try {
      let shown: string[] = []
      await crm.cutover({}, {gatekeeper: {check() {}, pass(gate, state) {
        shown = [...gate.details?.(state) ?? []]
        throw new Error('not answered')
      }}})
      const text = shown.join('\n')
      expect(text).to.contain('writes are stopped in crm of crm-prod').and.match(/WARNING +second: its writes cannot be stopped/).and.match(/WARNING +app: this role may write all the same/).and.match(/WARNING +archive: is read-only already, and not by dr/)
    } finally {
      for (const sql of ['ALTER ROLE app RESET default_transaction_read_only', 'DROP DATABASE second', 'DROP DATABASE archive']) await withClient(crm.aws.url(crm.old), {}, (client) => client.query(sql))
    }
  })
})
