import {expect} from 'chai'
import type {DrError} from '../../../../src/lib/errors.ts'
import {recoveryReport, recoveryResult} from '../../../../src/lib/cli/pitr-result.ts'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import type {CutoverOptions} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import {markTags} from '../../../../src/lib/procedures/pitr/cutover-marks.ts'
import {perform} from '../../../../src/lib/runbook/perform.ts'
import {RecoveryFixture, type Recovered} from '../../../support/recovery.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {testStage} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'

const signal = new AbortController().signal
const COMMAND = 'aws rds modify-db-instance --db-instance-identifier crm-pitr --new-db-instance-identifier crm --apply-immediately'

describe('an instance that was deleted', function () {
  this.timeout(180_000)
  const rds = new RecoveryFixture()

  before(async () => {
    await rds.open()
    await rds.sql((client) => client.query('CREATE TABLE leads (id serial PRIMARY KEY); INSERT INTO leads SELECT FROM generate_series(1, 50)'))
    await rds.archived()
  })
  after(() => rds.close())

  const lines = async ({state}: Recovered) => (await recoveryReport(recoveryResult({state, run: 'run-1', journal: ''} as Parameters<typeof recoveryResult>[0]))).join('\n')

  function cutover(): Promise<DrError> {
    const options: CutoverOptions = {config: rds.config, api: rds.api, target: parseTarget(rds.url), name: 'crm', mode: 'rename', freeze: true, snapshot: true, acceptPending: false, accept: false, keepFrozen: false}
    return drErrorOf(perform(cutoverProcedure(options), cutoverState(options, new Date()), testStage().stage))
  }

  it('comes back under its name and address by the command that is printed', async () => {
    const {resourceId} = rds.source
    await rds.api.remove({instance: 'crm', finalSnapshot: null}, signal)
    await until(() => !rds.aws.server.region.instances.has('crm'), 60_000)
    expect((await cutover()).hints.join('\n')).to.contain('dr pitr --source-resource-id').and.not.to.contain('modify-db-instance')

    const done = await rds.recover({wish: {source: {resourceId}, target: 'crm-pitr'}})
    if (done.error) throw done.error
    expect(recoveryResult({state: done.state, run: 'run-1', journal: ''} as Parameters<typeof recoveryResult>[0])).to.include({vacantName: 'crm'})
    expect(await lines(done)).to.contain(`There is no crm any more, so nothing to cut over. To put it in that place: dr pitr warm crm-pitr, so that it is fast, then ${COMMAND}`).and.not.to.contain('dr pitr cutover')
    const refused = await cutover()
    expect(refused).to.include({code: 'rds.no-instance', exitCode: 3})
    expect(refused.hints.join('\n')).to.contain(COMMAND)

    const [, copy = '', name = ''] = /--db-instance-identifier (\S+) --new-db-instance-identifier (\S+)/.exec(COMMAND) ?? []
    await rds.api.modify({DBInstanceIdentifier: copy, NewDBInstanceIdentifier: name}, signal)
    await until(() => rds.aws.server.region.instances.get('crm')?.timeline.isQuiet === true, 60_000)
    expect(await withClient(rds.url, {}, (client) => rowOf<{rows: string}>(client, 'SELECT count(*) AS rows FROM leads')), 'by the same URL').to.deep.equal({rows: '50'})

    rds.source = rds.instance('crm')
    await rds.archived()
    const again = await rds.recover({wish: {target: 'crm-pitr-2'}})
    if (again.error) throw again.error
    expect(await lines(again), 'it is production again').to.contain('then dr pitr cutover crm-pitr-2').and.not.to.contain('There is no crm')
  })

  it('is not taken for deleted between the renames of a cut-over', async () => {
    const {region} = rds.aws.server
    const {resourceId} = rds.instance('crm')
    await rds.api.addTags(region.arnOf('crm-pitr-2'), markTags({mode: 'rename', name: 'crm', resourceId, run: 'run-2'}), signal)
    await region.rename(rds.instance('crm'), 'crm-old')
    expect((await cutover()).hints).to.deep.equal(['A cut-over was cut short: dr pitr rollback run-2'])
  })
})
