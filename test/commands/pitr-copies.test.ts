import {expect} from 'chai'
import type {CleanupResult} from '../../src/commands/pitr/cleanup.ts'
import type {Failure} from '../../src/lib/cli/failure.ts'
import type {WarmResult} from '../../src/lib/cli/pitr-warm.ts'
import {withClient} from '../../src/lib/postgres/connection.ts'
import type {Plan} from '../../src/lib/runbook/plan.ts'
import {COPY, CutoverFixture, NAME} from '../support/cutover.ts'
import {dr, type DrResult} from '../support/dr.ts'

describe('dr pitr warm, dr pitr cleanup', function () {
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

  const run = <T>(...argv: string[]): Promise<DrResult<T>> => dr<T>('pitr', ...argv, '--no-input')
  async function failed(...argv: string[]): Promise<Pick<Failure, 'code'> & {exit: number}> {
    const {exitCode, stdout} = await run(...argv, '--json')
    return {code: (JSON.parse(stdout) as {error: Failure}).error.code, exit: exitCode}
  }
  const changing = () => crm.aws.server.requests.filter(({action}) => /^(Add|Create|Delete|Modify|Remove)/.test(action)).length
  const there = () => [...crm.aws.server.region.instances.keys()].toSorted()

  it('warm reads the only copy, and tells what, how fast, and what it left out', async () => {
    const before = changing()
    const {stdout, stderr, exitCode} = await run('warm')
    expect(exitCode, stderr).to.equal(0)
    expect(stdout).to.match(/^crm-prod-pitr: 2 tables and indexes read, \S+ kB in \S+ s \(\S+ [kMG]?B\/s\)\.\n/).and.match(/\nNot read: 2 TOAST parts, 2 indexes, \S+ kB: only pg_prewarm reads it whole, and that is not installed\. CREATE EXTENSION pg_prewarm/)
    expect(changing()).to.equal(before)
  })

  it('warm --json has all of it in one document; 7 when a table could not be read', async () => {
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query('CREATE EXTENSION pg_prewarm; ALTER TABLE deals OWNER TO postgres; GRANT SELECT ON deals TO master'))
    const {result, exitCode, stderr} = await run<WarmResult>('warm', COPY, '--tables', 'top:2', '--jobs', '2', '--json')
    expect(exitCode, stderr).to.equal(7)
    expect(result).to.deep.include({instance: COPY, skipped: [], initialized: {before: null, after: null}}).and.have.property('failed').with.property('length').that.is.above(0)
    expect(result?.failed.filter(({name, why}) => !name.startsWith('public.deals') || !why.startsWith('permission denied for'))).to.deep.equal([])
    expect(result).to.have.property('bytes').that.is.a('number').and.is.above(0)
    expect(Object.keys(result ?? {})).to.deep.equal(['instance', 'relations', 'bytes', 'ms', 'bytesPerSecond', 'skipped', 'failed', 'initialized', 'hydrated', 'run', 'journal'])
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query('ALTER TABLE deals OWNER TO master'))
    expect(await run('warm', NAME), 'the production instance needs no mark').to.include({exitCode: 0})
  })

  it('warm takes no other number of tables, and names the copies when there are several', async () => {
    for (const tables of ['top:0', 'some', 'top:-1', '']) expect(await failed('warm', '--tables', tables), tables).to.deep.equal({code: 'usage', exit: 2})
    await crm.restored('crm-side', 'side')
    expect(await failed('warm')).to.deep.equal({code: 'pitr.which', exit: 2})
    expect((await run('warm')).stderr).to.contain('dr pitr warm crm-side:').and.not.to.contain('dr pitr resume')
  })

  it('cutover warns of a copy that nobody has proven, or whose proof failed', async () => {
    const tags = crm.copy.settings.TagList
    const shown = async (mark?: string) => {
      crm.copy.settings = {...crm.copy.settings, TagList: [...tags, ...(mark === undefined ? [] : [{Key: 'dr:proven', Value: mark}])]}
      const {stdout, stderr} = await run('cutover', COPY, '--plan')
      return stdout + stderr
    }
    expect(await shown()).to.contain('has not been proven')
    expect(await shown('2026-11-22T09:00:00.000Z/failed')).to.contain('its proof failed at 2026-11-22T09:00:00.000Z')
    expect(await shown('2026-11-22T09:00:00.000Z/proven')).to.contain('Estimate').and.not.to.contain('proof').and.not.to.contain('proven')
  })

  it('cleanup shows what would go and what stays, and asks for the names', async () => {
    const before = changing()
    const {result, stdout, exitCode} = await run<Plan>('cleanup', '--plan')
    expect(exitCode, stdout).to.equal(0)
    expect(stdout).to.contain('DELETE      crm-side').and.contain('aws rds delete-db-instance --db-instance-identifier crm-side --no-delete-automated-backups --skip-final-snapshot').and.match(/stays +crm-prod-pitr, .*it was made to take a place: name it/)
    expect(result?.phases.flatMap(({steps}) => steps.map(({id}) => id))).to.deep.equal(['cleanup.remove'])
    expect(await failed('cleanup', '--yes')).to.deep.equal({code: 'confirmation.missing', exit: 2})
    expect(await failed('cleanup', '--confirm', COPY)).to.deep.equal({code: 'confirmation.mismatch', exit: 2})
    expect(changing()).to.equal(before)
  })

  it('cleanup refuses what has no tag of dr, and what is live', async () => {
    const before = changing()
    for (const name of [NAME, 'nobody']) expect(await failed('cleanup', name, '--confirm', name), name).to.deep.equal({code: 'pitr.not-removable', exit: 3})
    expect(changing()).to.equal(before)
  })

  it('cleanup deletes a side copy, prints its name, and leaves the others', async () => {
    const {stdout, stderr, exitCode} = await run('cleanup', '--confirm', 'crm-side')
    expect(exitCode, stderr).to.equal(0)
    expect(stdout).to.equal('crm-side\n')
    expect(stderr).to.contain('crm-side is deleted.').and.contain('crm-prod-pitr stays: it was made to take a place')
    expect(there()).to.deep.equal([NAME, COPY])
    const {result} = await run<CleanupResult>('cleanup', '--json')
    expect(result).to.deep.include({removed: [], failed: []})
  })
})
