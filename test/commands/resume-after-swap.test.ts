import {expect} from 'chai'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import type {ListedRun} from '../../src/lib/report/listed-run.ts'
import {connect, endQuietly, rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {crmFixture, MASTER} from '../support/crm.ts'
import {finishDr, startDr} from '../support/process.ts'
import {clientTools} from '../support/tools.ts'
import {until} from '../support/until.ts'

describe('dr resume, of a restore that was killed at its swap', function () {
  this.timeout(240_000)
  const crm = crmFixture()
  const env = async () => ({DR_DATA_DIR: crm.directory, DATABASE_URL: crm.cluster.url('crm', MASTER), DR_PG_BIN: await clientTools(17)})
  const run = async (...args: string[]) => finishDr([...args, '--no-input'], crm.directory, {env: await env()})
  const listed = async () => (JSON.parse((await run('resume', '--json')).stdout) as {runs: ListedRun[]}).runs
  const title = () => withClient(crm.cluster.url('crm'), {}, async (client) => (await rowsOf<{title: string}>(client, 'SELECT title FROM public.leads WHERE id = 7'))[0]?.title)

  /** It waits for a superuser's session that it may not end, and is killed there. Resolves to the run and its new database. */
  async function killed(): Promise<{name: string; side: string}> {
    const master = await connect(crm.cluster.url('crm'), {applicationName: 'rdsadmin'})
    const started = startDr(['restore', crm.label, '--swap', '--yes', '--no-input'], crm.directory, {env: await env()})
    await started.see(/Swap: Waiting for postgres \(rdsadmin\)/)
    started.child.kill('SIGKILL')
    await started.ended
    await until(async () => (await rowsOf(crm.admin, "SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore%'")).length === 0)
    await endQuietly(master)
    const [known, ...more] = (await listed()).filter(({procedure}) => procedure === 'restore')
    expect(more).to.deep.equal([])
    return {name: known?.run ?? '', side: (await crm.all()).find((one) => one.startsWith('crm_restore_')) ?? ''}
  }

  /** What the killed process would have done: its COMMIT was on its way. */
  async function commit(side: string): Promise<void> {
    await crm.admin.query(`BEGIN; ALTER DATABASE crm RENAME TO crm_before_20261122100824; ALTER DATABASE ${side} RENAME TO crm;
      COMMENT ON DATABASE crm_before_20261122100824 IS 'dr kept "crm" as "crm_before_20261122100824" at 2026-11-22T10:08:24.000Z by r'; COMMIT`)
  }

  it('asks again, showing what the live one has become, and swaps', async () => {
    const {name} = await killed()
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("INSERT INTO public.leads SELECT i, 't2', 'since' FROM generate_series(7000, 7099) i"))
    const refused = await run('resume', name)
    expect(refused.code, refused.stderr).to.equal(2)
    expect(refused.stderr).to.include('This needs a confirmation. Replace crm')
    expect(await title()).to.equal('changed')
    const {code, stdout, stderr} = await run('resume', name, '--confirm', 'crm')
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal('crm\n')
    expect(stderr).to.match(/public\.leads +1,100 +1,000 +−100/)
    expect(await title()).to.equal('lead 7')
    expect((await crm.all()).map((one) => one.replace(/\d+$/, ''))).to.deep.equal(['crm', 'crm_before_'])
    expect(await listed()).to.deep.equal([])
  })

  it('finds out that it was swapped in, asks nothing, and knows the old one', async () => {
    const {name, side} = await killed()
    await commit(side)
    const {code, stdout, stderr} = await run('resume', name, '--json', '--yes')
    expect(code, stderr + stdout).to.equal(0)
    expect((JSON.parse(stdout) as RestoreResult).swap).to.include({kept: 'crm_before_20261122100824', outageMs: null})
    expect(await title()).to.equal('lead 7')
    expect(await crm.all()).to.deep.equal(['crm', 'crm_before_20261122100824'])
  })

  it('drops the new one when it is undone before the swap', async () => {
    const {name} = await killed()
    expect((await run('resume', name, '--undo', '--yes')).code).to.equal(0)
    expect(await title()).to.equal('changed')
    expect(await crm.all()).to.deep.equal(['crm'])
  })

  it('brings the old one back when it is undone behind the swap, and keeps the other', async () => {
    const {name, side} = await killed()
    await commit(side)
    const {code, stderr} = await run('resume', name, '--undo', '--confirm', 'crm')
    expect(code, stderr).to.equal(0)
    expect(await title()).to.equal('changed')
    expect((await crm.all()).map((one) => one.replace(/\d+$/, ''))).to.deep.equal(['crm', 'crm_undone_'])
  })
})
