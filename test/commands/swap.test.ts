import {expect} from 'chai'
import {readdirSync, readFileSync} from 'node:fs'
import type {CleanUpResult} from '../../src/commands/restore/clean-up.ts'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import type {UndoResult} from '../../src/commands/undo.ts'
import type {Plan} from '../../src/lib/runbook/plan.ts'
import {rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {crmFixture} from '../support/crm.ts'
import {finishDr, startDr} from '../support/process.ts'
import {clientTools} from '../support/tools.ts'
import {until} from '../support/until.ts'

describe('dr restore --swap, dr swap, dr undo, dr restore clean-up', function () {
  this.timeout(300_000)
  const crm = crmFixture()
  const run = async (args: readonly string[], environment = 'development') => finishDr([...args, '--no-input'], crm.directory, {env: {DR_DATA_DIR: crm.directory, DATABASE_URL: crm.cluster.url('crm'), DR_PG_BIN: await clientTools(17), DR_ENVIRONMENT: environment}})
  const title = (id: number) => withClient(crm.cluster.url('crm'), {}, async (client) => (await rowsOf<{title: string}>(client, 'SELECT title FROM public.leads WHERE id = $1', [id]))[0]?.title)
  const journals = () => readdirSync(`${crm.directory}/journal`).map((name) => readFileSync(`${crm.directory}/journal/${name}`, 'utf8')).join('')

  it('prints the live name alone on stdout; what came of it, and how to go back, on stderr', async () => {
    const {code, stdout, stderr} = await run(['restore', crm.label, '--swap', '--yes'])
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal('crm\n')
    expect(stderr).to.match(/public\.calls|same rows|as many rows/).and.match(/crm is now what backup \S+ holds \(\d+ ms out of reach, \d+ sessions ended\)/).and.match(/What was live until now is crm_before_\d{14}\. To bring it back: dr undo \d{8}T\d{6}Z-restore-[\da-f]{4}\./)
    expect(await title(7)).to.equal('lead 7')
    const again = /dr undo (\S+)\. /.exec(stderr)?.[1] ?? ''
    const undone = await run(['undo', again, '--confirm', 'crm'], 'production')
    expect(undone.code, undone.stderr).to.equal(0)
    expect(undone.stdout).to.equal('crm\n')
    expect(undone.stderr).to.match(/WRITTEN SINCE|Nothing was written since/).and.match(/crm is now what crm_before_\d+ was/)
    expect(await title(7)).to.equal('changed')
  })

  it('takes a safety backup of its own where the environment is protected, and names all in one JSON document', async () => {
    const {code: made, stderr: why} = await run(['backup', '--local'], 'production')
    expect(made, why).to.equal(0)
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("UPDATE public.leads SET title = 'later' WHERE id = 7"))
    expect((await run(['restore', 'latest', '--swap', '--yes'], 'production')).code, '--yes is not enough').to.equal(2)
    const {code, stdout, stderr} = await run(['restore', 'latest', '--swap', '--confirm', 'crm', '--json'], 'production')
    expect(code, stderr + stdout).to.equal(0)
    const {database, swap, label} = JSON.parse(stdout) as RestoreResult
    expect(database).to.equal('crm')
    expect(swap?.kept).to.match(/^crm_before_\d{14}$/)
    expect(swap?.outageMs).to.be.a('number')
    expect(swap?.safetyBackup).to.match(/^\d{8}T\d{6}Z-/).and.not.equal(label)
    expect(swap?.noSafetyBackup).to.equal(null)
    expect(swap?.target).to.include({database: 'crm', host: '127.0.0.1'}).and.to.have.property('systemIdentifier').that.matches(/^\d{19}$/)
    expect(swap?.loss.map(({table}) => table)).to.include('public.leads')
    expect(await title(7)).to.equal('changed')
    const listed = await run(['list', '--json'], 'production')
    expect(listed.stdout).to.include(swap?.safetyBackup)
    const undone = JSON.parse((await run(['undo', '--json', '--confirm', 'crm'], 'production')).stdout) as UndoResult
    expect(undone).to.include({database: 'crm', broughtBack: swap?.kept})
    expect(await title(7)).to.equal('later')
    const latest = await run(['restore', 'latest', '--plan'], 'production')
    expect(latest.stdout, 'the state that was replaced is not what a later restore takes by itself').to.include(`Restore ${label} of crm`)
    const cleaned = JSON.parse((await run(['restore', 'cleanup', '--older-than', '0s', '--confirm', 'crm', '--json'], 'production')).stdout) as CleanUpResult
    expect(cleaned.dropped).to.deep.equal([undone.swap.kept])
    expect(await crm.all()).to.deep.equal(['crm'])
    expect(journals()).not.to.include(decodeURIComponent(new URL(crm.cluster.adminUrl).password))
  })

  it('plans everything, the statements of the swap included, and changes nothing', async () => {
    const {code, stdout} = await run(['restore', crm.label, '--swap', '--plan', '--json', '--safety', 'backup'])
    expect(code).to.equal(0)
    const {phases} = JSON.parse(stdout) as Plan
    expect(phases.map(({title: name}) => name)).to.deep.equal(['Check', 'Check the live database', 'Safety backup', 'Restore', 'Prove', 'Prepare the swap', 'Swap'])
    expect(phases[2]).to.include({confirm: 'crm'}).and.to.have.property('details').which.includes.members(['Database    crm (development)'])
    const lines = phases.flatMap(({steps}) => steps).flatMap(({commands}) => commands).map(({argv}) => argv.join(' ')).join('\n')
    expect(lines).to.match(/-c BEGIN -c SET LOCAL lock_timeout = 1500 .*ALTER DATABASE "crm" RENAME TO "crm_before_\d{14}" -c ALTER DATABASE "crm_restore_\d{14}" RENAME TO "crm" .*-c COMMIT/).and.match(/pg_terminate_backend/).and.match(/pg_dump/)
    expect(await crm.all()).to.deep.equal(['crm'])
    expect((await run(['undo', '--plan'])).stderr).to.match(/nothing to undo/)
  })

  it('swaps in later what a plain restore has made', async () => {
    const {stdout: name} = await run(['restore', crm.label])
    const {code, stdout, stderr} = await run(['swap', name.trim(), '--yes'])
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal('crm\n')
    expect(await title(7)).to.equal('lead 7')
  })

  it('leaves one whole database under the name when it is killed while it swaps, and what is left can be swapped in or removed', async () => {
    const env = {DR_DATA_DIR: crm.directory, DATABASE_URL: crm.cluster.url('crm'), DR_PG_BIN: await clientTools(17)}
    for (const moment of [/Prepare the swap/, /Swap: started/, /Write into it.*: started/]) {
      const killed = startDr(['restore', crm.label, '--swap', '--yes', '--no-input'], crm.directory, {env})
      await killed.see(moment)
      killed.child.kill('SIGKILL')
      await killed.ended
      await until(async () => (await rowsOf(crm.admin, "SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr restore%'")).length === 0)
      expect(await title(8), String(moment)).to.equal('lead 8')
      expect(['changed', 'lead 7']).to.include(await title(7))
    }
    const {code, stderr} = await run(['restore', crm.label, '--swap', '--yes'])
    expect(code, stderr).to.equal(0)
    expect(await title(7)).to.equal('lead 7')
    expect((await run(['restore', 'clean-up', '--older-than', '0s', '--yes'])).code).to.equal(0)
    const left = (await crm.all()).filter((name) => name !== 'crm')
    // One that was complete but not marked yet is as the result of a plain restore: its operator's.
    expect(left.filter((name) => !name.startsWith('crm_restore_'))).to.deep.equal([])
  })

  const mistakes: [string[], number, RegExp][] = [
    [['undo'], 3, /nothing to undo/],
    [['undo', '20261122T100824Z-restore-0000'], 3, /nothing to undo/],
    [['swap', 'crm', '--yes'], 3, /live database already/],
    [['swap', 'nowhere', '--yes'], 3, /There is no database nowhere/],
    [['restore', 'latest', '--safety', 'none'], 2, /swap|in-place/],
    [['restore', 'latest', '--swap', '--safety', 'perhaps'], 2, /safety/],
    [['restore', 'latest', '--swap', '--into', 'crm', '--yes'], 3, /live database/],
    [['restore', 'clean-up', '--older-than', 'long'], 2, /not a duration/],
    [['restore', 'latest', '--swap'], 2, /confirm/],
  ]
  for (const [args, exitCode, says] of mistakes) {
    it(`answers ${args.join(' ')} with ${exitCode}`, async () => {
      const {code, stdout, stderr} = await run(args)
      expect(stderr).to.match(says)
      expect({code, stdout}).to.deep.equal({code: exitCode, stdout: ''})
      expect(await crm.all()).to.deep.equal(['crm'])
    })
  }
})
