import {expect} from 'chai'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import {partyFrom} from '../../../../src/lib/procedures/pitr/cutover-instances.ts'
import {markTags} from '../../../../src/lib/procedures/pitr/cutover-marks.ts'
import type {CutoverOptions} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import type {DBInstance, RdsApi} from '../../../../src/lib/rds/api.ts'
import {remedyOf, terminalStatuses} from '../../../../src/lib/rds/status.ts'
import type {JournalEntry} from '../../../../src/lib/runbook/journal.ts'
import type {Stage} from '../../../../src/lib/runbook/stage.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {AwsClock, Lateness, TOLD_WITHIN_MS} from '../../../support/aws-time.ts'
import {COPY, CutoverFixture, NAME} from '../../../support/cutover.ts'
import {until} from '../../../support/until.ts'
import {testStage} from '../../../support/stage.ts'

const PACE = 0.1
const LOOKS_TO_NEW_NAME = 3

interface Timed {
  options: Partial<CutoverOptions>
  stage: Partial<Stage>
  /** What the operator was told of the failure: milliseconds after it could be known, with the notices before it. */
  told: {ms: number; detail: string; before: string}[]
  /** The steps that were begun. */
  begun: string[]
}

describe('a cut-over or a rollback that AWS lets down', function () {
  this.timeout(300_000)
  const crm = new CutoverFixture()

  before(() => crm.open({millisecondsPerSecond: PACE, watched: true}))
  after(() => crm.close())
  afterEach(async () => {
    for (const one of [crm.old, crm.copy]) await until(() => one.timeline.isQuiet, 60_000)
    expect(crm.harm()).to.deep.equal([])
    await crm.reset()
  })

  /** At the pace that dr has where nobody sets it. `party`: whom it happens to; `onPause` is told the steps that were begun. */
  function timed(party: Instance, onPause: (begun: readonly string[]) => void = () => {}, api = crm.api): Timed {
    const [told, begun]: [Timed['told'], string[]] = [[], []]
    const clock = new AwsClock(PACE, () => { onPause(begun) })
    const lateness = new Lateness(api, clock, ({DbiResourceId}) => DbiResourceId === party.resourceId)
    const {stage} = testStage()
    const notices: string[] = []
    const write = (entry: JournalEntry) => {
      if (entry.event === 'notice') notices.push(entry.detail)
      if (entry.event === 'started') begun.push(entry.step)
      if (entry.event === 'failed') told.push({ms: lateness.ms(), detail: entry.detail, before: notices.join('\n')})
      return Promise.resolve()
    }
    const {config} = crm.options()
    return {told, begun, options: {api: lateness.api, clock, config: {...config, rds: {...config.rds, pollSeconds: crm.usualPollSeconds}}}, stage: {journal: {...stage.journal, write}}}
  }

  const overlaid = (api: RdsApi, over: Partial<RdsApi>): RdsApi => new Proxy(api, {get: (target, property) => (Reflect.get(over, property) ?? Reflect.get(target, property)) as unknown})
  /** AWS as it shows a rename only after some looks; with a status it never does, and that is what it shows in the end. */
  function lingering({id, resourceId}: Instance, status: string | undefined): RdsApi {
    let [isAsked, looks] = [false, 0]
    const isLate = () => isAsked && (looks < LOOKS_TO_NEW_NAME || status !== undefined)
    const late = (one: DBInstance): DBInstance => (one.DbiResourceId === resourceId && isLate() ? {...one, DBInstanceIdentifier: id, DBInstanceStatus: looks < LOOKS_TO_NEW_NAME ? 'renaming' : status} : one)
    return overlaid(crm.api, {
      modify: async (input, signal) => {
        const made = await crm.api.modify(input, signal)
        isAsked = true
        return made
      },
      instances: async (signal) => (await crm.api.instances(signal)).map(late),
      instance: async (name, signal) => {
        if (name !== id || !isLate()) return crm.api.instance(name, signal)
        const found = (await crm.api.instances(signal)).find((one) => one.DbiResourceId === resourceId)
        looks++
        return found && late(found)
      },
    })
  }

  const answer = (action: string, effect: {code: string} | {endsAs: string}, times = 1, instance?: string) => { crm.aws.server.faults.add({match: {action, ...(instance !== undefined && {instance})}, times, action: effect}) }

  function assertTold({told: [first]}: Timed, detail: string, remedy: string): void {
    expect(first?.ms, detail).to.be.at.most(TOLD_WITHIN_MS)
    expect(first?.detail).to.contain(detail)
    expect(first?.before, 'before anything is taken back').to.contain(remedy)
  }

  for (const [who, what, id] of [['old', 'the old instance', 'cutover.rename-old'], ['copy', 'the copy', 'cutover.rename-new']] as const) {
    it(`says within 30 s of every status in which a rename of ${what} can end what it is and what to do`, async () => {
      const {region} = crm.aws.server
      for (const [index, status] of terminalStatuses.entries()) {
        if (who === 'copy') await region.rename(crm.old, `${NAME}-old`)
        await crm.api.addTags(region.arnOf(COPY), markTags({mode: 'rename', name: NAME, resourceId: crm.old.resourceId, run: 'run-1'}), AbortSignal.timeout(10_000))
        answer('ModifyDBInstance', {endsAs: status}, 1, crm[who].id)
        const former = crm[who].id
        // Every other one never gets its new name, and the others come to it when they have it.
        const one = timed(crm[who], () => { if (crm[who].id !== former) crm[who].timeline.set(status) }, lingering(crm[who], index % 2 === 0 ? status : undefined))
        const options = crm.options(one.options)
        const [procedure, [old, copy]] = [cutoverProcedure(options), await Promise.all([crm.old, crm.copy].map(async ({id: name}) => partyFrom(await crm.api.instance(name, AbortSignal.timeout(10_000)) ?? {})))]
        const steps = procedure.phases.flatMap((phase) => phase.steps).filter((step) => step.id === id)
        const {error} = await crm.run({...procedure, phases: [{title: 'Rename', steps}]}, {...cutoverState(options, new Date()), ...(old && {old}), ...(copy && {copy})}, one.stage)
        expect(error, status).to.include({code: 'pitr.ended', exitCode: 1})
        assertTold(one, `is ${status}`, remedyOf(status) ?? 'a remedy')
        expect(error?.hints?.join('\n')).to.contain(remedyOf(status))
        if (index % 2 !== 0) expect(error?.hints?.join('\n'), 'it cannot be undone now').to.contain('dr pitr rollback run-1')
        await crm.reset()
      }
    })

    it(`says it within 30 s, and how to go back, when the whole cut-over comes to it with ${what}`, async () => {
      answer('ModifyDBInstance', {endsAs: 'incompatible-network'}, 1, who === 'old' ? NAME : COPY)
      const one = timed(crm[who])
      const {error} = await crm.cutover(one.options, one.stage)
      expect(error).to.include({code: 'pitr.ended', exitCode: 1})
      expect(one.begun.at(-1)).to.equal(id)
      assertTold(one, 'is incompatible-network', remedyOf('incompatible-network') ?? '')
      expect(error?.hints?.join('\n')).to.contain('dr pitr rollback')
    })
  }

  it('says it within 30 s where it waits for the snapshot, and takes everything back', async () => {
    const one = timed(crm.old, (begun) => { if (begun.at(-1) === 'cutover.snapshot') crm.old.timeline.set('storage-full') })
    const api = overlaid(one.options.api ?? crm.api, {snapshotNamed: (id) => Promise.resolve({DBSnapshotIdentifier: id, Status: 'creating'})})
    const {error} = await crm.cutover({...one.options, api}, one.stage)
    expect(error).to.include({code: 'pitr.ended', exitCode: 1})
    assertTold(one, `${NAME} is storage-full`, remedyOf('storage-full') ?? '')
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
  })

  it('does not wait for a snapshot that has failed', async () => {
    const one = timed(crm.old)
    const api = overlaid(one.options.api ?? crm.api, {snapshotNamed: (id) => Promise.resolve({DBSnapshotIdentifier: id, Status: 'failed'})})
    const {error} = await crm.cutover({...one.options, api}, one.stage)
    expect(error).to.include({code: 'pitr.snapshot', exitCode: 1})
    expect(one.told[0]?.ms).to.be.at.most(TOLD_WITHIN_MS)
    expect(error?.hints?.join()).to.contain('--no-snapshot')
    expect(await crm.frozen(crm.old)).to.deep.equal([])
  })

  it('says it within 30 s where it waits for the proxy', async () => {
    const {region} = crm.aws.server
    const proxy = region.proxies.get('crm-proxy') ?? await region.createProxy('crm-proxy')
    await region.aim(proxy, crm.old)
    const one = timed(crm.copy, () => { if (proxy.target?.resourceId === crm.copy.resourceId) crm.copy.timeline.set('incompatible-network') })
    const {config = crm.options().config, api = crm.api} = one.options
    const registering: Partial<RdsApi> = {proxyTargets: async (name, signal) => (await api.proxyTargets(name, signal)).map((target) => ({...target, TargetHealth: {State: 'REGISTERING'}}))}
    const {error} = await crm.cutover({...one.options, mode: 'proxy', api: overlaid(api, registering), config: {...config, rds: {...config.rds, proxy: 'crm-proxy'}}, target: {...crm.target(), port: region.proxyPort(proxy)}, freeze: false, snapshot: false}, {...one.stage, signal: AbortSignal.timeout(60_000)})
    expect(error).to.include({code: 'pitr.ended', exitCode: 1})
    assertTold(one, `${COPY} is incompatible-network`, remedyOf('incompatible-network') ?? '')
  })

  it('behind the cut-over says it within 30 s, and takes nothing back', async () => {
    crm.copy.settings = {...crm.copy.settings, DeletionProtection: false}
    const one = timed(crm.copy, (begun) => { if (begun.at(-1) === 'cutover.protect') crm.copy.timeline.set('storage-full') })
    const {error} = await crm.cutover({...one.options, freeze: false, snapshot: false}, one.stage)
    expect(error).to.include({code: 'pitr.ended', exitCode: 1})
    assertTold(one, `${NAME} is storage-full`, remedyOf('storage-full') ?? '')
    expect(error?.hints?.join('\n')).to.contain('The cut-over stands').and.contain('dr resume run-1').and.contain('dr pitr rollback run-1')
    expect(crm.names()).to.have.property(NAME, 'copy')
  })

  for (const [code, expected] of [['AccessDenied', 'rds.denied'], ['ExpiredToken', 'rds.credentials']] as const) {
    it(`ends within 30 s, where it waits for a name, when AWS answers with ${code}`, async () => {
      const one = timed(crm.old, (begun) => { if (crm.old.timeline.status === 'renaming' || begun.at(-1) === 'cutover.rename-old') answer('DescribeDBInstances', {code}, 1000) })
      const {error} = await crm.cutover({...one.options, freeze: false, snapshot: false}, one.stage)
      expect(error).to.include({code: expected, exitCode: 5})
      expect(one.begun.at(-1)).to.equal('cutover.rename-old')
      expect(one.told[0]?.ms).to.be.within(1, TOLD_WITHIN_MS)
      expect(error?.hints?.join('\n')).to.contain('dr pitr rollback')
    })
  }

  it('bears throttling where it waits for a name, and says so', async () => {
    let isSlow = false
    const one = timed(crm.old, (begun) => {
      if (begun.at(-1) === 'cutover.rename-old' && !isSlow) answer('DescribeDBInstances', {code: 'Throttling'}, 3)
      isSlow ||= begun.at(-1) === 'cutover.rename-old'
    })
    const {error, seen} = await crm.cutover({...one.options, freeze: false, snapshot: false}, one.stage)
    if (error) throw error
    expect(isSlow).to.equal(true)
    expect(crm.names()).to.have.property(NAME, 'copy')
    expect(seen.filter((line) => line.includes('asks to slow down'))).not.to.deep.equal([])
  })

  for (const who of ['copy', 'old'] as const) {
    it(`a rollback says it within 30 s of the ${who === 'old' ? 'old instance' : 'new one'}, and ends when it is run again`, async () => {
      const done = await crm.cutover({freeze: false, snapshot: false})
      if (done.error) throw done.error
      const one = timed(crm[who])
      answer('ModifyDBInstance', {endsAs: 'storage-full'}, 1, crm[who].id)
      const {error} = await crm.rollback({...one.options}, one.stage)
      expect(error).to.include({code: 'pitr.ended', exitCode: 1})
      expect(one.told[0]?.ms).to.be.at.most(TOLD_WITHIN_MS)
      expect(error?.hints?.join('\n')).to.contain(remedyOf('storage-full')).and.contain('Run dr pitr rollback again')
      crm[who].timeline.set('available')
      const again = await crm.rollback()
      if (again.error) throw again.error
      expect(crm.names()).to.have.property(NAME, 'old')
    })
  }
})
