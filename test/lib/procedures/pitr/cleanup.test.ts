import {expect} from 'chai'
import {cleanupProcedure, cleanupState, type CleanupOptions} from '../../../../src/lib/procedures/pitr/cleanup.ts'
import {copyMeant} from '../../../../src/lib/procedures/pitr/cutover-checks.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {COPY, CutoverFixture, NAME} from '../../../support/cutover.ts'
import {until} from '../../../support/until.ts'

const signal = new AbortController().signal

describe('removing restored copies', function () {
  this.timeout(300_000)
  const crm = new CutoverFixture()
  let side: Instance

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1})
    side = await crm.restored('crm-side', 'side')
    crm.copy.settings = {...crm.copy.settings, DeletionProtection: false}
    crm.keepSettings()
  })
  after(() => crm.close())
  beforeEach(() => crm.reset())

  const set = (instance: Instance, settings: Partial<Instance['settings']>) => { instance.settings = {...instance.settings, ...settings} }
  const tagged = (instance: Instance, tags: Record<string, string>) => { set(instance, {TagList: [...instance.settings.TagList, ...Object.entries(tags).map(([Key, Value]) => ({Key, Value}))]}) }
  const options = (more: Partial<CleanupOptions> = {}): CleanupOptions => {
    const {config, api, clock} = crm.options()
    return {config, api, ...(clock && {clock}), named: [], live: NAME, address: undefined, replaced: false, unprotect: false, retentionDays: 30, now: new Date(), ...more}
  }
  async function judged(more: Partial<CleanupOptions> = {}): Promise<Record<string, string | undefined>> {
    const {instances} = cleanupState(options(more), await crm.api.instances(signal))
    return Object.fromEntries(instances.map(({instance, stays}) => [instance, stays]))
  }
  const refused = (more: Partial<CleanupOptions>) => judged(more).then(() => 'it goes', (error: unknown) => (error as Error).message)

  it('takes side copies alone when nothing is named, and nothing that has no tag of dr', async () => {
    expect(await judged()).to.deep.equal({[COPY]: 'it was made to take a place: name it', 'crm-side': undefined})
    set(side, {TagList: [{Key: 'dr:purpose', Value: 'side'}]})
    expect(await judged(), 'no run').not.to.have.property('crm-side')
    expect(await refused({named: ['crm-side']})).to.contain('none of its tags')
    tagged(side, {'dr:run-id': 'run', 'dr:source': NAME})
  })

  it('never takes what is live: by its name, its address, a cut-over, or the name that it was made for', async () => {
    expect(await refused({named: [NAME]})).to.contain('none of its tags')
    tagged(crm.old, {'dr:run-id': 'run', 'dr:purpose': 'side'})
    expect(await refused({named: [NAME]})).to.contain('it is the production instance')
    expect(await refused({named: [NAME], live: undefined, address: `127.0.0.1:${crm.old.port}`})).to.contain('DATABASE_URL leads to it')
    tagged(crm.old, {'dr:source': NAME})
    expect(await refused({named: [NAME], live: undefined})).to.contain('has the name of the instance that it was made of')
    tagged(crm.copy, {'dr:replaces': `url/${NAME}/${crm.old.resourceId}`, 'dr:cutover': 'run-1'})
    expect(await refused({named: [COPY]})).to.contain('it is in a cut-over of crm-prod (run run-1)')
  })

  it('takes what was replaced only by name, with --replaced, after the retention, and unprotected', async () => {
    tagged(crm.copy, {'dr:replaced': NAME, 'dr:replaced-at': '2026-01-01T00:00:00.000Z'})
    const now = new Date('2026-01-20T00:00:00Z')
    expect((await judged({now}))[COPY]).to.contain('name it, with --replaced')
    expect(await refused({now, named: [COPY]})).to.contain('--replaced')
    expect(await refused({now, named: [COPY], replaced: true})).to.contain('less than 30 days ago')
    const later = {now: new Date('2026-02-20T00:00:00Z'), named: [COPY], replaced: true}
    set(crm.copy, {DeletionProtection: true})
    expect(await refused(later)).to.contain('--unprotect')
    expect(await judged({...later, unprotect: true})).to.deep.equal({[COPY]: undefined})
  })

  it('deletes nothing that has become another, or has lost its tags, since it was shown', async () => {
    const meant = options({named: ['crm-side']})
    const state = cleanupState(meant, await crm.api.instances(signal))
    const {TagList} = side.settings
    set(side, {TagList: []})
    const {error} = await crm.run(cleanupProcedure(meant), state, {})
    if (error) throw error
    expect(state.failed).to.deep.equal([{instance: 'crm-side', why: 'crm-side is no longer the instance that was shown.'}])
    set(side, {TagList})
    const other = cleanupState(meant, await crm.api.instances(signal))
    const moved = {...other, instances: other.instances.map((one) => ({...one, resourceId: 'db-ANOTHER'}))}
    await crm.run(cleanupProcedure(meant), moved, {})
    expect(moved.failed).to.have.length(1)
    expect(crm.aws.server.requests.filter(({action}) => action === 'DeleteDBInstance')).to.deep.equal([])
  })

  it('removes a copy that its restore has broken, protected as it is, without a final snapshot, and no cut-over means it', async () => {
    const broken = await crm.restored('crm-prod-pitr-bad')
    set(broken, {DeletionProtection: true})
    broken.timeline.set('incompatible-restore')
    const asked = options({named: ['crm-prod-pitr-bad'], unprotect: true})
    const all = await crm.api.instances(signal)
    expect(copyMeant(all, NAME, undefined).DBInstanceIdentifier).to.equal(COPY)
    const state = cleanupState(asked, all)
    expect(state.instances.map(({finalSnapshot}) => finalSnapshot)).to.deep.equal([null])
    const {error} = await crm.run(cleanupProcedure(asked), state, {})
    if (error) throw error
    expect(state.failed).to.deep.equal([])
    expect(state.removed).to.deep.equal(['crm-prod-pitr-bad'])
    expect(crm.names()).not.to.have.property('crm-prod-pitr-bad')
  })

  it('deletes what was confirmed: a side copy without a snapshot, another with one, and keeps the automated backups of both', async () => {
    set(side, {DeletionProtection: true})
    const meant = options({named: ['crm-side', COPY], unprotect: true})
    const state = cleanupState(meant, await crm.api.instances(signal))
    const {error} = await crm.run(cleanupProcedure(meant), state, {gatekeeper: {check() {}, pass: (gate) => Promise.resolve(gate.mustType(state as never))}})
    if (error) throw error
    expect(state.failed).to.deep.equal([])
    await until(() => crm.aws.server.region.instances.size === 1, 60_000)
    expect(Object.keys(crm.names())).to.deep.equal([NAME])
    const asked = crm.aws.server.requests.filter(({action}) => action === 'DeleteDBInstance').map(({body}) => new URLSearchParams(body)).filter((form) => form.get('DBInstanceIdentifier') !== 'crm-prod-pitr-bad')
    expect(asked.map((form) => form.get('DeleteAutomatedBackups'))).to.deep.equal(['false', 'false'])
    expect(asked.map((form) => [form.get('DBInstanceIdentifier'), form.get('SkipFinalSnapshot')]).toSorted()).to.deep.equal([[COPY, 'false'], ['crm-side', 'true']])
    expect([...crm.aws.server.region.snapshots.keys()].filter((id) => id.startsWith(`${COPY}-final-`))).to.have.length(1)
  })
})
