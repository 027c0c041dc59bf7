import {expect} from 'chai'
import {FAULTS} from '../../../../src/lib/rds/faults.ts'
import {terminalStatuses} from '../../../../src/lib/rds/status.ts'
import {RecoveryFixture} from '../../../support/recovery.ts'

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
  const fault = (action: string, ...what: {code: string; message?: string; status?: number}[]) => { rds.aws.server.faults.add(...what.map((one) => ({match: {action}, times: 10, action: one}))) }

  it('says of every fault what it is and what to do, with the code of its kind, and nothing is there', async () => {
    for (const name of Object.keys(FAULTS)) {
      fault(RESTORE, {code: name, message: 'said by AWS'})
      const {error} = await recover()
      expect(error?.code, name).to.match(/^rds\./).and.not.equal('rds.refused')
      expect([3, 5], name).to.include(error?.exitCode)
      expect(error?.hints?.length, name).to.be.above(1)
      expect(rds.aws.server.region.instances.has('copy'), name).to.equal(false)
      rds.aws.server.faults.clear()
    }
  })

  it('ends with every status from which an instance does not come back, at the first look that shows it, with its remedy', async () => {
    for (const status of terminalStatuses) {
      rds.aws.server.faults.add({match: {action: RESTORE}, times: 1, action: {endsAs: status}})
      const {error, notices, entries} = await recover()
      expect(error, status).to.include({code: 'pitr.ended', exitCode: 1})
      expect(error?.message).to.contain(`copy is ${status}`)
      expect(error?.hints?.join('\n'), status).to.contain('dr pitr cleanup')
      expect(notices.join('\n'), 'the events of AWS are told').to.contain('Restored from DB instance crm to copy')
      expect(entries.at(-1)?.event, 'the run can be gone on with, or undone').to.equal('left')
      expect(rds.aws.server.region.instances.has('copy'), 'nothing is deleted').to.equal(true)
      await rds.remove('copy')
    }
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
