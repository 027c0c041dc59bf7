import {expect} from 'chai'
import {rm, writeFile} from 'node:fs/promises'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {listRecovery} from '../../../../src/lib/procedures/pitr/list.ts'
import type {RecoveryList} from '../../../../src/lib/report/recovery-list.ts'
import {recoveryListLines} from '../../../../src/lib/ui/recovery.ts'
import {COPY, CutoverFixture, dyingAt, dyingBehind, NAME} from '../../../support/cutover.ts'

describe('the list of what can be recovered', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()

  before(() => crm.open({millisecondsPerSecond: 0.1}))
  after(() => crm.close())
  afterEach(async () => {
    await crm.reset()
    await rm(join(crm.home, 'run-1.jsonl'), {force: true})
  })

  const list = (source?: string): Promise<RecoveryList> => listRecovery({...crm.options(), journals: crm.home}, source, new AbortController().signal)
  const shown = (found: RecoveryList, width?: number) => [...recoveryListLines(found, new Date(), width)].join('\n')
  const side = (id: string, {resourceId}: {resourceId: string}) => ({instance: id, resourceId, status: 'available'})

  async function killedBehind(step: string): Promise<ReturnType<typeof dyingBehind>['entries']> {
    const {stage, entries, reached} = dyingBehind(`cutover.${step}`)
    void crm.cutover({}, stage)
    await reached
    return entries
  }

  it('says nothing of cut-overs where there is none, or one that came to its end', async () => {
    for (const begin of [() => Promise.resolve(undefined), () => crm.cutover()]) {
      await begin()
      const found = await list()
      expect([found.cutovers, found.frozen]).to.deep.equal([[], []])
      expect(found.sources.map(({instance}) => instance), 'since when it can be recovered').to.deep.equal([NAME])
      expect(shown(found)).not.to.match(/cut-over|no writes/i)
    }
  })

  it('shows one that has stopped the writes, with the run, both instances and the ways out', async () => {
    await killedBehind('freeze')
    const found = await list()
    expect(found.cutovers).to.deep.equal([{
      name: NAME, mode: 'rename', run: 'run-1', status: null, rollback: null, old: side(NAME, crm.old), new: side(COPY, crm.copy), holder: 'old', stopped: ['crm'],
      resume: {command: 'dr resume run-1', here: false}, back: 'dr pitr rollback run-1',
    }])
    expect(found.frozen, 'told once').to.deep.equal([])
    expect(shown(found).split('\n').slice(0, 9)).to.deep.equal([
      'Cut-over of crm-prod, by rename, not at its end', '  Run         run-1, begun on another machine: from here nobody can tell whether it is at work',
      `  Old         crm-prod, ${crm.old.resourceId}, available`, `  New         crm-prod-pitr, ${crm.copy.resourceId}, available`, '  Name        crm-prod is the old instance',
      '  Writes      stopped in crm of the old instance', '  To go on    dr resume run-1, where it was begun', '  To go back  dr pitr rollback run-1', '',
    ])
    expect((await list('billing')).cutovers).to.deep.equal([])
    expect((await list(NAME)).cutovers).to.have.length(1)
  })

  it('says that nobody has the production name, and names another instance than the configured one', async () => {
    const entries = await killedBehind('rename-old')
    const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')
    await writeFile(join(crm.home, 'run-1.jsonl'), text)
    expect((await list()).cutovers[0], 'this process has written it').to.deep.include({status: 'running', resume: null})
    await writeFile(join(crm.home, 'run-1.jsonl'), text.replaceAll(`"host":${JSON.stringify(hostname())}`, '"host":"gone"'))
    const found = await list()
    expect(found.cutovers[0]).to.deep.include({holder: null, status: 'stopped', resume: {command: 'dr resume run-1', here: true}})
    expect(found.cutovers[0]?.old.instance).to.match(/^crm-prod-old-\d{14}$/)
    const narrow = shown(found, 60)
    expect(narrow).to.contain('Name        crm-prod is nobody’s: clients reach nothing').and.contain('begun on this machine, not at work').and.contain('  To go on    dr resume run-1\n')
    expect(narrow.split('\n').slice(0, 12).filter((line) => line.length > 60), 'commands are not broken, all else is').to.deep.equal([])
    const {config} = crm.options()
    const other = await listRecovery({...crm.options({config: {...config, rds: {...config.rds, instance: 'billing'}}}), journals: crm.home}, undefined, new AbortController().signal)
    expect(other.cutovers[0]?.back).to.equal('dr pitr rollback run-1 --source crm-prod')
  })

  it('leaves only the rollback when one has begun', async () => {
    await killedBehind('rename-new')
    const {api, reached} = dyingAt(crm.api, 0, 'after')
    void crm.rollback({api})
    await reached
    const found = await list()
    expect(found.cutovers[0]).to.deep.include({holder: 'new', rollback: 'run-1', resume: null})
    expect(shown(found)).to.contain('Taken back  by run-1, which is not at its end either').and.contain('To go on    dr pitr rollback run-1').and.not.to.contain('dr resume')
  })

  it('shows an old instance that was left read-only on purpose, and what brings it back', async () => {
    const {error, state} = await crm.cutover({keepFrozen: true})
    if (error) throw error
    const found = await list(NAME)
    expect(found.cutovers).to.deep.equal([])
    expect(found.frozen).to.deep.equal([{...side(state.oldName, crm.old), databases: ['crm'], run: 'run-1', runStatus: null, remedies: [{command: 'dr pitr rollback run-1', does: 'brings it back in place of crm-prod, with writes'}]}])
    expect(shown(found)).to.contain(`${state.oldName} takes no writes\n`).and.contain('Stopped by  run-1, of which there is no journal here\n  dr pitr rollback run-1\n    brings it back')
  })

  it('shows one that is read-only by a run that has left no other mark, and what ends that', async () => {
    await killedBehind('freeze')
    crm.copy.settings = {...crm.copy.settings, TagList: crm.copy.settings.TagList.filter(({Key}) => !['dr:replaces', 'dr:cutover'].includes(Key))}
    const found = await list()
    expect(found.cutovers).to.deep.equal([])
    expect(found.frozen[0]?.remedies.map(({command}) => command)).to.deep.equal(['BEGIN READ WRITE; ALTER DATABASE "crm" RESET default_transaction_read_only; COMMIT;', `aws rds remove-tags-from-resource --resource-name arn:aws:rds:us-east-1:123456789012:db:crm-prod --tag-keys dr:frozen`])
    expect(shown(found)).to.contain('crm-prod takes no writes')
    crm.old.settings = {...crm.old.settings, TagList: crm.old.settings.TagList.map((tag) => (tag.Key === 'dr:frozen' ? {...tag, Value: 'all @run-9'} : tag))}
    expect((await list()).frozen[0]).to.deep.include({databases: 'all', run: 'run-9'})
    expect((await list()).frozen[0]?.remedies[0]?.command).to.equal('BEGIN READ WRITE; ALTER DATABASE "NAME" RESET default_transaction_read_only; COMMIT;')
  })
})
