import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {assertInPlaceTools} from '../../../../src/lib/postgres/restore-in-place.ts'
import type {ClientTools} from '../../../../src/lib/postgres/tools.ts'
import type {RestoreResult} from '../../../../src/commands/restore/index.ts'
import {crmFixture, MASTER} from '../../../support/crm.ts'
import {finishDr, startDr} from '../../../support/process.ts'
import {clientTools} from '../../../support/tools.ts'
import {until} from '../../../support/until.ts'

describe('dr restore --in-place', function () {
  this.timeout(240_000)
  const crm = crmFixture()
  const env = async (url = crm.cluster.url('crm')) => ({DR_DATA_DIR: crm.directory, DATABASE_URL: url, DR_PG_BIN: await clientTools(17)})
  const start = async (...args: string[]) => startDr(['restore', crm.label, '--in-place', ...args, '--no-input'], crm.directory, {env: await env()})
  /** As an owner that may not end a superuser's session. */
  const startAsMaster = async (...args: string[]) => startDr(['restore', crm.label, '--in-place', ...args, '--no-input'], crm.directory, {env: await env(crm.cluster.url('crm', MASTER))})
  const run = async (...args: string[]) => {
    const started = await start(...args)
    const {code} = await started.ended
    return {code, stdout: started.stdout, stderr: started.stderr}
  }

  it('replaces what is there, keeps what is not of the backup, and backs the state before up', async () => {
    const before = await crm.digest('crm')
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query('CREATE TABLE public.later (i int)'))
    const {code, stdout, stderr} = await run('--confirm', 'crm', '--json')
    expect(code, stderr + stdout).to.equal(4)
    const {database, swap, findings} = JSON.parse(stdout) as RestoreResult
    expect(database).to.equal('crm')
    expect(findings.filter(({severity}) => severity === 'error').map(({subject}) => subject)).to.include('public.later')
    expect(await withClient(crm.cluster.url('crm'), {}, (client) => rowOf(client, "SELECT count(*)::int AS rows, count(*) FILTER (WHERE title LIKE 'lead %')::int AS old FROM public.leads"))).to.deep.equal({rows: 1000, old: 1000})
    expect(await crm.seenBy('t1')).to.deep.equal(['t1'])
    expect(await crm.all()).to.deep.equal(['crm'])
    // The safety backup is the way back.
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query('DROP TABLE public.later'))
    const back = await finishDr(['restore', swap?.safetyBackup ?? '', '--in-place', '--confirm', 'crm', '--no-input'], crm.directory, {env: await env()})
    expect(back.code, back.stderr).to.equal(0)
    expect(await crm.digest('crm')).to.deep.equal(before)
  })

  it('leaves the old state when it fails in the middle', async () => {
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query('CREATE VIEW public.needed AS SELECT id FROM public.leads'))
    const before = await crm.digest('crm')
    const {code, stderr} = await run('--confirm', 'crm')
    expect(code).to.equal(1)
    expect(stderr).to.match(/cannot drop .*leads.* because other objects depend on it/)
    expect(await crm.digest('crm')).to.deep.equal(before)
    expect(await crm.seenBy('t1')).to.deep.equal(['t1'])
  })

  it('leaves the old state when it is stopped in the middle', async () => {
    const before = await crm.digest('crm')
    const held = await connect(crm.cluster.url('crm'))
    await held.query('BEGIN; LOCK TABLE public.calls IN ACCESS SHARE MODE')
    const started = await startAsMaster('--confirm', 'crm')
    await until(async () => (await rowsOf(crm.admin, "SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT granted AND a.application_name LIKE 'dr restore %'")).length > 0, 60_000)
    started.child.kill('SIGINT')
    expect((await started.ended).code, started.stderr).to.equal(130)
    await endQuietly(held)
    expect(await crm.digest('crm')).to.deep.equal(before)
  })

  it('leaves the old state when it is killed in the middle, and the next run does it', async () => {
    const before = await crm.digest('crm')
    const held = await connect(crm.cluster.url('crm'))
    await held.query('BEGIN; LOCK TABLE public.calls IN ACCESS SHARE MODE')
    const started = await startAsMaster('--confirm', 'crm')
    await until(async () => (await rowsOf(crm.admin, "SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT granted AND a.application_name LIKE 'dr restore %'")).length > 0, 60_000)
    started.child.kill('SIGKILL')
    await started.ended
    await endQuietly(held)
    await until(async () => (await rowsOf(crm.admin, "SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore %'")).length === 0, 60_000)
    expect(await crm.digest('crm')).to.deep.equal(before)
    const resumed = await finishDr(['resume', 'latest', '--undo', '--no-input'], crm.directory, {env: await env(crm.cluster.url('crm', MASTER))})
    expect(resumed.code).to.equal(2)
    expect(resumed.stderr).to.include('it is one transaction, which its process has taken along; run the command again')
    const again = await startAsMaster('--confirm', 'crm')
    expect((await again.ended).code, again.stderr).to.equal(0)
    expect(await crm.seenBy('t1')).to.deep.equal(['t1'])
  })

  it('is refused with a pg_restore that sets what an older server does not know', () => {
    const tools = {major: 17, version: '17.10'} as ClientTools
    expect(() => { assertInPlaceTools(tools, 16) }).to.throw(/pg_restore 17\.10 cannot restore into PostgreSQL 16 in one transaction/).with.property('code', 'restore.in-place-tools')
    expect(() => { assertInPlaceTools(tools, 17) }).not.to.throw()
    expect(() => { assertInPlaceTools({...tools, major: 16}, 15) }).not.to.throw()
  })

  it('gives up, and names who it is, when that session may not be ended', async () => {
    const before = await crm.digest('crm')
    const held = await connect(crm.cluster.url('crm'), {applicationName: 'rdsadmin'})
    await held.query('BEGIN; LOCK TABLE public.calls IN ACCESS SHARE MODE')
    const started = await startAsMaster('--confirm', 'crm', '--json')
    expect((await started.ended).code, started.stderr).to.equal(6)
    expect((JSON.parse(started.stdout) as {error: {code: string; message: string}}).error).to.include({code: 'restore.in-place-blocked'}).and.to.have.property('message').which.matches(/postgres \(rdsadmin\), process/)
    await held.query('ROLLBACK')
    await endQuietly(held)
    expect(await crm.digest('crm')).to.deep.equal(before)
  })

  it('ends sessions whose locks are in the way', async () => {
    const held = await connect(crm.cluster.url('crm'))
    await held.query('BEGIN; LOCK TABLE public.calls IN ACCESS EXCLUSIVE MODE')
    // Holds what the safety backup needs only after that is done.
    await held.query('ROLLBACK')
    const started = await start('--confirm', 'crm')
    await started.see(/Prove every member: started/)
    await held.query('BEGIN; LOCK TABLE public.calls IN ACCESS SHARE MODE')
    const {code} = await started.ended
    expect(code, started.stderr).to.equal(0)
    await until(() => held.query('SELECT 1').then(() => false, () => true))
    await endQuietly(held)
  })

  for (const [args, says, exitCode] of [
    [['--yes'], /--yes is not enough for this.*Overwrite/s, 2],
    [['--confirm', 'crm', '--safety', 'none'], /no undo but the safety backup/, 3],
    [['--swap'], /in-place/, 2],
  ] as const) {
    it(`refuses ${args.join(' ')}`, async () => {
      const before = await crm.digest('crm')
      const {code, stderr} = await run(...args)
      expect(stderr).to.match(says)
      expect(code).to.equal(exitCode)
      expect(await crm.digest('crm')).to.deep.equal(before)
    })
  }
})
