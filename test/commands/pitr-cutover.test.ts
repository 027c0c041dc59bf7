import {expect} from 'chai'
import {readdirSync, readFileSync} from 'node:fs'
import type {CutoverResult, RollbackResult} from '../../src/lib/cli/pitr-cutover.ts'
import type {Plan} from '../../src/lib/runbook/plan.ts'
import {COPY, CutoverFixture, NAME} from '../support/cutover.ts'
import {dr, type DrResult} from '../support/dr.ts'

describe('dr pitr cutover, dr pitr rollback', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()
  let back = () => {}

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1})
    back = crm.useEnvironment()
  })
  after(async () => {
    back()
    await crm.close()
  })

  const journals = () => readdirSync(`${crm.home}/journal`).map((name) => readFileSync(`${crm.home}/journal/${name}`, 'utf8')).join('')
  const run = <T>(...argv: string[]): Promise<DrResult<T>> => dr<T>('pitr', ...argv, '--no-input')

  it('plan shows what is there and every command; nothing is asked for that changes something', async () => {
    const {result, stdout, exitCode} = await run<Plan>('cutover', '--plan')
    expect(exitCode, stdout).to.equal(0)
    expect(stdout).to.contain(`aws rds modify-db-instance --db-instance-identifier ${COPY} --new-db-instance-identifier ${NAME} --apply-immediately`).and.contain('ALTER DATABASE').and.contain('Estimate    about 26 min')
    expect(result?.phases.flatMap(({steps}) => steps.map(({id}) => id))).to.include.members(['cutover.freeze', 'cutover.rename-old', 'cutover.prove'])
    expect(crm.aws.server.requests.filter(({action}) => /^(Add|Create|Modify)/.test(action))).to.deep.equal([])
  })

  it('asks for the name of the production instance, and says what would be lost', async () => {
    const refused = await run('cutover', COPY, '--yes')
    expect(refused.exitCode).to.equal(2)
    const wrong = await run('cutover', COPY, '--confirm', COPY)
    expect(wrong).to.include({exitCode: 2})
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
  })

  it('prints the live instance alone on stdout, and goes back by the run', async () => {
    const {exitCode, stdout, stderr} = await run('cutover', '--confirm', NAME)
    expect(exitCode, stderr).to.equal(0)
    expect(stdout).to.equal(`${NAME}\n`)
    const [, name = ''] = /dr pitr rollback (\S+-pitr-cutover-[\da-f]{4})\./.exec(stderr) ?? []
    expect(stderr).to.match(/crm-prod is now db-\w+, at 127\.0\.0\.1:\d+ as before; there was no crm-prod for/).and.match(/The old instance is crm-prod-old-\d{14}; its snapshot is crm-prod-before-cutover-\d{14}/)
    expect(crm.names()).to.have.property(NAME, 'copy')
    const {result} = await run<RollbackResult>('rollback', name, '--confirm', NAME, '--json')
    expect(result).to.deep.include({instance: NAME, mode: 'rename', undone: name})
    expect(result?.kept.instance).to.match(/^crm-prod-pitr-back-\d{14}$/)
    expect(crm.names()).to.have.property(NAME, 'old')
    expect(await run('rollback', '--confirm', NAME)).to.include({exitCode: 3})
    expect(journals()).not.to.contain('m@ster').and.not.to.contain('m%40ster')
  })

  it('--json has all of it in one document', async () => {
    const {result, exitCode, stderr} = await run<CutoverResult>('cutover', '--confirm', NAME, '--json', '--no-snapshot', '--keep-frozen')
    expect(exitCode, stderr).to.equal(0)
    expect(result).to.deep.include({instance: NAME, mode: 'rename', snapshot: null})
    expect(result?.live).to.deep.equal({instance: NAME, resourceId: crm.copy.resourceId, host: '127.0.0.1', port: crm.copy.port})
    expect(result?.replaced).to.include({resourceId: crm.old.resourceId, frozen: true})
    expect(result?.loss.find(({table}) => table === 'public.calls')).to.include({live: 307, coming: 300, written: 47})
    expect(result?.lost).to.deep.equal({rows: 47, uncounted: 0, unknown: null})
    expect(await crm.frozen(crm.old)).to.deep.equal(['crm'])
    expect((await run('rollback', '--confirm', NAME)).exitCode).to.equal(0)
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    crm.copy.settings = {...crm.copy.settings, TagList: crm.copy.settings.TagList.map((tag) => (tag.Key === 'dr:fork-xid' ? {...tag, Value: 'unknown'} : tag))}
    const plan = await run<Plan>('cutover', '--plan', '--json')
    expect(JSON.stringify(plan.result)).to.contain('Lost        not known: when crm-prod-pitr-back-').and.not.to.match(/Lost +\d/)
  })
})
