import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {join} from 'node:path'
import {connect, endQuietly, rowsOf, type Client} from '../../../../../src/lib/postgres/connection.ts'
import {removeFolder, temporaryFolder} from '../../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../../support/cluster.ts'
import {runForeign, type ForeignSetting} from '../../../../support/foreign.ts'
import {startProvider, type Provider} from '../../../../support/provider.ts'
import {clientTools} from '../../../../support/tools.ts'

const MADE = ['crm_app', 'crm_owner', 'crm_reader', 'crm_report']

describe('the roles of a dump that dr did not make', function () {
  this.timeout(180_000)
  let provider: Provider
  let cluster: TestCluster
  let admin: Client
  let directory = ''
  const dumpTo = async (name: string, ...args: string[]) => {
    execFileSync(join(await clientTools(17), 'pg_dump'), [...args, `--file=${join(directory, name)}`, provider.masterUrl()])
  }

  before(async () => {
    provider = await startProvider(16)
    cluster = await testCluster({major: 17})
    admin = await connect(cluster.adminUrl)
    directory = await temporaryFolder('foreign-roles')
    await dumpTo('plain.dump', '--format=custom')
    await dumpTo('plain.sql', '--format=plain')
    await provider.support("CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; ALTER FUNCTION public.on_ddl() OWNER TO crm_owner; CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.on_ddl()")
    await dumpTo('watched.dump', '--format=custom')
    await dumpTo('watched.sql', '--format=plain', '--no-owner')
  })
  after(async () => {
    await endQuietly(admin)
    await provider.stop()
    await removeFolder(directory)
  })
  afterEach(async () => {
    await cluster.drop('dump_target')
    await admin.query(`DROP ROLE IF EXISTS ${MADE.join(', ')}`)
  })

  const restore = (dump: string, more: Partial<ForeignSetting> = {}) => runForeign({url: cluster.adminUrl, directory, dump: join(directory, dump), into: 'dump_target', ...more})
  const present = async () => (await rowsOf<{name: string}>(admin, 'SELECT rolname AS name FROM pg_roles WHERE rolname = ANY ($1::text[]) AND NOT rolcanlogin ORDER BY 1', [MADE])).map(({name}) => name)

  for (const dump of ['plain.dump', 'plain.sql']) {
    it(`are made where they are missing, and taken back with the restore: ${dump}`, async () => {
      const refused = await restore(dump)
      expect(refused.error).to.include({code: 'restore.roles', exitCode: 3})
      expect(refused.error?.hints?.join()).to.contain('--create-roles')
      expect(await present()).to.deep.equal([])
      const stop = new AbortController()
      const stopped = await restore(dump, {createRoles: true, signal: stop.signal, onStep: (id) => { if (id === 'restore.load') stop.abort(new Error('enough')) }})
      expect(stopped.error?.message).to.equal('enough')
      expect(await present()).to.deep.equal([])
      const {error, state} = await restore(dump, {createRoles: true})
      if (error) throw error
      expect(await present()).to.deep.equal(MADE)
      expect(state.outcome).to.equal('clean')
      expect(state.roles?.created).to.deep.equal(MADE)
      // A dump does not say who may log in.
      expect(state.roles?.needPassword).to.deep.equal([])
    })
  }

  it('do not include the superuser, of whose objects an archive can do without', async () => {
    const at = {url: provider.masterUrl()}
    try {
      const steps: string[] = []
      const refused = await restore('watched.dump', {...at, onStep: (id) => steps.push(id)})
      expect(steps).to.include('restore.rights').and.not.include('restore.load')
      expect(refused.error).to.include({code: 'restore.superuser'}).and.property('message').contains('EVENT TRIGGER watch')
      const {error, state} = await restore('watched.dump', {...at, skip: ['event-triggers']})
      if (error) throw error
      expect(state.findings.filter(({code}) => code === 'restore.skipped').map(({subject}) => subject)).to.deep.equal(['EVENT TRIGGER watch'])
    } finally {
      await provider.drop('dump_target')
    }
  })

  it('are named in the statement of a script that fails, and nothing of a script is left out', async () => {
    const refused = await restore('watched.sql', {url: provider.masterUrl()})
    expect(refused.error).to.include({code: 'restore.superuser', exitCode: 1}).and.property('message').contains('CREATE EVENT TRIGGER watch')
    expect(refused.error?.hints?.join()).to.contain('take this statement out')
    expect((await restore('watched.sql', {url: provider.masterUrl(), skip: ['event-triggers']})).error).to.include({code: 'restore.skip', exitCode: 3})
  })
})
