import {expect} from 'chai'
import {FAULTS} from '../../../../src/lib/rds/faults.ts'
import {remedyOf, terminalStatuses} from '../../../../src/lib/rds/status.ts'
import {AwsClock, Lateness, TOLD_WITHIN_MS} from '../../../support/aws-time.ts'
import {RECOVERY_PACE, RecoveryFixture, type Recovering} from '../../../support/recovery.ts'

const RESTORE = 'RestoreDBInstanceToPointInTime'
const CALLER = 'arn:aws:iam::123456789012:user/op'

describe('a recovery that AWS refuses', function () {
  this.timeout(120_000)
  const rds = new RecoveryFixture()

  before(async () => {
    await rds.open({MonitoringInterval: 60, MonitoringRoleArn: 'arn:role'})
    await rds.archived()
  })
  after(() => rds.close())
  afterEach(async () => {
    rds.aws.server.faults.clear()
    for (const name of [...rds.aws.server.region.instances.keys()]) if (name !== 'crm') await rds.remove(name)
  })

  /** Without a look into the copy: what is meant here comes before it. */
  const recover = () => rds.recover({wish: {target: 'copy'}, options: {proof: {storages: [], jobs: 1}}})

  /** The same at the pace that dr has where nobody sets it; `onPause` hears how often it has paused. */
  function timed(more: Recovering = {}, onPause?: (count: number) => void) {
    const clock = new AwsClock(RECOVERY_PACE, onPause)
    const lateness = new Lateness(rds.api, clock, ({DBInstanceIdentifier}) => DBInstanceIdentifier === 'copy')
    const config = {...rds.config, rds: {...rds.config.rds, pollSeconds: rds.usualPollSeconds}}
    return {clock, lateness, recovered: rds.recover({...more, wish: {target: 'copy'}, options: {proof: {storages: [], jobs: 1}, api: lateness.api, clock, config}})}
  }

  const fault = (action: string, ...what: {code: string; message?: string; status?: number}[]) => { rds.aws.server.faults.add(...what.map((one) => ({match: {action}, times: 10, action: one}))) }

  it('says of every fault what it is and what to do, with the code of its kind, and nothing is there', async () => {
    for (const name of Object.keys(FAULTS)) {
      fault(RESTORE, {code: name, message: 'said by AWS'})
      const {clock, recovered} = timed()
      const {error} = await recovered
      expect(clock.now(), name).to.be.at.most(TOLD_WITHIN_MS)
      expect(error?.code, name).to.match(/^rds\./).and.not.equal('rds.refused')
      expect([3, 5], name).to.include(error?.exitCode)
      expect(error?.hints?.length, name).to.be.above(1)
      expect(rds.aws.server.region.instances.has('copy'), name).to.equal(false)
      rds.aws.server.faults.clear()
    }
  })

  it('ends with every status from which an instance does not come back within 30 s, with its remedy', async () => {
    for (const status of terminalStatuses) {
      rds.aws.server.faults.add({match: {action: RESTORE}, times: 1, action: {endsAs: status}})
      const {clock, lateness, recovered} = timed()
      const {error, notices, entries} = await recovered
      expect(lateness.ms(), status).to.be.within(1, TOLD_WITHIN_MS)
      expect(clock.now(), 'it had waited before').to.be.above(TOLD_WITHIN_MS)
      expect(error, status).to.include({code: 'pitr.ended', exitCode: 1})
      expect(error?.message).to.contain(`copy is ${status}`)
      expect(error?.hints?.join('\n'), status).to.contain(remedyOf(status)).and.contain('dr pitr cleanup')
      expect(notices.join('\n'), 'the events of AWS are told').to.contain('Restored from DB instance crm to copy')
      expect(entries.at(-1)?.event, 'the run can be gone on with, or undone').to.equal('left')
      expect(rds.aws.server.region.instances.has('copy'), 'nothing is deleted').to.equal(true)
      await rds.remove('copy')
    }
  })

  const WAITED = 3

  for (const [code, expected] of [['AccessDenied', 'rds.denied'], ['ExpiredToken', 'rds.credentials'], ['InvalidClientTokenId', 'rds.credentials']] as const) {
    it(`ends within 30 s, where it waits, when AWS answers with ${code}`, async () => {
      const {lateness, recovered} = timed({}, (count) => { if (count === WAITED) rds.aws.server.faults.add({match: {action: 'DescribeDBInstances'}, times: 1000, action: {code}}) })
      const {error, entries} = await recovered
      expect(lateness.ms()).to.be.within(1, TOLD_WITHIN_MS)
      expect(error).to.include({code: expected, exitCode: 5})
      expect(error?.hints?.length).to.be.above(1)
      expect(entries.at(-1)?.event, 'AWS goes on').to.equal('left')
    })
  }

  for (const [code, expected] of [['Throttling', 'asks to slow down'], ['ServiceUnavailable', 'cannot be reached']] as const) {
    it(`says within 30 s, where it waits, that AWS answers with ${code}, and waits on`, async () => {
      const told: number[] = []
      const one = timed({onNotice: (text) => { if (text.includes(expected)) told.push(one.lateness.ms()) }}, (count) => { if (count === WAITED) rds.aws.server.faults.add({match: {action: 'DescribeDBInstances'}, times: 3, action: {code}}) })
      const {error} = await one.recovered
      if (error) throw error
      expect(told, 'once, not at each look').to.have.length(1)
      expect(told[0]).to.be.within(1, TOLD_WITHIN_MS)
    })
  }

  it('says within 30 s that AWS cannot be reached, and ends after five minutes of that', async () => {
    const told: number[] = []
    const one = timed({onNotice: (text) => { if (text.includes('cannot be reached')) told.push(one.lateness.ms()) }}, (count) => { if (count === WAITED) rds.aws.server.faults.add({match: {action: 'DescribeDBInstances'}, times: 1000, action: {code: 'ServiceUnavailable'}}) })
    const {error} = await one.recovered
    expect(error).to.include({code: 'rds.unreachable', exitCode: 5})
    expect(told[0]).to.be.within(1, TOLD_WITHIN_MS)
    expect(one.lateness.ms()).to.be.within(5 * 60_000, 7 * 60_000)
  })

  it('names the permission that is missing and who lacks it, whichever it is', async () => {
    for (const action of ['DescribeDBInstances', 'DescribeDBInstanceAutomatedBackups', 'DescribeDBParameterGroups', 'DescribeDBSubnetGroups', RESTORE, 'ModifyDBInstance']) {
      fault(action, {code: 'AccessDenied', status: 403, message: `User: ${CALLER} is not authorized to perform: rds:${action} on resource: arn:aws:rds:us-east-1:123456789012:db:crm`})
      const {error} = await recover()
      expect(error, action).to.include({code: 'rds.denied', exitCode: 5})
      expect(error?.message).to.contain(`rds:${action}`).and.contain(CALLER)
      rds.aws.server.faults.clear()
      await rds.remove('copy')
    }
  })

  it('tells expired credentials and a slow-down apart', async () => {
    for (const [code, expected] of [['ExpiredToken', 'rds.credentials'], ['Throttling', 'rds.throttled'], ['InternalFailure', 'rds.unreachable']] as const) {
      fault(RESTORE, {code, status: code === 'InternalFailure' ? 503 : 400})
      expect((await recover()).error, code).to.include({code: expected, exitCode: 5})
      rds.aws.server.faults.clear()
    }
  })

  it('takes over what is being made when only the reply was lost, and asks once', async () => {
    const asked = () => rds.aws.server.requests.filter(({action, refused}) => action === RESTORE && refused === undefined).length
    const before = asked()
    rds.aws.server.faults.add({match: {action: RESTORE}, times: 1, action: {cutAfter: true}})
    const {error, state, notices} = await recover()
    if (error) throw error
    expect(state.asked).to.include({adopted: true})
    expect(state.copy?.resourceId).to.equal(rds.instance('copy').resourceId)
    expect(notices.join('\n')).to.contain('taken over')
    expect(asked()).to.equal(before + 1)
  })

  it('does not take over an instance of the same name that somebody else makes at the same moment', async () => {
    const {error} = await rds.recover({wish: {target: 'copy'}, options: {proof: {storages: [], jobs: 1}}, onStep: (id) => {
      if (id === 'pitr.ask') rds.aws.server.region.instance('copy', {...rds.source.settings, TagList: [{Key: 'dr:run-id', Value: 'another'}, {Key: 'dr:purpose', Value: 'side'}]}, 'creating')
    }})
    expect(error).to.include({code: 'rds.exists', exitCode: 3})
    expect(error?.message).to.contain('dr:run-id=another')
    expect(error?.hints?.join('\n')).to.contain('dr pitr resume copy')
  })

  it('gives no credit to an instance that was put in the place of the copy while it waited', async () => {
    const {error} = await rds.recover({wish: {target: 'copy'}, options: {proof: {storages: [], jobs: 1}}, onStep: (id) => {
      if (id !== 'pitr.settings') return
      const copy = rds.instance('copy')
      copy.settings = {...copy.settings, TagList: []}
    }})
    expect(error).to.include({code: 'pitr.not-ours', exitCode: 3})
    expect(rds.instance('copy').settings.MonitoringInterval, 'nothing was changed on it').to.equal(0)
  })
})
